"""Pages over HTTP, as a browser without scripts has them."""

from __future__ import annotations

import html
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata import api
from mmdata.core.arrays import ArraySpec
from mmdata.serve.about import _drawn, polyline
from mmdata.serve.app import serving
from mmdata.serve.captions import MOST_BYTES
from mmdata.serve.pictures import heat_map
from mmdata.store.store import Store
from mmdata.testing.build import corpus

Shown = Any  # the fixtures' classes; conftest can't be imported
Ask = Any


def cards(text: str) -> list[str]:
    return [html.unescape(key) for key in re.findall(r'<li class="card" data-key="(.*?)">', text)]


def files(folder: Path) -> dict[str, tuple[int, int]]:
    return {
        path.relative_to(folder).as_posix(): (path.stat().st_size, path.stat().st_mtime_ns)
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_the_overview_has_the_balance_the_numbers_and_the_runs(ask: Ask) -> None:
    page = ask("")
    assert page.status == 200
    said = " ".join(re.sub("<[^>]*>", " ", page.text).split())
    assert "133 samples" in said
    assert "1 dropped: too_short" in said
    assert "1 rejected: decode" in said
    assert "image.sharpness" in said
    assert "train" in said
    assert "float32 time ? x mel 80" in said
    assert "speech audio " in said  # which no step decoded into the store
    assert "page blob 1" in said


def test_samples_come_in_pages_that_hold_each_once(ask: Ask, shown: Shown) -> None:
    found = [key for page in range(4) for key in cards(ask("samples", page=str(page)).text)]
    assert found == shown.open().keys()
    assert 'rel="next"' in ask("samples").text
    assert 'rel="next"' not in ask("samples", page="2").text
    assert "no such page" in ask("samples", page="99").text
    assert cards(ask("samples", page="x").text) == found[:60]


def test_conditions_words_splits_and_order_choose(ask: Ask, shown: Shown) -> None:
    store = shown.open()
    table = store.table(["key", "label", "image.sharpness"], where="image.sharpness > 20 and label = 'disc'")
    got = cards(ask("samples", where="image.sharpness > 20 and label = 'disc'").text)
    assert got
    assert got == table["key"].to_pylist()[:60]
    assert cards(ask("samples", q="lone ZEBRA").text) == [shown.film]
    assert cards(ask("samples", q="zebra", where="label = 'disc'").text) == []
    assert cards(ask("samples", q="OKAPI says zebra").text) == [shown.film]  # in the captions, and in the text
    ordered = store.table(["key", "image.sharpness"]).sort_by([("image.sharpness", "descending")])
    assert cards(ask("samples", sort="-image.sharpness").text) == ordered["key"].to_pylist()[:60]
    test = store.selection("v1").to_pylist()
    wanted = [row["key"] for row in test if row["split"] == "test" and row["reason"] is None]
    assert cards(ask("samples", selection="v1", split="test").text) == wanted


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ({"where": "nonsense ="}, "syntax error"),
        ({"where": "key in (select content from read_text('/etc/passwd'))"}, "no tables but samples"),
        ({"where": "image.sharpnes > 1"}, "image.sharpness"),
        ({"sort": "nothing"}, "no scalar"),
        ({"selection": "nothing"}, "no selection"),
        ({"like": "nothing"}, "no stored sample"),
        ({"like": "media/films/drift", "sort": "bogus"}, "no scalar"),
        ({"split": "test"}, "of no selection"),
        ({"where": "list_sum(range(3000000000)) > 1"}, "use `mmdata select`"),
        ({"where": "not " * 990 + "true"}, "deep"),
        ({"like": "media/films/drift", "on": "speech.logmel"}, "compared"),
    ],
)
def test_what_can_t_be_asked_is_told_in_the_page(ask: Ask, query: dict[str, str], said: str) -> None:
    page = ask("samples", **query)
    assert page.status == 400
    assert said in html.unescape(page.text)
    assert cards(page.text) == []


def test_more_like_one_are_its_nearest(ask: Ask, shown: Shown) -> None:
    store = shown.open()
    keys = store.keys()
    (one,) = store.arrays("image.phash", [shown.hostile])
    hashes = store.arrays("image.phash", incomplete=True)
    bits = {
        key: int(np.bitwise_count(other ^ one).sum())
        for key, other in zip(keys, hashes, strict=True)
        if other is not None and key != shown.hostile
    }
    page = ask("samples", like=shown.hostile, on="image.phash")
    got = cards(page.text)
    assert [bits[key] for key in got] == sorted(bits.values())[:60]
    assert bits[got[0]] == 0  # the picture that it is a copy of


def test_a_sample_s_page_has_its_whole_trace(ask: Ask, shown: Shown) -> None:
    key = shown.spoken
    page = ask("sample", key=key)
    text = html.unescape(page.text)
    assert page.status == 200
    assert "image.sharpness" in text
    assert '<svg class="line"' in text  # the histogram
    assert "feature?key=" in text  # the map of mel energies
    assert "_desc_fr.ogg" in text
    assert ">v1<" in text
    steps = ask("steps", key=key)
    assert "clean.text.KeepLines" in steps.text
    assert "clean.text.KeepLength" in steps.text
    assert "can't be done again" not in html.unescape(steps.text)
    shown_sides = re.findall(r'src="(shown\?.*?)"', steps.text)
    assert shown_sides
    for each in shown_sides:
        got = ask(html.unescape(each))
        assert (got.status, got.headers["content-type"]) == (200, "image/jpeg")


def test_captions_are_shown_with_their_times_and_beside_the_film(ask: Ask, shown: Shown) -> None:
    page = ask("sample", key=shown.film)
    assert "<dt>0:01.5</dt>" in page.text
    assert "an okapi says &lt;b onclick=alert(1)&gt;" in page.text
    (track,) = re.findall(r'<track kind="captions" label="said" src="(.*?)">', page.text)
    got = ask(html.unescape(track))
    assert got.headers["content-type"].startswith("text/vtt")
    assert got.body.startswith(b"WEBVTT")


def test_an_overview_of_no_selection_and_captions_that_are_none_are_told(ask: Ask, shown: Shown) -> None:
    page = ask("", selection="bogus")
    assert (page.status, "no selection &#39;bogus&#39;" in page.text) == (400, True)
    assert ask("", selection="v1").status == 200
    assert ask("captions", key=shown.film, part="image").status == 404
    nowhere = ask("nowhere")
    assert (nowhere.status, "there is no page &#39;/nowhere&#39;" in nowhere.text) == (404, True)


def test_long_bits_and_huge_numbers_are_drawn() -> None:
    spec = ArraySpec(dims=("byte",), dtype="uint8")
    assert len(_drawn("x", spec, np.zeros(200_000, np.uint8)).text) < 600
    huge = np.array([-1.7e308, 1.7e308, np.nan, np.inf, 0.0])
    assert "nan" not in polyline(huge)
    with np.errstate(all="raise"):
        assert heat_map(np.stack([huge] * 700)).startswith(b"\x89PNG")


def test_what_is_lost_is_found_by_key_and_by_file(ask: Ask, shown: Shown) -> None:
    dropped = ask("sample", key=shown.dropped)
    assert dropped.status == 200
    assert "too_short" in dropped.text
    assert "dropped: too_short" in ask("steps", key=shown.dropped).text
    rejected = ask("sample", key=shown.rejected)
    assert "IDAT" in rejected.text
    assert "Traceback" in rejected.text
    assert shown.rejected in ask("lost", q="BROKEN.png").text
    assert shown.dropped not in ask("lost", q="broken.png").text
    assert "Stored, so not missing" in ask("lost", q="drift.mp4").text
    assert "Nothing is recorded" in ask("lost", q="never seen").text
    assert "broken" not in cards(ask("samples", q="broken").text)
    assert "1 that are not stored" in ask("samples", q="broken").text
    assert ask("sample", key="media/nothing").status == 404


def test_hostile_keys_and_captions_are_text(ask: Ask, shown: Shown) -> None:
    for page in (
        ask("samples", q="quoted"),
        ask("sample", key=shown.hostile),
        ask("steps", key=shown.hostile),
        ask("samples", like=shown.hostile),
        ask("samples", q="<script>alert(1)</script>", where="'<b>' = \"<i>\""),
        ask("lost", q="<script>alert(1)</script>"),
        ask("sample", key="<script>alert(1)</script>"),
        ask("<script>alert(1)</script>"),
    ):
        outside = re.sub(r'<script src="static/serve.js" defer></script>', "", page.text)
        assert "<script" not in outside
        assert "<img src=x" not in outside
        assert "<b>'" not in outside
    assert "{{ 7*7 }}" in html.unescape(ask("sample", key=shown.hostile).text)


def test_nothing_is_written(ask: Ask, shown: Shown) -> None:
    before = files(shown.store.parent)
    for path in ("", "samples", "lost"):
        assert ask(path).status == 200
    for path in ("sample", "steps"):
        assert ask(path, key=shown.hostile).status == 200
    assert ask("samples", where="image.sharpness > 1", q="a", sort="image.sharpness").status == 200
    assert ask("samples", like=shown.hostile).status == 200
    assert ask("thumb", key=shown.film, part="film").status == 200
    assert files(shown.store.parent) == before


def test_without_its_source_a_sample_is_not_traced_back(shown: Shown, ask_at: Any) -> None:
    with serving(shown.open()) as url:
        ask = ask_at(url)
        assert "steps?" not in ask("sample", key=shown.film).text
        assert "see --source" in html.unescape(ask("steps", key=shown.film).text)
        assert ask("source", key=shown.film, part="film").status == 400


def test_a_source_that_was_recorded_relative_to_another_folder_is_named(
    tmp_path: Path, ask_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    corpus(tmp_path / "media", n=1, seed=1)
    (tmp_path / "p.yaml").write_text("source: {use: source.files.Files, parts: {image: '{stem}.png'}}")
    monkeypatch.chdir(tmp_path)
    api.run(Path("p.yaml"), store="store", source="media")
    store = Store.open(tmp_path / "store")
    (key,) = store.keys()
    for folder, told in ((tmp_path, False), (tmp_path / "elsewhere", True)):
        folder.mkdir(exist_ok=True)
        monkeypatch.chdir(folder)
        with serving(store, recorded=lambda: api.recorded(store.url)[0].pipeline) as url:
            ask = ask_at(url)
            said = html.unescape(ask("steps", key=key).text)
            assert ("the source 'media' is not here" in said and "--source" in said) is told
            assert ask("source", key=key, part="image").status == (400 if told else 200)


def test_texts_and_captions_that_no_step_decoded_are_shown_and_found(tmp_path: Path, ask_at: Any) -> None:
    folder = tmp_path / "media"
    folder.mkdir()
    for name, words in (
        ("one", "A house\nby the lake"),
        ("two", "nothing else"),
        ("large", "a house " + "x" * MOST_BYTES),
    ):
        (folder / f"{name}.txt").write_text(words)
    (folder / "latin.txt").write_bytes(b"a house in Z\xfcrich")  # it is no UTF-8
    (folder / "two.srt").write_text("1\n00:00:01,000 --> 00:00:02,000\n<b>a barn</b>\n")
    parts = "text: '{stem}.txt', said: '{stem}.srt'"
    (tmp_path / "p.yaml").write_text(
        f"source: {{use: source.files.Files, parts: {{{parts}}}}}\nstore: {{text: copy, said: copy}}"
    )
    api.run(tmp_path / "p.yaml", store=tmp_path / "store", source=folder)
    with serving(Store.open(tmp_path / "store")) as url:
        ask = ask_at(url)
        assert cards(ask("samples", q='"house by" LAKE').text) == ["media/one"]
        assert cards(ask("samples", q="house").text) == ["media/one"]
        assert cards(ask("samples", q='"a barn"').text) == ["media/two"]
        assert "A house\nby the lake</blockquote>" in ask("sample", key="media/one").text
        for key in ("media/large", "media/latin"):
            assert ask("sample", key=key).status == 200


def test_an_empty_store_has_pages(tmp_path: Path, ask_at: Any) -> None:
    with serving(Store.create(tmp_path / "empty")) as url:
        ask = ask_at(url)
        for path in ("", "samples", "lost"):
            assert ask(path).status == 200
        assert ask("samples", q="x", where="key = 'a'").status == 200
        assert ask("sample", key="a").status == 404


def test_what_a_run_adds_is_shown_without_a_restart(
    tmp_path: Path, ask_at: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mmdata.serve.catalog.LOOK_AGAIN_S", 0.0)
    monkeypatch.setattr("mmdata.serve.catalog.LOOKS_SHARE", 0.0)
    corpus(tmp_path / "media", n=2, seed=1)
    (tmp_path / "p.yaml").write_text("source: {use: source.files.Files, parts: {image: '{stem}.png'}}")
    api.run(tmp_path / "p.yaml", store=tmp_path / "store", source=tmp_path / "media")
    with serving(Store.open(tmp_path / "store")) as url:
        ask = ask_at(url)
        assert len(cards(ask("samples").text)) == 2
        corpus(tmp_path / "media", n=5, seed=1)
        api.run(tmp_path / "p.yaml", store=tmp_path / "store", source=tmp_path / "media")
        assert len(cards(ask("samples").text)) == 5


ODD = [
    "\0",
    "\ud800",
    "%",
    "%%zz",
    "'",
    '"',
    "\\",
    "a" * 5000,
    "9" * 5000,
    "-1",
    "1e99",
    "../../x",
    " ",
    "\n",
    "{{7*7}}",
    "\u202e",
]


@pytest.mark.parametrize(
    "path",
    ["samples", "sample", "steps", "lost", "media", "thumb", "captions", "feature", "source", "shown", "static/x"],
)
def test_no_query_is_too_odd(ask: Ask, shown: Shown, path: str) -> None:
    names = ("q", "where", "sort", "like", "on", "selection", "split", "page", "key", "part", "column", "at", "side")
    for odd in ODD:
        given = odd.encode("utf-8", "surrogatepass")
        assert ask(path, **dict.fromkeys(names, given)).status < 500, odd
        one = {"key": shown.spoken, "side": "after"} | dict.fromkeys(("part", "column", "at", "where"), given)
        assert ask(path, **one).status < 500, odd
    assert ask(path + "?&&=&%&key").status < 500


def test_many_may_ask_at_once(shown: Shown, ask_at: Any) -> None:
    with serving(shown.open()) as url, ThreadPoolExecutor(12) as threads:
        ask = ask_at(url)
        asked = [
            *({"path": ""}, {"path": "samples"}, {"path": "lost"}, {"path": "sample", "key": shown.spoken}),
            *({"path": "samples", "q": "disc"}, {"path": "samples", "where": "image.sharpness > 20"}),
            *({"path": "samples", "like": shown.hostile}, {"path": "thumb", "key": shown.film, "part": "film"}),
        ]
        answers = list(threads.map(lambda each: (str(each), ask(**each)), asked * 6))
    assert {answer.status for _, answer in answers} == {200}
    assert len({(each, answer.body) for each, answer in answers}) == len(asked)
