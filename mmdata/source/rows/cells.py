"""The parts that lie in a table's own cells: read a window at a time, when the first of it is asked for."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from functools import partial

from mmdata.core.ports import Entry, Member
from mmdata.core.sample import Blob, Pointer
from mmdata.errors import Unreadable
from mmdata.source.listing import changed
from mmdata.source.names import escapes, unquoted
from mmdata.source.place import Place, blob, content_signature
from mmdata.source.rows.form import Cell, NoTable, Rows
from mmdata.source.rows.open import rows_of

WINDOW_BYTES, WINDOW_CELLS = 16 << 20, 1000  # as much of a table is held at once


def cell_bytes(value: object, *, inline: bool) -> bytes | None:
    """The bytes of a cell that is the part itself; None for one that names a file."""
    if isinstance(value, bytes):
        return value
    if isinstance(value, Mapping) and isinstance(value.get("bytes"), bytes):
        return bytes(value["bytes"])
    return value.encode() if inline and isinstance(value, str) else None


def windows(entries: Sequence[Entry]) -> Iterator[list[Entry]]:
    """Entries in order, as many at a time as have cells for one reading."""
    window: list[Entry] = []
    n_bytes = n_cells = 0
    for entry in entries:
        sizes = [member.size for member in entry.members if "#row=" in member.pointer]
        if window and (n_bytes + sum(sizes) > WINDOW_BYTES or n_cells + len(sizes) > WINDOW_CELLS):
            yield window
            window, n_bytes, n_cells = [], 0, 0
        window.append(entry)
        n_bytes, n_cells = n_bytes + sum(sizes), n_cells + len(sizes)
    if window:
        yield window


class Cells:
    """The cells of a window, read together when the first is asked for. Each is given out once and then forgotten."""

    def __init__(self, where: Place, opened: dict[str, Rows], window: Sequence[Entry]) -> None:
        self._where, self._opened, self._window = where, opened, window
        self._held: dict[str, dict[Cell, object]] = {}
        self._lock = threading.Lock()

    def take(self, pointer: Pointer, signature: str) -> bytes:
        """The bytes of a cell.

        Raises:
            Unreadable: it is not there, or holds others than when it was listed.
        """
        if pointer.row is None or pointer.column is None or escapes(unquoted(pointer.uri)):
            raise Unreadable(f"{pointer} names no cell of this source")
        cell = (pointer.row, unquoted(pointer.column))
        with self._lock:
            held = self._held.get(pointer.uri)
            if held is None or cell not in held:
                held = self._held[pointer.uri] = self._read(pointer.uri, cell, first=held is None)
            data = cell_bytes(held.pop(cell, None), inline=True)
        if data is None or content_signature(data) != signature:
            raise Unreadable(changed(f"{unquoted(pointer.uri)} row {pointer.row}", f"its {pointer.column} is another"))
        return data

    def _read(self, uri: str, cell: Cell, *, first: bool) -> dict[Cell, object]:
        """All cells of the window in one table; or the one that is asked for again."""
        wanted = [cell]
        if first:
            pointers = [Pointer.parse(member.pointer) for entry in self._window for member in entry.members]
            wanted = [(p.row, unquoted(p.column or "")) for p in pointers if p.uri == uri and p.row is not None]
        try:
            if uri not in self._opened:
                self._opened[uri] = rows_of(self._where, unquoted(uri))
            return self._opened[uri].cells(wanted)
        except NoTable as error:
            raise Unreadable(f"{unquoted(uri)}: {error}") from error


def part_blob(files: Place, cells: Cells, member: Member) -> Blob:
    pointer = Pointer.parse(member.pointer)
    if pointer.row is None:
        return blob(files, member)
    return Blob(pointer, member.size, partial(cells.take, pointer, member.signature), "")
