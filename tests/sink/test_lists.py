"""Arrays as lists: what went in comes out, whatever axes vary and whichever rows are missing."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.sink.lists import list_type, lists
from mmdata.store.tables import length_columns, storage_type
from mmdata.store.write_features import fixed_cells

DTYPES = ("bool", "uint8", "int16", "uint64", "float16", "float32", "float64")


def stored(spec: ArraySpec, arrays: list[np.ndarray | None]) -> pa.Table:
    """The column of a feature as the store has it."""
    missing = np.array([array is None for array in arrays], bool)
    if not spec.varying:
        shape = [size or 0 for size in spec.shape]
        stacked = np.array([np.zeros(shape, spec.dtype) if array is None else array for array in arrays], spec.dtype)
        return pa.table({"x": fixed_cells(spec, stacked.reshape(len(arrays), *shape), missing)})
    cells = [None if array is None else array.tobytes() for array in arrays]
    columns: dict[str, Any] = {"x": pa.array(cells, storage_type(spec))}
    for axis, dim in enumerate(spec.dims):
        if dim in spec.varying:
            columns[f"x#{dim}"] = pa.array([None if a is None else a.shape[axis] for a in arrays], pa.int32())
    return pa.table(columns)


@st.composite
def features(draw: st.DrawFn) -> tuple[ArraySpec, list[np.ndarray | None]]:
    dims = ("a", "b", "c")[: draw(st.integers(0, 3))]
    sizes = {dim: draw(st.integers(0, 3)) for dim in dims if draw(st.booleans())}
    spec = ArraySpec(dims=dims, sizes=sizes, dtype=draw(st.sampled_from(DTYPES)))
    rng = np.random.default_rng(draw(st.integers(0, 99)))
    arrays: list[np.ndarray | None] = []
    for _ in range(draw(st.integers(0, 6))):
        shape = [draw(st.integers(0, 3)) if size is None else size for size in spec.shape]
        array = rng.integers(0, 2**8, shape).astype(spec.dtype)
        arrays.append(array if draw(st.integers(0, 3)) else None)
    return spec, arrays


@settings(max_examples=200, deadline=None)
@given(features(), st.booleans())
def test_lists_hold_the_arrays(feature: tuple[ArraySpec, list[np.ndarray | None]], fixed: bool) -> None:
    spec, arrays = feature
    made = lists(stored(spec, arrays), "x", spec, fixed=fixed)
    assert made.type == list_type(spec, fixed=fixed)
    made.validate(full=True)
    found = [None if value is None else np.array(value, spec.dtype) for value in made.to_pylist()]
    assert [array is None for array in found] == [array is None for array in arrays]
    for array, back in zip(arrays, found, strict=True):
        if array is not None and back is not None:
            assert back.size == array.size
            assert np.array_equal(back.reshape(array.shape), array)
            if array.size:
                assert back.shape == array.shape


@pytest.mark.parametrize("fixed", [True, False])
def test_rows_may_be_a_slice_in_several_chunks(fixed: bool) -> None:
    spec = ArraySpec(dims=("time", "mel"), sizes={"mel": 2}, dtype="int16")
    arrays: list[np.ndarray | None] = [np.full((n, 2), n, np.int16) for n in (2, 0, 3)]
    rows = pa.concat_tables([stored(spec, arrays), stored(spec, [None, *arrays])]).slice(1, 5)
    expected = [None if array is None else array.tolist() for array in (*arrays[1:], None, *arrays[:2])]
    assert lists(rows, "x", spec, fixed=fixed).to_pylist() == expected
    assert length_columns("x", spec) == ["x#time"]
