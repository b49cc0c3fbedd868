"""Where in a Parquet file the values of a tensor column lie, so that they can be read without decoding.

Our writer stores tensors of one shape as plain, uncompressed, fixed-size binary: the rows of a page stand in the file
one after another. Whatever is not so (a compressed file of an older or another writer, rows that are null) is told
apart, and left to pyarrow.

Headers of pages are Thrift structs in the compact protocol: https://parquet.apache.org/docs/file-format/data-pages/,
https://github.com/apache/thrift/blob/master/doc/specs/thrift-compact-protocol.md
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

HEADER_BYTES = 512  # statistics are kept out of headers: they take some 30 bytes
_DATA_PAGE, _PLAIN, _RLE = 0, 0, 3


@dataclass(frozen=True)
class Stretch:
    """Rows [row, row + rows) of a row group, whose values lie one after another from `offset` of the file on."""

    row: int
    rows: int
    offset: int


def plain_stretches(fd: int, metadata: Any, group: int, column: int, width: int) -> list[Stretch] | None:
    """Where the values of a row group's column lie.

    Args:
        fd: the open file.
        metadata: pyarrow's `FileMetaData` of it.
        group: which row group.
        column: which column.
        width: bytes of a value.

    Returns:
        In order of the rows; None when the values don't lie there as they are, or some are null.
    """
    chunk = metadata.row_group(group).column(column)
    if (
        chunk.physical_type != "FIXED_LEN_BYTE_ARRAY"
        or chunk.compression != "UNCOMPRESSED"
        or chunk.has_dictionary_page
        or metadata.schema.column(column).max_repetition_level
    ):
        return None
    levels = metadata.schema.column(column).max_definition_level
    found, row, at = [], 0, chunk.data_page_offset
    while row < chunk.num_values:
        page = _page(os.pread(fd, HEADER_BYTES, at), nullable=bool(levels), width=width)
        if page is None:
            return None
        rows, start, length = page
        found.append(Stretch(row, rows, at + start))
        row, at = row + rows, at + length
    return found if row == chunk.num_values else None


def _page(raw: bytes, *, nullable: bool, width: int) -> tuple[int, int, int] | None:
    """Of a page: its rows, where its values start, and its length, header and all; None when it is of another kind."""
    try:
        header, end = _struct(raw, 0)
        data = header[5]
        rows, start = data[1], 0
        if header[1] != _DATA_PAGE or data[2] != _PLAIN or header[2] != header[3] or rows < 1:
            return None
        if nullable:
            start = 4 + int.from_bytes(raw[end : end + 4], "little")
            if data[3] != _RLE or not _all_there(raw[end + 4 : end + start], rows):
                return None
    except (IndexError, KeyError, TypeError, ValueError):
        return None
    return None if start + rows * width != header[3] else (rows, end + start, end + header[3])


def _all_there(levels: bytes, rows: int) -> bool:
    """Whether definition levels, one run of the hybrid encoding, say that no row is null."""
    count, at = _varint(levels, 0)
    return count == rows << 1 and levels[at] == 1 and len(levels) == at + 1


def _varint(raw: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = raw[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if not byte & 0x80:
            return value, at


def _struct(raw: bytes, at: int) -> tuple[dict[int, Any], int]:
    """A struct's fields by number, and where it ends. Raises ValueError at a type that no page header has."""
    fields: dict[int, Any] = {}
    number = 0
    while raw[at]:
        delta, kind = raw[at] >> 4, raw[at] & 0x0F
        at += 1
        if delta:
            number += delta
        else:
            coded, at = _varint(raw, at)
            number = _signed(coded)
        fields[number], at = _value(raw, at, kind)
    return fields, at + 1


def _value(raw: bytes, at: int, kind: int) -> tuple[Any, int]:
    if kind in (1, 2):  # true, false
        return kind == 1, at
    if kind in (4, 5, 6):  # 16, 32 and 64 bits
        coded, at = _varint(raw, at)
        return _signed(coded), at
    if kind == 8:  # bytes
        length, at = _varint(raw, at)
        return raw[at : at + length], at + length
    if kind == 12:
        return _struct(raw, at)
    raise ValueError(f"a page header has no field of type {kind}")


def _signed(coded: int) -> int:
    return (coded >> 1) ^ -(coded & 1)


def read_into(fd: int, room: memoryview, offset: int) -> None:
    """Fill `room` with a file's bytes from `offset` on. Raises EOFError when the file ends before."""
    while room.nbytes:
        n = os.preadv(fd, [room], offset)
        if not n:
            raise EOFError(f"it ends at {offset}, {room.nbytes} bytes before the end of its values: it was cut")
        room, offset = room[n:], offset + n


def column_numbers(metadata: Any) -> Iterator[tuple[str, int]]:
    """The names of a file's columns with their numbers; of nested ones, their paths."""
    return ((metadata.schema.column(number).path, number) for number in range(metadata.num_columns))
