"""Pairs of near vectors among very many, by an index of usearch."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator

import numpy as np

from mmdata.errors import MissingExtra
from mmdata.select.dedup.text import bands

BLOCK = 8192


def indexed_pairs(units: np.ndarray, least: float, n_neighbors: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Most pairs of unit vectors with a cosine of at least `least`: those that lie among the nearest of either.

    What is equal comes first, and only one of each goes into the index: a vector with more equal ones than neighbours
    would find nothing else.

    Args:
        units: float32 [row, feature].
        least: the cosine.
        n_neighbors: how many of the nearest are looked at.

    Raises:
        MissingExtra: usearch is not installed.
    """
    if importlib.util.find_spec("usearch") is None:
        fault = "so many embeddings need an index: pip install 'mmdata[semantic]', or raise exact_below"
        raise MissingExtra("dedup", [fault])
    from usearch.index import Index

    keys = next(bands(units.view(np.uint32), 1, units.shape[1]))
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    yield first[inverse], np.arange(len(units))
    index = Index(ndim=units.shape[1], metric="ip", dtype="f32")
    for start in range(0, len(first), BLOCK):
        some = first[start : start + BLOCK]
        index.add(some, np.ascontiguousarray(units[some]), threads=1)  # in one order: the same pairs each time
    most = min(n_neighbors, len(first))
    for start in range(0, len(first), BLOCK):
        some = first[start : start + BLOCK]
        found = index.search(np.ascontiguousarray(units[some]), most)
        near = np.asarray(found.distances).reshape(len(some), most) <= 1 - least + 1e-6
        one, at = np.nonzero(near)
        yield some[one], np.asarray(found.keys).reshape(len(some), most)[one, at].astype(np.int64)
