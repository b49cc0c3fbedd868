"""Sweeping takes what nobody speaks of, and nothing else."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any

import pytest

from mmdata.store.gc import DAY_S, gc
from mmdata.store.store import Change, Store
from mmdata.store.verify import verify
from mmdata.store.write import ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported
S2 = "2" * 16


def paths(made: Made) -> set[str]:
    root = Path(made.url)
    return {str(path.relative_to(root)) for path in root.rglob("*") if path.is_file()}


def age(made: Made, path: str, seconds: float) -> None:
    then = time.time() - seconds
    os.utime(Path(made.url) / path, (then, then))


def test_a_store_of_live_files_loses_none(filled: Made) -> None:
    filled.store.write_index()
    filled.store.commit_plan("src", -1, add={})
    before = paths(filled)
    assert gc(filled.store, grace_s=0) == []
    assert paths(filled) == before
    assert verify(filled.store).is_sound


def test_what_was_never_committed_and_what_was_replaced_goes(filled: Made) -> None:
    store = filled.store
    live = paths(filled)
    orphan = filled.samples(8, drops=["d"])
    scratch = ShardWriter(filled.url, shard="e" * 16, fp=S2, source="src")
    gone = store.files("image.phash")[0]
    store.commit([Change("image.phash", remove=[gone])])
    swept = {listed.path for listed in gc(store, grace_s=0)}
    assert orphan[0].media is not None
    assert {orphan[0].path, orphan[0].media.path, orphan[1].path, gone.path} < swept
    assert len([path for path in swept if path.startswith("tmp/")]) == 2
    left = {path for path in paths(filled) if "_delta_log" not in path} - {"media/index.json"}
    assert left == {path for path in live - swept if "_delta_log" not in path}
    assert verify(store).is_sound
    scratch.abort()


def test_a_dry_run_says_what_would_go_and_leaves_it(filled: Made) -> None:
    orphan = filled.samples(8)[0]
    before = paths(filled)
    assert orphan.path in {listed.path for listed in gc(filled.store, grace_s=0, dry_run=True)}
    assert paths(filled) == before


@pytest.mark.parametrize(("seconds", "goes"), [(DAY_S - 60, False), (DAY_S + 60, True)])
def test_what_is_younger_than_the_grace_stays(filled: Made, seconds: float, goes: bool) -> None:
    orphan = filled.phash(0, fp="9" * 16)
    age(filled, orphan.path, seconds)
    assert [listed.path for listed in gc(filled.store)] == ([orphan.path] if goes else [])


def test_an_old_file_that_was_only_just_replaced_stays_for_its_readers(filled: Made) -> None:
    reader = Store.open(filled.url)
    samples = reader.files("samples")[0]
    assert samples.media is not None
    reader.view()
    for path in (samples.path, samples.media.path):
        age(filled, path, 10 * DAY_S)
    filled.store.commit([Change("samples", remove=[samples])])
    assert gc(filled.store) == []
    assert len(reader.keys()) == 15
    for commit in (Path(filled.url) / "samples" / "_delta_log").iterdir():
        age(filled, f"samples/_delta_log/{commit.name}", 2 * DAY_S)
    assert {listed.path for listed in gc(filled.store)} == {samples.path, samples.media.path}


def test_a_snapshot_keeps_its_files_until_it_is_deleted(filled: Made) -> None:
    store = filled.store
    samples = store.files("samples")[0]
    store.snapshot("v1")
    store.commit([Change("samples", remove=[samples])])
    assert gc(store, grace_s=0) == []
    (Path(filled.url) / "snapshots" / "v1.json").unlink()
    assert samples.path in {listed.path for listed in gc(store, grace_s=0)}


def test_other_peoples_files_are_not_looked_at(filled: Made) -> None:
    (Path(filled.url) / "notes").mkdir()
    (Path(filled.url) / "notes" / "mine.txt").write_text("x")
    (Path(filled.url) / "README").write_text("x")
    assert gc(filled.store, grace_s=0) == []
