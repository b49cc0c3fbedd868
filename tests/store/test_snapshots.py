"""A snapshot shows for ever what it pinned."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

import mmdata
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.select.selection import select
from mmdata.store import snapshots
from mmdata.store.files import Files
from mmdata.store.gc import gc
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.verify import verify

Made = Any  # the fixtures' class; conftest can't be imported
S1, S2, F2 = "1" * 16, "2" * 16, "b" * 16


def scores(store: Store) -> list[float]:
    return [float(array) for array in store.arrays("image.phash.score") if array is not None]


def test_shows_what_was_there_after_all_was_replaced_and_swept(filled: Made) -> None:
    store = filled.store
    before = (store.keys(), scores(store), store.table().to_pylist(), store.drops().to_pylist())
    store.snapshot("v1")
    filled.run(Recipe(S2, {"image.phash": F2}))
    for number in range(3):
        old = {
            family: [file for file in store.files(family) if file.shard == filled.shard_id(number)]
            for family in ("samples", "drops", "rejects", "image.phash", "speech.mfcc")
        }
        new = [filled.samples(number, fp=S2, rows=2)[0], filled.phash(number, fp=F2, value=50)]
        changes = [Change(file.family, add=[file]) for file in new]
        store.commit([*changes, *(Change(family, remove=files) for family, files in old.items())])
    assert gc(store, grace_s=0) == []
    assert len(Store.open(filled.url)) == 6
    pinned = Store.open(filled.url, snapshot="v1")
    assert (pinned.keys(), scores(pinned), pinned.table().to_pylist(), pinned.drops().to_pylist()) == before
    assert set(pinned.families) == {"image.phash", "image.phash.score", "speech.mfcc"}
    assert pinned.sample("src/2/4.png").parts["image"].data() == bytes([4]) * 104  # type: ignore[union-attr]
    assert pinned.view() == pinned.refresh()


def test_equals_the_picture_that_it_pinned(filled: Made) -> None:
    view = filled.store.view()
    snapshot = filled.store.snapshot("v1")
    assert Store.open(filled.url, snapshot="v1").view() == snapshot.view == view
    assert filled.store.snapshots() == ["v1"]


def test_a_name_is_taken_once(filled: Made) -> None:
    filled.store.snapshot("v1")
    text = (Path(filled.url) / "snapshots" / "v1.json").read_bytes()
    filled.commit(*filled.samples(5))
    with pytest.raises(StoreError, match="there is a snapshot 'v1' already"):
        filled.store.snapshot("v1")
    assert (Path(filled.url) / "snapshots" / "v1.json").read_bytes() == text
    assert list((Path(filled.url) / "tmp").iterdir()) == []


@pytest.mark.parametrize("name", ["", "../x", "a/b", ".x", "a b", "x" * 129])
def test_a_name_that_is_no_file_name_is_refused(filled: Made, name: str) -> None:
    with pytest.raises(StoreError, match="can't name a snapshot"):
        filled.store.snapshot(name)
    with pytest.raises(StoreError, match="can't name a snapshot"):
        Store.open(filled.url, snapshot=name)


def test_says_which_snapshots_there_are(filled: Made) -> None:
    with pytest.raises(StoreError, match=r"no snapshot 'v2'.*there are: none"):
        Store.open(filled.url, snapshot="v2")
    filled.store.snapshot("v1")
    with pytest.raises(StoreError, match=r"no snapshot 'v2'.*there are: v1"):
        Store.open(filled.url, snapshot="v2")


def test_is_read_only(filled: Made) -> None:
    filled.store.snapshot("v1")
    pinned = Store.open(filled.url, snapshot="v1")
    for write in (
        lambda: pinned.commit([]),
        lambda: pinned.commit_plan("src", -1, add={}),
        lambda: pinned.start_run(command="x", recipe=Recipe(S1)),
        lambda: pinned.finish_run("x", counts={}, seconds=0),
    ):
        with pytest.raises(StoreError, match="this is snapshot 'v1'"):
            write()


@pytest.mark.parametrize(
    "damage", ["{", "[]", '{"format": 1}', '{"format": 99}', '{"format": 1, "recipes": [], "files": [[1]]}']
)
def test_a_damaged_or_newer_one_is_refused(filled: Made, damage: str) -> None:
    filled.store.snapshot("v1")
    (Path(filled.url) / "snapshots" / "v1.json").write_text(damage)
    with pytest.raises(SchemaMismatch):
        Store.open(filled.url, snapshot="v1")


def test_pins_every_file_with_its_digest(filled: Made) -> None:
    filled.store.snapshot("v1")
    text = (Path(filled.url) / "snapshots" / "v1.json").read_text()
    files = [
        file
        for family in ("samples", "drops", "rejects", "image.phash", "speech.mfcc")
        for file in filled.store.files(family)
    ]
    assert len(files) == 15
    assert len(json.loads(text)["files"]) == 15
    for file in files:
        assert file.digest in text
        assert file.name in text
        assert file.media is None or file.media.digest in text


def test_a_snapshot_pins_the_selections_that_there_are(filled: Made) -> None:
    store = filled.store
    select(store, "all", split={"train": 0.5, "test": 0.5})
    before = store.selection("all")
    store.snapshot("v1")
    select(store, "all", split={"train": 0.1, "test": 0.9})
    select(store, "later", split={"train": 1.0})
    assert store.selection("all") != before
    gc(store, grace_s=0)
    pinned = Store.open(filled.url, snapshot="v1")
    assert pinned.selection("all") == before
    assert pinned.selection("later") == store.selection("later")  # one that came later is read as it is
    with pytest.raises(StoreError, match="no selection 'nope'"):
        pinned.selection("nope")
    stream = mmdata.stream(pinned, ["key"], selection="all", split="train", batch_size=1)
    wanted = [
        key
        for key, split in zip(before["key"].to_pylist(), before["split"].to_pylist(), strict=True)
        if split == "train"
    ]
    assert sorted(key for batch in stream for key in batch["key"]) == sorted(wanted)
    assert verify(store).is_sound
    [path] = [file.path for file in snapshots.read(Files.at(filled.url), "v1").selections]
    (Path(filled.url) / path).write_bytes(b"damaged")
    assert [fault.path for fault in verify(store).faults] == [path]
