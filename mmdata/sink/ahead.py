"""Members of a tar, read many at a time: a request to a bucket takes as long for one part as for some megabytes."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable

from mmdata.store.files import Files

RUN_BYTES, GAP_BYTES = 8 << 20, 64 << 10


class Ahead:
    """Reads ranges of a file that are asked for in order; what lies close together is read in one go.

    Args:
        files: the store's. path: the file. ranges: all (offset, length) that will be asked for.
    """

    def __init__(self, files: Files, path: str, ranges: Iterable[tuple[int, int]]) -> None:
        self._files, self._path = files, path
        self._runs: list[tuple[int, int]] = []  # begin and end
        self._held: tuple[int, bytes] | None = None
        for offset, length in sorted(ranges):
            begin, end = self._runs[-1] if self._runs else (0, 0)
            if self._runs and offset - end <= GAP_BYTES and offset + length - begin <= RUN_BYTES:
                self._runs[-1] = begin, max(end, offset + length)
            else:
                self._runs.append((offset, offset + length))
        self._begins = [begin for begin, _ in self._runs]

    def read(self, offset: int, length: int) -> bytes:
        """Bytes [offset, offset + length). Raises Unreadable when they can't all be had."""
        begin, end = self._runs[bisect_right(self._begins, offset) - 1]
        if (begin, end) == (offset, offset + length):
            return self._files.read_range(self._path, offset, length)
        if self._held is None or self._held[0] != begin:
            self._held = None  # before the next one is read
            self._held = begin, self._files.read_range(self._path, begin, end - begin)
        return self._held[1][offset - begin : offset - begin + length]
