"""Samples from manifests of URLs, fetched from a real server on loopback."""

from __future__ import annotations

import csv
import hashlib
import threading
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, cast

import pytest

import mmdata
from mmdata.config.choose import choose
from mmdata.config.load import load, parse
from mmdata.core.ports import Entry
from mmdata.core.sample import Blob
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.errors import ConfigError, RunStopped, Unreadable
from mmdata.source.urls import Urls
from mmdata.source.urls.ahead import Ahead
from mmdata.source.urls.answer import Wanted
from mmdata.source.urls.fetch import Fetcher
from mmdata.source.urls.manners import Manners
from mmdata.testing.contracts.sources import SourceCase, SourceContract
from tests.source.urls.web import PNG, Web, serving


@pytest.fixture
def web() -> Iterator[Web]:
    with serving() as web:
        yield web


def manifest(path: Path, rows: Sequence[dict[str, Any]]) -> str:
    with path.open("w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return str(path)


def urls(path: str, **settings: Any) -> Urls:
    usual: dict[str, Any] = {"parts": {"image": "url"}, "allow_private": True, "timeout_s": 10.0, "retries": 0}
    return Urls(path, **{**usual, "requests_per_s": 1000.0, **settings})


class TestUrls(SourceContract):
    lists_sizes = False
    reads_ahead = True

    @pytest.fixture
    def case(self, tmp_path: Path, web: Web) -> SourceCase:
        (tmp_path / "corpus").mkdir()
        names = ["b", "a#frag", "é 1"]
        rows = [{"id": name, "url": f"{web.url}/ok/{n}#top", "words": f"{name},\n"} for n, name in enumerate(names)]
        path = manifest(tmp_path / "corpus" / "web.csv", rows)
        source = urls(path, parts={"image": "url", "text": "words"}, key="id")
        parts = {
            name: {"image": PNG + f"/ok/{n}".encode(), "text": f"{name},\n".encode()} for n, name in enumerate(names)
        }
        return SourceCase(source, tmp_path / "corpus", parts)


def outcomes(source: Urls, entries: Sequence[Entry] | None = None) -> list[str]:
    """What became of each entry's picture: "ok", or the kind of its reject."""
    found = []
    for sample in source.read(source.scan().entries if entries is None else entries):
        try:
            found.append("ok" if cast(Blob, sample.parts["image"]).data()[: len(PNG)] == PNG else "other")
        except Unreadable as error:
            found.append(error.kind)
    return found


def test_a_scan_asks_for_nothing(tmp_path: Path, web: Web) -> None:
    source = urls(
        manifest(tmp_path / "m.csv", [{"url": f"{web.url}/ok", "note": "x"}, {"url": "ftp://a/b", "note": ""}])
    )
    scan = source.scan()
    assert web.asked == []
    assert [(entry.key, entry.meta) for entry in scan.entries] == [("m/000000000", {"note": "x"})]
    assert [(fault.key, fault.kind) for fault in scan.faults] == [("m/000000001", "bad_url")]


def test_samples_come_in_order_whatever_comes_first(tmp_path: Path, web: Web) -> None:
    pages = ["slow", "ok", "missing", "html", "ok", "broken", "ok", "slow"] * 5
    source = urls(manifest(tmp_path / "m.csv", [{"url": f"{web.url}/{page}"} for page in pages]))
    kinds = {"missing": "http_404", "html": "wrong_type", "broken": "cut_off"}
    assert outcomes(source) == [kinds.get(page, "ok") for page in pages]


def test_digests_of_the_manifest_are_held_to(tmp_path: Path, web: Web) -> None:
    right = hashlib.sha256(PNG + b"/ok").hexdigest()
    rows = [{"url": f"{web.url}/ok", "sha256": digest} for digest in (right.upper(), "0" * 64, "", "no digest")]
    source = urls(manifest(tmp_path / "m.csv", rows), digests={"image": "sha256"})
    scan = source.scan()
    assert [member.signature for entry in scan.entries for member in entry.members] == [
        f"sha256:{right}", f"sha256:{'0' * 64}", "url",
    ]  # fmt: skip
    assert [fault.kind for fault in scan.faults] == ["bad_value"]
    assert outcomes(source) == ["ok", "wrong_digest", "ok"]


def test_what_a_part_should_be_is_told_by_setting_name_or_extension() -> None:
    source = urls("m.csv", parts={"image_left": "a", "x": "b", "y": "c"}, expect={"y": "audio"})
    members = {"image_left": "http://a/b.mp4", "x": "http://a/b.mp3?c=d.png", "y": "http://a/b.png"}
    entry = Entry.from_json(
        {"key": "m/1", "members": [[*each, 0, "url"] for each in members.items()], "meta": {}, "fault": None}
    )
    assert [source._wanted(member).expected for member in entry.members] == ["image", "audio", "audio"]


@pytest.mark.parametrize("wrong", [{"per_host": 0}, {"requests_per_s": 0.0}, {"expect": {"sound": "audio"}}])
def test_settings_that_can_not_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        urls("m.csv", **wrong)


def test_a_manifest_without_the_column_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="no column 'urls', did you mean 'url'"):
        urls(manifest(tmp_path / "m.csv", [{"url": "http://a/b"}]), parts={"image": "urls"}).scan()


def test_what_is_held_ahead_is_bounded_by_bytes(web: Web) -> None:
    fetcher = Fetcher(Manners(allow_private=True, requests_per_s=10000.0, connections=8, per_host=8, retries=0))
    size = len(PNG) + len("/ok/00")
    wanted = [Wanted(f"{web.url}/ok/{n:02d}", "image") for n in range(40)]
    most = 0
    with Ahead(fetcher, wanted, max_bytes=5 * size) as ahead:
        for each in wanted:
            data = ahead.next()
            most = max(most, sum(ahead._held.values()), sum(len(cast(bytes, done)) for done in ahead._done.values()))
            assert cast(bytes, data).endswith(each.url[-6:].encode())
    assert 0 < most <= 6 * size


def test_an_answer_larger_than_all_room_comes_when_it_is_next(web: Web) -> None:
    fetcher = Fetcher(Manners(allow_private=True, requests_per_s=10000.0, connections=4, per_host=1, retries=3))
    wanted = [Wanted(f"{web.url}/{page}", "image") for page in ("slow", "resumed", "ok", "slow", "resumed")]
    with Ahead(fetcher, wanted, max_bytes=10) as ahead:
        assert [cast(bytes, ahead.next())[: len(PNG)] for _ in wanted] == [PNG] * 5


def test_threads_end_when_the_reader_does(tmp_path: Path, web: Web) -> None:
    source = urls(manifest(tmp_path / "m.csv", [{"url": f"{web.url}/ok/{n}"} for n in range(600)]))
    before = threading.active_count()
    samples = source.read(source.scan().entries)
    next(samples)
    samples.close()  # type: ignore[attr-defined]
    for thread in threading.enumerate():
        if thread.name.endswith("(_work)"):
            thread.join(120)
    assert not [thread for thread in threading.enumerate() if thread.name.endswith("(_work)")]
    assert len(web.asked) < 600
    assert before


def no_network(monkeypatch: pytest.MonkeyPatch, *down: str) -> None:
    """Let connections to these ports end as they do without a network."""
    import socket

    import urllib3.util.connection

    real = urllib3.util.connection.create_connection

    def create(address: tuple[str, int], *args: Any, **settings: Any) -> Any:
        if not down or str(address[1]) in down:
            raise OSError(101, "Network is unreachable")
        return real(address, *args, **settings)

    monkeypatch.setattr("urllib3.util.connection.create_connection", create)
    plain = socket.create_connection
    monkeypatch.setattr(
        "socket.create_connection",
        lambda address, *args, **settings: (
            create(address) if not down or str(address[1]) in down else plain(address, *args, **settings)
        ),
    )


def test_a_network_that_is_down_stops_the_run(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    source = urls(manifest(tmp_path / "m.csv", [{"url": f"{web.url}/ok/{n}"} for n in range(5)]), timeout_s=11.0)
    no_network(monkeypatch)
    with pytest.raises(RunStopped, match="Network is unreachable; nor can any other host be reached"):
        list(source.read(source.scan().entries))


def test_one_host_that_is_gone_costs_its_own_samples(tmp_path: Path, web: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    with serving() as other:
        rows = [{"url": f"{host.url}/ok/{n}"} for host in (other, web) for n in range(3)]
        source = urls(manifest(tmp_path / "m.csv", rows), timeout_s=12.0)
        entries = source.scan().entries
        no_network(monkeypatch, other.url.rpartition(":")[2])
        assert outcomes(source, entries[:3]) == ["unreachable"] * 3
        assert outcomes(source, entries[3:]) == ["ok"] * 3


def test_what_failed_is_fetched_when_it_is_replayed(tmp_path: Path, web: Web) -> None:
    rows = [{"url": f"{web.url}/{page}", "text": page} for page in ("ok/1", "mended/2", "html/3", "ok/4")]
    path = manifest(tmp_path / "m.csv", rows)
    file, store = tmp_path / "p.yaml", tmp_path / "store"
    file.write_text(
        f"source: {{use: source.urls.Urls, path: {path}, parts: {{image: url, text: text}}, allow_private: true}}\n"
        "store: {image: copy}\nrun: {max_rejects: 1}\n"
    )
    report = mmdata.run(file, store=store, executor="pool", workers=1)
    assert report.counts.balances
    assert (report.counts.stored, dict(report.counts.rejected)) == (2, {"http_404": 1, "wrong_type": 1})
    rejects = mmdata.open(store).rejects().to_pylist()
    assert [(row["kind"], row["pointer"]) for row in rejects] == [
        ("http_404", f"{web.url}/mended/2"), ("wrong_type", f"{web.url}/html/3"),
    ]  # fmt: skip
    web.is_mended = True
    pipeline = load(file)
    run(pipeline.pipeline, str(store), RunOptions(settings=pipeline.run, replay=True))
    assert [row["kind"] for row in mmdata.open(store).rejects().to_pylist()] == ["wrong_type"]
    assert mmdata.open(store).table(["key"]).num_rows == 3


def test_a_pipeline_is_chosen_for_a_manifest_also_where_nothing_answers(tmp_path: Path) -> None:
    path = manifest(tmp_path / "m.csv", [{"image_url": "http://127.0.0.1:9/a", "caption": "x", "class": "y"}])
    chosen = choose(path)
    for line in ("  use: source.urls.Urls", '  parts: {"image": "image_url", "text": "caption"}', '  label: "class"'):
        assert line in chosen.splitlines()
    assert "codec.image.DecodeImage" in chosen
    assert "expect" not in chosen
    pipeline = parse(chosen, where="chosen").pipeline
    assert pipeline.source == Urls(path, parts={"image": "image_url", "text": "caption"}, label="class")
