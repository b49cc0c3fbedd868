from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.store import pages
from mmdata.store.pages import plain_stretches, read_into

WIDTH = 24


@contextmanager
def opened(path: Path) -> Iterator[tuple[int, Any]]:
    fd = os.open(path, os.O_RDONLY)
    try:
        yield fd, pq.ParquetFile(path).metadata
    finally:
        os.close(fd)


def written(path: Path, rows: list[bytes | None], *, nullable: bool = True, **settings: Any) -> Path:
    schema = pa.schema([pa.field("x", pa.binary(WIDTH), nullable=nullable), pa.field("n", pa.int32())])
    table = pa.table({"x": pa.array(rows, pa.binary(WIDTH)), "n": pa.array(range(len(rows)), pa.int32())}, schema)
    ours = {"compression": "none", "use_dictionary": False, "write_statistics": False}
    pq.write_table(table, path, **{**ours, **settings})
    return path


def cells(count: int) -> list[bytes | None]:
    return [np.random.default_rng(number).bytes(WIDTH) for number in range(count)]


@pytest.mark.parametrize("nullable", [True, False])
@pytest.mark.parametrize(
    "settings", [{}, {"data_page_size": 100, "write_batch_size": 7}, {"write_statistics": True}, {"row_group_size": 90}]
)
def test_values_lie_where_it_says(tmp_path: Path, settings: dict[str, Any], *, nullable: bool) -> None:
    rows = cells(250)
    path = written(tmp_path / "x.parquet", rows, nullable=nullable, **settings)
    raw, found = path.read_bytes(), []
    with opened(path) as (fd, metadata):
        for group in range(metadata.num_row_groups):
            stretches = plain_stretches(fd, metadata, group, 0, WIDTH)
            assert stretches is not None
            at = 0
            for stretch in stretches:
                assert stretch.row == at
                at += stretch.rows
                start = stretch.offset
                found += [raw[start + WIDTH * row : start + WIDTH * (row + 1)] for row in range(stretch.rows)]
    assert found == rows


@pytest.mark.parametrize(
    ("settings", "hole"),
    [
        ({"compression": "zstd"}, None),
        ({"use_dictionary": True}, None),
        ({"data_page_version": "2.0"}, None),
        ({"use_byte_stream_split": True}, None),
        ({}, 0),
        ({}, 249),
        ({"data_page_size": 100, "write_batch_size": 7}, 130),
    ],
)
def test_what_does_not_lie_there_as_it_is_is_left_to_others(
    tmp_path: Path, settings: dict[str, Any], hole: int | None
) -> None:
    rows = cells(250)
    if hole is not None:
        rows[hole] = None
    with opened(written(tmp_path / "x.parquet", rows, **settings)) as (fd, metadata):
        assert plain_stretches(fd, metadata, 0, 0, WIDTH) is None


def test_other_types_and_widths_are_left_to_others(tmp_path: Path) -> None:
    with opened(written(tmp_path / "x.parquet", cells(10))) as (fd, metadata):
        assert plain_stretches(fd, metadata, 0, 1, 4) is None
        assert plain_stretches(fd, metadata, 0, 0, WIDTH - 1) is None


@given(raw=st.binary(max_size=60))
def test_no_bytes_make_the_parser_of_headers_fail(raw: bytes) -> None:
    found = pages._page(raw, nullable=True, width=8)
    assert found is None or found[0] > 0


@given(at=st.integers(0, 40), value=st.integers(0, 255))
def test_a_damaged_header_is_never_believed_against_its_own_size(at: int, value: int, tmp_path_factory: Any) -> None:
    path = tmp_path_factory.mktemp("damaged") / "x.parquet"
    written(path, cells(20))
    with opened(path) as (fd, metadata):
        start = metadata.row_group(0).column(0).data_page_offset
        raw = bytearray(os.pread(fd, pages.HEADER_BYTES, start))
        raw[at] = value
        found = pages._page(bytes(raw), nullable=True, width=WIDTH)
        assert found is None or found[2] - found[1] == found[0] * WIDTH


def test_a_file_that_ends_early_is_told(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(bytes(10))
    fd = os.open(tmp_path / "x", os.O_RDONLY)
    room = bytearray(8)
    read_into(fd, memoryview(room), 2)
    with pytest.raises(EOFError, match="ends at 10, 6 bytes before"):
        read_into(fd, memoryview(room), 8)
    os.close(fd)
