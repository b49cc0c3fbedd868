"""How often each row comes in an epoch, by weights: as arithmetic, like the order itself.

An epoch draws as many rows as there are, so that steps and lanes are as without weights. Row i is due n * w[i] / sum(w)
times; it comes that often rounded down or up, and over many epochs exactly that often on average. This is systematic
sampling (Madow and Madow 1944) over the rows in a random order: from one random start on, every (sum / n)-th place of
the weights laid end to end. Unlike with independent draws (torch's `WeightedRandomSampler`), a row that is due once
comes once in each epoch.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np

from mmdata.loader.permuting import permutation

LAYERS = 8  # of a chunk: each of them is a read of it, and a place in the epoch of its own


@dataclass(frozen=True, eq=False)
class Weights:
    """Of each row a weight.

    Args:
        values: float64 [row], finite and above 0, in stored order.

    Raises:
        ValueError: a value is none.
    """

    values: np.ndarray

    def __post_init__(self) -> None:
        if not (np.isfinite(self.values).all() and (self.values > 0).all() and np.isfinite(self.values.sum())):
            raise ValueError("weights must be finite, and above 0")

    @cached_property
    def digest(self) -> str:
        """A hash of all."""
        return hashlib.blake2b(self.values.astype("<f8").tobytes(), digest_size=8).hexdigest()

    def copies(self, seed: int, epoch: int) -> np.ndarray:
        """How often each row comes in an epoch: int64 [row], as many in all as there are rows.

        >>> Weights(np.array([3.0, 1.0, 0.5, 0.5, 5.0])).copies(7, 0).tolist()
        [2, 0, 0, 1, 2]
        """
        n = len(self.values)
        order = permutation(n, seed, epoch, "weights")
        ends = np.cumsum(self.values[order])
        ends *= n / ends[-1]
        ends[-1] = n
        np.minimum(ends, n, out=ends)
        copies = np.empty(n, np.int64)
        copies[order] = np.diff(np.floor(ends + _start(seed, epoch)), prepend=0).astype(np.int64)
        return copies


def _start(seed: int, epoch: int) -> float:
    """A number from 0 on, below 1."""
    digest = hashlib.blake2b(f"{seed}\x00{epoch}\x00start".encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "little") >> 11) / (1 << 53)


@dataclass(frozen=True, eq=False)
class Layers:
    """What chunks are where rows come more than once: a chunk's rows are dealt to up to LAYERS layers.

    Layers are shuffled as chunks are, so that a row's copies lie far from each other. Rows that come more often than
    there are layers are several times in the same one.

    Args:
        chunks: int64 [layer], the chunk of each.
        sizes: int64 [layer], how many rows each has, counted as often as they come; at least 1.
        rows: int64 or less [row], which of their chunk's rows they are, layer after layer, ascending in each.
    """

    chunks: np.ndarray
    sizes: np.ndarray
    rows: np.ndarray

    @classmethod
    def of(cls, copies: np.ndarray, chunk_rows: Sequence[int]) -> Self:
        """Deal rows that come so often (int64 [row]) to the layers of their chunks."""
        counts = np.array(chunk_rows, np.int64)
        starts = np.cumsum(counts) - counts
        depth = np.clip(np.maximum.reduceat(copies, starts), 1, LAYERS)
        first = np.cumsum(depth) - depth
        row = np.repeat(np.arange(len(copies)), copies)
        number = np.arange(len(row)) - np.repeat(np.cumsum(copies) - copies, copies)
        chunk = np.repeat(np.arange(len(counts)), counts)[row]
        layer = first[chunk] + (number + row) % depth[chunk]
        sizes = np.bincount(layer, minlength=int(depth.sum()))
        within = (row - starts[chunk]).astype(np.min_scalar_type(int(counts.max())))
        live = np.flatnonzero(sizes)
        return cls(
            np.repeat(np.arange(len(counts)), depth)[live], sizes[live], within[np.argsort(layer, kind="stable")]
        )

    @cached_property
    def _ends(self) -> np.ndarray:
        return np.cumsum(self.sizes)

    def held(self, layer: int) -> tuple[np.ndarray, np.ndarray]:
        """A layer's rows, each once: int64 [row], ascending; and which of them its places are: int64 [place]."""
        end = int(self._ends[layer])
        rows = self.rows[end - int(self.sizes[layer]) : end].astype(np.int64)
        is_new = np.diff(rows, prepend=-1) != 0
        return rows[is_new], np.cumsum(is_new) - 1
