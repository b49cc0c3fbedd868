"""Samples whose embeddings point in nearly the same direction."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.errors import ConfigError
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.neighbours import indexed_pairs
from mmdata.select.dedup.reading import spacious, vectors
from mmdata.select.dedup.rule import Asked, Rule
from mmdata.select.dedup.text import bands

BLOCK = 2048


@dataclass(frozen=True, kw_only=True)
class Semantic(Rule):
    """Samples whose embeddings have a cosine of at least `min_cosine`: what means the same, not what is the same.

    Up to `exact_below` samples all are compared with all, and every such pair is found. More go through an index
    (of usearch, `mmdata[semantic]`: hierarchical small worlds, Malkov and Yashunin 2016), which looks at the nearest
    `n_neighbors` of each and misses few. Embeddings of zeros, and with what is no number, are like no other.

    Args:
        on: a column of embeddings: an array of fixed size of any floating type.
        min_cosine: what is near enough hangs on the model; look at pairs before you trust a number.
        exact_below: from so many samples on there is an index.
        n_neighbors: how many of the nearest are looked at, with an index.
    """

    name: ClassVar[str] = "semantic"

    on: str = "text.embedding"
    min_cosine: Annotated[float, Gt(0), Le(1)] = 0.95
    exact_below: Annotated[int, Ge(0)] = 100_000
    n_neighbors: Annotated[int, Ge(2)] = 16

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        values, rows = vectors(asked, self.on)
        if values.dtype.kind != "f":
            raise ConfigError("dedup", [f"{self.on!r} is {values.dtype}; an embedding is of floating point numbers"])
        units, kept = _units(values)
        rows = rows[kept]
        keys = next(bands(units.view(np.uint32), 1, units.shape[1]))
        clusters.join_equal(keys, rows)
        first = np.unique(keys, return_index=True)[1]  # of equal ones, one is compared
        if len(first) < self.exact_below:
            found = exact_pairs(units, first, self.min_cosine)
        else:
            found = indexed_pairs(units, first, self.min_cosine, self.n_neighbors)
        for one, other in found:
            clusters.join(rows[one], rows[other])


def _units(values: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Vectors of length 1, float32 [row, feature], and which rows could be made so, int64 [row]."""
    units, kept, filled = spacious(values.shape, np.float32), [], 0
    for start in range(0, len(values), BLOCK):
        part = values[start : start + BLOCK].astype(np.float64)
        with np.errstate(invalid="ignore", over="ignore"):
            length = np.linalg.norm(part, axis=1)
        good = np.flatnonzero(np.isfinite(length) & (length > 0))
        units[filled : filled + len(good)] = part[good] / length[good, None]
        kept.append(start + good)
        filled += len(good)
    return units[:filled], np.concatenate([np.empty(0, np.int64), *kept])


def exact_pairs(units: np.ndarray, among: np.ndarray, least: float) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of unit vectors with a cosine of at least `least`, block against block: int64 [pair] each.

    Args:
        units: float32 [row, feature].
        among: int64 [row], the rows that are compared.
        least: the cosine; what rounding takes from it, 1e-6, is given back.
    """
    for start in range(0, len(among), BLOCK):
        mine = among[start : start + BLOCK]
        block = units[mine]
        for beside in range(start, len(among), BLOCK):
            theirs = among[beside : beside + BLOCK]
            one, other = np.nonzero(block @ units[theirs].T >= least - 1e-6)
            later = (beside + other) > (start + one)
            yield mine[one[later]], theirs[other[later]]
