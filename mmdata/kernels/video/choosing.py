"""Choosing a few of many frames, by what stands for each: rows of numbers."""

from __future__ import annotations

import numpy as np


def evenly(n_in: int, n_out: int) -> np.ndarray:
    """The middles of `n_out` equal stretches of range(n_in), or all of it when that is fewer: int64, rising."""
    n_out = min(n_in, n_out)
    return (2 * np.arange(n_out) + 1) * n_in // (2 * max(n_out, 1))


def most_distinct(features: np.ndarray, *, n: int, min_distance: float) -> np.ndarray:
    """Rows that are far from each other: the first, then always the one farthest from all that were taken.

    Farthest-first traversal (Gonzalez, 1985), within a factor of two of the best cover. The distance is half the L1
    norm: for histograms the share of pixels that differ, 0 to 1.

    Args:
        features: float32 [row, feature].
        n: the most to take.
        min_distance: stop when no row is farther than this from those taken.

    Returns:
        int64 [taken], rising.
    """
    taken = [0] if len(features) and n else []
    nearest = np.full(len(features), np.inf, np.float32)
    while taken and len(taken) < n:
        nearest = np.minimum(nearest, np.abs(features - features[taken[-1]]).sum(axis=1) / 2)
        farthest = int(nearest.argmax())
        if nearest[farthest] <= min_distance:
            break
        taken.append(farthest)
    return np.sort(np.array(taken, np.int64))


def representatives(features: np.ndarray, *, n: int, n_rounds: int = 20) -> np.ndarray:
    """The rows that stand for groups of like rows: of each group the one nearest to its mean.

    k-means (Lloyd, 1982), begun with the rows of `most_distinct`, so that the same rows give the same groups; the
    choice of frames nearest to centroids is that of VSUMM (de Avila et al., Pattern Recognition Letters, 2011).
    Distances are Euclidean. Fewer than `n` are returned where rows are the same.

    Args:
        features: float32 [row, feature].
        n: groups, at most.
        n_rounds: after which k-means ends, if it is not done before.

    Returns:
        int64 [taken], rising.
    """
    seeds = most_distinct(features, n=n, min_distance=0.0)
    if seeds.size < 2:
        return seeds
    means, groups = features[seeds].astype(np.float64), np.full(len(features), -1)
    squares = np.einsum("rf,rf->r", features, features, dtype=np.float64)
    for _ in range(n_rounds):
        distances = squares[:, None] - 2 * (features @ means.T) + np.einsum("gf,gf->g", means, means)
        nearest = distances.argmin(axis=1)
        if (nearest == groups).all():
            break
        groups = nearest
        for group in np.unique(groups):
            means[group] = features[groups == group].mean(axis=0, dtype=np.float64)
    chosen = [np.flatnonzero(groups == group) for group in np.unique(groups)]
    return np.sort(np.array([rows[distances[rows, groups[rows[0]]].argmin()] for rows in chosen], np.int64))
