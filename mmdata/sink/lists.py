"""Arrays as Arrow lists, which every tool reads: nested as deep as an array has axes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.store import read


def lists(rows: pa.Table, column: str, spec: ArraySpec, *, fixed: bool = True) -> pa.Array:
    """A feature's cells as native values (a scalar) or nested lists, null where the feature failed.

    Args:
        rows: of the feature's file: the column, and those with the lengths of its varying axes.
        column: its name.
        spec: its promise.
        fixed: whether axes of one size become lists of that size; otherwise all lists are of any length.
    """
    values, sizes, valid = _flat(rows, column, spec, fixed=fixed)
    made = pa.array(values, value_type(spec))
    missing = None if valid.all() else pa.array(~valid)
    if not spec.dims:
        return pa.array(values, value_type(spec), mask=None if missing is None else ~valid)
    for axis in reversed(range(len(spec.dims))):
        mask = missing if axis == 0 else None
        size = spec.shape[axis]
        if fixed and size:
            made = pa.FixedSizeListArray.from_arrays(made, size, mask=mask)
            continue
        lengths = np.repeat(sizes[:, axis], np.prod(sizes[:, :axis], axis=1, dtype=np.int64))
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32)
        made = pa.ListArray.from_arrays(pa.array(offsets), made, mask=mask)
    return made


def value_type(spec: ArraySpec) -> pa.DataType:
    """The Arrow type of an array's entries."""
    return pa.from_numpy_dtype(np.dtype(spec.dtype))


def list_type(spec: ArraySpec, *, fixed: bool = True) -> pa.DataType:
    """The type that `lists` gives."""
    made = value_type(spec)
    for size in reversed(spec.shape):
        made = pa.list_(made, size) if fixed and size else pa.list_(made)
    return made


def _flat(rows: pa.Table, column: str, spec: ArraySpec, *, fixed: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """All entries in a row: spec.dtype [entry]; sizes: int64 [row, axis]; and bool [row], false where there is none.

    A missing array has no entries, save where lists of fixed size need some to stand in.
    """
    if spec.varying:
        arrays = read.arrays(rows, column, spec)
        valid = np.array([array is not None for array in arrays], bool)
        none = [size or 0 for size in spec.shape] if fixed else [0] * len(spec.dims)
        sizes = np.array([none if array is None else array.shape for array in arrays], np.int64)
        there = [array.reshape(-1) for array in arrays if array is not None]
        values = np.concatenate(there) if there else np.zeros(0, spec.dtype)
    else:
        found = [read.stacked_cells(cells, spec) for cells in rows.column(column).chunks]
        shape = [size or 0 for size in spec.shape]
        stacked = np.concatenate([each for each, _ in found]) if found else np.zeros((0, *shape), spec.dtype)
        valid = np.concatenate([each for _, each in found]) if found else np.zeros(0, bool)
        sizes = np.tile(np.array(shape, np.int64), (len(stacked), 1))
        if spec.dims and not fixed:
            sizes[~valid] = 0
            stacked = stacked[valid]
        values = stacked.reshape(-1)
    return values.astype(np.dtype(spec.dtype), copy=False), sizes.reshape(len(valid), len(spec.dims)), valid
