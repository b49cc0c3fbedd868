"""A remote file that fetches exactly what is read of it."""

from __future__ import annotations

import io
import os
from collections.abc import Callable


class Ranges(io.RawIOBase):
    """A file of known size, to read and seek in.

    Args:
        fetch: gives so many bytes from an offset on.
        size_bytes: the file's extent.
    """

    def __init__(self, fetch: Callable[[int, int], bytes], size_bytes: int) -> None:
        self._fetch, self._size, self._at = fetch, size_bytes, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = offset + {os.SEEK_SET: 0, os.SEEK_CUR: self._at, os.SEEK_END: self._size}[whence]
        return self._at

    def read(self, size: int = -1) -> bytes:
        left = max(0, self._size - self._at)
        data = self._fetch(self._at, left if size < 0 else min(size, left))
        self._at += len(data)
        return data
