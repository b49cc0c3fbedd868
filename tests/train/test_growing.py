"""Training on a store that grows meanwhile, and by a selection's weights."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.errors import SchemaMismatch
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.train.checkpoint import Epoch, load
from mmdata.train.config import TrainConfig
from mmdata.train.distributed import ALONE, World
from mmdata.train.fit import open_splits, train
from tests.train.conftest import SPECS, columns_of, row_of, world_rows

Build = Callable[..., Store]
SPLIT = {"train": 0.6, "val": 0.2, "test": 0.2}


def grow(store: Store, *, seed: int, n: int = 60) -> None:
    """One more shard of the small world, and the selection made anew."""
    rows, fp, shard = world_rows(n, seed=seed), "f" * 16, f"{100 + seed:016x}"
    keys = [f"new{seed}/{place}" for place in range(n)]
    added: dict[str, list[DataFile]] = {}
    with ShardWriter(store.url, shard=shard, fp=fp, source="s") as samples:
        for place, key in enumerate(keys):
            samples.add(Sample(key, {}, {"label": rows["label"][place], "group": key}), {}, pointers={})
        added["samples"] = samples.close()
    for family, spec in SPECS.items():
        features = FeatureWriter(store.url, family, {family: spec}, shard=shard, fp=fp)
        features.add(keys, {family: [row_of(rows, family, place) for place in range(n)]})
        added[family] = [features.close(keys_digest(keys))]
    store.commit([Change(family, columns=columns_of(family), add=files) for family, files in added.items()])
    select(Store.open(store.url), "v1", split=SPLIT)


class Killed(Exception):
    """Stands for a kill: nothing after it runs."""


class Feeding:
    """Writes down losses; lets the store grow in the midst of each of the first epochs; dies after step `stop`."""

    def __init__(self, store: Store, *, at: dict[int, int], stop: int | None = None) -> None:
        self.store, self.at, self.stop = store, at, stop
        self.losses: dict[int, float] = {}

    def step(self, step: int, loss: float) -> None:
        self.losses[step] = loss
        if step in self.at:
            grow(self.store, seed=self.at[step])
        if step == self.stop:
            raise Killed

    def epoch(self, epoch: Epoch) -> None:
        """Nothing to note."""


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=3, batch_size=24, lr=1e-2, follow="online", schedule="cosine")


def test_each_epoch_trains_on_what_there_is_as_it_begins(
    build_store: Build, config: TrainConfig, tmp_path: Path
) -> None:
    store = build_store()
    first = Feeding(store, at={2: 1, 9: 2})
    report = train(store, config, out=tmp_path / "run", watch=first)
    sizes = [open_splits(Store.open(store.url, snapshot=f"online.{n}"), replace(config, follow=None)) for n in range(3)]
    n_rows = [splits.stored.n_rows for splits in sizes]
    assert n_rows[0] < n_rows[1] < n_rows[2]
    assert report.steps == sum(-(-n // 24) for n in n_rows)
    assert report.n_train == n_rows[0]
    assert report.val is not None
    assert sizes[0].val is not None
    assert {row.val.n for row in report.history if row.val} == {report.val.n}  # the judges stay those of the first
    assert sorted(Store.open(store.url).snapshots()) == ["online.0", "online.1", "online.2"]  # and none of a fourth

    grow(store, seed=3)
    again = Feeding(store, at={})
    train(store, config, out=None, watch=again)  # the same name sees the same epochs, whatever came since
    assert again.losses == first.losses


def test_a_run_that_is_killed_goes_on_in_what_its_epoch_saw(
    build_store: Build, config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(config, checkpoint_steps=2)
    store = build_store()
    whole = Feeding(store, at={2: 1, 9: 2})
    train(store, config, out=tmp_path / "whole", watch=whole)
    for stop in (3, 8, 11, 17):
        out = tmp_path / f"stopped{stop}"
        with pytest.raises(Killed):
            train(store, config, out=out, watch=Feeding(store, at={}, stop=stop))
        rest = Feeding(store, at={})
        train(store, config, out=out, watch=rest)
        assert min(rest.losses) <= stop + 1
        assert max(rest.losses) == max(whole.losses)
        assert rest.losses.items() <= whole.losses.items()
    assert load(tmp_path / "whole" / "checkpoint.pt").progress.epoch == 3


def test_a_snapshot_that_is_gone_is_told(build_store: Build, config: TrainConfig, tmp_path: Path) -> None:
    config = replace(config, checkpoint_steps=2)
    store = build_store()
    with pytest.raises(Killed):
        train(store, config, out=tmp_path / "run", watch=Feeding(store, at={2: 1}, stop=9))
    (Path(store.url) / "snapshots" / "online.1.json").unlink()
    with pytest.raises(SchemaMismatch, match=r"snapshot 'online\.1'.* is gone"):
        train(store, config, out=tmp_path / "run")


@pytest.mark.parametrize("held_bytes", [0, 1 << 20])
def test_rare_classes_come_more_often_by_the_selections_weights(
    build_store: Build, config: TrainConfig, held_bytes: int
) -> None:
    store = build_store(n=200)
    select(
        store,
        "even",
        split=SPLIT,
        balance={"by": "label", "weight": "inverse"},
        where="label <> 'northeast' or key like '%0' or key like '%5'",
    )
    config = replace(config, follow=None, selection="even")
    counts = []
    for weighted in (False, True):
        given = open_splits(store, replace(config, weighted=weighted), held_bytes=held_bytes).train
        counts.append(Counter(label for _ in range(3) for batch in given for label in batch["label"]))
    plain, even = counts
    assert sum(plain.values()) == sum(even.values())
    assert plain["northeast"] < max(plain.values()) / 2
    assert min(even.values()) > 0.8 * max(even.values())


def test_two_ranks_share_weighted_rows_between_them(build_store: Build, config: TrainConfig) -> None:
    store = build_store(n=120)
    select(store, "even", split=SPLIT, balance={"by": "label", "weight": "inverse"})
    config = replace(config, follow=None, selection="even", weighted=True)

    def keys(world: World) -> list[list[str]]:
        return [list(batch["key"]) for batch in open_splits(store, config, world=world).train]

    together = [one + other for one, other in zip(keys(World(0, 2)), keys(World(1, 2)), strict=True)]
    assert together == keys(ALONE)
