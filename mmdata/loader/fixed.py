"""Arrays of one shape: rows of a window that stay where they were read, and are gathered from there into batches."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from threading import Lock
from typing import TYPE_CHECKING

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.kernels.gathering import gather
from mmdata.loader.buffers import Buffers

if TYPE_CHECKING:
    import pyarrow as pa


class FixedRows:
    """Where each row of a window lies in memory, and whether it is there.

    Threads put into different rows at the same time. Nothing is copied before a batch is made.
    """

    def __init__(self, name: str, spec: ArraySpec, n_rows: int) -> None:
        self._name, self._spec = name, spec
        self._dtype = np.dtype(spec.dtype)
        self.item_bytes = spec.item_bytes or 0
        self._shape = tuple(size or 0 for size in spec.shape)
        self._addresses = np.zeros(n_rows, np.int64)
        self._mask = np.zeros(n_rows, bool)
        self._room: np.ndarray | None = None
        self._lock = Lock()
        self._owners: list[object] = []  # of the memory, which must outlive this

    def put(self, part: int, first: int, rows: pa.Table) -> None:  # noqa: ARG002  the place says it all
        column = only_chunk(rows, self._name)
        here = slice(first, first + len(column))
        self._mask[here] = there = valid(column)
        if not self.item_bytes or column.null_count == len(column):
            return
        values = raw(column, self._dtype)
        self._addresses[here] = np.where(there, addresses_of(values, len(column), self.item_bytes), 0)
        self._owners.append(values)

    def room(self, first: int, n_rows: int, buffers: Buffers) -> np.ndarray:
        """Memory for rows that are all there, to be filled: opaque items [row]."""
        with self._lock:  # one array for all of a window: the system hands large ones out in large pages
            if self._room is None:
                self._room = buffers.empty((len(self._mask),), np.dtype((np.void, self.item_bytes)))
        room = self._room[first : first + n_rows]
        self.refer(first, addresses_of(room, n_rows, self.item_bytes), room)
        return room

    def refer(self, first: int, addresses: np.ndarray, owner: object) -> None:
        """Take rows that are all there as they lie in another's memory, at int64 [row], from place `first` on."""
        here = slice(first, first + len(addresses))
        self._addresses[here] = addresses
        self._mask[here] = True
        self._owners.append(owner)

    def only(self, rows: np.ndarray) -> FixedRows:
        """Some of the rows, in memory of their own."""
        made, there = FixedRows(self._name, self._spec, len(rows)), self._mask[rows]
        made._mask = there
        if self.item_bytes and there.any():
            items = gather(self._addresses[rows][there], self.item_bytes)
            made._addresses[there] = addresses_of(items, len(items), self.item_bytes)
            made._owners.append(items)
        return made

    def array(self, items: np.ndarray) -> np.ndarray:
        """Opaque items [row] as what they are: [row, *shape]."""
        return items.view(self._dtype).reshape(len(items), *self._shape)

    def zeros(self, n_rows: int) -> np.ndarray:
        return np.zeros((n_rows, *self._shape), self._dtype)

    @staticmethod
    def mask(pieces: Pieces) -> np.ndarray:
        """Which rows of windows, one after another, are there: bool [row]."""
        return np.concatenate([window._mask[rows] for window, rows in pieces])

    @staticmethod
    def addresses(pieces: Pieces) -> np.ndarray:
        """Where they lie: int64 [row]."""
        return np.concatenate([window._addresses[rows] for window, rows in pieces])


Pieces = Sequence[tuple[FixedRows, np.ndarray]]


def gathered(columns: Sequence[Pieces]) -> list[tuple[np.ndarray, np.ndarray]]:
    """Rows of windows, one after another, of several columns.

    Columns whose values have one size are gathered in one go: numpy lets other threads run while it copies more than
    500 values, and one column of a batch is often less.

    Returns:
        For each column [row, *shape], with zeros where a row has none, and bool [row].
    """
    masks = [FixedRows.mask(pieces) for pieces in columns]
    found: list[np.ndarray | None] = [None] * len(columns)
    of_size: dict[int, list[int]] = defaultdict(list)
    for number, (pieces, mask) in enumerate(zip(columns, masks, strict=True)):
        if pieces[0][0].item_bytes and mask.any():
            of_size[pieces[0][0].item_bytes].append(number)
    for item_bytes, numbers in of_size.items():
        addresses = [FixedRows.addresses(columns[number])[masks[number]] for number in numbers]
        items = gather(np.concatenate(addresses), item_bytes)
        ends = np.cumsum([len(each) for each in addresses])
        for number, part in zip(numbers, np.split(items, ends[:-1]), strict=True):
            found[number] = _spread(columns[number][0][0], part, masks[number])
    return [
        (columns[number][0][0].zeros(len(mask)) if values is None else values, mask)
        for number, (values, mask) in enumerate(zip(found, masks, strict=True))
    ]


def _spread(held: FixedRows, items: np.ndarray, mask: np.ndarray) -> np.ndarray:
    """The items of rows that are there among zeros for those that are not."""
    if len(items) == len(mask):
        return held.array(items)
    values = held.zeros(len(mask))
    values[mask] = held.array(items)
    return values


def addresses_of(values: np.ndarray, n_rows: int, item_bytes: int) -> np.ndarray:
    """Where each row of an array starts: int64 [row]."""
    start = int(values.__array_interface__["data"][0])
    return np.arange(start, start + n_rows * item_bytes, item_bytes)


def only_chunk(rows: pa.Table, name: str) -> pa.Array:
    return rows.column(name).chunk(0)


def valid(column: pa.Array) -> np.ndarray:
    """Which of a column's rows are there: bool [row]."""
    if not column.null_count:
        return np.ones(len(column), bool)
    return np.asarray(column.is_valid().to_numpy(zero_copy_only=False))


def raw(column: pa.Array, dtype: np.dtype[np.generic]) -> np.ndarray:
    """The values of a column that has as many bytes a row, [row * items], whatever stands where it is null."""
    import pyarrow as pa

    if pa.types.is_boolean(column.type):
        return np.ascontiguousarray(column.fill_null(False).to_numpy(zero_copy_only=False))
    buffer = column.buffers()[1]
    if pa.types.is_fixed_size_binary(column.type):
        width = column.type.byte_width
        return np.frombuffer(buffer, dtype, len(column) * width // dtype.itemsize, column.offset * width)
    stored = np.dtype(column.type.to_pandas_dtype())  # Delta lacks some types: a uint8 is stored as int16
    return np.frombuffer(buffer, stored, len(column), column.offset * stored.itemsize).astype(dtype, copy=False)
