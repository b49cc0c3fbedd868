"""How soon a stream gives its first batch, how soon it goes on, and how fast it is, by its kind of order.

    python benchmarks/orders.py [--samples 100000] [--shard 5000] [--rounds 5]

The data are made here, once: a vector of 512 float32 and tokens of varying number (log-normal, 60 or so). Each round
opens plain batches, a mixture of three parts (mixed and single batches), and batches by length within a budget of 16384
tokens, in turns: to the first batch; from a state to the batch in an epoch's middle; and through 200 batches.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable
from itertools import islice

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.loader.parts import Part
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

VECTOR, TOKENS = "picture.embedding", "caption.tokens"
SPECS = {
    VECTOR: ArraySpec(dims=("feature",), sizes={"feature": 512}),
    TOKENS: ArraySpec(dims=("time",), dtype="int32"),
}
FP = "0" * 16
BATCHES = 200


def make(url: str, *, samples: int, shard: int) -> Store:
    """A store of random vectors and tokens."""
    store = Store.create(url)
    store.start_run(command="bench", recipe=Recipe(FP, dict.fromkeys(SPECS, FP)))
    added: dict[str, list[DataFile]] = {family: [] for family in ["samples", *SPECS]}
    rng = np.random.default_rng(0)
    for first in range(0, samples, shard):
        keys = [f"bench/{number:08d}" for number in range(first, min(first + shard, samples))]
        name = f"{first:016x}"
        writer = ShardWriter(url, shard=name, fp=FP, source="bench")
        for number, key in enumerate(keys):
            writer.add(Sample(key, {}, {"label": str(number % 10)}), {}, pointers={})
        added["samples"] += writer.close()
        counts = np.clip(rng.lognormal(4.0, 0.7, len(keys)), 1, 1000).astype(int)
        arrays: dict[str, list[np.ndarray]] = {
            VECTOR: list(rng.standard_normal((len(keys), 512), np.float32)),
            TOKENS: [np.arange(count, dtype=np.int32) for count in counts],
        }
        for family, spec in SPECS.items():
            features = FeatureWriter(url, family, {family: spec}, shard=name, fp=FP)
            for start in range(0, len(keys), 1000):
                features.add(keys[start : start + 1000], {family: arrays[family][start : start + 1000]})
            added[family].append(features.close(keys_digest(keys)))
    specs = {family: {family: spec} for family, spec in SPECS.items()}
    store.commit([Change(family, columns=specs.get(family, {}), add=files) for family, files in added.items()])
    return Store.open(url)


def kinds(store: Store) -> dict[str, Callable[[], Stream]]:
    parts = [Part(store, weight=weight) for weight in (3, 1, 0.5)]
    return {
        "plain": lambda: stream(store, [VECTOR], batch_size=256),
        "mixed": lambda: stream(parts, [VECTOR], batch_size=256),
        "single": lambda: stream(parts, [VECTOR], batch_size=256, batches="single"),
        "plain, tokens": lambda: stream(store, [TOKENS], batch_size=256),
        "by length, tokens": lambda: stream(store, [TOKENS], length=TOKENS, budget=16_384),
    }


def measured(opened: Callable[[], Stream]) -> dict[str, float]:
    """Seconds to the first batch and to one in the middle; samples a second, and the share of padding."""
    start = time.perf_counter()
    made = opened()
    next(iter(made))
    first = time.perf_counter() - start
    state = {**made.state_dict(), "epoch": 3, "step": made.n_steps // 2}
    start = time.perf_counter()
    other = opened()
    other.load_state_dict(state)
    next(iter(other))
    resume = time.perf_counter() - start
    rows = held = real = 0
    start = time.perf_counter()
    for batch in islice(opened(), BATCHES):
        rows += len(batch["key"])
        if TOKENS in batch:
            held, real = held + batch[TOKENS].size, real + int(batch[f"{TOKENS}.length"].sum())
    rate = rows / (time.perf_counter() - start)
    return {"first": first, "resume": resume, "rate": rate, "padding": 1 - real / held if held else 0.0}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--samples", type=int, default=100_000)
    parser.add_argument("--shard", type=int, default=5_000)
    parser.add_argument("--rounds", type=int, default=5)
    given = parser.parse_args()
    found: dict[str, list[dict[str, float]]] = {}
    with tempfile.TemporaryDirectory() as folder:
        store = make(f"{folder}/store", samples=given.samples, shard=given.shard)
        for _ in range(given.rounds + 1):
            for name, opened in kinds(store).items():
                found.setdefault(name, []).append(measured(opened))
    print(f"{given.samples} samples in shards of {given.shard}, medians of {given.rounds} rounds")
    print(f"{'':20}{'first batch':>12}{'resume':>12}{'samples/s':>12}{'padding':>10}")
    for name, rounds in found.items():
        first, resume, rate, padding = (
            statistics.median(one[figure] for one in rounds[1:]) for figure in ("first", "resume", "rate", "padding")
        )  # the first round warms the page cache
        print(f"{name:20}{first:10.3f} s{resume:10.3f} s{rate:12,.0f}{padding:10.1%}")


if __name__ == "__main__":
    main()
