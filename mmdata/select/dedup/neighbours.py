"""Pairs of near vectors among very many, by an index of usearch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

from mmdata.errors import MissingExtra

BLOCK = 8192


def indexed_pairs(
    units: np.ndarray, among: np.ndarray, least: float, n_neighbors: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Most pairs of unit vectors with a cosine of at least `least`: those that lie among the nearest of either.

    Args:
        units: float32 [row, feature].
        among: int64 [row], the rows that are compared, each another vector.
        least: the cosine.
        n_neighbors: how many of the nearest are looked at.

    Raises:
        MissingExtra: usearch is not installed.
    """
    if importlib.util.find_spec("usearch") is None:
        fault = "so many embeddings need an index: pip install 'mmdata[semantic]', or raise exact_below"
        raise MissingExtra("dedup", [fault])
    from usearch.index import Index

    index = Index(ndim=units.shape[1], metric="ip", dtype="f32")
    for start in range(0, len(among), BLOCK):
        some = among[start : start + BLOCK]
        index.add(some, np.ascontiguousarray(units[some]), threads=1)  # in one order: the same pairs each time
    most = min(n_neighbors, len(among))
    for start in range(0, len(among), BLOCK):
        some = among[start : start + BLOCK]
        found = index.search(np.ascontiguousarray(units[some]), most)
        near = np.asarray(found.distances).reshape(len(some), most) <= 1 - least + 1e-6
        one, at = np.nonzero(near)
        yield some[one], np.asarray(found.keys).reshape(len(some), most)[one, at].astype(np.int64)
