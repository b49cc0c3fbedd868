"""What every format of table offers."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

Cell = tuple[int, str]  # row and column
# what tables call the columns of texts and of labels
TEXT_COLUMNS = ("text", "caption", "transcript", "transcription", "sentence", "description", "prompt", "content")
LABEL_COLUMNS = ("label", "class", "category", "target")


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
