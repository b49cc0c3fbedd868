"""How fast a store streams: 4 vectors of 512 float32 a sample, batches of 256, shuffled, in one process.

    python benchmarks/stream.py [--samples 50000] [--shard 5000] [--threads 2] [--rounds 5]

The data are made here, once, in a folder of the system's temporary space. Each round runs, in turns: the stream; and
the limit, which is to read the bytes of the same files from the page cache. The ratio is what to quote.
"""

from __future__ import annotations

import argparse
import resource
import statistics
import tempfile
import time
from pathlib import Path

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FAMILIES = [f"part{number}.embedding" for number in range(4)]
SPEC = ArraySpec(dims=("feature",), sizes={"feature": 512})
FP = "0" * 16


def make(url: str, *, samples: int, shard: int) -> Store:
    """A store of random vectors."""
    store = Store.create(url)
    store.start_run(command="bench", recipe=Recipe(FP, dict.fromkeys(FAMILIES, FP)))
    added: dict[str, list[DataFile]] = {family: [] for family in ["samples", *FAMILIES]}
    for first in range(0, samples, shard):
        keys = [f"bench/{number:08d}" for number in range(first, min(first + shard, samples))]
        name = f"{first:016x}"
        writer = ShardWriter(url, shard=name, fp=FP, source="bench")
        for number, key in enumerate(keys):
            writer.add(Sample(key, {}, {"label": str(number % 10)}), {}, pointers={})
        added["samples"] += writer.close()
        for number, family in enumerate(FAMILIES):
            rows = np.random.default_rng(first + number).standard_normal((len(keys), 512), np.float32)
            features = FeatureWriter(url, family, {family: SPEC}, shard=name, fp=FP)
            for start in range(0, len(keys), 1000):
                features.add(keys[start : start + 1000], {family: rows[start : start + 1000]})
            added[family].append(features.close(keys_digest(keys)))
    store.commit([Change(family, add=files) for family, files in added.items()])
    return Store.open(url)


def read_all(store: Store) -> int:
    """Read every feature file's bytes; returns how many there are."""
    size = 0
    for shard in store.view().shards:
        for file in shard.features.values():
            size += len((Path(store.url) / file.path).read_bytes())
    return size


def first_batch(made: Stream) -> None:
    for _ in made:
        return


def timed(rounds: dict[str, list[float]], name: str, start: float) -> None:
    rounds.setdefault(name, []).append(time.perf_counter() - start)


def measure(store: Store, *, threads: int, rounds: int) -> dict[str, list[float]]:
    """Seconds of each round by what was done."""
    seconds: dict[str, list[float]] = {}
    for number in range(rounds + 1):
        start = time.perf_counter()
        opened = stream(store, [*FAMILIES, "label"], batch_size=256, seed=number, threads=threads, output="torch")
        timed(seconds, "open", start)
        first_batch(opened)
        timed(seconds, "first batch", start)
        opened.seek(epoch=0)
        start = time.perf_counter()
        for _ in opened:
            pass
        timed(seconds, "epoch", start)
        opened.seek(epoch=0, step=opened.n_steps // 2)
        start = time.perf_counter()
        first_batch(opened)
        timed(seconds, "resume", start)
        start = time.perf_counter()
        read_all(store)
        timed(seconds, "read", start)
    return {name: values[1:] for name, values in seconds.items()}  # the first round warms the page cache


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=50_000)
    parser.add_argument("--shard", type=int, default=5_000)
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        store = make(f"{folder}/store", samples=given.samples, shard=given.shard)
        seconds = measure(store, threads=given.threads, rounds=given.rounds)
    median = {name: statistics.median(values) for name, values in seconds.items()}
    rate, limit = given.samples / median["epoch"], given.samples / median["read"]
    print(f"{given.samples} samples of 8 KB in shards of {given.shard}, {given.threads} threads, {given.rounds} rounds")
    print(f"stream       {rate:10,.0f} samples/s")
    print(f"page cache   {limit:10,.0f} samples/s, the stream has {rate / limit:.2f} of it")
    print(f"opened in    {median['open']:10.3f} s")
    print(f"first batch  {median['first batch']:10.3f} s after the call")
    print(f"resume       {median['resume']:10.3f} s to the batch in the epoch's middle")
    print(f"peak memory  {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:10,.0f} MB")


if __name__ == "__main__":
    main()
