"""Few rows of large files."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.store.few import arrays_at, rows_at
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.tables import feature_schema

SPECS = {"f": ArraySpec(dims=("feature",), sizes={"feature": 2}), "f.n": ArraySpec(dtype="int64")}


@pytest.fixture
def file(tmp_path: Path) -> DataFile:
    schema = feature_schema("f", SPECS)
    cells = [None if row == 5 else np.array([row, -row], np.float32).tobytes() for row in range(10)]
    columns = {
        "key": [f"s/{row}" for row in range(10)],
        "f": cells,
        "f.n": [None if row == 5 else row for row in range(10)],
        "f#error": ["bug: no" if row == 5 else None for row in range(10)],
    }
    pq.write_table(pa.table(columns).cast(schema), tmp_path / "x.parquet", row_group_size=3)
    size = (tmp_path / "x.parquet").stat().st_size
    return DataFile("f", "x.parquet", "shard", "fp", "keys", 10, size, "digest")


@pytest.mark.parametrize("rows", [[], [0], [9], [2, 3], [9, 0, 4, 4], list(range(10))])
def test_rows_come_in_the_order_given(file: DataFile, tmp_path: Path, rows: list[int]) -> None:
    found = rows_at(Files.at(tmp_path), file, rows, ["key", "f.n", "nothing"])
    assert [row["key"] for row in found] == [f"s/{row}" for row in rows]
    assert [row["f.n"] for row in found] == [None if row == 5 else row for row in rows]
    assert all(row["nothing"] is None for row in found)


@pytest.mark.parametrize("row", [-1, 10])
def test_there_are_no_rows_outside(file: DataFile, tmp_path: Path, row: int) -> None:
    with pytest.raises(IndexError, match="has 10 rows"):
        rows_at(Files.at(tmp_path), file, [row], ["key"])


def test_a_row_s_arrays_come_with_why_there_are_none(file: DataFile, tmp_path: Path) -> None:
    found, error = arrays_at(Files.at(tmp_path), file, 7, SPECS)
    assert found["f"] is not None
    assert found["f.n"] is not None
    assert (found["f"].tolist(), int(found["f.n"]), error) == ([7.0, -7.0], 7, None)
    assert arrays_at(Files.at(tmp_path), file, 5, SPECS) == ({"f": None, "f.n": None}, "bug: no")
