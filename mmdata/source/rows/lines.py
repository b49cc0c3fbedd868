"""Tables of text: JSON Lines and CSV. A broken line is told by its number, and the rest is read."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import BinaryIO

import numpy as np

from mmdata.source import metadata
from mmdata.source.place import Place
from mmdata.source.rows.form import Cell, NoTable, Row

MAX_LINE_BYTES = 64 << 20
_CHUNK_BYTES = 4 << 20


@dataclass(frozen=True)
class JsonLines:
    """An object a line. A row's number is that of its line, from 0; empty lines are no rows."""

    where: Place
    path: str

    def columns(self) -> None:
        return None

    def rows(self, columns: Collection[str] | None) -> Iterator[Row]:
        """Every line that is not empty."""
        with self.where.open(self.path) as opened:
            for number, line in enumerate(_lines(opened)):
                if line is None:
                    yield Row(number, fault=f"line {number + 1} is longer than {MAX_LINE_BYTES} bytes")
                elif line.strip():
                    yield _parsed(number, line, columns)

    def cells(self, wanted: Sequence[Cell]) -> dict[Cell, object]:
        """Cells of lines that are found by an index of line starts, made once a process."""
        starts = _line_starts(self.where, self.path, self.where.stat(self.path).signature)
        found: dict[Cell, object] = {}
        with self.where.open(self.path) as opened:
            for number in sorted({row for row, _ in wanted if row < len(starts)}):
                opened.seek(starts[number])
                row = _parsed(number, opened.readline(MAX_LINE_BYTES), None)
                found |= {(number, column): value for column, value in row.values.items()}
        return found


def _parsed(number: int, line: bytes, columns: Collection[str] | None) -> Row:
    try:
        values = metadata.parse(line.rstrip(b"\r\n"), max_bytes=MAX_LINE_BYTES)
    except metadata.BadMetadata as error:
        return Row(number, fault=f"line {number + 1}: {str(error).replace(' at line 1 column', ' at column')}")
    return Row(number, values if columns is None else {name: values[name] for name in columns if name in values})


def _lines(opened: BinaryIO) -> Iterator[bytes | None]:
    """Lines with their ends; None for one that is too long to be held."""
    while line := opened.readline(MAX_LINE_BYTES + 1):
        if len(line) <= MAX_LINE_BYTES:
            yield line
            continue
        while line and not line.endswith(b"\n"):
            line = opened.readline(_CHUNK_BYTES)
        yield None


@lru_cache(maxsize=8)
def _line_starts(where: Place, path: str, _signature: str) -> list[int]:
    """The byte at which each line begins. The signature makes a changed file another question."""
    starts, at = [np.zeros(1, np.int64)], 0
    with where.open(path) as opened:
        while chunk := opened.read(_CHUNK_BYTES):
            starts.append(np.flatnonzero(np.frombuffer(chunk, np.uint8) == 10) + (at + 1))
            at += len(chunk)
    return np.concatenate(starts).tolist()  # type: ignore[no-any-return]


@dataclass(frozen=True)
class Csv:
    """Comma, tab, semicolon or bar separated values (what the header has most of), RFC 4180's quotes, UTF-8.

    A row's number counts records from 0, after the header. An empty cell is none.
    """

    where: Place
    path: str

    def columns(self) -> tuple[str, ...]:
        with self.where.open(self.path) as opened:
            return _Records(opened).header

    def rows(self, columns: Collection[str] | None) -> Iterator[Row]:
        """Every record that is not empty."""
        with self.where.open(self.path) as opened:
            records = _Records(opened)
            for number, record in enumerate(records):
                if record:
                    yield _row(number, records, record, columns)

    def cells(self, wanted: Sequence[Cell]) -> dict[Cell, object]:
        """Cells of records that are found by an index of record starts, made once a process."""
        starts = _record_starts(self.where, self.path, self.where.stat(self.path).signature)
        found: dict[Cell, object] = {}
        with self.where.open(self.path) as opened:
            records = _Records(opened)
            for number in sorted({row for row, _ in wanted if row < len(starts)}):
                records.seek(starts[number])
                row = _row(number, records, next(records, []), None)
                found |= {(number, column): value for column, value in row.values.items()}
        return found


def _row(number: int, records: _Records, record: list[str] | str, columns: Collection[str] | None) -> Row:
    line = f"line {records.line}"
    if isinstance(record, str):
        return Row(number, fault=f"{line}: {record}")
    if len(record) != len(records.header):
        return Row(number, fault=f"{line}: {len(record)} fields, the header has {len(records.header)}")
    values = {name: value or None for name, value in zip(records.header, record, strict=True)}
    if any(value is not None and not value.isascii() and _undecodable(value) for value in values.values()):
        return Row(number, fault=f"{line}: it is not UTF-8")
    return Row(number, values if columns is None else {name: values[name] for name in columns if name in values})


def _undecodable(value: str) -> bool:
    return any("\ud800" <= letter <= "\udfff" for letter in value)


@lru_cache(maxsize=8)
def _record_starts(where: Place, path: str, _signature: str) -> list[int]:
    """The byte at which each record begins."""
    starts = []
    with where.open(path) as opened:
        records = _Records(opened)
        at = records.at
        for _ in records:
            starts.append(at)
            at = records.at
    return starts


class _Records:
    """The records of a CSV file, a list of fields each; text instead for one that can't be parsed, saying why."""

    def __init__(self, opened: BinaryIO) -> None:
        self._opened = opened
        self.at = self.line = 0
        first = opened.readline(MAX_LINE_BYTES).removeprefix(b"\xef\xbb\xbf").decode("utf-8", "surrogateescape")
        opened.seek(0)
        self._separator = max(",\t;|", key=first.count)
        self._reader = csv.reader(self._text(), delimiter=self._separator)
        header = next(self, [])
        if not header or isinstance(header, str):
            raise NoTable(f"its first line names no columns{f': {header}' if header else ''}")
        header[0] = header[0].removeprefix("\ufeff")
        if double := sorted({name for name in header if header.count(name) > 1}):
            raise NoTable(f"columns are named twice: {', '.join(map(repr, double))}")
        self.header = tuple(header)

    def seek(self, at: int) -> None:
        self._opened.seek(at)
        self._reader = csv.reader(self._text(), delimiter=self._separator)
        self.at = at

    def _text(self) -> Iterator[str]:
        while line := self._opened.readline(MAX_LINE_BYTES):
            self.at += len(line)
            self.line += 1
            yield line.decode("utf-8", "surrogateescape")

    def __iter__(self) -> Iterator[list[str] | str]:
        return self

    def __next__(self) -> list[str] | str:
        try:
            return next(self._reader)
        except csv.Error as error:
            return str(error)
