"""`rows`: random access to a store's samples by number, many at once: what torch calls a map-style dataset.

A stream reads in an order that suits the files; who asks for rows at random has no such order. So what fits into memory
is kept: each row group is read when one of its rows is first asked for, straight to its place, and from then on a batch
is a gather from memory. Of what doesn't fit only the rows asked for are read.
"""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from operator import index
from threading import Lock
from typing import TYPE_CHECKING, Any, SupportsIndex, cast, overload

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.step import Step
from mmdata.errors import ConfigError
from mmdata.loader.assembling import Decoders
from mmdata.loader.bounds import n_bytes, whole
from mmdata.loader.cache import Cache
from mmdata.loader.collate import Begun, Collator, Output
from mmdata.loader.columns import Column, Held, Piece
from mmdata.loader.contents import Contents, contents_of, row_bytes
from mmdata.loader.media import MediaSettings, Medium
from mmdata.loader.names import check_words
from mmdata.loader.order import Taken, WindowId
from mmdata.loader.reader import Window
from mmdata.loader.tars import Fetch

if TYPE_CHECKING:
    from mmdata.store import Store

GIB = 1 << 30


def rows(
    store: Store,
    columns: Sequence[str],
    *,
    selection: str | None = None,
    split: str | Sequence[str] | None = None,
    threads: int = 2,
    max_bytes: int = 2 * GIB,
    output: Output = "numpy",
    steps: Mapping[str, Sequence[Step]] | None = None,
    seed: int = 0,
    check_digests: bool = False,
    fetch: Fetch | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
) -> Rows:
    """A store's samples by number, in stored order.

    Args:
        store: an open store; its content as it is now is what is read from then on.
        columns: names of features and texts, as `stream` takes them.
        selection: only samples of that selection.
        split: only samples of that split of the selection, or of those splits.
        threads: how many read.
        max_bytes: bound of what is kept in memory, in each process. Small columns come first; of one that doesn't fit,
            the rows asked for are read each time: quick for features of one shape, slow for others.
        output: arrays of numpy, or tensors of torch.
        steps: by column of media, what is done with what was decoded, as `stream` takes them.
        seed: of random steps, with the epoch and the sample's key.
        check_digests: compare each file of a local store with the log before its first use.
        fetch: reads parts that the store only points to, by their pointer.
        cache: a folder on a disk of this machine for copies of the store's files, or a `Cache`, as `stream` takes it.

    Raises:
        ConfigError: a setting is out of range or an unknown name, or there are no rows.
        Incomplete: a shard with selected samples lacks a feature that is asked for.
    """
    threads, seed = whole("threads", threads, least=1, where="rows"), whole("seed", seed, where="rows")
    max_bytes = n_bytes("max_bytes", max_bytes, least=0, where="rows")
    if output not in ("numpy", "torch"):
        raise ConfigError("rows", [f"output: must be numpy or torch, not {output!r}"])
    media = MediaSettings(dict(steps or {}), seed, 0, check_digests, fetch)
    contents = contents_of(store, columns, selection=selection, split=split, media=media).through(cache)
    check_words([store], contents.columns)
    return Rows(contents, threads=threads, max_bytes=max_bytes, output=output)


class Rows:
    """A store's selected samples by number, in stored order. Made by `rows`.

    `data[3]` is one sample: what a batch has under each name, without the batch's axis. `data[[3, 1]]` and `data[2:9]`
    are batches, as a stream gives them, but that a bad sample is an error: nothing takes its place. Can be sent to
    another process, and be used after a fork.

    Attributes:
        epoch: fixes what random steps do, with their seed and each sample's key.
    """

    def __init__(self, contents: Contents, *, threads: int, max_bytes: int, output: Output) -> None:
        self.contents = contents
        self.epoch = 0
        self._settings: dict[str, Any] = {"threads": threads, "max_bytes": max_bytes, "output": output}
        self._threads = threads
        self._collate = Collator(contents.columns, output, marks_real=False)
        self._starts = np.cumsum([0, *(len(chunk.rows) for chunk in contents.chunks)])
        self._kept = _Kept(_fitting(contents, max_bytes), len(self), len(contents.chunks))
        self._picked = [column for column in contents.columns if column not in self._kept.columns]
        self._readers: dict[int, _Reader] = {}  # by process: neither threads nor locks outlive a fork

    @property
    def specs(self) -> Mapping[str, ArraySpec]:
        """The promises of the feature columns, by name."""
        return {column.name: column.spec for column in self.contents.columns if column.spec is not None}

    def __len__(self) -> int:
        return int(self._starts[-1])

    def __getitem__(self, wanted: SupportsIndex | slice | Sequence[int] | np.ndarray) -> dict[str, Any]:
        """One sample, or a batch of several. Negative numbers count from the end; some may come more than once.

        Raises:
            IndexError: there is no such row. TypeError: it is no number.
            StoreError: a file is gone, cut or damaged.
        """
        if isinstance(wanted, slice):
            return self._batch(np.arange(*wanted.indices(len(self))))
        if isinstance(wanted, Sequence | np.ndarray) or hasattr(wanted, "tolist"):
            places = np.asarray(wanted)
            if places.ndim == 1:
                return self._batch(self._checked(places))
        number = index(cast(SupportsIndex, wanted))
        return Gathered(self._batch(self._checked(np.array([number]))), 1)[0]

    def __iter__(self) -> Iterator[dict[str, Any]]:
        for number in range(len(self)):
            yield self[number]

    def __getitems__(self, wanted: Sequence[int]) -> Gathered:
        """What a `DataLoader` asks for: several samples at once, as a sequence that `collate` knows to be a batch."""
        places = self._checked(np.asarray(wanted))
        return Gathered(self._batch(places), len(places))

    @staticmethod
    def collate(samples: Sequence[Any]) -> dict[str, Any]:
        """The batch that `__getitems__` read: give it to a `DataLoader` as `collate_fn`."""
        if not isinstance(samples, Gathered):
            raise TypeError(
                f"collate takes what __getitems__ gives, not {type(samples).__name__}: no step may lie between"
            )
        return samples.batch

    def close(self) -> None:
        """Close files, end threads, and forget what was kept. What is asked for later is read again."""
        reader = self._readers.pop(os.getpid(), None)
        if reader is not None:
            reader.close()
        self._kept = self._kept.empty()

    def _batch(self, places: np.ndarray) -> dict[str, Any]:
        asked = _Asked({**self._from_memory(places), **self._from_files(places)})
        taken = [Taken(WindowId(0, self.epoch, 0), np.arange(len(places)))]
        decoders = self._reader().decoders if self._collate.media else None
        media = decoders.begin(taken, [asked]) if decoders else None
        return self._collate.finish(Begun(taken, [asked], media)).batch

    def _checked(self, places: np.ndarray) -> np.ndarray:
        if not len(places):
            return np.zeros(0, np.int64)
        if places.dtype.kind not in "iu":
            raise TypeError(f"rows are numbered by whole numbers, not {places.dtype}")
        if places.min() < -len(self) or places.max() >= len(self):
            wrong = int(places.min()) if places.min() < -len(self) else int(places.max())
            raise IndexError(f"there is no row {wrong}: there are {len(self)}")
        return np.where(places < 0, places + len(self), places).astype(np.int64)

    def _reader(self) -> _Reader:
        found = self._readers.get(os.getpid())
        if found is None and self._kept.is_changing:  # as another thread read while this process was forked
            self._kept = self._kept.empty()
        # setdefault: of two threads that make one, both use the first
        return found or self._readers.setdefault(os.getpid(), _Reader(self.contents, **self._settings))

    def _from_memory(self, places: np.ndarray) -> dict[str, Piece]:
        if not self._kept.columns:
            return {}
        needed = np.unique(self._chunks_of(places))
        reader = self._reader()
        with reader.lock:
            kept = self._kept
            lacking = needed[~kept.there[needed]].tolist()
            with kept.changing():
                chunks = self.contents.chunks
                self._read(
                    reader,
                    [(kept.columns, kept.held, at, chunks[at].rows, at, int(self._starts[at])) for at in lacking],
                )
            kept.there[lacking] = True
        return {name: (column, places) for name, column in kept.held.items()}

    def _from_files(self, places: np.ndarray) -> dict[str, Piece]:
        if not self._picked:
            return {}
        wanted, inverse = np.unique(places, return_inverse=True)
        chunks = self._chunks_of(wanted)
        held = {column.name: column.hold(len(wanted)) for column in self._picked}
        firsts = [*np.flatnonzero(np.diff(chunks, prepend=-1)).tolist(), len(wanted)]
        reads = []
        for part, (low, high) in enumerate(pairwise(firsts)):
            number = int(chunks[low])
            stored = self.contents.chunks[number].rows[wanted[low:high] - self._starts[number]]
            reads.append((self._picked, held, number, stored, part, low))
        self._read(self._reader(), reads)
        return {name: (column, inverse) for name, column in held.items()}

    def _chunks_of(self, places: np.ndarray) -> np.ndarray:
        return np.searchsorted(self._starts, places, side="right") - 1

    def _read(self, reader: _Reader, reads: Sequence[_Read]) -> None:
        """Read chunks by threads, and wait for all of them."""
        tasks: list[Future[None]] = []
        for columns, held, number, stored, part, first in reads:
            files = self.contents.chunks[number].files
            for family in dict.fromkeys(column.family for column in columns):
                into = [(column, held[column.name]) for column in columns if column.family == family]
                fill = reader.files.fill
                tasks.append(reader.threads.submit(fill, files[family], into, stored, part=part, first=first))
        for task in tasks:
            task.result()

    def __getstate__(self) -> dict[str, Any]:
        return {"contents": self.contents, "epoch": self.epoch, **self._settings}

    def __setstate__(self, state: Mapping[str, Any]) -> None:
        settings = dict(state)
        epoch = settings.pop("epoch")
        self.__init__(**settings)  # type: ignore[misc]  # in another process nothing is kept yet
        self.epoch = epoch

    def __repr__(self) -> str:
        names = ", ".join(column.name for column in self.contents.columns)
        return f"<Rows of {self.contents.place}: {len(self)} rows of {names}>"


# columns, their room by name, the chunk's number, its rows in the files, a number of their own, and their first place
_Read = tuple[Sequence[Column], Mapping[str, Held], int, np.ndarray, int, int]


class Gathered(Sequence[dict[str, Any]]):
    """The samples of one batch, one by one; what varies in length is padded as in the batch.

    Args:
        batch: the same as a batch. n_rows: how many there are.
    """

    def __init__(self, batch: dict[str, Any], n_rows: int) -> None:
        self.batch = batch
        self._n_rows = n_rows

    def __len__(self) -> int:
        return self._n_rows

    @overload
    def __getitem__(self, number: int) -> dict[str, Any]: ...

    @overload
    def __getitem__(self, number: slice) -> list[dict[str, Any]]: ...

    def __getitem__(self, number: int | slice) -> dict[str, Any] | list[dict[str, Any]]:
        numbers = range(self._n_rows)[number]
        if isinstance(numbers, range):
            return [self[each] for each in numbers]
        return {name: values[numbers] for name, values in self.batch.items()}

    def __iter__(self) -> Iterator[dict[str, Any]]:
        return (self[number] for number in range(self._n_rows))


@dataclass(eq=False)
class _Kept:
    """Columns that are kept in memory: room for all rows, which the system gives as it is used.

    Args:
        columns: which. n_rows: of each. n_chunks: in which they are stored.
    """

    columns: Sequence[Column]
    n_rows: int
    n_chunks: int
    held: dict[str, Held] = field(init=False)
    there: np.ndarray = field(init=False)
    is_changing: bool = False

    def __post_init__(self) -> None:
        self.held = {column.name: column.hold(self.n_rows) for column in self.columns}
        self.there = np.zeros(self.n_chunks, bool)

    def empty(self) -> _Kept:
        return _Kept(self.columns, self.n_rows, self.n_chunks)

    @contextmanager
    def changing(self) -> Iterator[None]:
        self.is_changing = True
        try:
            yield
        finally:
            self.is_changing = False


class _Asked(Window):
    """The rows of one batch, as the window that they are taken from: nothing else is in it to replace a bad one."""

    def __init__(self, pieces: dict[str, Piece]) -> None:
        self._pieces = pieces

    @property
    def n_rows(self) -> int:
        return 1

    def pieces(self, places: np.ndarray) -> dict[str, Piece]:
        return {name: (held, rows[places]) for name, (held, rows) in self._pieces.items()}


class _Reader:
    """What reads in one process."""

    def __init__(self, contents: Contents, *, threads: int, max_bytes: int, output: Output) -> None:  # noqa: ARG002
        self.lock = Lock()
        self.files = contents.reader()
        self.threads = ThreadPoolExecutor(threads, "mmdata-rows")
        self._contents, self._n_threads, self._max_bytes = contents, threads, max_bytes

    @cached_property
    def decoders(self) -> Decoders:
        contents = self._contents
        return Decoders(
            [column for column in contents.columns if isinstance(column, Medium)],
            [contents.media_files()],
            seed=contents.media.seed,
            threads=self._n_threads,
            max_bytes=self._max_bytes,
            max_consecutive_bad=0,
            room_bytes=self._max_bytes // 4,
        )

    def close(self) -> None:
        self.threads.shutdown(cancel_futures=True)
        self.files.close()
        if "decoders" in self.__dict__:
            self.decoders.close()


def _fitting(contents: Contents, max_bytes: int) -> list[Column]:
    """The columns that fit into memory together, small ones first."""
    shards = [chunk.files for chunk in contents.chunks]
    sizes = {column: row_bytes(column, shards) * contents.n_rows for column in contents.columns}
    found: list[Column] = []
    left = float(max_bytes)
    for column in sorted(sizes, key=sizes.__getitem__):
        if sizes[column] > left:
            break
        found.append(column)
        left -= sizes[column]
    return found
