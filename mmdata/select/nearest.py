"""The samples that are most like one, by a feature that is stored of all."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.kernels.hashing import hamming_bits

Measure = Literal["cosine", "bits", "share"]


def measure_of(spec: ArraySpec) -> Measure | None:
    """How two arrays of a form are compared; None where they can't be.

    Vectors by their cosine, hashes by the bits in which they differ, signatures of MinHash by the share of equal
    entries.
    """
    if len(spec.dims) != 1 or spec.varying or not all(spec.shape):
        return None
    if spec.dtype == "uint8" and spec.dims == ("byte",):
        return "bits"
    if spec.dims == ("permutation",):
        return "share"
    return "cosine" if np.dtype(spec.dtype).kind == "f" else None


def comparable(specs: Mapping[str, ArraySpec]) -> dict[str, Measure]:
    """The features by which samples can be compared, those that tell most first."""
    found = {name: measure for name, spec in specs.items() if (measure := measure_of(spec)) is not None}

    def rank(name: str) -> tuple[bool, int, str]:
        return "embedding" not in name, ["bits", "share", "cosine"].index(found[name]), name

    return {name: found[name] for name in sorted(found, key=rank)}


def nearest(
    shards: Iterable[pa.ChunkedArray], one: np.ndarray, measure: Measure, n: int
) -> tuple[np.ndarray, np.ndarray]:
    """The rows most like one array, exactly, the most alike first; of one shard at a time.

    Args:
        shards: the column of each shard, in order of the rows, as `Rows.by_shard` gives it.
        one: [value], what they are to be like.
        measure: how they are compared.
        n: how many.

    Returns:
        int64 [row], and float64 [row]: the cosine (-1 to 1), the bits that differ, or the share that is equal (0 to 1).
    """
    rows, scores, at = np.empty(0, np.int64), np.empty(0), 0
    for shard in shards:
        for chunk in shard.chunks:
            values, there = _stacked(chunk, one.size)
            found = _scores(values, one, measure)
            good = np.flatnonzero(np.isfinite(found))
            rows = np.concatenate([rows, at + there[good]])
            scores = np.concatenate([scores, found[good]])
            at += len(chunk)
        order = np.argsort(scores if measure == "bits" else -scores, kind="stable")[:n]
        rows, scores = rows[order], scores[order]
    return rows, scores


def _stacked(chunk: Any, size: int) -> tuple[np.ndarray, np.ndarray]:
    """The values of a column of tensors, [row, value], and which rows have any: int64 [row]."""
    there = np.flatnonzero(np.asarray(chunk.is_valid().to_numpy(zero_copy_only=False)))
    flat = np.asarray(chunk.storage.flatten().to_numpy(zero_copy_only=False))  # without nulls
    return flat.reshape(len(there), size), there


def _scores(values: np.ndarray, one: np.ndarray, measure: Measure) -> np.ndarray:
    flat = one.reshape(-1)
    if measure == "bits":
        return np.asarray(hamming_bits(values, flat[None]), np.float64)
    if measure == "share":
        return np.asarray((values == flat).mean(axis=1), np.float64)
    values, flat = values.astype(np.float32, copy=False), flat.astype(np.float32)
    with np.errstate(all="ignore"):  # what has no direction is like nothing
        return np.asarray(values @ flat / (np.linalg.norm(values, axis=1) * np.linalg.norm(flat)), np.float64)
