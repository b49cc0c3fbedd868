from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.loader.columns import Gathered, Words, column_of

VECTOR = ArraySpec(dims=("feature",), sizes={"feature": 3})
FRAMES = ArraySpec(dims=("time", "mel"), sizes={"mel": 2})


def vectors(rows: list[list[float] | None], spec: ArraySpec = VECTOR) -> pa.Table:
    cells = [None if row is None else np.array(row, spec.little_endian).tobytes() for row in rows]
    return pa.table({"x": pa.array(cells, pa.binary(spec.item_bytes))})


def varying(rows: list[np.ndarray | None], spec: ArraySpec = FRAMES) -> pa.Table:
    cells = [None if row is None else row.astype(spec.little_endian).tobytes() for row in rows]
    columns = {"x": pa.array(cells, pa.binary())}
    for axis, dim in enumerate(spec.dims):
        if dim in spec.varying:
            columns[f"x#{dim}"] = pa.array([None if row is None else row.shape[axis] for row in rows], pa.int32())
    return pa.table(columns)


def batch(column: Gathered, table: pa.Table, rows: list[int] | None = None) -> dict[str, np.ndarray | list[str | None]]:
    """A batch of the table's rows, in that order; of all of them unless said."""
    held = column.hold(table.num_rows)
    held.put(0, 0, table)
    return column.batch([(held, np.arange(table.num_rows) if rows is None else np.array(rows))])


def test_rows_come_in_the_order_that_was_asked_for() -> None:
    made = batch(column_of("x", "x", VECTOR), vectors([[1, 2, 3], [4, 5, 6], [7, 8, 9]]), [1, 2, 0])
    np.testing.assert_array_equal(made["x"], np.array([[4, 5, 6], [7, 8, 9], [1, 2, 3]], np.float32))
    assert isinstance(made["x"], np.ndarray)
    assert made["x"].dtype == np.float32
    assert np.asarray(made["x.mask"]).tolist() == [True] * 3


def test_a_missing_array_is_zeros_and_masked() -> None:
    made = batch(column_of("x", "x", VECTOR), vectors([[1, 2, 3], None]), [1, 0])
    np.testing.assert_array_equal(made["x"], [[0, 0, 0], [1, 2, 3]])
    assert np.asarray(made["x.mask"]).tolist() == [False, True]


def test_a_column_of_nothing_but_nulls_is_zeros() -> None:
    assert not np.asarray(batch(column_of("x", "x", VECTOR), vectors([None, None]))["x"]).any()


def test_a_slice_of_a_column_is_read_at_its_offset() -> None:
    table = vectors([[1, 1, 1], [2, 2, 2], None, [4, 4, 4]]).slice(1, 3)
    np.testing.assert_array_equal(batch(column_of("x", "x", VECTOR), table)["x"], [[2] * 3, [0] * 3, [4] * 3])


def test_pieces_of_several_windows_are_joined_in_order_and_copied() -> None:
    column = column_of("x", "x", VECTOR)
    held = [column.hold(2), column.hold(2)]
    for number, window in enumerate(held):
        window.put(0, 0, vectors([[number] * 3]))
        window.put(1, 1, vectors([[number + 10] * 3]))
    first = column.batch([(held[1], np.array([1])), (held[0], np.arange(2))])
    assert np.asarray(first["x"])[:, 0].tolist() == [11, 0, 10]
    np.asarray(first["x"])[:] = -1
    assert np.asarray(column.batch([(held[0], np.arange(2))])["x"])[:, 0].tolist() == [0, 10]


@pytest.mark.parametrize(
    ("dtype", "stored"),
    [
        ("bool", pa.array([True, None, False])),
        ("uint8", pa.array([200, None, 0], pa.int16())),
        ("float16", pa.array([1.5, None, 0], pa.float32())),
        ("int64", pa.array([2**62, None, 0], pa.int64())),
        ("uint64", pa.array([np.uint64(2**63).tobytes(), None, bytes(8)], pa.binary(8))),
        ("float32", pa.array([0.5, None, 0], pa.float32())),
    ],
)
def test_scalars_have_the_dtype_that_was_promised(dtype: str, stored: pa.Array) -> None:
    made = batch(column_of("x", "x", ArraySpec(dtype=dtype)), pa.table({"x": stored}))
    expected = {"bool": 1, "uint8": 200, "float16": 1.5, "int64": 2**62, "uint64": 2**63, "float32": 0.5}
    assert isinstance(made["x"], np.ndarray)
    assert made["x"].dtype == np.dtype(dtype)
    assert made["x"].tolist() == [expected[dtype], 0, 0]
    assert np.asarray(made["x.mask"]).tolist() == [True, False, True]


def test_varying_arrays_are_padded_to_the_longest_of_the_batch() -> None:
    rows = [np.full((2, 2), 7.0), None, np.full((1, 2), 5.0)]
    made = batch(column_of("x", "x", FRAMES), varying(rows), [2, 0, 1])
    np.testing.assert_array_equal(made["x"], [[[5, 5], [0, 0]], [[7, 7], [7, 7]], [[0, 0], [0, 0]]])
    assert np.asarray(made["x.length"]).tolist() == [1, 2, 0]
    assert np.asarray(made["x.mask"]).tolist() == [True, True, False]


@pytest.mark.parametrize("rows", [[None, None], [np.zeros((0, 2))], []])
def test_a_padded_axis_has_at_least_one_entry(rows: list[np.ndarray | None]) -> None:
    made = batch(column_of("x", "x", FRAMES), varying(rows))
    assert np.asarray(made["x"]).shape == (len(rows), 1, 2)
    assert np.asarray(made["x.length"]).tolist() == [0] * len(rows)


def test_an_empty_array_is_there_and_a_missing_one_is_not() -> None:
    made = batch(column_of("x", "x", FRAMES), varying([np.zeros((0, 2)), None]))
    assert np.asarray(made["x.mask"]).tolist() == [True, False]


@given(sizes=st.lists(st.tuples(st.integers(0, 4), st.integers(0, 3)), min_size=1, max_size=6), data=st.data())
def test_several_varying_axes_keep_all_their_entries(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    spec = ArraySpec(dims=("time", "channel", "height"), sizes={"channel": 2}, dtype="int16")
    order = data.draw(st.permutations(range(len(sizes))))
    rows: list[np.ndarray | None] = [
        np.arange(time * 2 * height).reshape(time, 2, height) + 1 for time, height in sizes
    ]
    made = batch(column_of("x", "x", spec), varying(rows, spec), order)
    padded, lengths = np.asarray(made["x"]), np.asarray(made["x.length"])
    assert padded.dtype == np.int16
    assert padded.sum() == sum(int(row.sum()) for row in rows if row is not None)
    for place, row in enumerate(order):
        time, height = lengths[place].tolist()
        np.testing.assert_array_equal(padded[place, :time, :, :height], rows[row])


def test_texts_are_lists_with_none_where_there_is_none() -> None:
    samples = pa.table(
        {
            "label": pa.array(["cat", None]),
            "meta": pa.array(['{"n": 3, "who": "é"}', "{}"]),
            "text": pa.array([[("caption", "a cat")], []], pa.map_(pa.string(), pa.string())),
        }
    )
    assert batch(Words("label", "label"), samples, [1, 0]) == {"label": [None, "cat"]}
    assert batch(Words("meta.n", "meta", "n"), samples) == {"meta.n": ["3", None]}
    assert batch(Words("meta.who", "meta", "who"), samples) == {"meta.who": ["é", None]}
    assert batch(Words("text.caption", "text", "caption"), samples) == {"text.caption": ["a cat", None]}
