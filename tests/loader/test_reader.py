from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import StoreError
from mmdata.loader import reader as reader_module
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


def file(number: int, rows: int = 100) -> DataFile:
    return DataFile("x", f"{number}.parquet", "0" * 16, "f" * 16, "k" * 12, rows, 0, "", source="toy")


@given(rows=st.sets(st.integers(0, 99), min_size=1))
@settings(deadline=None)
def test_any_rows_are_read_whatever_row_groups_they_lie_in(folder: Path, rows: set[int]) -> None:
    wanted = np.array(sorted(rows))
    reader = ShardReader(Files.at(folder), ())
    table = reader.read(file(2), ("x", "y", "source"), wanted)
    reader.close()
    assert table["x"].to_pylist() == (wanted + 2000).tolist()
    assert table["y"].to_pylist() == [str(row) for row in wanted]
    assert table["source"].to_pylist() == ["toy"] * len(wanted)
    assert all(column.num_chunks == 1 for column in table.columns)


def test_no_more_files_are_kept_open_than_allowed(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reader_module, "FILES_KEPT", 2)
    reader = ShardReader(Files.at(folder), ())
    for number in (0, 1, 2, 0, 3, 3):
        assert reader.read(file(number), ("x",), np.array([5]))["x"].to_pylist() == [1000 * number + 5]
    kept = list(reader._idle.values())
    assert list(reader._idle) == ["0.parquet", "3.parquet"]
    reader.close()
    assert all(opened.source.closed for opened in kept)


def test_a_file_with_other_rows_than_the_log_says_is_named(folder: Path) -> None:
    with pytest.raises(StoreError, match=r"1\.parquet has 100 rows, the log says 99"):
        ShardReader(Files.at(folder), ()).read(file(1, rows=99), ("x",), np.array([0]))
