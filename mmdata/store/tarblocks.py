"""Where each sample's members lie in a tar shard, so that they can be copied as they are.

A sample's members follow each other: its stored parts, then `KEY.json`. Only headers are read to find their ends.
"""

from __future__ import annotations

import mmap
import os
import shutil
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

import numpy as np

from mmdata.errors import SchemaMismatch
from mmdata.store.files import Files, HashedFile

END = bytes(1024)  # of an archive: two empty blocks
_BLOCK = 512
_PIECE = 1 << 22
_A_MEMBER = 64  # about what a member's row takes in its table, see `ShardWriter`


class Blocks:
    """A tar's samples as stretches of bytes. Made by `blocks`."""

    def __init__(self, tar: mmap.mmap, counts: np.ndarray, path: str) -> None:
        self._tar = tar
        self._counts = counts
        self._ends = np.zeros(len(counts) + 1, np.int64)
        self._rests = np.zeros(len(counts), np.int64)
        at = 0
        for row, count in enumerate(counts):
            for _ in range(count + 1):
                at, size = _next(self._tar, at, path)
            self._ends[row + 1], self._rests[row] = at, size

    def sizes(self, first: int, count: int) -> np.ndarray:
        """int64 [row]: what `ShardWriter` takes as the sizes of rows [first, first + count)."""
        rows = slice(first, first + count)
        return np.asarray(self._rests[rows] + _A_MEMBER * (self._counts[rows] + 1))

    def copy(self, first: int, count: int, into: HashedFile) -> int:
        """Append the members of rows [first, first + count); returns how much further on they lie there."""
        start, end = int(self._ends[first]), int(self._ends[first + count])
        shift = into.size_bytes - start
        for at in range(start, end, _PIECE):
            into.write(self._tar[at : min(end, at + _PIECE)])
        return shift


def _next(tar: mmap.mmap, at: int, path: str) -> tuple[int, int]:
    """Where the member after the one at `at` begins, and the size of the one at `at`."""
    kind, size = _header(tar, at, path)
    if kind == b"x":
        records = tar[at + _BLOCK : at + _BLOCK + size]
        at += _BLOCK + -(-size // _BLOCK) * _BLOCK
        _, size = _header(tar, at, path)
        size = _size_of(records, size)
    following = at + _BLOCK + -(-size // _BLOCK) * _BLOCK
    if following > len(tar):
        raise SchemaMismatch(f"{path} ends at byte {len(tar)}, within a member: `mmdata verify` tells more")
    return following, size


def _header(tar: mmap.mmap, at: int, path: str) -> tuple[bytes, int]:
    head = tar[at : at + _BLOCK]
    try:
        return head[156:157], int(head[124:135], 8)
    except ValueError:
        raise SchemaMismatch(f"{path} has no member at byte {at}: `mmdata verify` tells more") from None


def _size_of(records: bytes, size: int) -> int:
    """The size that PAX records name, or the header's own."""
    while records:
        length = int(records[: records.index(b" ")])
        keyword, _, value = records[:length].partition(b" ")[2].rstrip(b"\n").partition(b"=")
        size = int(value) if keyword == b"size" else size
        records = records[length:]
    return size


@contextmanager
def blocks(files: Files, path: str, counts: np.ndarray) -> Iterator[Blocks]:
    """The samples of a tar shard; a remote one is copied to this machine meanwhile.

    Args:
        files: the store's.
        path: the tar.
        counts: int64 [row], how many parts of each sample it holds.

    Raises:
        FileNotFoundError: it is gone. SchemaMismatch: it is no tar of so many samples.
    """
    with ExitStack() as exits:
        place = files.full(path)
        if not files.is_local:
            place = files.scratch(path.rpartition("/")[2])
            exits.callback(_discard, place)
            with files.open(path) as source, open(place, "wb") as copy:
                shutil.copyfileobj(source, copy, _PIECE)
        file = exits.enter_context(open(place, "rb"))
        tar = exits.enter_context(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        yield Blocks(tar, counts, path)


def _discard(path: str) -> None:
    if os.path.exists(path):
        os.unlink(path)
