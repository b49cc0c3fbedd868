"""How long a report of a large store takes, and how large it is.

    python benchmarks/report.py [--samples 100000] [--keep FOLDER]

The store is made up, but its files are all there: a JPEG of 96 x 64 pixels and a caption a sample, twelve scalars, an
embedding of 256 numbers, drops, rejects, and a selection with splits and clusters. The report is made in a process of
its own, by the command that users call; its memory is the peak of that process. It should take under 60 s and 15 MB.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path
from time import perf_counter

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.store import Store, selections
from mmdata.store.files import Files
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.build import jpeg_bytes, picture

FP = "f" * 16
A_SHARD = 1000
SCALARS = [f"image.score{number:02}" for number in range(12)]
EMBEDDING = ArraySpec(dims=("feature",), sizes={"feature": 256})
SPECS = {**dict.fromkeys(SCALARS, ArraySpec()), "image.embedding": EMBEDDING}


def make(url: str, n: int) -> None:
    """The store, shard by shard."""
    store = Store.create(url)
    run = store.start_run(command="run", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)), pipeline={"file": "ingest: []"})
    pictures = [picture(96, 64, kind="shapes", seed=seed) for seed in range(64)]
    stills = [Encoded(Blob.of(jpeg_bytes(one, quality=85)), "jpg", one) for one in pictures]
    rng = np.random.default_rng(0)
    for first in range(0, n, A_SHARD):
        _shard(store, first, min(A_SHARD, n - first), stills, rng)
    store.finish_run(run, counts={"steps": {}}, seconds=1.0)
    _select(store, rng)


def _shard(store: Store, first: int, n: int, stills: list[Encoded], rng: np.random.Generator) -> None:
    shard = f"{first // A_SHARD:016x}"
    with ShardWriter(store.url, shard=shard, fp=FP, source="made") as writer:
        for number in range(first, first + n):
            text = Text(f"A picture of things, number {number}")
            still = stills[number % len(stills)]
            parts = {"image": still, "caption": Encoded(Blob.of(text.text.encode()), "txt", text)}
            sample = Sample(
                f"made/{number:08}", {"image": still.as_read, "caption": text}, {"label": f"class {number % 37}"}
            )
            writer.add(sample, parts, pointers={"image": f"{number:08}.jpg"})
        for number in range(n // 20):
            writer.drop(f"made/dropped-{first}-{number}", "clean.image.DropBlurred", "blurred", "x.jpg")
        for number in range(n // 100):
            writer.reject(f"made/failed-{first}-{number}", "codec.image.DecodeImage", "decode", "it is cut short")
        files, keys = writer.close(), writer.keys
    changes = [
        Change(family, add=[one for one in files if one.family == family]) for family in ("samples", "drops", "rejects")
    ]
    for family, spec in SPECS.items():
        features = FeatureWriter(store.url, family, {family: spec}, shard=shard, fp=FP)
        width = spec.sizes.get("feature")
        values = rng.standard_normal((n, width) if width else n).astype(np.float32)
        features.add(keys, {family: list(values) if width else [np.asarray(value) for value in values]})
        changes.append(Change(family, {family: spec}, [features.close(keys_digest(keys))]))
    store.commit(changes)


def _select(store: Store, rng: np.random.Generator) -> None:
    keys = store.keys()
    n = len(keys)
    clusters = np.where(rng.random(n) < 0.1, rng.integers(0, n // 40 + 1, n), -1)
    reason = np.where((clusters >= 0) & (rng.random(n) < 0.6), "dedup.near_image", "")
    split = rng.choice(["train", "val", "test"], n, p=[0.8, 0.1, 0.1])
    columns = {
        "key": pa.array(keys),
        "split": pa.array(split.tolist()),
        "weight": pa.array(np.ones(n)),
        "reason": pa.array([each or None for each in reason.tolist()], pa.string()),
        "cluster": pa.array(clusters, mask=clusters < 0),
        "since": pa.nulls(n, pa.int64()),
    }
    selections.write(Files.at(store.url), "v1", pa.table(columns, schema=selections.SCHEMA), fp="a" * 16)


def measure(url: str, out: Path) -> dict[str, float]:
    """The command, called once."""
    began = perf_counter()
    command = [sys.executable, "-m", "mmdata", "report", url, "-o", str(out), "--json"]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    seconds, used = perf_counter() - began, resource.getrusage(resource.RUSAGE_CHILDREN)
    told = json.loads(done.stdout)
    return {
        "seconds": round(seconds, 1),
        "processor_s": round(used.ru_utime + used.ru_stime, 1),
        "peak_MB": round(used.ru_maxrss / 1000),
        "report_MB": round(told["bytes"] / 1e6, 2),
        "faults": len(told["faults"]),
    }


def main() -> None:
    """Make the store where it is not there yet, and report on it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--keep", type=Path, help="the store's folder; made where it is not there")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as scratch:
        folder = given.keep or Path(scratch)
        store, out = folder / "store", folder / "report.html"
        if not store.exists():
            began = perf_counter()
            make(str(store), given.samples)
            print(f"made {given.samples:,} samples in {perf_counter() - began:.0f} s")
        print(f"load {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores")
        print(json.dumps(measure(str(store), out)))


if __name__ == "__main__":
    main()
