"""Which samples to show."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from mmdata.report.facts.projection import evenly


def spread(labels: pa.ChunkedArray, n: int, among: np.ndarray | None = None) -> list[int]:
    """Rows that show a store's breadth: in turns from each class, evenly spaced within it.

    Args:
        labels: of all rows; null is a class of its own.
        n: how many rows.
        among: only these rows.
    """
    codes = np.asarray(labels.combine_chunks().dictionary_encode("encode").indices.to_numpy(zero_copy_only=False))
    rows = np.arange(len(codes)) if among is None else among
    classes, sizes = np.unique(codes[rows], return_counts=True)
    order = classes[np.argsort(-sizes, kind="stable")][:n]
    shares = [-(-n // max(1, len(order)))] * len(order)
    picked = [evenly(rows[codes[rows] == code].tolist(), share) for code, share in zip(order, shares, strict=True)]
    turns = [found[turn] for turn in range(max(map(len, picked), default=0)) for found in picked if turn < len(found)]
    return turns[:n]


def extremes(values: np.ndarray, n: int) -> tuple[list[int], list[int]]:
    """The rows with the n least and the n greatest numbers, the farthest out first; of equal ones the first rows.

    >>> extremes(np.array([3.0, np.nan, 1.0, 2.0]), 2)
    ([2, 3], [0, 3])
    """
    known = np.flatnonzero(np.isfinite(values))
    least = known[np.argsort(values[known], kind="stable")[:n]]
    greatest = known[np.argsort(-values[known], kind="stable")[:n]]
    return least.tolist(), greatest.tolist()


def is_flat(values: np.ndarray) -> bool:
    """Whether all numbers are one, or there is none: then nothing is worst or best."""
    known = values[np.isfinite(values)]
    return not len(known) or bool(known.min() == known.max())


def listed(rows: Sequence[Sequence[int]]) -> list[int]:
    """Each row of several lists once, in order."""
    return sorted({row for found in rows for row in found})
