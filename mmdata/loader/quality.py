"""How well an order mixes, in two numbers that a full shuffle gives a scale to.

Neighbours in training should be far from each other in storage, and a batch should draw on many shards: what was stored
together was often recorded together.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from mmdata.loader.plan import Epoch, Plan

STEPS_LOOKED_AT = 200  # of an epoch, evenly spread


@dataclass(frozen=True)
class Quality:
    """What was found in the batches looked at.

    Args:
        neighbour_distance: mean distance, in stored rows, of rows that follow each other in a batch; as a share of what
            a full shuffle has, a third of all rows. 1 is as good, 0 is the stored order.
        shard_entropy: mean entropy of the shards that a global batch draws on, in bits.
        shard_entropy_full: the same where batches are drawn from all rows alike.
        steps: how many batches were looked at.
    """

    neighbour_distance: float
    shard_entropy: float
    shard_entropy_full: float
    steps: int


def quality(plan: Plan, shards: Sequence[str], *, epoch: int = 0) -> Quality:
    """Look at batches of an epoch.

    Args:
        plan: the order.
        shards: of each chunk, the shard that it lies in.
        epoch: which.
    """
    order = plan.epoch(epoch)
    window = lru_cache(maxsize=4 * plan.n_lanes)(lambda number: _stored(order, number))
    starts = np.concatenate([[0], np.cumsum(plan.chunk_rows)])
    numbers = np.unique(np.asarray(shards), return_inverse=True)[1]
    full = np.random.default_rng(0)
    distances, entropies, of_full = [], [], []
    steps = np.unique(np.linspace(0, plan.n_steps - 1, min(plan.n_steps, STEPS_LOOKED_AT)).astype(int)).tolist()
    for step in steps:
        pieces = [piece for run in plan.share(step) for piece in order.pieces(run)]
        rows = np.concatenate([window(number)[start:stop] for number, start, stop in pieces])
        distances.append(np.abs(np.diff(rows)))
        entropies.append(_entropy(_shards(rows, starts, numbers)))
        of_full.append(_entropy(_shards(full.integers(0, plan.n_rows, len(rows)), starts, numbers)))
    apart = np.concatenate(distances)
    share = float(apart.mean()) / ((plan.n_rows + 1) / 3) if len(apart) else 1.0
    return Quality(share, float(np.mean(entropies)), float(np.mean(of_full)), len(steps))


def _stored(order: Epoch, window: int) -> np.ndarray:
    """The stored rows, counted over all shards, in a window's order: int64 [row]."""
    chunks, rows = order.window(window)
    counts = np.array(order.plan.chunk_rows, np.int64)
    starts = np.cumsum(counts) - counts
    stored = [np.arange(starts[chunk], starts[chunk] + counts[chunk]) for chunk in chunks]
    return np.asarray(np.concatenate(stored)[rows])


def _shards(rows: np.ndarray, starts: np.ndarray, shards: np.ndarray) -> np.ndarray:
    return np.asarray(shards[np.searchsorted(starts, rows, side="right") - 1])


def _entropy(labels: np.ndarray) -> float:
    """Shannon's, in bits.

    >>> _entropy(np.array([3, 3, 5, 5]))
    1.0
    """
    counts = np.unique(labels, return_counts=True)[1]
    shares = counts / counts.sum()
    return float(-(shares * np.log2(shares)).sum())
