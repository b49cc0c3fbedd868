"""Parquet tables, streamed batch by batch."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from functools import cached_property
from itertools import accumulate
from typing import Any

from mmdata.source.local import LocalPlace
from mmdata.source.metadata import plain
from mmdata.source.place import Place
from mmdata.source.rows.form import Cell, NoTable, Row

BATCH_BYTES = 8 << 20
MAX_BATCH_ROWS = 4096
READ_AHEAD_BYTES = 64 << 10


class Parquet:
    """A Parquet file. Values of bytes, and Hugging Face's {bytes, path}, come as they are, others as JSON values."""

    def __init__(self, where: Place, path: str) -> None:
        self.where, self.path = where, path
        self._cursor: _Cursor | None = None

    @cached_property
    def file(self) -> Any:
        import pyarrow.parquet as pq

        with told():
            if isinstance(self.where, LocalPlace):
                return pq.ParquetFile(f"{self.where.root}/{self.path}", page_checksum_verification=True)
            opened: Any = self.where.open(self.path)
            if hasattr(opened, "cache"):  # of fsspec: what is read ahead by megabytes is mostly media nobody asked for
                opened.cache.blocksize = READ_AHEAD_BYTES
            return pq.ParquetFile(opened, page_checksum_verification=True)

    def columns(self) -> tuple[str, ...]:
        return tuple(self.file.schema_arrow.names)

    def media_columns(self) -> frozenset[str]:
        """Those that hold bytes: parts, never metadata."""
        return frozenset(field.name for field in self.file.schema_arrow if _holds_bytes(field.type))

    def rows(self, columns: Collection[str] | None) -> Iterator[Row]:
        """Every row, a batch in memory at a time."""
        names = [name for name in self.columns() if columns is None or name in columns]
        number = 0
        with told():
            for group in range(self.file.num_row_groups):
                for batch in _batches(self.file, group, names):
                    values = [values_of(column) for column in batch.columns]
                    for row in zip(*values, strict=True) if values else [()] * batch.num_rows:
                        yield row_of(number, names, row)
                        number += 1

    def cells(self, wanted: Sequence[Cell]) -> dict[Cell, object]:
        """Cells by row: those in order of rows are read in one pass, however many calls it takes."""
        columns = sorted({column for _, column in wanted} & set(self.columns()))
        if self._cursor is None or self._cursor.columns != columns:
            self._cursor = _Cursor(self.file, columns)
        found: dict[Cell, object] = {}
        with told():
            for row in sorted({row for row, _ in wanted if row < self.file.metadata.num_rows}):
                found |= {(row, column): value for column, value in self._cursor.values(row).items()}
        return found


class _Cursor:
    """Reads forward through a row group, and jumps to another where a row lies in one."""

    def __init__(self, file: Any, columns: list[str]) -> None:
        self.columns = columns
        sizes = [file.metadata.row_group(group).num_rows for group in range(file.num_row_groups)]
        self.file, self._starts = file, [0, *accumulate(sizes)]
        self._group, self._first = -1, 0
        self._ahead: Iterator[Any] = iter(())
        self._batch: Any = None

    def values(self, row: int) -> dict[str, object]:
        """The row's values by column."""
        try:
            return self._at(row)
        except Exception:
            self._group = -1  # what was read of it before a damaged page is no place to go on from
            raise

    def _at(self, row: int) -> dict[str, object]:
        group = bisect_right(self._starts, row) - 1
        if group != self._group or row < self._first:
            self._group, self._first = group, self._starts[group]
            self._ahead = _batches(self.file, group, self.columns)
            self._batch = next(self._ahead)
        while row >= self._first + self._batch.num_rows:
            self._first += self._batch.num_rows
            self._batch = next(self._ahead)
        return {name: values_of(self._batch.column(name).slice(row - self._first, 1))[0] for name in self.columns}


class _Bad(str):
    """Why a value can't be had, in its place."""

    __slots__ = ()


def _batches(file: Any, group: int, columns: list[str]) -> Iterator[Any]:
    size = file.metadata.row_group(group)
    n_bytes = max(1, size.total_byte_size // max(1, size.num_rows))
    n_rows = max(1, min(MAX_BATCH_ROWS, BATCH_BYTES // n_bytes))
    yield from file.iter_batches(n_rows, row_groups=[group], columns=columns, use_threads=False)


def row_of(number: int, names: list[str], values: Sequence[object]) -> Row:
    bad = next((value for value in values if isinstance(value, _Bad)), "")
    return Row(number, fault=f"row {number}: {bad}") if bad else Row(number, dict(zip(names, values, strict=True)))


def values_of(column: Any) -> list[object]:
    """A column's values: bytes as they are, others as JSON values; a value that can't be had says why."""
    import pyarrow as pa

    kind = column.type
    if pa.types.is_timestamp(kind) or pa.types.is_duration(kind):
        # Python's own times end at microseconds
        finest = pa.timestamp("us", kind.tz) if pa.types.is_timestamp(kind) else pa.duration("us")
        column = column.cast(finest, safe=False)
    try:
        values = column.to_pylist()
    except (ValueError, OverflowError) as error:  # text that is not UTF-8, a year past 9999
        if len(column) == 1:
            return [_Bad(error)]
        return [value for index in range(len(column)) for value in values_of(column.slice(index, 1))]
    simple = pa.types.is_integer(kind) or pa.types.is_string(kind) or pa.types.is_boolean(kind)
    return values if simple or _holds_bytes(kind) else [plain(value) for value in values]


def _holds_bytes(kind: Any) -> bool:
    import pyarrow as pa

    if pa.types.is_struct(kind):
        return any(_holds_bytes(kind.field(index).type) for index in range(kind.num_fields))
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


@contextmanager
def told() -> Iterator[None]:
    """Let Arrow's errors say that the file is no sound table."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, OSError) as error:
        raise NoTable(" ".join(str(error).split())) from error
