"""`mmdata report` and `mmdata stats`, on the store of the other commands' tests."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

Mmdata = Callable[..., Any]


def test_a_report_is_one_file_and_says_what_it_is_of(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    ended = mmdata("report", made.store, "-o", out, "--licence", "CC0 <1.0>", "--title", "Shapes & sounds")
    html = out.read_text("utf-8")
    assert ended.code == 0
    assert ended.out.startswith(f"{out}: ")
    assert "10 samples" in ended.out
    assert [path.name for path in tmp_path.iterdir()] == ["r.html"]
    assert "CC0 &lt;1.0&gt; (10)" in html
    assert "<h1>Shapes &amp; sounds</h1>" in html
    assert "features.image.Sharpness" in html  # the settings, and where time went
    assert "data:audio/mpeg" in html
    assert "data:image/webp" in html


def test_a_report_says_the_same_in_json(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    found = mmdata("report", made.store, "-o", out, "--samples", 0, "--json").json
    assert found == {"store": str(made.store), "report": str(out), "bytes": out.stat().st_size, "faults": []}
    assert 'id="samples"' not in out.read_text("utf-8")


def test_a_report_shows_a_model(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    report = {"history": [{"train_loss": 1.0}], "classes": ["a", "b"], "details": {"": {"confusion": [[3, 1], [0, 4]]}}}
    (tmp_path / "report.json").write_text(json.dumps(report))
    out = tmp_path / "r.html"
    assert mmdata("report", made.store, "-o", out, "--model", tmp_path).code == 0
    assert '<td class="h9 right">4</td>' in out.read_text("utf-8")


@pytest.mark.parametrize("options", [["--selection", "none"], ["--model", "none"], ["--snapshot", "none"]])
def test_what_is_not_there_is_refused_before_anything_is_written(
    mmdata: Mmdata, made: Any, tmp_path: Path, options: list[str]
) -> None:
    ended = mmdata("report", made.store, "-o", tmp_path / "r.html", *options)
    assert ended.code == 1
    assert "none" in ended.err
    assert list(tmp_path.iterdir()) == []


def test_a_report_of_a_damaged_store_is_made_and_says_so(mmdata: Mmdata, copied: Path, tmp_path: Path) -> None:
    (path, *_) = sorted((copied / "samples").glob("*.parquet"))
    path.write_bytes(b"PAR1" + bytes(path.stat().st_size))
    ended = mmdata("report", copied, "-o", tmp_path / "r.html")
    assert ended.code == 0
    assert f"could not be read: samples/{path.name}" in ended.out
    assert 'role="alert"' in (tmp_path / "r.html").read_text("utf-8")
    stats = mmdata("stats", copied)
    assert stats.code == 0
    assert f"could not be read: samples/{path.name}" in stats.err


def test_a_damaged_record_of_a_run_costs_what_it_says(mmdata: Mmdata, copied: Path, tmp_path: Path) -> None:
    for path in (copied / "runs").glob("*.parquet"):
        path.write_bytes(b"PAR1" + bytes(path.stat().st_size))
    found = mmdata("report", copied, "-o", tmp_path / "r.html", "--json").json
    assert [fault.partition(":")[0] for fault in found["faults"]] == ["runs"]


def test_a_report_is_put_down_whole_or_not_at_all(mmdata: Mmdata, made: Any, tmp_path: Path) -> None:
    out = tmp_path / "r.html"
    out.write_text("before")
    assert mmdata("report", made.store, "-o", tmp_path / "none" / "r.html").code == 1
    assert mmdata("report", made.store, "-o", out).code == 0
    assert out.read_text("utf-8").startswith("<!doctype html>")
    assert list(tmp_path.iterdir()) == [out]


def test_stats_show_numbers_and_classes(mmdata: Mmdata, made: Any) -> None:
    lines = mmdata("stats", made.store).out.splitlines()
    rows = {cells[0]: cells for cells in (line.split("\t") for line in lines)}
    assert lines[0] == "10 samples, selection 'v1'"
    assert rows["feature"][1:5] == ["least", "distribution", "greatest", "median"]
    assert set(rows["image.sharpness"][2]) <= set("▁▂▃▄▅▆▇█ ")
    assert "█" in rows["image.sharpness"][2]
    assert rows["image.sharpness"][5:] == ["10", "0"]
    assert rows["class"] == ["class", "test", "train", ""] or rows["class"] == ["class", "train", "test", ""]
    assert sum(map(int, rows["all"][1:3])) == 10


def test_stats_say_the_same_in_json(mmdata: Mmdata, made: Any) -> None:
    found = mmdata("stats", made.store, "--json").json
    sharp = found["features"]["image.sharpness"]
    assert (found["samples"], found["selection"], sharp["n"], sum(sharp["counts"])) == (10, "v1", 10, 10)
    assert sorted(found["classes"]) == ["disc", "square"]
    assert sum(n for splits in found["classes"].values() for n in splits.values()) == 10


def test_stats_of_an_empty_store_are_none(mmdata: Mmdata, tmp_path: Path) -> None:
    from mmdata.store import Store

    Store.create(str(tmp_path / "store"))
    assert mmdata("stats", tmp_path / "store").out == "0 samples\n"
