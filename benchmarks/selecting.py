"""Selecting again after a threshold moved, over many rows of scalar features: seconds and memory.

    .venv/bin/python benchmarks/selecting.py                 a million rows, made up: six features, a class, a group
    .venv/bin/python benchmarks/selecting.py --rows 100000 --rounds 1

A store of such rows is written once (features alone; samples without media), then each round is a command of its own,
`mmdata select`, start-up and all, with another threshold each time. Goals: 5 s and 2 GB for a million rows.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import tempfile
from pathlib import Path

import numpy as np
from measure import measure, spread

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FP = "f" * 16
SHARD = 8192
FEATURES = ("sharpness", "loudness", "words", "colors", "noise", "length")
PLANS = {
    "where": "where: '%s'",
    "all": "where: {sharp: '%s', loud: 'loudness > 0.05'}\n  split: {train: 0.7, val: 0.15, test: 0.15}\n"
    "  balance: {by: 'floor(words * 10)', cap: 60000, weight: inverse, splits: train}",
    "grouped": "where: '%s'\n  split: {train: 0.7, val: 0.15, test: 0.15, group: speaker}",
}


def made(place: Path, rows: int) -> Store:
    """A store of so many rows of scalar features."""
    store = Store.create(str(place))
    store.start_run(command="benchmark", recipe=Recipe(FP, dict.fromkeys((*FEATURES, "speaker"), FP)))
    random = np.random.default_rng(1)
    for start in range(0, rows, SHARD):
        n, shard = min(SHARD, rows - start), f"{start:016x}"
        keys = [f"made/{row // 1000:04d}/picture_{row:08d}" for row in range(start, start + n)]
        with ShardWriter(store.url, shard=shard, fp=FP, source="made") as writer:
            for key in keys:
                writer.add(Sample(key, {}, {}), {}, pointers={})
            changes = [Change("samples", add=writer.close())]
        values = {name: (ArraySpec(), random.random(n).astype(np.float32)) for name in FEATURES}
        values["speaker"] = (ArraySpec(dtype="int32"), random.integers(0, rows // 50 + 1, n).astype(np.int32))
        for name, (spec, column) in values.items():
            with FeatureWriter(store.url, name, {name: spec}, shard=shard, fp=FP) as family:
                family.add(keys, {name: list(column)})
                changes.append(Change(name, add=[family.close(keys_digest(keys))]))
        store.commit(changes)
    return store


def main() -> None:
    """Make the rows, select again and again, and print medians."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    command = Path(sys.executable).with_name("mmdata")
    with tempfile.TemporaryDirectory() as folder:
        store = made(Path(folder) / "store", asked.rows)
        print(f"{asked.rows:,} rows of {len(FEATURES) + 1} scalar features in {len(store.view().shards)} shards")
        for name, plan in PLANS.items():
            runs = []
            for number in range(asked.rounds):
                file = Path(folder) / "p.yaml"
                section = plan % f"sharpness > {0.1 + 0.2 * number:.2f}"
                file.write_text(f"source: {{use: source.files.Files, root: x}}\nselect:\n  name: {name}\n  {section}\n")
                runs.append(measure([command, "select", store.url, "-p", file, "--json"]))
                told = json.loads(runs[-1].output)
            seconds, memory = [run.seconds for run in runs], max(run.peak_bytes for run in runs)
            left = sum(told["splits"].values())
            cpu = statistics.median(run.cpu_seconds for run in runs)
            print(f"{name:8} {spread(seconds)} s, {cpu:.1f} s of the processor, {memory / 1e9:.2f} GB, {left:,} left")


if __name__ == "__main__":
    main()
