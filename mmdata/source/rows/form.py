"""What every format of table offers, and which format a file is."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from mmdata.codec.sniff import HEAD_BYTES, UNKNOWN, extension, holds, media_type, modality
from mmdata.source.place import Place

Cell = tuple[int, str]  # row and column


class NoTable(ValueError):
    """A file that can't be read as a table; the message says why."""


@dataclass(frozen=True, slots=True)
class Row:
    """A row of a table.

    Args:
        number: counts from 0; it stays the same when other rows are damaged. values: by column, None for none.
        fault: why the row can't be read, with its line where the format has lines.
    """

    number: int
    values: Mapping[str, object] = field(default_factory=dict)
    fault: str = ""


class Rows(Protocol):
    """The rows of one table file."""

    def columns(self) -> tuple[str, ...] | None:
        """The columns in order; None where each row has its own. Raises NoTable."""

    def rows(self, columns: Collection[str] | None) -> Iterator[Row]:
        """Every row in order, with these columns or all; a few at a time in memory.

        Raises:
            NoTable: after the last sound row, when the file can't be read on.
        """

    def cells(self, wanted: Sequence[Cell]) -> dict[Cell, object]:
        """The values of a few cells, read together; those that are not there are left out. Raises NoTable."""


def rows_of(where: Place, path: str) -> Rows:
    """The rows of a file, by what it holds.

    Raises:
        NoTable: it is no table.
        Unreadable: it can't be opened.
    """
    from mmdata.source.rows.lines import Csv, JsonLines
    from mmdata.source.rows.parquet import Parquet

    with where.open(path) as opened:
        head = opened.read(HEAD_BYTES)
    kind = media_type(head)
    text = head.removeprefix(b"\xef\xbb\xbf").lstrip()
    if kind == "application/vnd.apache.parquet":
        return Parquet(where, path)
    if text.startswith(b"["):
        raise NoTable("it holds one JSON list; write an object a line (JSON Lines)")
    named = extension(path) if modality(kind) == "text" or kind == UNKNOWN else ""  # a stray byte makes no other file
    if text.startswith(b"{") or named in ("jsonl", "ndjson"):
        return JsonLines(where, path)
    if modality(kind) == "text" or named in ("csv", "tsv"):
        return Csv(where, path)
    raise NoTable(f"expected JSON Lines, CSV or Parquet; {holds(head, path)}")
