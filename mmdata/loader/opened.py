"""Open Parquet files, and how rows are taken out of them.

Arrays of one shape lie in a file as they are in memory. They are read from there straight into memory of ours, or,
where the file is mapped, left where they are. All else goes through pyarrow.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.errors import StoreError
from mmdata.loader.buffers import Buffers
from mmdata.loader.fixed import FixedRows

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.loader.columns import Column, Held
    from mmdata.store.files import Files
    from mmdata.store.layout import DataFile
    from mmdata.store.pages import Stretch

LOGGED = ("source", "tar")  # fields that the log knows, not the file
SKIPPED_BYTES = 32_768  # for each row: reading more costs more than another call
TOUCHED_EVERY = 1 << 16  # bytes: Linux maps so many around each page that is touched, and reads more ahead


@dataclass(frozen=True, eq=False)
class OpenFile:
    """An open Parquet file.

    Args:
        file: what the log says of it.
        source, parquet: pyarrow's.
        fd: of a file on this machine, to be read past pyarrow.
        mapped: all of it, uint8 [byte], where it is mapped into memory.
    """

    file: DataFile
    source: Any
    parquet: Any
    fd: int | None
    mapped: np.ndarray | None = None
    _stretches: dict[tuple[int, int], Sequence[Stretch] | None] = field(default_factory=dict)

    def close(self) -> None:
        """Close it; what was mapped stays until nobody refers to it."""
        self.source.close()
        if self.fd is not None:
            os.close(self.fd)

    @cached_property
    def starts(self) -> np.ndarray:
        """The row at which each row group starts, int64 [group + 1]."""
        metadata = self.parquet.metadata
        rows = [metadata.row_group(group).num_rows for group in range(metadata.num_row_groups)]
        return np.cumsum([0, *rows], dtype=np.int64)

    @cached_property
    def columns(self) -> dict[str, int]:
        """The numbers of its columns."""
        from mmdata.store.pages import column_numbers

        return dict(column_numbers(self.parquet.metadata))

    def groups(self, rows: np.ndarray) -> list[int]:
        """The row groups that hold ascending rows."""
        first, last = (np.searchsorted(self.starts, rows[[0, -1]], side="right") - 1).tolist()
        if last - first <= 1:
            return list(range(first, last + 1))
        return np.unique(np.searchsorted(self.starts, rows, side="right") - 1).tolist()  # type: ignore[no-any-return]

    def stretches(self, group: int, column: int, width: int) -> Sequence[Stretch] | None:
        """Where a row group's values of a column lie as they are; None where they don't."""
        from mmdata.store.pages import plain_stretches

        if self.fd is None:
            return None
        if (group, column) not in self._stretches:
            found = plain_stretches(self.fd, self.parquet.metadata, group, column, width)
            self._stretches[group, column] = found
        return self._stretches[group, column]

    def table(self, fields: Sequence[str], rows: np.ndarray) -> pa.Table:
        """The fields of ascending rows, each column in one chunk."""
        import pyarrow as pa

        groups = self.groups(rows)
        stored = [field for field in fields if field not in LOGGED]
        table = self.parquet.read_row_groups(groups, columns=stored, use_threads=False)
        if len(rows) < table.num_rows:
            counts = np.diff(self.starts)[groups]
            moved = np.cumsum(counts) - counts - self.starts[groups]  # from the file's row numbers to the table's
            which = np.searchsorted(self.starts[groups], rows, side="right") - 1
            table = table.take(pa.array(rows + moved[which]))
        known = {"source": self.file.source, "tar": self.file.media.path if self.file.media is not None else None}
        for name in LOGGED:
            if name in fields:
                table = table.append_column(name, pa.array([known[name]] * len(rows), pa.string()))
        return table.combine_chunks()

    def took(self, column: Column, held: Held, rows: np.ndarray, *, first: int, buffers: Buffers) -> bool:
        """Put a column's rows past pyarrow; False where they don't lie in the file as they are in memory."""
        if not isinstance(held, FixedRows) or not held.item_bytes:
            return False
        pieces = self._pieces(column.name, held.item_bytes, rows)
        if pieces is None:
            return False
        if self.mapped is None:
            room, at = held.room(first, len(rows), buffers), 0
            for stretch, wanted in pieces:
                self._read(stretch, wanted, room[at : at + len(wanted)])
                at += len(wanted)
        else:
            for stretch, wanted in pieces:
                held.refer(first, self._found(stretch, wanted, held.item_bytes), self.mapped)
                first += len(wanted)
        return True

    def _pieces(self, name: str, width: int, rows: np.ndarray) -> list[tuple[Stretch, np.ndarray]] | None:
        """The stretches that hold ascending rows, with their places in each."""
        number = self.columns.get(name)
        if number is None:
            return None
        pieces: list[tuple[Stretch, np.ndarray]] = []
        for group in self.groups(rows):
            stretches = self.stretches(group, number, width)
            if stretches is None:
                return None
            start = int(self.starts[group])
            for stretch in stretches:
                low, high = np.searchsorted(rows, [start + stretch.row, start + stretch.row + stretch.rows])
                if low < high:
                    pieces.append((stretch, rows[low:high] - (start + stretch.row)))
        return pieces

    def _read(self, stretch: Stretch, rows: np.ndarray, room: np.ndarray) -> None:
        """Read ascending rows of a stretch; those between them, too, where they lie close by."""
        from mmdata.store.pages import read_into

        low, high = int(rows[0]), int(rows[-1]) + 1
        width = room.dtype.itemsize
        if (high - low - len(rows)) * width > len(rows) * SKIPPED_BYTES and self.fd is not None:
            items = room.view(np.uint8).reshape(len(rows), width)
            for item, row in zip(items, rows.tolist(), strict=True):
                read_into(self.fd, item.data, stretch.offset + row * width)
            return
        span = room if high - low == len(rows) else np.empty(high - low, room.dtype)
        if self.fd is not None:
            read_into(self.fd, span.view(np.uint8).data, stretch.offset + low * room.dtype.itemsize)
        if span is not room:
            np.take(span, rows - low, out=room, mode="clip")

    def _found(self, stretch: Stretch, rows: np.ndarray, width: int) -> np.ndarray:
        """Where ascending rows of a stretch lie in memory; they are brought there from the disk."""
        if self.mapped is None:
            raise ValueError("the file is not mapped")
        low, high = stretch.offset + int(rows[0]) * width, stretch.offset + (int(rows[-1]) + 1) * width
        if high > len(self.mapped):
            raise EOFError(f"it ends at {len(self.mapped)}, before {high}: it was cut")
        np.bitwise_or.reduce(self.mapped[low:high:TOUCHED_EVERY])  # the disk is waited for here, in a thread
        start = int(self.mapped.__array_interface__["data"][0])
        return start + stretch.offset + rows * width


def open_file(files: Files, file: DataFile) -> OpenFile:
    """Open a data file of a store where it lies.

    Raises:
        StoreError: it is not what the log says.
        OSError: it can't be opened.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    if not files.is_local:
        source = files.open(file.path, file.size_bytes)
        return OpenFile(file, source, pq.ParquetFile(source, pre_buffer=True), None)  # few requests, side by side
    # not mapped into memory: a mapped file that is cut kills the process
    path = files.full(file.path)
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        check_size(files, file, os.fstat(fd).st_size)
        source = pa.OSFile(path)
        return OpenFile(file, source, pq.ParquetFile(source), fd)
    except BaseException:
        os.close(fd)
        raise


def open_copy(path: str, file: DataFile) -> OpenFile:
    """Open a cache's copy of a data file, mapped into memory."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        # windows hold mappings of thousands of small shards: Python's mmap would keep a descriptor open for each
        with pa.memory_map(path) as mapped:
            start = mapped.read_buffer(1)  # of all of it, the system would read all of it now
            whole = pa.foreign_buffer(start.address, mapped.size(), base=start)
        source = pa.BufferReader(whole)
        return OpenFile(file, source, pq.ParquetFile(source), fd, np.frombuffer(whole, np.uint8))
    except BaseException:
        os.close(fd)
        raise


def check_size(files: Files, file: DataFile, size_bytes: int) -> None:
    """Raise StoreError unless a file has as many bytes as the log says."""
    if size_bytes != file.size_bytes:
        url = files.url
        raise StoreError(
            f"{url}/{file.path} has {size_bytes} bytes, the log says {file.size_bytes}: it was cut or replaced; put "
            f"the right one back; `mmdata verify {url}` checks all files"
        )
