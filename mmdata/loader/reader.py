"""Reading windows of rows: threads read row groups of the columns asked for, in stored order.

Tensors of one shape are read from the file straight to their places, as the store keeps them as they are in memory;
batches are then gathered from windows by index. So a value is copied twice on its way, once from the file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from threading import Lock
from typing import TYPE_CHECKING
from weakref import WeakSet

import numpy as np

from mmdata.core.allocation import keep_large_buffers
from mmdata.errors import SchemaMismatch, StoreError, Unreachable, Unreadable
from mmdata.loader.buffers import Buffers
from mmdata.loader.cache import Copies, Wanted
from mmdata.loader.columns import Column, Held, Piece
from mmdata.loader.opened import OpenFile, open_copy, open_file
from mmdata.loader.order import EpochOrder, WindowId

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.store.files import Files
    from mmdata.store.layout import DataFile

FILES_KEPT = 192  # open, as opening costs as much as reading a row group; two descriptors each, of the usual 1,024
TRIES = 3  # of a copy that is evicted before it is opened
KEPT_BYTES = 1 << 40  # of memory for windows: all that is in use, and what was left by those before
_reading: WeakSet[ShardReader] = WeakSet()  # all of this process: parts of a mixture, and streams side by side


@dataclass(frozen=True, eq=False)
class Chunk:
    """Selected rows that lie together in a shard.

    Args:
        files: the shard's file of each family.
        rows: int64 [row], where in those files they stand, ascending.
    """

    files: dict[str, DataFile]
    rows: np.ndarray


class ShardReader:
    """Reads rows of data files, and keeps files open, as many as its share. Safe to use from several threads.

    Args:
        files: the store's folder.
        columns: what is read, for their promises.
        copies: of the files on this machine; without, each is read where it lies.
        check_digests: compare each file of a local store with the log before its first use.
        buffers: where windows' memory comes from.
    """

    def __init__(
        self,
        files: Files,
        columns: Sequence[Column],
        copies: Copies | None = None,
        *,
        check_digests: bool = False,
        buffers: Buffers | None = None,
    ) -> None:
        self._files, self._check_digests = files, check_digests
        self._checked: set[str] = set()
        self._copies = copies or Copies(files)
        self._specs = {column.name: column.spec for column in columns if column.spec is not None}
        self._schemas: set[bytes] = set()  # that were found to keep the promises
        self._buffers = buffers or Buffers(KEPT_BYTES)
        self._idle: OrderedDict[str, OpenFile] = OrderedDict()  # a file that is in use is not in it
        self._lock = Lock()
        _reading.add(self)

    def read(self, file: DataFile, fields: Sequence[str], rows: np.ndarray) -> pa.Table:
        """The fields of ascending rows, each column in one chunk.

        Raises:
            StoreError: the file is gone, cut or damaged.
            SchemaMismatch: it holds arrays of another form than the rest of its family.
        """
        with self._opened(file) as opened:
            return opened.table(fields, rows)

    def fill(
        self, file: DataFile, columns: Sequence[tuple[Column, Held]], rows: np.ndarray, *, part: int, first: int
    ) -> None:
        """Put ascending rows of a file into windows' columns, from place `first` on. Raises as `read` does."""
        with self._opened(file) as opened:
            rest = [
                (column, held)
                for column, held in columns
                if not opened.took(column, held, rows, first=first, buffers=self._buffers)
            ]
            if rest:
                fields = list(dict.fromkeys(field for column, _ in rest for field in column.fields))
                table = opened.table(fields, rows)
                for _, held in rest:
                    held.put(part, first, table)

    def check(self, file: DataFile) -> None:
        """Open a file, which checks it as far as is asked. Raises as `read` does."""
        with self._opened(file):
            pass

    @contextmanager
    def _opened(self, file: DataFile) -> Iterator[OpenFile]:
        import pyarrow as pa

        try:
            opened = self._take(file)
            try:
                yield opened
            except BaseException:
                opened.close()
                raise
        except Unreachable:  # no file is to blame
            raise
        except (OSError, EOFError, Unreadable, pa.ArrowException) as error:
            url = self._files.url
            if isinstance(error, FileNotFoundError) or isinstance(error.__cause__, FileNotFoundError):
                raise StoreError(
                    f"{url}/{file.path} is gone: put it back; or, if the store was changed and cleaned (`mmdata gc`) "
                    f"meanwhile, open it anew; `mmdata verify {url}` checks all files"
                ) from error
            raise StoreError(
                f"can't read {url}/{file.path}: {error}; `mmdata verify {url}` checks all files"
            ) from error
        self._give_back(file.path, opened)

    def close(self) -> None:
        """Close what is open."""
        _reading.discard(self)
        with self._lock:
            idle, self._idle = self._idle, OrderedDict()
        for opened in idle.values():
            opened.close()

    def _take(self, file: DataFile) -> OpenFile:
        with self._lock:
            idle = self._idle.pop(file.path, None)
        return idle or self._open(file)

    def _give_back(self, path: str, opened: OpenFile) -> None:
        with self._lock:
            surplus = [self._idle.pop(path)] if path in self._idle else []
            self._idle[path] = opened
            while len(self._idle) > max(1, FILES_KEPT // max(1, len(_reading))):
                surplus.append(self._idle.popitem(last=False)[1])
        for other in surplus:
            other.close()

    def _open(self, file: DataFile) -> OpenFile:
        opened = self._open_copy(file) or self._open_own(file)
        try:
            self._check(opened)
        except BaseException:
            opened.close()
            raise
        return opened

    def _open_own(self, file: DataFile) -> OpenFile:
        if self._check_digests and self._files.is_local and file.path not in self._checked:
            _, digest = self._files.measure(file.path)
            if digest != file.digest:
                raise StoreError(
                    f"{self._files.url}/{file.path} has the digest {digest}, the log says {file.digest}: its bytes "
                    f"changed; `mmdata verify {self._files.url} --drop-damaged` checks all files, and takes damaged "
                    "ones out of the store, for the next run to make again"
                )
            self._checked.add(file.path)
        return open_file(self._files, file)

    def _open_copy(self, file: DataFile) -> OpenFile | None:
        wanted = Wanted(file.path, file.size_bytes, file.digest)
        for _ in range(TRIES):
            if (path := self._copies.path(wanted)) is None:
                return None
            with suppress(FileNotFoundError):  # another process has evicted it this moment
                return open_copy(path, file)
        return None

    def _check(self, opened: OpenFile) -> None:
        from mmdata.store.tables import specs_of

        file, parquet = opened.file, opened.parquet
        schema = (parquet.metadata.metadata or {}).get(b"ARROW:schema")  # as bytes: most files have the same
        is_known = schema is not None and schema in self._schemas
        for column, spec in () if is_known else specs_of(parquet.schema_arrow).items():
            if self._specs.get(column, spec) != spec:
                raise SchemaMismatch(
                    f"{file.path} of {self._files.url} promises {spec} for {column!r}, other shards "
                    f"{self._specs[column]}: `mmdata features` brings all shards to the same form"
                )
        if parquet.metadata.num_rows != file.rows:
            found = parquet.metadata.num_rows
            raise StoreError(f"{self._files.url}/{file.path} has {found} rows, the log says {file.rows}")
        if schema is not None:
            self._schemas.add(schema)


class Window:
    """A window's rows, column by column, while threads still fill them in.

    Args:
        held: the columns by name. order: int64 [row], which row stands at each place. parts: what fills them.
    """

    def __init__(self, held: dict[str, Held], order: np.ndarray, parts: list[Future[None]]) -> None:
        self._held = held
        self._order = order
        self._parts = parts

    @property
    def n_rows(self) -> int:
        """How many places it has."""
        return len(self._order)

    def pieces(self, places: np.ndarray) -> dict[str, Piece]:
        """The rows at some places of each column, once all is there. Raises what reading raised."""
        for part in self._parts:
            part.result()
        self._parts.clear()
        rows = self._order[places]
        return {name: (held, rows) for name, held in self._held.items()}

    def only(self, places: np.ndarray) -> Window | None:
        """The rows at some places alone, in memory of their own; None where others may still be asked for."""
        places = np.unique(places)
        made: dict[str, Held] = {}
        for name, (held, rows) in self.pieces(places).items():
            some = held.only(rows)
            if some is None:
                return None
            made[name] = some
        order = np.zeros(self.n_rows, np.int64)
        order[places] = np.arange(len(places))
        return Window(made, order, [])

    def cancel(self) -> None:
        for part in self._parts:
            part.cancel()


@dataclass(frozen=True, eq=False)
class Part:
    """What is streamed of one store: its chunks and columns, and who reads them."""

    chunks: Sequence[Chunk]
    columns: Sequence[Column]
    reader: ShardReader


class WindowReader:
    """The windows of one epoch that are held or being read."""

    def __init__(self, epoch: EpochOrder, parts: Sequence[Part], *, threads: int) -> None:
        self._epoch = epoch
        self._parts = parts
        self._windows: dict[WindowId, Window] = {}
        self.reduced: set[WindowId] = set()  # of which only some rows are held
        keep_large_buffers()  # or every batch is given new pages, each zeroed first
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mmdata-read")

    def want(self, windows: Iterable[WindowId]) -> None:
        """Hold these windows and no others; those that are new are read from now on, in this order."""
        wanted = list(windows)
        for gone in self._windows.keys() - set(wanted):
            self._windows.pop(gone).cancel()
            self.reduced.discard(gone)
        for window in wanted:
            if window not in self._windows:
                self._windows[window] = self._begin(window)

    def reduce(self, places: Mapping[WindowId, np.ndarray]) -> None:
        """Hold of some windows only the rows at these places, as no others are ever asked for."""
        self.want(dict.fromkeys([*self._windows, *places]))
        for window, wanted in places.items():
            if window not in self.reduced and (held := self._windows.get(window)) is not None:
                rest = held.only(wanted)
                if rest is not None:
                    self._windows[window] = rest
                    self.reduced.add(window)

    def window(self, window: WindowId) -> Window:
        """A window that is wanted; it can be used for longer than it is."""
        return self._windows[window]

    def pieces(self, window: WindowId, places: np.ndarray) -> dict[str, Piece]:
        """Rows of a window that is wanted, by column; waits until they are there."""
        return self._windows[window].pieces(places)

    def close(self) -> None:
        """Forget all windows, wait for the reads under way, and close all files."""
        self.want(())
        self._threads.shutdown(cancel_futures=True)
        for part in self._parts:
            part.reader.close()

    def _begin(self, window: WindowId) -> Window:
        numbers, rows, order = self._epoch.window(window)
        part = self._parts[window.part]
        held = {column.name: column.hold(sum(map(len, rows))) for column in part.columns}
        families = dict.fromkeys(column.family for column in part.columns)
        tasks: list[Future[None]] = []
        first = 0
        for number, (at, within) in enumerate(zip(numbers.tolist(), rows, strict=True)):
            chunk = part.chunks[at]
            chosen = chunk.rows if len(within) == len(chunk.rows) else chunk.rows[within]
            for family in families:
                into = [(column, held[column.name]) for column in part.columns if column.family == family]
                file = chunk.files[family]
                tasks.append(self._threads.submit(part.reader.fill, file, into, chosen, part=number, first=first))
            first += len(chosen)
        return Window(held, order, tasks)
