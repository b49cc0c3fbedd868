"""What a stream holds: windows in slabs that are used again, and never more than was allowed."""

from __future__ import annotations

import os
import pickle
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.errors import ConfigError
from mmdata.loader.holding import BATCHES
from mmdata.loader.order import WindowId
from mmdata.loader.reader import WindowReader
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FP = "f" * 16
SPECS = {
    "a.vector": ArraySpec(dims=("feature",), sizes={"feature": 512}),
    "b.vector": ArraySpec(dims=("feature",), sizes={"feature": 256}, dtype="float64"),  # as many bytes
    "c.frames": ArraySpec(dims=("time", "bin"), sizes={"bin": 2}, dtype="uint8"),
}
SIZES = (1500, 2300, 900, 1700)
COLUMNS = [*SPECS, "label"]
ROW_BYTES = 2 * 2048


def vector(family: str, number: int) -> np.ndarray | None:
    spec = SPECS[family]
    if family == "c.frames":
        return None if number % 17 == 4 else np.full((number % 6, 2), number % 251, np.uint8)
    return (number + np.arange(spec.sizes["feature"]) / 1024).astype(spec.dtype)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """6,400 samples of 4 kB."""
    url = str(tmp_path_factory.mktemp("holding") / "store")
    made = Store.create(url)
    made.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)))
    added: dict[str, list[DataFile]] = {family: [] for family in ("samples", *SPECS)}
    first = 0
    for shard, size in enumerate(SIZES):
        keys, name = [f"{number:06d}" for number in range(first, first + size)], f"{shard:016x}"
        with ShardWriter(url, shard=name, fp=FP, source="toy") as writer:
            for key in keys:
                writer.add(Sample(key, {}, {"label": f"is {key}"}), {}, pointers={})
            added["samples"] += writer.close()
        for family, spec in SPECS.items():
            features = FeatureWriter(url, family, {family: spec}, shard=name, fp=FP)
            features.add(keys, {family: [vector(family, int(key)) for key in keys]})
            added[family].append(features.close(keys_digest(keys)))
        first += size
    columns = {family: {family: spec} for family, spec in SPECS.items()}
    made.commit([Change(family, columns=columns.get(family, {}), add=files) for family, files in added.items()])
    return Store.open(url)


def opened(store: Store, max_bytes: int, **settings: Any) -> Stream:
    usual: dict[str, Any] = {"global_batch_size": 36, "lanes": 4, "window_rows": 300, "seed": 3}
    return stream(store, COLUMNS, max_bytes=max_bytes, **usual | settings)


def least(store: Store, **settings: Any) -> int:
    """The least memory in which it can be streamed."""
    roomy = opened(store, 1 << 30, **settings)
    row_bytes = roomy.contents.row_bytes
    return int(roomy._holding.used_bytes + BATCHES * (roomy.batch_size or 0) * row_bytes) + 2


def held_bytes(made: Stream) -> int:
    """What all slabs take that were ever made and are not let go."""
    return sum(buffer.nbytes for pool in made._holding._pools.values() for buffer in pool._buffers)


def check(batch: Mapping[str, Any]) -> None:
    for row, key in enumerate(batch["key"]):
        number = int(key)
        assert batch["label"][row] == f"is {key}"
        for family in SPECS:
            expected = vector(family, number)
            assert batch[f"{family}.mask"][row] == (expected is not None)
            values = batch[family][row]
            if family == "c.frames":
                values = values[: batch["c.frames.length"][row]]
                expected = np.zeros((0, 2)) if expected is None else expected
            assert (values == (0 if expected is None else expected)).all()


@pytest.mark.parametrize("world", [1, 2])
@pytest.mark.parametrize("share", [1.0, 1.3, 2.5])
def test_no_more_is_held_than_was_allowed_in_any_epoch(
    store: Store, world: int, share: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    reduced: list[WindowId] = []
    reduce = WindowReader.reduce

    def seen(reader: WindowReader, places: Mapping[WindowId, np.ndarray]) -> None:
        reduced.extend(places)
        reduce(reader, places)

    monkeypatch.setattr(WindowReader, "reduce", seen)
    for rank in range(world):
        max_bytes = int(share * least(store, world=world, rank=rank))
        roomy, tight = (opened(store, most, world=world, rank=rank) for most in (1 << 30, max_bytes))
        for _ in range(3):
            for batch, expected in zip(tight, roomy, strict=True):
                assert batch["key"] == expected["key"]
                check(batch)
            assert 0 < held_bytes(tight) <= max_bytes
        tight.seek(epoch=1, step=57)  # in the midst, where lanes are anywhere in their windows
        roomy.seek(epoch=1, step=57)
        for batch, expected in zip(tight, roomy, strict=True):
            assert batch["key"] == expected["key"]
            check(batch)
        assert held_bytes(tight) <= max_bytes
    assert reduced or share > 1  # windows were left in the midst of a batch


def test_less_than_the_windows_in_use_and_the_batches_is_refused(store: Store) -> None:
    enough = least(store)
    assert next(iter(opened(store, enough)))
    with pytest.raises(ConfigError, match=r"max_bytes: 4 windows of 300 rows and more take about .* set window_rows="):
        opened(store, enough - 10_000)


def test_an_epoch_lies_in_the_memory_of_the_one_before(store: Store) -> None:
    made = opened(store, 1 << 30)
    list(made)
    slabs = {id(buffer) for pool in made._holding._pools.values() for buffer in pool._buffers}
    assert len(slabs) >= 8
    for _ in range(2):
        list(made)
        assert {id(buffer) for pool in made._holding._pools.values() for buffer in pool._buffers} == slabs
    made.close()
    assert held_bytes(made) == 0
    check(next(iter(made)))


def test_batches_that_are_kept_are_not_written_over(store: Store) -> None:
    made = opened(store, least(store))
    batches = list(made) + list(made)
    assert len(batches) > 300
    for batch in batches[::7]:
        check(batch)


def test_memory_stays_where_it_is_when_a_stream_is_sent_or_forked(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = opened(store, 1 << 30)
    expected = [batch["key"] for batch in made]
    sent = pickle.loads(pickle.dumps(made))
    assert held_bytes(sent) == 0
    before = made._holding.pool(0)
    monkeypatch.setattr(os, "getpid", lambda: -1)
    assert made._holding.pool(0) is not before  # whose lock a thread may have held
    monkeypatch.undo()
    sent.seek(epoch=0)
    assert [batch["key"] for batch in sent] == expected


def test_two_loops_over_one_stream_do_not_meet(store: Store) -> None:
    made = opened(store, 1 << 30)
    for (step, one), (_, other) in zip(made.batches(0), made.batches(1), strict=True):
        if step % 9 == 0:
            check(one)
            check(other)


def test_a_cache_holds_no_slabs(store: Store, tmp_path: Path) -> None:
    made = opened(store, least(store), cache=tmp_path / "cache")
    for batch in made:
        check(batch)
    assert held_bytes(made) == 0
