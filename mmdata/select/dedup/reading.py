"""Signatures of many samples in one array, read shard by shard."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError
from mmdata.select.dedup.rule import Asked

MEMORY_BYTES = 1 << 29  # larger arrays are files without a name, mapped: the system keeps what it has memory for


def spec_of(asked: Sequence[Asked], column: str) -> ArraySpec:
    """What a column promises, the same in all stores.

    Raises:
        ConfigError: it is another in one store than in the other. StoreError: there is no such feature.
    """
    specs = []
    for part in asked:
        part.store.family_of(column)  # raises with a guess
        specs.append(part.store.families[column])
    for part, spec in zip(asked[1:], specs[1:], strict=True):
        if (spec.dims, spec.shape, spec.dtype) != (specs[0].dims, specs[0].shape, specs[0].dtype):
            raise ConfigError(
                "dedup", [f"{column!r} is {spec} in {part.store.url}, {specs[0]} in {asked[0].store.url}"]
            )
    return specs[0]


def spacious(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array to be filled: in memory, or where it is large, in a file that goes with it."""
    n_bytes = int(np.prod(shape, dtype=np.int64)) * np.dtype(dtype).itemsize
    if n_bytes <= MEMORY_BYTES:
        return np.empty(shape, dtype)
    with tempfile.TemporaryFile() as file:
        return np.memmap(file, dtype, "w+", shape=shape)


def vectors(asked: Sequence[Asked], column: str) -> tuple[np.ndarray, np.ndarray]:
    """A feature of fixed form: its values [row, value], and the samples' numbers, int64 [row]; nulls are left out.

    Raises:
        ConfigError: the form varies, or is another in one store than in the other.
        Incomplete: shards lack the feature. StoreError: there is no such feature.
    """
    spec = spec_of(asked, column)
    if None in spec.shape or not spec.dims:
        raise ConfigError("dedup", [f"{column!r} is {spec}: an array of fixed size is needed"])
    size = int(np.prod([n or 1 for n in spec.shape]))
    n = sum(int(part.rows.sum()) for part in asked)
    values, rows, filled = spacious((n, size), spec.dtype), np.empty(n, np.int64), 0
    for part in asked:
        at = 0
        for columns in part.store.columns(column):
            for chunk in columns[column].chunks:
                there = np.flatnonzero(part.rows[at : at + len(chunk)] & _valid(chunk))
                flat = np.asarray(chunk.storage.flatten().to_numpy(zero_copy_only=False)) if len(there) else None
                if flat is not None:
                    kept = np.flatnonzero(_valid(chunk))  # flatten leaves nulls out
                    found = flat.reshape(len(kept), size)[np.searchsorted(kept, there)]
                    values[filled : filled + len(there)] = found
                    rows[filled : filled + len(there)] = part.first + at + there
                    filled += len(there)
                at += len(chunk)
    return values[:filled], rows[:filled]


def _valid(chunk: Any) -> np.ndarray:
    return np.asarray(chunk.is_valid().to_numpy(zero_copy_only=False))


def series(asked: Sequence[Asked], column: str) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A feature whose first axis alone varies: all entries, where each row's begin, int64 [row + 1], and the numbers.

    Raises:
        As `vectors`.
    """
    spec = spec_of(asked, column)
    if not spec.dims or spec.shape[0] is not None or None in spec.shape[1:]:
        raise ConfigError("dedup", [f"{column!r} is {spec}: an array of one axis that varies is needed"])
    form = tuple(int(n or 0) for n in spec.shape[1:])
    found: list[np.ndarray] = []
    lengths: list[np.ndarray] = []
    rows: list[np.ndarray] = []
    for part in asked:
        at = 0
        for columns in part.store.columns(column):
            for chunk in columns[column].chunks:
                there = np.flatnonzero(part.rows[at : at + len(chunk)] & _valid(chunk))
                cells = [np.frombuffer(chunk[int(row)].as_buffer(), spec.dtype).reshape(-1, *form) for row in there]
                found += cells
                lengths.append(np.array([len(cell) for cell in cells], np.int64))
                rows.append(part.first + at + there)
                at += len(chunk)
    starts = np.cumsum(np.concatenate([[0], *lengths])).astype(np.int64)
    return (
        np.concatenate([np.empty((0, *form), spec.dtype), *found]),
        starts,
        np.concatenate([np.empty(0, np.int64), *rows]),
    )
