"""How well an order mixes, in numbers that a full shuffle gives a scale to.

Neighbours in training should be far from each other in storage, and a batch should draw on many shards: what was stored
together was often recorded together. In a mixture, both are asked of each part's own rows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmdata.loader.budgets import BudgetOrder
from mmdata.loader.order import EpochOrder, Order, Taken, WindowId
from mmdata.loader.plan import Plan

STEPS_LOOKED_AT = 200  # of an epoch, evenly spread
WINDOWS_HELD = 512  # orders of rows, 32 kB each


@dataclass(frozen=True)
class Quality:
    """What was found in the batches looked at.

    Args:
        neighbour_distance: mean distance, in stored rows, of rows of a part that follow each other in a batch; as a
            share of what a full shuffle has, a third of the part's rows. 1 is as good, 0 is the stored order.
        shard_entropy: mean entropy of the shards that a global batch draws on, in bits.
        shard_entropy_full: the same where as many rows of each part are drawn from all its rows alike.
        steps: how many batches were looked at.
        part_shares: of each part, its share of the rows.
        padding: of batches by length, the share of rows x longest that is padding; 0 for other orders.
    """

    neighbour_distance: float
    shard_entropy: float
    shard_entropy_full: float
    steps: int
    part_shares: tuple[float, ...] = (1.0,)
    padding: float = 0.0


def quality(order: Order, shards: Sequence[Sequence[str]], *, epoch: int = 0) -> Quality:
    """Look at batches of an epoch.

    Args:
        order: of the rows.
        shards: of each part, for each of its chunks, the shard that it lies in.
        epoch: which.
    """
    begun = order.begin(epoch)
    window = lru_cache(maxsize=WINDOWS_HELD)(lambda window: _stored(order.plans[window.part], begun, window))
    labels = _labels(order.plans, shards)
    full = np.random.default_rng(0)
    counts = np.zeros(len(order.plans), np.int64)
    distances, entropies, of_full, real, padded = [], [], [], 0.0, 0.0
    n_steps = order.n_steps(epoch)
    steps = np.unique(np.linspace(0, n_steps - 1, min(n_steps, STEPS_LOOKED_AT)).astype(int)).tolist()
    for step in steps:
        taken = begun.taken(step, rank=0, world=1)
        rows = _by_part(taken, window, len(order.plans))
        counts += [len(part) for part in rows]
        distances += [
            np.abs(np.diff(part)) / ((plan.n_rows + 1) / 3) for part, plan in zip(rows, order.plans, strict=True)
        ]
        entropies.append(_entropy(np.concatenate([label[part] for label, part in zip(labels, rows, strict=True)])))
        drawn = [label[full.integers(0, len(label), len(part))] for label, part in zip(labels, rows, strict=True)]
        of_full.append(_entropy(np.concatenate(drawn)))
        if isinstance(order, BudgetOrder):
            lengths = order.lengths[rows[0]]
            real, padded = real + float(lengths.sum()), padded + float(lengths.max(initial=0) * len(lengths))
    apart = np.concatenate(distances)
    return Quality(
        neighbour_distance=float(apart.mean()) if len(apart) else 1.0,
        shard_entropy=float(np.mean(entropies)),
        shard_entropy_full=float(np.mean(of_full)),
        steps=len(steps),
        part_shares=tuple((counts / max(1, counts.sum())).tolist()),
        padding=1 - real / padded if padded else 0.0,
    )


def _labels(plans: Sequence[Plan], shards: Sequence[Sequence[str]]) -> list[np.ndarray]:
    """Of each part, a number for the shard of each stored row, another one in each part: int64 [row]."""
    found, first = [], 0
    for plan, names in zip(plans, shards, strict=True):
        numbers = np.unique(np.asarray(names), return_inverse=True)[1] + first
        found.append(np.repeat(numbers, plan.chunk_rows))
        first = int(numbers.max()) + 1
    return found


def _stored(plan: Plan, epoch: EpochOrder, window: WindowId) -> np.ndarray:
    """The stored rows of a part, counted over all shards, in a window's order: int64 [row]."""
    chunks, rows, order = epoch.window(window)
    counts = np.array(plan.chunk_rows, np.int64)
    starts = np.cumsum(counts) - counts
    stored = [starts[chunk] + within for chunk, within in zip(chunks, rows, strict=True)]
    return np.asarray(np.concatenate(stored)[order])


def _by_part(taken: Sequence[Taken], window: Callable[[WindowId], np.ndarray], n_parts: int) -> list[np.ndarray]:
    """The stored rows of each part in a batch, in the batch's order: int64 [row] each."""
    rows: list[list[np.ndarray]] = [[np.empty(0, np.int64)] for _ in range(n_parts)]
    for one in taken:
        rows[one.window.part].append(window(one.window)[one.places])
    return [np.concatenate(part) for part in rows]


def _entropy(labels: np.ndarray) -> float:
    """Shannon's, in bits.

    >>> _entropy(np.array([3, 3, 5, 5]))
    1.0
    """
    counts = np.unique(labels, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
