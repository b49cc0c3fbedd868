"""Parquet files whose bytes depend on their rows alone, not on the chunks they came in."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from mmdata.store.files import Files, HashedFile, place
from mmdata.store.tables import BYTES_A_GROUP, ROWS_A_GROUP, writer_settings

ROWS_AT_ONCE = 8 * ROWS_A_GROUP  # each row group that is written moves all rows that wait
WHOLE_BYTES = 4 << 20  # a remote file up to this is fetched in one request: a second one takes longer than the rest


class TableFile:
    """Writes one Parquet file of a schema: rows in chunks of any size, row groups cut by the rows alone.

    A row group has at most `ROWS_A_GROUP` rows and, unless a single row is larger, `BYTES_A_GROUP` bytes.
    """

    def __init__(self, files: Files, name: str, schema: pa.Schema) -> None:
        self._files = files
        self._schema = schema
        self._file = HashedFile(files.scratch(name))
        self._writer = pq.ParquetWriter(pa.PythonFile(self._file, mode="w"), schema, **writer_settings(schema))
        self._waiting: list[pa.Table] = []
        self._sizes: list[np.ndarray] = []
        self._n_waiting = 0
        self._bytes_waiting = 0
        self.rows = 0

    def append(self, rows: pa.Table, sizes: np.ndarray) -> None:
        """Add rows; `sizes` is int64 [row], about how many bytes each takes."""
        self._waiting.append(rows)
        self._sizes.append(sizes)
        self._n_waiting += rows.num_rows
        self._bytes_waiting += int(sizes.sum())
        self.rows += rows.num_rows
        while self._n_waiting >= ROWS_A_GROUP or self._bytes_waiting > BYTES_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        """Write the first row group of what waits."""
        rows = pa.concat_tables(self._waiting).combine_chunks()  # pages are cut by chunk: there is to be one
        sizes = np.concatenate(self._sizes)
        fit = int(np.searchsorted(np.cumsum(sizes), BYTES_A_GROUP, side="right"))
        first = max(1, min(ROWS_A_GROUP, fit, rows.num_rows))
        self._writer.write_table(rows.slice(0, first), row_group_size=first)
        self._waiting, self._sizes = [rows.slice(first)], [sizes[first:]]
        self._n_waiting -= first
        self._bytes_waiting -= int(sizes[:first].sum())

    def close(self, folder: str, stem: str) -> tuple[str, int, str]:
        """End the file and give it its name; returns its path in the store, its bytes and its digest."""
        while self._n_waiting:
            self._flush()
        self._writer.close()
        path = place(self._files, self._file, folder, stem, "parquet")
        return path, self._file.size_bytes, self._file.digest

    def abort(self) -> None:
        """Leave nothing behind; does nothing to a file that has its name."""
        if self._writer.is_open:
            with suppress(OSError):  # a full disk must not hide the error that led here
                self._writer.close()
        self._file.discard()


def write_rows(files: Files, folder: str, stem: str, rows: pa.Table) -> tuple[str, int, str]:
    """A small table as a file of its own; returns its path in the store, its bytes and its digest."""
    file = TableFile(files, stem, rows.schema)
    try:
        for start in range(0, max(1, rows.num_rows), ROWS_AT_ONCE):
            part = rows.slice(start, ROWS_AT_ONCE)
            file.append(part, np.full(part.num_rows, 1, np.int64))
        return file.close(folder, stem)
    except BaseException:
        file.abort()
        raise


def read_rows(files: Files, path: str, columns: list[str] | None = None) -> pa.Table:
    """A file's rows, or some of its columns. Raises FileNotFoundError when it is gone."""
    with parquet_file(files, path) as file:
        table: pa.Table = file.read(columns=columns, use_threads=False)
        return table


def parquet_file(files: Files, path: str, size_bytes: int | None = None) -> Any:
    """An open `pyarrow.parquet.ParquetFile`, to be used in `with`; local files are mapped into memory.

    Args:
        files: the store's.
        path: the file's.
        size_bytes: its extent, where that is known. Of a large remote file only what is needed is fetched then;
            any other is fetched whole, in one request.
    """
    if files.is_local:
        return pq.ParquetFile(files.full(path), memory_map=True)
    if size_bytes is None or size_bytes <= WHOLE_BYTES:
        return pq.ParquetFile(pa.BufferReader(files.read(path)))
    return pq.ParquetFile(pa.PythonFile(files.open(path, size_bytes), mode="r"), pre_buffer=True)
