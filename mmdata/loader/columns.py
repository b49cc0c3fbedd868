"""Columns of a batch: what each is read from, and how rows of a window become arrays of a batch."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, TypeVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.loader.fixed import FixedRows, gathered, only_chunk, valid

if TYPE_CHECKING:
    import pyarrow as pa

Batch = dict[str, "np.ndarray | list[str | None]"]


class Held(Protocol):
    """A column's rows of one window, in stored order. Threads put into different places at the same time."""

    def put(self, part: int, first: int, rows: pa.Table) -> None:
        """Take in rows.

        Args:
            part: a number of these rows' own, from 0 on.
            first: the place of the first of them; the others follow it.
            rows: a table with the column's fields, one chunk each.
        """

    def only(self, rows: np.ndarray) -> Held | None:
        """Some of the rows, in memory of their own; None where others may still be asked for."""


Piece = tuple[Held, np.ndarray]  # a window's column, and which of its rows are wanted, int64 [row]


class Column(Protocol):
    """One name that was asked of the stream."""

    @property
    def name(self) -> str:
        """As it was asked for."""

    @property
    def family(self) -> str:
        """Whose files hold it."""

    @property
    def fields(self) -> tuple[str, ...]:
        """The fields of those files that it needs."""

    @property
    def spec(self) -> ArraySpec | None:
        """The promise of an array; None for text."""

    def hold(self, n_rows: int) -> Held:
        """Room for a window."""


class Gathered(Column, Protocol):
    """A column whose rows stand in windows as they are in a batch; media are decoded instead, see `media`."""

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        """Rows of windows, one after another, under the names they have in a batch."""


@dataclass(frozen=True)
class Fixed:
    """Arrays of one shape: NAME is [batch, *shape], NAME.mask bool [batch], False where there is none (all zeros)."""

    name: str
    family: str
    spec: ArraySpec

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.name,)

    def hold(self, n_rows: int) -> Held:
        return FixedRows(self.name, self.spec, n_rows)

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        return together({self.name: pieces})


def together(pieces: Mapping[str, Sequence[Piece]]) -> Batch:
    """What `Fixed.batch` gives, for several columns by name: at once, which costs less."""
    found = gathered([_of(FixedRows, each) for each in pieces.values()])
    return {
        name: array
        for column, (values, mask) in zip(pieces, found, strict=True)
        for name, array in ((column, values), (f"{column}.mask", mask))
    }


@dataclass(frozen=True)
class Varying:
    """Arrays with axes of varying size, padded with zeros to the batch's longest, and at least 1.

    NAME is [batch, *axes]; NAME.length the true sizes, int64 [batch] for one varying axis, [batch, axis] for several;
    NAME.mask bool [batch], False where there is no array (length 0).
    """

    name: str
    family: str
    spec: ArraySpec

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.name, *(f"{self.name}#{dim}" for dim in self.spec.varying))

    def hold(self, n_rows: int) -> Held:
        return VaryingRows(self.fields, self.spec, n_rows)

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        held = _of(VaryingRows, pieces)
        lengths = np.concatenate([window.lengths[rows] for window, rows in held])
        longest = iter(np.maximum(lengths.max(axis=0, initial=1), 1).tolist())
        shape = [next(longest) if size is None else size for size in self.spec.shape]
        padded = np.zeros((len(lengths), *shape), np.dtype(self.spec.dtype))
        at = 0
        # a copy a row: rows are long, and one gather of all their frames took twice as long
        for window, rows in held:
            for row in rows.tolist():
                array = window.array(row)
                padded[at][tuple(slice(size) for size in array.shape)] = array
                at += 1
        mask = np.concatenate([window.mask[rows] for window, rows in held])
        sizes = lengths[:, 0] if lengths.shape[1] == 1 else lengths
        return {self.name: padded, f"{self.name}.length": sizes, f"{self.name}.mask": mask}


class VaryingRows:
    """Each row's place in the buffers that were read, with its sizes and whether it is there."""

    def __init__(self, fields: tuple[str, ...], spec: ArraySpec, n_rows: int) -> None:
        self._fields = fields
        self._spec = spec
        self._dtype = np.dtype(spec.dtype)
        self._flat: dict[int, np.ndarray] = {}
        self._part = np.zeros(n_rows, np.int64)
        self._start = np.zeros(n_rows, np.int64)
        self.lengths = np.zeros((n_rows, len(spec.varying)), np.int64)
        self.mask = np.zeros(n_rows, bool)

    def put(self, part: int, first: int, rows: pa.Table) -> None:
        import pyarrow as pa

        here = slice(first, first + rows.num_rows)
        column = only_chunk(rows, self._fields[0])
        offsets = np.frombuffer(column.buffers()[1], np.int64 if pa.types.is_large_binary(column.type) else np.int32)
        data = column.buffers()[2]
        self._flat[part] = np.frombuffer(data if data is not None else b"", np.uint8)
        self._part[here] = part
        self._start[here] = offsets[column.offset : column.offset + len(column)]
        self.mask[here] = valid(column)
        for axis, field in enumerate(self._fields[1:]):
            self.lengths[here, axis] = only_chunk(rows, field).fill_null(0).to_numpy()

    def only(self, rows: np.ndarray) -> VaryingRows:
        made = VaryingRows(self._fields, self._spec, len(rows))
        each = [np.ascontiguousarray(self.array(row)).reshape(-1).view(np.uint8) for row in rows.tolist()]
        made._flat[0] = np.concatenate(each)
        made._start[:] = np.cumsum([0, *map(len, each[:-1])])
        made.lengths, made.mask = self.lengths[rows], self.mask[rows]
        return made

    def array(self, row: int) -> np.ndarray:
        """A row's array, a view; of size 0 along the varying axes where there is none."""
        sizes = iter(self.lengths[row].tolist())
        shape = [next(sizes) if size is None else size for size in self._spec.shape]
        count = int(np.prod(shape, dtype=np.int64))
        if not count:
            return np.zeros(shape, self._dtype)
        return np.frombuffer(self._flat[self._part[row]], self._dtype, count, self._start[row]).reshape(shape)


@dataclass(frozen=True)
class Words:
    """Text: a list of str, None where there is none.

    Args:
        field: of the samples' files. within: a text part's name, or a name in the metadata, when the field holds many.
    """

    name: str
    field: str
    within: str | None = None
    family: str = "samples"
    spec: None = None

    @property
    def fields(self) -> tuple[str, ...]:
        return (self.field,)

    def hold(self, n_rows: int) -> Held:
        return WordRows(self, n_rows)

    def batch(self, pieces: Sequence[Piece]) -> Batch:
        return {self.name: np.concatenate([held.values[rows] for held, rows in _of(WordRows, pieces)]).tolist()}

    def values(self, rows: pa.Table) -> list[str | None]:
        """The texts of rows, in order. A metadata value that is no string is given as JSON."""
        import pyarrow.compute as pc

        column = rows.column(self.field)
        if self.within is None:
            return list(column.to_pylist())
        if self.field == "text":
            return list(pc.map_lookup(column, query_key=self.within, occurrence="first").to_pylist())
        found = (json.loads(text).get(self.within) for text in column.to_pylist())
        return [value if isinstance(value, str | None) else json.dumps(value) for value in found]


class WordRows:
    """str or None a row."""

    def __init__(self, column: Words, n_rows: int) -> None:
        self._column = column
        self.values = np.empty(n_rows, object)

    def put(self, part: int, first: int, rows: pa.Table) -> None:  # noqa: ARG002  the place says it all
        self.values[first : first + rows.num_rows] = self._column.values(rows)

    def only(self, rows: np.ndarray) -> WordRows:
        made = WordRows(self._column, len(rows))
        made.values = self.values[rows]
        return made


def column_of(name: str, family: str, spec: ArraySpec) -> Gathered:
    """The column of a feature."""
    return Varying(name, family, spec) if spec.varying else Fixed(name, family, spec)


AnyRows = TypeVar("AnyRows", FixedRows, VaryingRows, WordRows)


def _of(kind: type[AnyRows], pieces: Sequence[Piece]) -> list[tuple[AnyRows, np.ndarray]]:
    """The pieces, known to be what this kind of column holds."""
    return [(held, rows) for held, rows in pieces if isinstance(held, kind)]
