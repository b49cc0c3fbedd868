"""Streams over a store that grows: real runs add to it meanwhile."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from torch.utils.data import DataLoader

import mmdata
from mmdata.config.load import parse
from mmdata.core.pipeline import RunSettings
from mmdata.engine.compact import compact
from mmdata.errors import ConfigError, Incomplete, SchemaMismatch, StoreError
from mmdata.loader.follow import FollowingStream
from mmdata.loader.torch import StreamDataset, WorkerStream
from mmdata.select.selection import select
from mmdata.store.gc import gc

COLUMNS = ["text.length.chars"]
PIPELINE = """
source: {use: source.files.Files}
features: [features.text.TextLength]
run: {shard_samples: 4}
"""


class Growing:
    """A store and the folder that it is fed from.

    Args:
        folder: where both are.
    """

    def __init__(self, folder: Path) -> None:
        self.source, self.url, self.n = folder / "texts", str(folder / "store"), 0
        self.source.mkdir()

    def feed(self, more: int) -> None:
        """Have the folder hold more texts, each whole from the start."""
        for number in range(self.n, self.n + more):
            part = self.source / f"{number:03}.part"
            part.write_text("x" * (number + 1))
            part.rename(part.with_suffix(".txt"))
        self.n += more

    def grow(self, more: int, *, features: bool = True) -> None:
        self.feed(more)
        file = parse(
            PIPELINE if features else PIPELINE.replace("features.text.TextLength", ""), source=str(self.source)
        )
        assert mmdata.run(file, store=self.url).state == "done"

    def stream(self, name: str = "online", **settings: Any) -> FollowingStream:
        given: dict[str, Any] = {"global_batch_size": 4, "seed": 3, "tail": "short", "threads": 1} | settings
        return mmdata.stream(self.url, COLUMNS, follow=name, **given)

    def snapshots(self) -> list[str]:
        return mmdata.open(self.url).snapshots()


@pytest.fixture
def growing(tmp_path: Path) -> Growing:
    """Ten texts."""
    made = Growing(tmp_path)
    made.grow(10)
    return made


def keys(batches: Iterable[Any]) -> list[list[str]]:
    return [list(batch["key"]) for batch in batches]


def numbers(batches: Iterable[Sequence[str]]) -> list[int]:
    """Which texts there are, ascending."""
    return sorted(int(key.rpartition("/")[2][:3]) for batch in batches for key in batch)


def test_what_joins_the_store_comes_with_the_next_epoch(growing: Growing) -> None:
    data = growing.stream()
    first = []
    for batch in data:
        first.append(list(batch["key"]))
        growing.grow(1)
    assert numbers(first) == list(range(10))
    assert (data.epoch, data.step) == (1, 0)
    assert data.n_rows == growing.n == 13
    assert numbers(keys(data)) == list(range(13))
    assert growing.snapshots() == ["online.0", "online.1"]
    assert len(growing.stream(epoch=1)) == len(data.at(1)) == 4


def test_an_epoch_is_taken_up_with_what_it_saw_whatever_became_of_the_store(growing: Growing) -> None:
    data = growing.stream()
    whole = [batch["key"] for _, batch in growing.stream().batches(0)]
    taken = [list(next(iter(data))["key"])]
    state = json.loads(json.dumps(data.state_dict()))
    assert state["parts"][0]["snapshot"] == "online.0"
    assert len(json.dumps(state)) < 1000
    growing.grow(9)
    store = mmdata.open(growing.url)
    assert len(compact(store, RunSettings(shard_samples=100)).merges) == 1
    gc(mmdata.open(growing.url), grace_s=0)
    halves = [growing.stream(rank=rank, world=2) for rank in range(2)]
    for half in halves:
        half.load_state_dict(state)
    together = [first["key"] + second["key"] for first, second in zip(*halves, strict=True)]
    assert taken + together == whole
    assert [half.epoch for half in halves] == [1, 1]
    assert numbers(key for half in halves for key in keys(half)) == list(range(19))


def test_ranks_that_come_late_see_the_same(growing: Growing) -> None:
    first, second = (growing.stream(rank=rank, world=2) for rank in range(2))
    early = keys(first)
    growing.grow(7)
    late = keys(second)
    assert len(early) == len(late) == 3
    assert numbers([*early, *late]) == list(range(10))
    early = keys(second)
    growing.grow(3)
    assert numbers([*early, *keys(first)]) == list(range(17))


def test_an_epoch_that_did_not_begin_has_no_content_yet(growing: Growing) -> None:
    data = growing.stream()
    fresh = data.state_dict()
    keys(data)
    at_end = data.state_dict()
    assert growing.snapshots() == ["online.0"]  # to save a state pins nothing
    growing.grow(2)
    for state, expected in ((fresh, 10), (at_end, 12)):
        other = growing.stream()
        other.load_state_dict(json.loads(json.dumps(state)))
        assert numbers(keys(other)) == list(range(expected))
    data.seek(epoch=0, step=1)
    assert len(keys(data)) == 2
    with pytest.raises(ValueError, match="step 99"):
        data.seek(epoch=0, step=99)
    with pytest.raises(ValueError, match="epoch -1"):
        data.seek(epoch=-1)
    assert (data.epoch, data.step) == (1, 0)


def test_a_selection_is_as_it_was(growing: Growing) -> None:
    select(mmdata.open(growing.url), "v1", split={"train": 0.5, "val": 0.5})
    data = growing.stream(selection="v1", split="train")
    iterator = iter(data)
    taken = [list(next(iterator)["key"])]
    state = data.state_dict()
    iterator.close()  # type: ignore[attr-defined]
    select(mmdata.open(growing.url), "v1", split={"train": 1.0})
    other = growing.stream(selection="v1", split="train")
    other.load_state_dict(state)
    rest = keys(other)
    assert numbers([*taken, *rest]) == numbers(keys(growing.stream(selection="v1", split="train")))
    assert data.n_rows < 10 == other.n_rows == len(numbers(keys(other)))  # the next epoch sees the new one


def changed(state: dict[str, Any], **values: Any) -> dict[str, Any]:
    return {**state, **values}


def test_a_state_that_does_not_fit_is_refused_and_moves_nothing(growing: Growing) -> None:
    data = growing.stream()
    next(iter(data))
    state = data.state_dict()
    plain = mmdata.stream(growing.url, COLUMNS, global_batch_size=4)
    for wrong, says in (
        (plain.state_dict(), "of one that follows none, this one follows as 'online'"),
        (changed(state, follow="other"), "follows as 'other'"),
        (changed(state, epoch="x"), "damaged: epoch 'x'"),
        (changed(state, step=-1), "damaged"),
        (changed(state, step=77), "step 77"),
        ({"follow": "online", "epoch": 0, "step": 2}, "without content"),
        (changed(state, epoch=5), r"snapshot 'online\.5'.* is gone"),
        (changed(state, order={**state["order"], "seed": 9}), "seed is 3, the state has 9"),
    ):
        with pytest.raises(SchemaMismatch, match=says):
            data.load_state_dict(wrong)
    assert (data.epoch, data.step) == (0, 1)
    growing.grow(2)
    with pytest.raises(SchemaMismatch, match=r"snapshot 'online\.0': open the store with"):
        mmdata.stream(growing.url, COLUMNS, global_batch_size=4, seed=3, tail="short").load_state_dict(state)


def test_what_cannot_be_streamed_is_not_pinned(growing: Growing) -> None:
    data = growing.stream()
    first = keys(data)
    growing.grow(6, features=False)
    for _ in range(2):
        with pytest.raises(Incomplete, match="mmdata features"):
            next(iter(data))
    assert growing.snapshots() == ["online.0"]
    again = growing.stream()
    assert keys(again) == first  # an epoch that is pinned does not mind
    growing.grow(0)
    assert numbers(keys(data)) == list(range(16))


def test_old_snapshots_are_let_go(growing: Growing) -> None:
    mmdata.open(growing.url).snapshot("mine")
    data = growing.stream(keep_epochs=2)
    for _ in range(4):
        keys(data)
    assert growing.snapshots() == ["mine", "online.2", "online.3"]
    with pytest.raises(StoreError, match="none of epoch 0: to train anew"):
        keys(growing.stream())
    with pytest.raises(ConfigError, match="keep_epochs"):
        growing.stream(keep_epochs=1)


def test_what_cannot_be_followed_is_refused(growing: Growing) -> None:
    with pytest.raises(ConfigError, match="follow: expected a name for the snapshots of its epochs, not True"):
        mmdata.stream(growing.url, COLUMNS, follow=True)  # type: ignore[call-overload]
    assert growing.snapshots() == []
    mmdata.open(growing.url).snapshot("v1")
    with pytest.raises(ConfigError, match="'v1' never changes"):
        mmdata.stream(mmdata.open(growing.url, snapshot="v1"), COLUMNS, follow="online")
    with pytest.raises(StoreError, match="can't name a snapshot"):
        growing.stream("../x")
    with pytest.raises(ConfigError, match="no column 'nope'"):
        next(iter(mmdata.stream(growing.url, ["nope"], follow="online")))
    assert growing.snapshots() == ["v1"]


def test_worker_processes_follow_together(growing: Growing) -> None:
    workers = WorkerStream(growing.stream(), workers=2, start="fork")
    growing.grow(3)
    assert numbers(keys(workers)) == list(range(13))
    growing.grow(4)
    assert numbers(keys(workers)) == list(range(17))  # by the same processes
    assert keys(growing.stream()) == keys(pickle.loads(pickle.dumps(growing.stream())))
    data = StreamDataset(growing.stream(epoch=2))
    loader = DataLoader(data, batch_size=None, num_workers=2, multiprocessing_context="fork")
    assert numbers(keys(loader)) == list(range(17))
    state = workers.state_dict()
    assert (state["epoch"], state["step"]) == (2, 0)


@pytest.mark.slow
def test_a_store_is_followed_while_another_process_watches_its_source(growing: Growing, tmp_path: Path) -> None:
    (tmp_path / "texts.yaml").write_text(PIPELINE)
    mmdata_ = str(Path(sys.executable).with_name("mmdata"))
    command = [mmdata_, "ingest", str(growing.source), growing.url, "--pipeline", str(tmp_path / "texts.yaml")]
    command += ["--executor", "inline", "--watch", "--every", "0.2", "--settle", "0"]
    ranks = [growing.stream(rank=rank, world=2) for rank in range(2)]
    seen: list[list[int]] = []
    until = time.monotonic() + 100
    ingest = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        while not seen or len(seen[-1]) < 40:
            assert time.monotonic() < until, f"after {len(seen)} epochs there are {len(seen[-1])} samples"
            first, second = keys(ranks[0]), keys(ranks[1])
            assert len(first) == len(second)
            seen.append(numbers([*first, *second]))
            if len(seen[-1]) == growing.n:
                growing.feed(10)
            time.sleep(0.1)
    finally:
        ingest.terminate()
        ingest.wait()
    assert {len(given) for given in seen} >= {10, 20, 30, 40}
    assert all(len(set(given)) == len(given) for given in seen)
    assert all(set(before) <= set(after) for before, after in pairwise(seen))
    again = growing.stream()
    assert [numbers(keys(again)) for _ in seen] == seen
