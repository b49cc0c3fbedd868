"""The page as a whole: what it may do, that text stays text, who can read it, and what becomes of damaged stores."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import shutil
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from mmdata.report.contents import Settings, gather
from mmdata.report.page import page, report
from mmdata.store import Store
from tests.report.toys import HOSTILE, Page, Row, add_shard, empty, select

UNSEEN = re.compile("[\x00-\x08\x0b-\x1f\x7f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


@pytest.fixture(scope="module")
def html(hostile: Store) -> str:
    return report(hostile)


@pytest.fixture(scope="module")
def parsed(html: str) -> Page:
    return Page(html)


def test_no_text_of_a_sample_becomes_markup(parsed: Page) -> None:
    scripts = parsed.all("script")
    assert [one.attributes.get("type") for one in scripts].count(None) == 1
    assert all(one.attributes == {"type": "application/json"} for one in scripts if one.attributes)
    names = {name for element in parsed.elements for name in element.attributes}
    assert not {name for name in names if name.startswith("on")}
    assert "style" not in names
    assert {"b", "i", "iframe", "object", "link", "form"}.isdisjoint(element.name for element in parsed.elements)
    assert not [each for each in parsed.all("img") if not each.attributes["src"].startswith("data:image/webp;base64,")]


def test_hostile_text_is_there_to_be_read(parsed: Page) -> None:
    shown = "<script>document.title='taken'</script>\"'&<!--</title>\\u202egpj.exe"
    assert parsed.text.count(shown) > 5  # key, label, caption, split, reason, error ...
    assert "{{ 7*7 }}" in parsed.text
    assert parsed.all("title")[0].text == "<b>store: report of a store"


def test_what_cannot_be_seen_is_told(html: str, parsed: Page) -> None:
    assert UNSEEN.search(html) is None
    assert "red \\x1b[31m and \\u2066" in parsed.text
    assert "\\u2067rtl\\x00" in parsed.text
    assert "character 4 is NUL" in parsed.text
    assert "toy/\\x01control\\x7f" in parsed.text


def test_a_text_of_ten_megabytes_is_shown_by_its_beginning(html: str, parsed: Page) -> None:
    assert "<b>" * 40 in parsed.text
    assert len(html) < 1_000_000


def test_the_page_may_run_its_own_script_and_reach_nothing(parsed: Page) -> None:
    policy = next(each.attributes["content"] for each in parsed.all("meta") if "http-equiv" in each.attributes)
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules["default-src"] == "'none'"
    assert (rules["img-src"], rules["media-src"]) == ("data:", "data:")
    for kind, element in (("script-src", "script"), ("style-src", "style")):
        own = next(each for each in parsed.all(element) if not each.attributes)
        digest = base64.b64encode(hashlib.sha256(own.text.encode()).digest()).decode()
        assert rules[kind] == f"'sha256-{digest}'"
    places = [each.attributes.get(name, "") for each in parsed.elements for name in ("href", "src")]
    assert all(place.startswith(("data:", "#")) for place in places if place)


def test_what_the_script_reads_is_json(parsed: Page) -> None:
    (told,) = [json.loads(one.text) for one in parsed.all("script") if one.attributes]
    assert len(told) == 3  # one has no embedding
    assert any("<script>" in one["key"] for one in told)


def test_who_hears_the_page_finds_a_way_through_it(parsed: Page) -> None:
    ids = [element.attributes["id"] for element in parsed.elements if "id" in element.attributes]
    assert len(set(ids)) == len(ids)
    assert parsed.all("html")[0].attributes["lang"] == "en"
    assert [len(parsed.all(name)) for name in ("h1", "main", "nav", "header", "footer")] == [1] * 5
    for section in parsed.all("section"):
        assert section.attributes["aria-labelledby"] in ids
    anchors = [each.attributes["href"].removeprefix("#") for each in parsed.all("a")]
    assert set(anchors) <= set(ids)
    assert all(each.attributes.get("alt") for each in parsed.all("img"))
    drawings = [each.attributes for each in parsed.all("svg")]
    assert all(each.get("aria-hidden") == "true" or (each.get("role"), bool(each.get("aria-label"))) == ("img", True)
               for each in drawings)  # fmt: skip
    assert all(each.attributes["scope"] in ("col", "row") for each in parsed.all("th"))
    levels = [int(each.name[1]) for each in parsed.elements if re.fullmatch("h[1-6]", each.name)]
    assert all(after <= before + 1 for before, after in pairwise(levels))


def test_everything_that_is_opened_is_closed(parsed: Page) -> None:
    assert parsed.open == []


def test_an_empty_store_has_a_report(tmp_path: Path) -> None:
    found = Page(report(Store.create(str(tmp_path / "store"))))
    assert [each.attributes["id"] for each in found.all("section")] == ["funnel", "card"]
    assert "no run is recorded" in found.text


def test_a_store_without_selection_has_one(tmp_path: Path) -> None:
    store = empty(tmp_path / "store")
    add_shard(store, "0" * 16, [Row(f"n{n}", "ab"[n % 2], sharpness=n) for n in range(6)])
    ids = [each.attributes["id"] for each in Page(report(store)).all("section")]
    assert ids == ["funnel", "numbers", "samples", "extremes", "classes", "map", "runs", "card"]


def test_a_store_of_nothing_but_rejects_has_one(tmp_path: Path) -> None:
    store = empty(tmp_path / "store")
    add_shard(store, "0" * 16, [], rejects=[(f"toy/{n}", "codec.image.DecodeImage", "decode", "bad") for n in range(3)])
    made = gather(store, Settings())
    assert made.funnel is not None
    assert (made.funnel.read, made.funnel.stored, made.faults) == (3, 0, [])
    assert [(lost.kind, lost.reason, lost.n) for lost in made.lost] == [("rejected", "decode", 3)]
    assert "codec.image.DecodeImage" in Page(page(made)).text


@pytest.fixture
def damaged(tmp_path: Path, jpeg: bytes) -> Store:
    """Two shards of three samples each, to be damaged."""
    store = empty(tmp_path / "store")
    for shard in range(2):
        add_shard(store, str(shard) * 16, [Row(f"{shard}-{n}", "a", sharpness=n, image=jpeg) for n in range(3)])
    select(store, ["train"] * 6, [None] * 6, [None] * 6)
    return store


def spoil(store: Store, pattern: str) -> None:
    (path,) = Path(store.url).glob(pattern)
    path.write_bytes(path.read_bytes()[:40] + b"\xff" * (path.stat().st_size - 40))


@pytest.mark.parametrize(
    ("pattern", "n", "sharp", "fault"),
    [
        ("samples/0000*.parquet", 3, 3, "samples/0000"),
        ("features/image.sharpness/0000*.parquet", 6, 3, "features/image.sharpness/0000"),
        ("selections/v1/*.parquet", 6, 6, "selection v1"),
        ("runs/*-finished.parquet", 6, 6, "runs"),
    ],
)
def test_a_damaged_file_costs_what_lay_in_it_and_is_told(
    damaged: Store, pattern: str, n: int, sharp: int, fault: str
) -> None:
    spoil(damaged, pattern)
    made = gather(Store.open(damaged.url), Settings())
    assert any(fault in each.where for each in made.faults), made.faults
    assert (len(made.rows), len(made.gallery)) == (n, n)
    assert next(one.n for one in made.distributions if one.name == "image.sharpness") == sharp
    told = Page(page(made))
    assert any(each.attributes.get("role") == "alert" for each in told.all("section"))
    assert fault in told.text


def test_damaged_media_cost_their_pictures(damaged: Store) -> None:
    for path in Path(damaged.url).glob("media/1111*.tar"):
        path.write_bytes(b"\xff" * path.stat().st_size)
    made = gather(damaged, Settings())
    faults = [part.fault for one in made.gallery for part in one.parts if part.name == "image"]
    assert len(faults) == 6
    assert sum(bool(fault) for fault in faults) == 3
    assert Page(page(made)).all("img")


def test_a_missing_tar_costs_its_media(damaged: Store) -> None:
    for path in Path(damaged.url).glob("media/1111*.tar"):
        path.unlink()
    made = gather(damaged, Settings())
    assert sum(bool(part.fault) for one in made.gallery for part in one.parts if part.name == "image") == 3


def test_very_many_features_labels_and_reasons_do_not_make_it_large(tmp_path: Path) -> None:
    store = empty(tmp_path / "store")
    drops = [(f"toy/d{n}", "clean.text.KeepLength", f"reason {n}") for n in range(2000)]
    add_shard(store, "0" * 16, [Row(f"n{n}", f"label {n}", sharpness=n) for n in range(2000)], drops=drops)
    made = gather(store, Settings())
    numbers = [replace(made.distributions[0], name=f"f{n}") for n in range(3000)]
    html = page(replace(made, distributions=numbers))
    assert len(html) < 5_000_000
    assert "and 1\u202f988 more reasons" in html
    assert "and 1\u202f940 more reasons" in html
    assert "1940 more classes are not listed" in html


def test_a_selection_or_model_that_is_not_there_is_refused(hostile: Store, tmp_path: Path) -> None:
    from mmdata.errors import StoreError

    with pytest.raises(StoreError, match="there are: v1"):
        gather(hostile, Settings(selection="v2"))
    with pytest.raises(StoreError, match="mmdata train"):
        gather(hostile, Settings(models=[tmp_path]))


def test_reports_of_one_store_are_alike_and_the_store_is_not_written_to(hostile: Store, tmp_path: Path) -> None:
    copy = Path(shutil.copytree(hostile.url, tmp_path / "copy"))
    before = {path: path.stat().st_mtime_ns for path in copy.rglob("*")}
    pages = [re.sub(r"as of [^<]+", "", report(Store.open(copy))) for _ in range(2)]
    assert pages[0] == pages[1]
    assert {path: path.stat().st_mtime_ns for path in copy.rglob("*")} == before


def test_a_leak_between_splits_is_named(tmp_path: Path) -> None:
    store = empty(tmp_path / "store")
    add_shard(store, "0" * 16, [Row(f"n{n}", "a", text=f"text {n // 2}") for n in range(6)])
    select(store, ["train", "test"] * 3, [None] * 6, [None] * 6)
    made: Any = gather(store, Settings(groups=("text.caption",)))
    leaks = {leak.kind: leak.n_groups for leak in made.leaks}
    assert leaks == {"same cluster": 0, "same parent": 0, "same bytes of caption": 3, "same text.caption": 3}
    assert HOSTILE not in page(made)
