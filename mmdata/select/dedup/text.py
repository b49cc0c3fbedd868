"""Texts that have most of their runs of words in common."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.errors import ConfigError
from mmdata.kernels.hashing import mix
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.reading import vectors
from mmdata.select.dedup.rule import Asked, Rule

EMPTY = np.iinfo(np.uint32).max  # in all places of the signature of a text without words
ROWS = 1 << 16  # rows whose bands are hashed at once


@dataclass(frozen=True, kw_only=True)
class NearText(Rule):
    """Texts whose MinHash signatures agree in all places of at least one band.

    Two texts with a share s of their runs of words in common (Jaccard) are found with the probability
    1 - (1 - s ** rows_a_band) ** n_bands: with the defaults 0.4 at s = 0.7, 0.87 at 0.8, 0.998 at 0.9, 0.027 at 0.5.
    14 bands of 9 of 128 places are what RedPajama-V2 publishes for a similarity of 0.7 (Weber et al., "RedPajama: an
    open dataset for training large language models", 2024, and its data card). What follows from a chain of similar
    texts is one cluster. A text without words is like no other here.

    Args:
        on: a column of `features.text.MinHash`.
        n_bands: more find more.
        rows_a_band: more ask for more in common.
        min_similarity: also ask for that share of equal places, of a text and the first or the next of its band. It
            makes many short bands precise; 0 takes bands alone, as the publications do.
    """

    name: ClassVar[str] = "near_text"

    on: str = "text.minhash"
    n_bands: Annotated[int, Ge(1)] = 14
    rows_a_band: Annotated[int, Ge(1)] = 9
    min_similarity: Annotated[float, Ge(0), Le(1)] = 0.0

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        signatures, rows = vectors(asked, self.on)
        if signatures.dtype != np.uint32 or signatures.shape[1] < self.n_bands * self.rows_a_band:
            needs = f"{self.n_bands} bands of {self.rows_a_band} need {self.n_bands * self.rows_a_band} places"
            told = f"{self.on!r} is {signatures.dtype} of {signatures.shape[1]} places"
            raise ConfigError("dedup", [f"{told}; {needs} of a MinHash signature (uint32)"])
        for keys in bands(signatures, self.n_bands, self.rows_a_band):
            there = np.flatnonzero(keys)
            if self.min_similarity > 0:
                one, other = _candidates(keys[there])
                one, other = there[one], there[other]
                alike = _similar(signatures, one, other, self.min_similarity)
                clusters.join(rows[one[alike]], rows[other[alike]])
            else:
                clusters.join_equal(keys[there], rows[there])


def bands(signatures: np.ndarray, n_bands: int, rows_a_band: int) -> Iterator[np.ndarray]:
    """A number for each signature's places of a band, band by band: uint64 [row]; 0 for texts without words.

    Different places give the same number once in 2**64 pairs.

    Args:
        signatures: uint32 [row, place].
        n_bands: how many.
        rows_a_band: places of each.
    """
    for band in range(n_bands):
        keys = np.empty(len(signatures), np.uint64)
        for start in range(0, len(signatures), ROWS):
            places = signatures[start : start + ROWS, band * rows_a_band : (band + 1) * rows_a_band].astype(np.uint64)
            hashed = np.full(len(places), 0x9E3779B97F4A7C15, np.uint64)
            for place in places.T:
                hashed = mix(hashed ^ place) + place
            empty = (places == EMPTY).all(axis=1)
            keys[start : start + ROWS] = np.where(empty, np.uint64(0), np.maximum(hashed, np.uint64(1)))
        yield keys


def _candidates(keys: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Each row with the first, and with the one before it, of those with the same key."""
    if not len(keys):
        return np.empty(0, np.int64), np.empty(0, np.int64)
    order = np.argsort(keys, kind="stable")
    new = np.concatenate([[True], keys[order[1:]] != keys[order[:-1]]])
    first = np.maximum.accumulate(np.where(new, np.arange(len(order)), 0))
    later = np.flatnonzero(~new)
    return np.concatenate([order[first[later]], order[later - 1]]), np.concatenate([order[later], order[later]])


def _similar(signatures: np.ndarray, one: np.ndarray, other: np.ndarray, least: float) -> np.ndarray:
    """Which pairs of rows agree in at least that share of their places: bool [pair]."""
    found = np.empty(len(one), bool)
    for start in range(0, len(one), ROWS):
        part = slice(start, start + ROWS)
        found[part] = (signatures[one[part]] == signatures[other[part]]).mean(axis=1) >= least
    return found
