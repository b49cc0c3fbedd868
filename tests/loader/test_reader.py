from __future__ import annotations

import os
from pathlib import Path
from weakref import WeakSet

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.errors import StoreError
from mmdata.loader import reader as reader_module
from mmdata.loader.columns import Column, Fixed, column_of
from mmdata.loader.reader import ShardReader
from mmdata.store.files import Files
from mmdata.store.layout import DataFile


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of 100 rows in row groups of 7; row r of file f holds 1000 f + r."""
    made = tmp_path_factory.mktemp("files")
    for number in range(4):
        rows = pa.table({"x": pa.array(np.arange(100) + 1000 * number), "y": pa.array([str(r) for r in range(100)])})
        pq.write_table(rows, made / f"{number}.parquet", row_group_size=7)
    return made


def file(folder: Path, number: int, rows: int = 100) -> DataFile:
    path = folder / f"{number}.parquet"
    return DataFile("x", path.name, "0" * 16, "f" * 16, "k" * 12, rows, path.stat().st_size, "", source="toy")


@given(rows=st.sets(st.integers(0, 99), min_size=1))
@settings(deadline=None)
def test_any_rows_are_read_whatever_row_groups_they_lie_in(folder: Path, rows: set[int]) -> None:
    wanted = np.array(sorted(rows))
    reader = ShardReader(Files.at(folder), ())
    table = reader.read(file(folder, 2), ("x", "y", "source"), wanted)
    reader.close()
    assert table["x"].to_pylist() == (wanted + 2000).tolist()
    assert table["y"].to_pylist() == [str(row) for row in wanted]
    assert table["source"].to_pylist() == ["toy"] * len(wanted)
    assert all(column.num_chunks == 1 for column in table.columns)


def test_no_more_files_are_kept_open_than_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FILES_KEPT", 2)
    monkeypatch.setattr(reader_module, "_reading", WeakSet())
    reader = ShardReader(Files.at(folder), ())
    for number in (0, 1, 2, 0, 3, 3):
        assert reader.read(file(folder, number), ("x",), np.array([5]))["x"].to_pylist() == [1000 * number + 5]
    kept = list(reader._idle.values())
    assert list(reader._idle) == ["0.parquet", "3.parquet"]
    reader.close()
    assert all(opened.source.closed for opened in kept)


def test_readers_side_by_side_share_what_may_be_open(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FILES_KEPT", 4)
    monkeypatch.setattr(reader_module, "_reading", WeakSet())

    def kept(reader: ShardReader) -> int:
        for number in range(4):
            reader.read(file(folder, number), ("x",), np.array([5]))
        return len(reader._idle)

    first = ShardReader(Files.at(folder), ())
    assert kept(first) == 4
    second = ShardReader(Files.at(folder), ())
    assert (kept(second), kept(first)) == (2, 2)
    second.close()
    assert kept(first) == 4
    first.close()


def test_a_file_with_other_rows_than_the_log_says_is_named(folder: Path) -> None:
    with pytest.raises(StoreError, match=r"1\.parquet has 100 rows, the log says 99"):
        ShardReader(Files.at(folder), ()).read(file(folder, 1, rows=99), ("x",), np.array([0]))


def gathered(column: Column) -> Fixed:
    assert isinstance(column, Fixed)
    return column


SPEC = ArraySpec(dims=("feature",), sizes={"feature": 6})
ROWS = 100


@pytest.fixture(scope="module")
def vectors(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Row r of "whole" and "holed" is r, r + 1, ...; "holed" lacks rows 40 and 41, in row groups of 30."""
    made = tmp_path_factory.mktemp("vectors")
    rows = [(np.arange(6, dtype=np.float32) + row).tobytes() for row in range(ROWS)]
    holed = [None if row in (40, 41) else cell for row, cell in enumerate(rows)]
    table = pa.table({"whole": pa.array(rows, pa.binary(24)), "holed": pa.array(holed, pa.binary(24))})
    settings = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, made / "0.parquet", row_group_size=30, data_page_size=200, write_batch_size=4, **settings)
    return made


@given(rows=st.sets(st.integers(0, ROWS - 1), min_size=1), first=st.integers(0, 5))
@settings(deadline=None)
def test_tensors_are_the_same_past_pyarrow_and_through_it(vectors: Path, rows: set[int], first: int) -> None:
    wanted = np.array(sorted(rows))
    columns = [column_of(name, "x", SPEC) for name in ("whole", "holed")]
    held = [column.hold(first + len(wanted)) for column in columns]
    reader = ShardReader(Files.at(vectors), columns)
    reader.fill(file(vectors, 0), list(zip(columns, held, strict=True)), wanted, part=0, first=first)
    reader.close()
    order = np.arange(first, first + len(wanted))
    for column, rows_held in zip(columns, held, strict=True):
        made = gathered(column).batch([(rows_held, order)])
        there = np.ones(len(wanted), bool) if column.name == "whole" else ~np.isin(wanted, (40, 41))
        np.testing.assert_array_equal(made[f"{column.name}.mask"], there)
        expected = (wanted[:, None] + np.arange(6, dtype=np.float32)) * there[:, None]
        np.testing.assert_array_equal(made[column.name], expected)


def test_a_file_that_was_cut_under_the_reader_is_named(vectors: Path, tmp_path: Path) -> None:
    path = tmp_path / "0.parquet"
    path.write_bytes((vectors / "0.parquet").read_bytes())
    column = column_of("whole", "x", SPEC)
    reader = ShardReader(Files.at(tmp_path), [column])
    whole = file(tmp_path, 0)
    reader.fill(whole, [(column, column.hold(1))], np.array([0]), part=0, first=0)
    os.truncate(path, 100)
    with pytest.raises(StoreError, match=r"can't read .*0\.parquet.*mmdata verify"):
        reader.fill(whole, [(column, column.hold(ROWS))], np.arange(ROWS), part=0, first=0)
    reader.close()
