"""Reading windows of rows: threads read row groups of the columns asked for, and put their rows where they belong."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.errors import SchemaMismatch, StoreError
from mmdata.loader.columns import Column, Held
from mmdata.loader.plan import Epoch

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.store.files import Files
    from mmdata.store.layout import DataFile

FILES_KEPT = 256  # open, as opening costs as much as reading a row group; well below the usual limit of 1,024


@dataclass(frozen=True, eq=False)
class Chunk:
    """Selected rows that lie together in a shard.

    Args:
        files: the shard's file of each family.
        rows: int64 [row], where in those files they stand, ascending.
    """

    files: dict[str, DataFile]
    rows: np.ndarray


@dataclass(frozen=True, eq=False)
class OpenFile:
    """An open Parquet file, and the row at which each of its row groups starts, int64 [group + 1]."""

    source: Any
    parquet: Any
    starts: np.ndarray


class ShardReader:
    """Reads rows of data files, and keeps files open. Safe to use from several threads."""

    def __init__(self, files: Files, columns: Sequence[Column]) -> None:
        self._files = files
        self._specs = {column.name: column.spec for column in columns if column.spec is not None}
        self._idle: OrderedDict[str, OpenFile] = OrderedDict()  # a file that is in use is not in it
        self._lock = Lock()

    def read(self, file: DataFile, fields: Sequence[str], rows: np.ndarray) -> pa.Table:
        """The fields of ascending rows, each column in one chunk.

        Raises:
            StoreError: the file is gone, cut or damaged.
            SchemaMismatch: it holds arrays of another form than the rest of its family.
        """
        import pyarrow as pa

        try:
            opened = self._take(file)
            table = _read(opened, [field for field in fields if field != "source"], rows)
        except (OSError, pa.ArrowException) as error:
            url = self._files.url
            raise StoreError(
                f"can't read {url}/{file.path}: {error}; `mmdata verify {url}` checks all files"
            ) from error
        self._give_back(file.path, opened)
        if "source" in fields:  # the log knows it, not the file
            table = table.append_column("source", pa.array([file.source] * len(rows), pa.string()))
        return table.combine_chunks()

    def close(self) -> None:
        """Close what is open."""
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for opened in idle.values():
            opened.source.close()

    def _take(self, file: DataFile) -> OpenFile:
        with self._lock:
            idle = self._idle.pop(file.path, None)
        return idle or self._open(file)

    def _give_back(self, path: str, opened: OpenFile) -> None:
        with self._lock:
            surplus = [self._idle.pop(path)] if path in self._idle else []
            self._idle[path] = opened
            if len(self._idle) > FILES_KEPT:
                surplus.append(self._idle.popitem(last=False)[1])
        for other in surplus:
            other.source.close()

    def _open(self, file: DataFile) -> OpenFile:
        import pyarrow as pa
        import pyarrow.parquet as pq

        # not mapped into memory: a mapped file that is cut kills the process
        path = self._files.full(file.path)
        source = pa.OSFile(path) if self._files.is_local else self._files.open(file.path)
        try:
            parquet = pq.ParquetFile(source)
            self._check(file, parquet)
        except BaseException:
            source.close()
            raise
        groups = [parquet.metadata.row_group(group).num_rows for group in range(parquet.num_row_groups)]
        return OpenFile(source, parquet, np.concatenate([[0], np.cumsum(groups, dtype=np.int64)]))

    def _check(self, file: DataFile, parquet: Any) -> None:
        from mmdata.store.tables import specs_of

        for column, spec in specs_of(parquet.schema_arrow).items():
            if self._specs.get(column, spec) != spec:
                raise SchemaMismatch(
                    f"{file.path} of {self._files.url} promises {spec} for {column!r}, other shards "
                    f"{self._specs[column]}: `mmdata features` brings all shards to the same form"
                )
        if parquet.metadata.num_rows != file.rows:
            found = parquet.metadata.num_rows
            raise StoreError(f"{self._files.url}/{file.path} has {found} rows, the log says {file.rows}")


def _read(opened: OpenFile, fields: Sequence[str], rows: np.ndarray) -> pa.Table:
    import pyarrow as pa

    groups, which = np.unique(np.searchsorted(opened.starts, rows, side="right") - 1, return_inverse=True)
    table = opened.parquet.read_row_groups(groups.tolist(), columns=list(fields), use_threads=False)
    if len(rows) < table.num_rows:
        counts = np.diff(opened.starts)[groups]
        moved = np.cumsum(counts) - counts - opened.starts[groups]  # from the file's row numbers to the table's
        table = table.take(pa.array(rows + moved[which]))
    return table


class Window:
    """A window's rows, column by column, while threads still fill them in."""

    def __init__(self, held: dict[str, Held], parts: list[Future[None]]) -> None:
        self._held = held
        self._parts = parts

    def rows(self) -> dict[str, Held]:
        """The columns by name, once all is there. Raises what reading raised."""
        for part in self._parts:
            part.result()
        self._parts.clear()
        return self._held

    def cancel(self) -> None:
        for part in self._parts:
            part.cancel()


class WindowReader:
    """The windows of one epoch that are held or being read."""

    def __init__(
        self, epoch: Epoch, chunks: Sequence[Chunk], columns: Sequence[Column], reader: ShardReader, *, threads: int
    ) -> None:
        self._epoch = epoch
        self._chunks = chunks
        self._columns = columns
        self._reader = reader
        self._windows: dict[int, Window] = {}
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mmdata-read")

    def want(self, windows: Iterable[int]) -> None:
        """Hold these windows and no others; those that are new are read from now on, in this order."""
        wanted = list(windows)
        for gone in self._windows.keys() - set(wanted):
            self._windows.pop(gone).cancel()
        for number in wanted:
            if number not in self._windows:
                self._windows[number] = self._begin(number)

    def __getitem__(self, window: int) -> dict[str, Held]:
        """The rows of a window that is wanted; waits until they are there."""
        return self._windows[window].rows()

    def close(self) -> None:
        """Forget all windows, wait for the reads under way, and close all files."""
        self.want(())
        self._threads.shutdown(cancel_futures=True)
        self._reader.close()

    def _begin(self, window: int) -> Window:
        numbers, places = self._epoch.window(window)
        held = {column.name: column.hold(len(places)) for column in self._columns}
        parts: list[Future[None]] = []
        first = 0
        for part, number in enumerate(numbers.tolist()):
            chunk = self._chunks[number]
            here = places[first : first + len(chunk.rows)]
            first += len(chunk.rows)
            families = {column.family: None for column in self._columns}
            parts += [self._threads.submit(self._fill, held, chunk, family, part, here) for family in families]
        return Window(held, parts)

    def _fill(self, held: dict[str, Held], chunk: Chunk, family: str, part: int, places: np.ndarray) -> None:
        columns = [column for column in self._columns if column.family == family]
        fields = list(dict.fromkeys(field for column in columns for field in column.fields))
        rows = self._reader.read(chunk.files[family], fields, chunk.rows)
        for column in columns:
            held[column.name].put(part, places, rows)
