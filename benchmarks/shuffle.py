"""How well a stream's order mixes, beside MosaicML's py1e and a full shuffle, and what each must hold for it.

    python benchmarks/shuffle.py [--rows 200000] [--shard 5000] [--batch 256] [--lanes 8] [--window 4096]

No data are read: orders are compared. py1e is written here after its published form (mosaicml/streaming, Apache 2.0,
streaming/base/shuffle/py1e.py): shards in random order, rows shuffled within each, then every row moved by a uniform
distance so that a shard's rows are spread over about `block_size` places. On one node, a batch is a run of that order.

Three figures: how far apart in storage neighbours of a batch are, as a share of a full shuffle's; the entropy of the
shards that a batch draws on, in bits; and the most rows that are in use at once, where what is read in one go (a row
group here, a shard there) is in use from its first row to its last.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence

import numpy as np

from mmdata.loader.permuting import permutation
from mmdata.loader.plan import Plan

GROUP = 1000  # rows of a row group, which mmdata reads alone


def stream_order(n_rows: int, batch: int, *, lanes: int, window: int, seed: int = 0) -> np.ndarray:
    """The stored rows of a stream's batches, one after another: int64 [row]."""
    chunks = (GROUP,) * (n_rows // GROUP)
    plan = Plan(chunk_rows=chunks, global_batch_size=batch, seed=seed, lanes=lanes, window_rows=window)
    chunk, row = plan.epoch(0).sequence()
    stored = chunk * GROUP + row
    runs = (run for step in range(plan.n_steps) for run in plan.share(step))
    return np.concatenate([stored[run.start : run.stop] for run in runs])


def py1e_order(n_rows: int, shard: int, *, block: int, seed: int = 0) -> np.ndarray:
    """py1e's order of stored rows on one node: int64 [row]."""
    rng = np.random.default_rng(seed)
    shards = rng.permutation(n_rows // shard)
    rows = np.concatenate([number * shard + rng.permutation(shard) for number in shards])
    places = np.arange(n_rows, dtype=np.float64)
    for start in range(0, n_rows, shard):
        reach = max(0.0, (int(rng.integers(int(0.75 * block), int(1.25 * block))) - shard) / 2)
        low, high = max(-reach, -start), min(reach, n_rows - start - shard)
        places[start : start + shard] += rng.uniform(low, high, shard)
    return np.asarray(rows[np.argsort(places, kind="stable")])


def batches(order: np.ndarray, batch: int) -> np.ndarray:
    """int64 [step, row]; what fills no last batch is left out."""
    return order[: len(order) // batch * batch].reshape(-1, batch)


def distance(steps: np.ndarray, n_rows: int) -> float:
    return float(np.abs(np.diff(steps, axis=1)).mean() / ((n_rows + 1) / 3))


def entropy(steps: np.ndarray, shard: int) -> float:
    """Mean over batches, in bits."""
    found = []
    for rows in steps:
        shares = np.unique(rows // shard, return_counts=True)[1] / len(rows)
        found.append(-(shares * np.log2(shares)).sum())
    return float(np.mean(found))


def in_use(steps: np.ndarray, unit: int) -> int:
    """Most rows of units of which some were given and some are still to come."""
    units = steps // unit
    numbers = np.arange(len(steps))[:, None] + np.zeros_like(units)
    first, last = np.full(units.max() + 1, len(steps)), np.full(units.max() + 1, -1)
    np.minimum.at(first, units, numbers)
    np.maximum.at(last, units, numbers)
    changes = np.zeros(len(steps) + 1, np.int64)
    there = last >= 0
    np.add.at(changes, first[there], 1)
    np.add.at(changes, last[there] + 1, -1)
    return int(np.cumsum(changes).max()) * unit


def compared(given: argparse.Namespace) -> Iterator[tuple[str, np.ndarray, int]]:
    """What is compared: its name, its order, and how many rows it reads in one go."""
    rows, shard, batch = given.rows, given.shard, given.batch
    yield "full shuffle", permutation(rows, "full"), shard
    for window in (given.window, 4 * given.window):
        name = f"mmdata, {given.lanes} windows of {window}"
        yield name, stream_order(rows, batch, lanes=given.lanes, window=window), GROUP
    for block in (given.lanes * given.window, 4 * given.lanes * given.window, 1 << 18):
        yield f"py1e, block {block}", py1e_order(rows, shard, block=block), shard
    yield "stored order", np.arange(rows), shard


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--shard", type=int, default=5_000)
    parser.add_argument("--batch", type=int, default=256)
    parser.add_argument("--lanes", type=int, default=8)
    parser.add_argument("--window", type=int, default=4096)
    given = parser.parse_args(arguments)
    print(f"{given.rows} rows in shards of {given.shard}, batches of {given.batch}")
    print(f"{'':32}{'distance':>10}{'entropy':>10}{'in use':>12}")
    for name, order, unit in compared(given):
        steps = batches(order, given.batch)
        figures = f"{distance(steps, given.rows):10.3f}{entropy(steps, given.shard):10.2f}{in_use(steps, unit):12,}"
        print(f"{name:32}{figures}")


if __name__ == "__main__":
    main()
