"""The media of a batch: threads read, decode and change them, and put each into its place in the batch.

Codecs release Python's lock, so threads keep as many cores busy as there are, and nothing crosses a process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import ExitStack
from threading import Lock
from typing import Protocol

import numpy as np

from mmdata.errors import ConfigError, DataError, DecodeError, StoreError
from mmdata.loader.buffers import Buffers
from mmdata.loader.columns import Piece
from mmdata.loader.decoding import Decoded
from mmdata.loader.films import Room
from mmdata.loader.media import Medium, MediumRows
from mmdata.loader.order import Taken
from mmdata.loader.replacing import Replaced, others
from mmdata.loader.stacking import Stack
from mmdata.loader.tars import MediaFiles, Place
from mmdata.store.files import part_digest

ROWS_A_TASK = 8  # a task costs as much as a fiftieth of a small picture
FETCHERS = 16  # requests side by side: each waits most of its time
Found = Decoded | bytes | None
BatchArrays = dict[str, "np.ndarray | list[bytes | None]"]


class Held(Protocol):
    """A window: its rows by place."""

    @property
    def n_rows(self) -> int:
        """How many there are to choose replacements from."""

    def pieces(self, places: np.ndarray, /) -> dict[str, Piece]:
        """The rows at some places, by column."""


class Decoders:
    """Threads that make media of rows; for one pass over an epoch.

    Args:
        media: the columns. files: of each part of the data, what reads its media.
        seed: of the choice of replacements.
        threads: how many decode. max_bytes: most that a batch may take.
        max_consecutive_bad: most samples in a row that may be bad: one, and those that should take its place.
        room_bytes: most that films may take while they are decoded: half of it their files, half their frames.
    """

    def __init__(
        self,
        media: Sequence[Medium],
        files: Sequence[MediaFiles],
        *,
        seed: int,
        threads: int,
        max_bytes: int,
        max_consecutive_bad: int,
        room_bytes: int = 0,
    ) -> None:
        self.media = tuple(media)
        self.frames_room, self.files_room = Room(room_bytes // 2, "decoding"), Room(room_bytes // 2, "file")
        self.seed, self.max_bytes, self.max_consecutive_bad = seed, max_bytes, max_consecutive_bad
        self.files = tuple(files)
        self.buffers = Buffers(2 * max_bytes)
        self._threads = ThreadPoolExecutor(threads, thread_name_prefix="mmdata-decode")
        self._fetchers = ThreadPoolExecutor(FETCHERS, thread_name_prefix="mmdata-fetch")
        _one_thread_each()

    def begin(self, taken: Sequence[Taken], windows: Sequence[Held]) -> MediaBatch:
        """Begin a batch: its rows are decoded from now on."""
        return MediaBatch(self, taken, windows)

    def submit(self, work: Callable[[int, int], None], first: int, last: int) -> Future[None]:
        return self._threads.submit(work, first, last)

    def fetch(self, part: int, place: Place) -> Future[bytes]:
        return self._fetchers.submit(self.files[part].read, place)

    def close(self) -> None:
        """End all threads, once they are done with the row they have, and close the files."""
        self._fetchers.shutdown(wait=False, cancel_futures=True)
        self._threads.shutdown(cancel_futures=True)
        self._fetchers.shutdown()
        for files in self.files:
            files.close()


class MediaBatch:
    """The media of one batch, while threads make them."""

    def __init__(self, decoders: Decoders, taken: Sequence[Taken], windows: Sequence[Held]) -> None:
        self._decoders, self._taken, self._windows = decoders, taken, windows
        self.places = [one.places.copy() for one in taken]  # a row that was bad has that of another in the end
        self._pieces = [window.pieces(one.places) for window, one in zip(windows, taken, strict=True)]
        self._rows = [(number, at) for number, one in enumerate(taken) for at in range(len(one.places))]
        self._stacks = {
            medium.name: Stack(
                medium.name, medium.spec, len(self._rows), decoders.buffers, max_bytes=decoders.max_bytes
            )
            for medium in decoders.media
            if medium.spec is not None
        }
        self._bytes: dict[str, list[bytes | None]] = {
            medium.name: [None] * len(self._rows) for medium in decoders.media if medium.spec is None
        }
        sounds = [medium.name for medium in decoders.media if medium.is_sound]
        self._rates = {name: np.zeros(len(self._rows), np.int64) for name in sounds}
        self._times = {
            medium.name: Stack(f"{medium.name}.times_s", times, len(self._rows), decoders.buffers, max_bytes=1 << 40)
            for medium in decoders.media
            if (times := medium.times) is not None
        }
        self._replaced: dict[int, list[Replaced]] = {}
        self.n_raw_bytes, self._lock = 0, Lock()
        self._fetched = self._fetch_ahead()
        starts = range(0, len(self._rows), ROWS_A_TASK)
        self._tasks = [decoders.submit(self._fill, first, first + ROWS_A_TASK) for first in starts]

    def finish(self) -> tuple[BatchArrays, list[Replaced]]:
        """The arrays by their names in the batch, and what was replaced, once all rows are there.

        Raises:
            StoreError: bytes can't be had, or too many samples in a row are bad.
            StepError: a step failed. ConfigError: the batch is larger than allowed.
        """
        for task in self._tasks:
            task.result()
        batch: BatchArrays = dict(self._bytes)
        for name, stack in self._stacks.items():
            batch.update(stack.batch())
            if name in self._rates:
                batch[f"{name}.rate_hz"] = self._rates[name]
            if name in self._times:
                batch[f"{name}.times_s"] = self._times[name].values()
        return batch, [one for row in sorted(self._replaced) for one in self._replaced[row]]

    def _fetch_ahead(self) -> dict[tuple[int, str], Future[bytes]]:
        """Requests for what is not on this machine, as much as memory allows; the rest is read when its turn comes."""
        fetched: dict[tuple[int, str], Future[bytes]] = {}
        left = self._decoders.max_bytes
        for row, (number, at) in enumerate(self._rows):
            part = self._taken[number].window.part
            for medium in self._decoders.media:
                place = self._place(number, at, medium.name)
                if place is None or self._decoders.files[part].is_quick(place):
                    continue
                left -= place.length
                if left < 0:
                    return fetched
                fetched[row, medium.name] = self._decoders.fetch(part, place)
        return fetched

    def _place(self, number: int, at: int, name: str) -> Place | None:
        held, rows = self._pieces[number][name]
        return held.place(int(rows[at])) if isinstance(held, MediumRows) else None

    def _fill(self, first: int, last: int) -> None:
        """Make rows [first, last)."""
        for row in range(first, min(last, len(self._rows))):
            number, at = self._rows[row]
            place, found = self._sound(row, number, at)
            self.places[number][at] = place
            for name, one in found.items():
                self._put(row, name, one)

    def _put(self, row: int, name: str, found: Found) -> None:
        if isinstance(found, Decoded):
            self._stacks[name].put(row, found.array)
            if name in self._rates:
                self._rates[name][row] = found.rate_hz
            if name in self._times and found.times_s is not None:
                self._times[name].put(row, found.times_s)
        elif found is not None:
            with self._lock:
                self.n_raw_bytes += len(found)
            if self.n_raw_bytes > self._decoders.max_bytes:
                raise ConfigError(
                    "stream",
                    [f"max_bytes: the bytes of {name!r} in one batch are over a third of it: take a smaller batch"],
                )
            self._bytes[name][row] = found

    def _sound(self, row: int, number: int, at: int) -> tuple[int, dict[str, Found]]:
        """A row's media, or those of the first of its replacements that is sound; and which place that has."""
        place, window = int(self._taken[number].places[at]), self._windows[number]
        found = self._media(number, self._pieces[number], at, row)
        if not isinstance(found, Replaced):
            return place, found
        bad = [found]
        fits = self._taken[number].fits
        for other in others(self._decoders.seed, self._taken[number].window, place, window.n_rows):
            if len(bad) > self._decoders.max_consecutive_bad:
                break
            if fits is not None and not fits[other]:
                continue
            pieces = window.pieces(np.array([other]))
            found = self._media(number, pieces, 0, None)
            if not isinstance(found, Replaced):
                by = self._key(pieces)
                self._replaced[row] = [Replaced(one.key, one.column, one.kind, one.error, by) for one in bad]
                return other, found
            bad.append(found)
        last = bad[-1]
        raise StoreError(
            f"{len(bad)} samples in a row are bad, max_consecutive_bad is {self._decoders.max_consecutive_bad}: the "
            f"last is {last.key!r}, whose {last.column!r} gives: {last.error}"
        )

    def _key(self, pieces: Mapping[str, Piece]) -> str:
        held, rows = pieces[self._decoders.media[0].name]
        return held.key(int(rows[0])) if isinstance(held, MediumRows) else ""

    def _media(self, number: int, pieces: Mapping[str, Piece], at: int, row: int | None) -> dict[str, Found] | Replaced:
        """All media of the rows at `at` of some pieces; or why one is bad. `row` is the row whose own they are."""
        window = self._taken[number].window
        found: dict[str, Found] = {}
        for medium in self._decoders.media:
            held, rows = pieces[medium.name]
            place = held.place(int(rows[at])) if isinstance(held, MediumRows) else None
            if place is None:
                found[medium.name] = None
                continue
            ahead = self._fetched.pop((row, medium.name), None) if row is not None else None
            one = self._medium(medium, place, window.part, window.epoch, ahead)
            if isinstance(one, Replaced):
                return one
            found[medium.name] = one
        return found

    def _medium(
        self, medium: Medium, place: Place, part: int, epoch: int, ahead: Future[bytes] | None
    ) -> Found | Replaced:
        """One medium of one row; or why it is bad."""
        decoders, decoding = self._decoders, medium.decoding
        with ExitStack() as held:
            if decoding is not None and medium.is_film and decoders.files_room.n_bytes:
                if decoding.file_bytes is not None and place.length > decoding.file_bytes:
                    much = f"it has {place.length:,} bytes, and max_bytes is {decoding.file_bytes:,}"
                    return Replaced(place.key, medium.name, DecodeError.kind, much)
                held.enter_context(decoders.files_room.taken(place.length, place.key))
            data = ahead.result() if ahead is not None else decoders.files[part].read(place)
            if place.digest and (digest := part_digest(data)) != place.digest:
                changed = f"its bytes changed: their digest is {digest}, the store recorded {place.digest}"
                return Replaced(place.key, medium.name, "changed", changed)
            if decoding is None:
                return data
            try:
                room = decoders.frames_room if decoders.frames_room.n_bytes else None
                return decoding(data, key=place.key, epoch=epoch, room=room)
            except DataError as error:
                return Replaced(place.key, medium.name, error.kind, str(error))


def _one_thread_each() -> None:
    """Have OpenCV work in the thread that calls it: its own threads and ours would wait for each other."""
    try:
        from mmdata.codec.image.decode import opencv

        opencv().setNumThreads(1)
    except ImportError:  # nobody decodes pictures here
        return
