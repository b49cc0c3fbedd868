"""Fetching ahead of a reader, in its order, while what is held stays within bounds."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Self

from mmdata.source.urls.answer import Wanted
from mmdata.source.urls.fetch import Fetcher
from mmdata.source.urls.manners import NotFetched

MOST_AHEAD = 256  # URLs: what is done waits for what is slow


class _Closed(Exception):
    """Nobody reads on."""


class Ahead:
    """The answers to a list of URLs, one after another, fetched by threads that look ahead.

    What is read next is always fetched, whatever is held; the others wait when `max_bytes` are.

    Args:
        fetcher: gets them. wanted: in the order of reading. max_bytes: held at most, and the one that is read next.
    """

    def __init__(self, fetcher: Fetcher, wanted: Sequence[Wanted], *, max_bytes: int) -> None:
        self._fetcher, self._wanted, self._max_bytes = fetcher, wanted, max_bytes
        self._done: dict[int, bytes | Exception] = {}
        self._held: dict[int, int] = {}
        self._changed = threading.Condition()
        self._head = self._begun = 0
        self._closed = threading.Event()

    def __enter__(self) -> Self:
        for _ in range(min(self._fetcher.manners.connections, len(self._wanted))):
            threading.Thread(target=self._work, daemon=True).start()
        return self

    def __exit__(self, *error: object) -> None:
        with self._changed:
            self._closed.set()
            self._changed.notify_all()

    def next(self) -> bytes | NotFetched:
        """The next URL's bytes, or why they can't be had."""
        with self._changed:
            while self._head not in self._done:
                self._changed.wait()
            result = self._done.pop(self._head)
            self._held.pop(self._head, None)
            self._head += 1
            self._changed.notify_all()
        if isinstance(result, Exception) and not isinstance(result, NotFetched):
            raise result
        return result

    def _work(self) -> None:
        while (index := self._begin()) is not None:
            try:
                result: bytes | Exception = self._fetcher.fetch(self._wanted[index], _Room(self, index))
            except _Closed:
                return
            except Exception as error:  # noqa: BLE001  the reader raises it
                result = error
            with self._changed:
                self._done[index] = result
                self._changed.notify_all()

    def _begin(self) -> int | None:
        """The next URL to be fetched, once it is not too far ahead; None when there is none."""
        with self._changed:
            while not self._closed.is_set() and self._begun < len(self._wanted):
                if self._begun < self._head + MOST_AHEAD and (self._begun == self._head or self._free > 0):
                    self._begun += 1
                    return self._begun - 1
                self._changed.wait()
        return None

    @property
    def _free(self) -> int:
        return self._max_bytes - sum(self._held.values())

    def take(self, index: int, n_bytes: int) -> bool:
        """Whether a URL's answer may grow by so many bytes."""
        with self._changed:
            if self._closed.is_set():
                raise _Closed
            if index != self._head and n_bytes > self._free:
                return False
            self._held[index] = self._held.get(index, 0) + n_bytes
            return True

    def give_back(self, index: int) -> None:
        """Count none of a URL's bytes any more."""
        with self._changed:
            self._held.pop(index, None)
            self._changed.notify_all()

    def wait(self, index: int) -> None:
        """Return when a URL is what is read next."""
        with self._changed:
            while index != self._head and not self._closed.is_set():
                self._changed.wait()
        self.pause(0)

    def pause(self, seconds: float) -> None:
        if self._closed.wait(seconds):
            raise _Closed


class _Room:
    """The room of one URL's answer."""

    def __init__(self, ahead: Ahead, index: int) -> None:
        self._ahead, self._index = ahead, index

    def take(self, n_bytes: int) -> bool:
        return self._ahead.take(self._index, n_bytes)

    def give_back(self) -> None:
        self._ahead.give_back(self._index)

    def wait(self) -> None:
        self._ahead.wait(self._index)

    def pause(self, seconds: float) -> None:
        self._ahead.pause(seconds)
