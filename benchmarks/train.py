"""How long the trainer waits for data, beside the same model fed from tensors that are in memory already.

    python benchmarks/train.py [--samples 500] [--epochs 8] [--rounds 3]

A store of the demo's form: numbers of 500 pictures (1280 each), captions (256) and spoken captions (13 coefficients of
80 to 300 steps), made up, as the numbers do not matter here. The model, its batches and its settings are the demo's.
Three ways to feed it, in turns: the trainer as it is, which keeps a split of this size in memory; the trainer made to
stream the store in each epoch; and batches that were made before, which is what no loader can beat. The wait is what
`log.csv` says, of all epochs but the first, which also reads the store.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
from measure import spread

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.train.config import TrainConfig
from mmdata.train.fit import open_splits, train
from mmdata.train.inputs import Batch, plan_inputs
from mmdata.train.logs import LOG, Recorder, read_log
from mmdata.train.loop import Run, fit
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan

SPECS = {
    "image.embedding": ArraySpec(dims=("feature",), sizes={"feature": 1280}),
    "text.embedding": ArraySpec(dims=("feature",), sizes={"feature": 256}),
    "speech.mfcc": ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 13}),
}
INPUTS = {"picture": "image.embedding", "caption": "text.embedding", "speech": "speech.mfcc"}
CLASSES = tuple(f"class{number}" for number in range(9))
CONFIG = TrainConfig(inputs=INPUTS, selection="v1", batch_size=64, width=96, patience=None)
SHARD = 256


def made(folder: Path, n: int) -> Store:
    """A store of made-up features of that form."""
    rng, fp, store = np.random.default_rng(0), "f" * 16, Store.create(folder)
    store.start_run(command="benchmark", recipe=Recipe(fp, dict.fromkeys(SPECS, fp)))
    added: dict[str, list[DataFile]] = {"samples": [], **{family: [] for family in SPECS}}
    for number, first in enumerate(range(0, n, SHARD)):
        shard, places = f"{number:016x}", range(first, min(first + SHARD, n))
        keys = [f"s/{place}" for place in places]
        with ShardWriter(str(folder), shard=shard, fp=fp, source="s") as samples:
            for place, key in zip(places, keys, strict=True):
                samples.add(Sample(key, {}, {"label": CLASSES[place % len(CLASSES)]}), {}, pointers={})
            added["samples"] += samples.close()
        for family, spec in SPECS.items():
            features = FeatureWriter(str(folder), family, {family: spec}, shard=shard, fp=fp)
            shapes = [[size or int(rng.integers(80, 300)) for size in spec.shape] for _ in keys]
            features.add(keys, {family: [rng.normal(size=shape).astype(np.float32) for shape in shapes]})
            added[family].append(features.close(keys_digest(keys)))
    columns = {family: {family: spec} for family, spec in SPECS.items()}
    store.commit([Change(family, columns=columns.get(family, {}), add=files) for family, files in added.items()])
    select(Store.open(str(folder)), "v1", split={"train": 0.8, "val": 0.2})
    return Store.open(str(folder))


class Ready:
    """Batches that were made before: each epoch gives the same ones."""

    def __init__(self, batches: list[Batch]) -> None:
        self.batches = batches

    @property
    def n_steps(self) -> int:
        return len(self.batches)

    def __iter__(self) -> Iterator[Batch]:
        yield from self.batches

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """There is no place to go to."""


def from_memory(store: Store, config: TrainConfig, out: Path) -> None:
    """The same model and loop, fed from tensors."""
    splits = open_splits(store, config)
    batches = Ready(list(splits.train))
    torch.manual_seed(config.seed)
    torch.set_num_threads(config.threads)
    inputs = plan_inputs(config.inputs, store.families)
    run = Run.start(FusionModel(ModelPlan(config=config, inputs=inputs, heads=(Head(classes=CLASSES),))))
    fit(run, batches, None, save=None, watch=Recorder(run, out, every=None, board=False, watch=None))


def timed(way: str, store: Store, config: TrainConfig) -> tuple[list[float], list[float]]:
    """Samples a second and share of waiting, an epoch each, of all but the first."""
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder)
        if way == "tensors":
            from_memory(store, config, out)
        else:
            train(store, config, out=out, held_bytes=0 if way == "streamed" else 256 << 20)
        rows = read_log(out / LOG)[1:]
    return [row["samples_per_s"] for row in rows], [row["data_wait"] for row in rows]


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--samples", type=int, default=500)
    options.add_argument("--epochs", type=int, default=8)
    options.add_argument("--rounds", type=int, default=3)
    asked = options.parse_args()
    config = replace(CONFIG, epochs=asked.epochs, val_split=None, test_split=None)
    rates: dict[str, list[float]] = {"tensors": [], "in memory": [], "streamed": []}
    waits: dict[str, list[float]] = {way: [] for way in rates}
    with tempfile.TemporaryDirectory() as folder:
        store = made(Path(folder) / "store", asked.samples)
        for _ in range(asked.rounds):
            for way in rates:
                for kept, found in zip((rates, waits), timed(way, store, config), strict=True):
                    kept[way] += found
    for way, found in rates.items():
        of_tensors = median(found) / median(rates["tensors"])
        wait = f"waits {100 * median(waits[way]):.1f} % (at most {100 * max(waits[way]):.1f})"
        print(f"{way:<10} {spread(found)} samples/s, {of_tensors:.2f} of tensors; {wait}")


if __name__ == "__main__":
    main()
