"""Embeddings as points of a plane, by principal components; and which samples to show of very many."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.report.facts.rows import Column, Fault, StoreRows, tried
from mmdata.store.store import Store

MOST_SHARDS = 24  # that are read for a map
LEAST_FEATURES, MOST_FEATURES = 8, 8192


@dataclass(frozen=True)
class Projection:
    """A map.

    Args:
        column: the embedding. rows: int64 [point], which samples. points: float64 [point, 2], from 0 to 1.
        explained: the share of variance on each axis. n: samples that have the embedding, where all were looked at.
    """

    column: str
    rows: np.ndarray
    points: np.ndarray
    explained: tuple[float, float]


def embeddings(columns: Mapping[str, Column]) -> list[str]:
    """The columns that can be mapped, the likeliest first: vectors of fixed length, embeddings before others."""
    found = [column.name for column in columns.values() if is_vector(column.spec)]
    return sorted(found, key=lambda name: (not name.endswith("embedding"), -columns[name].spec.shape[0], name))  # type: ignore[operator]


def is_vector(spec: ArraySpec) -> bool:
    """Whether a feature is a vector of numbers that is as long for all samples."""
    size = spec.shape[0] if len(spec.dims) == 1 else None
    return size is not None and LEAST_FEATURES <= size <= MOST_FEATURES and np.dtype(spec.dtype).kind == "f"


def project(store: Store, rows: StoreRows, column: str, faults: list[Fault], *, most: int = 1500) -> Projection | None:
    """Map an embedding of at most so many samples, evenly chosen; None where fewer than three have it."""
    chosen, vectors = list[int](), list[np.ndarray]()
    about = rows.columns[column]
    having = [at for at, shard in enumerate(rows.shards) if shard.rows and about.family in shard.features]
    shards = [
        having[int(at)] for at in np.unique(np.linspace(0, len(having) - 1, min(len(having), MOST_SHARDS)).round())
    ]
    each = -(-most // max(1, len(shards)))
    for at in shards:
        shard = rows.shards[at]
        arrays = tried(faults, f"{column} of {shard.shard}", partial(store.shard_arrays, shard, column))
        for place in evenly(range(shard.rows), each):
            array = arrays[place] if arrays else None
            if array is not None and np.isfinite(array).all():
                chosen.append(int(rows.starts[at]) + place)
                vectors.append(np.asarray(array, np.float64))
    if len(vectors) < 3 or len({vector.shape for vector in vectors}) > 1:
        return None
    points, explained = principal(np.stack(vectors))
    return Projection(column, np.array(chosen), points, explained)


def principal(vectors: np.ndarray) -> tuple[np.ndarray, tuple[float, float]]:
    """The first two principal components of unit vectors.

    Args:
        vectors: float64 [point, feature]; each is brought to length 1 first, as cosines are what embeddings mean.

    Returns:
        float64 [point, 2], each axis brought to 0..1; and the share of variance that each axis has.

    Reference:
        Pearson, 1901; by the eigenvectors of the smaller of the two Gram matrices. A component's sign is such that its
        largest entry is positive, so that the same vectors give the same map.
    """
    lengths = np.linalg.norm(vectors, axis=1, keepdims=True)
    unit = vectors / np.where(lengths > 0, lengths, 1)
    centered = unit - unit.mean(axis=0)
    wide = centered.shape[1] > centered.shape[0]
    values, axes = np.linalg.eigh(centered @ centered.T if wide else centered.T @ centered)
    values, axes = np.maximum(values[::-1], 0), axes[:, ::-1]
    first = axes[:, :2] * np.sqrt(values[:2]) if wide else centered @ axes[:, :2]
    signs = np.sign(first[np.abs(first).argmax(axis=0), np.arange(first.shape[1])])
    first = first * np.where(signs == 0, 1, signs)
    low, span = first.min(axis=0), np.ptp(first, axis=0)
    total = float(values.sum()) or 1.0
    return (first - low) / np.where(span > 0, span, 1), (float(values[0] / total), float(values[1] / total))


def evenly(rows: Sequence[int], most: int) -> list[int]:
    """At most so many of some rows, evenly spaced."""
    if len(rows) <= most:
        return list(rows)
    return [rows[int(at)] for at in np.linspace(0, len(rows) - 1, most).round()]
