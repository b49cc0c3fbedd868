"""What to say of a disk that is full: which one, and what to do."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile

from mmdata.store.files import Files

FULL = {errno.ENOSPC, errno.EDQUOT}
_WORDS = ("No space left on device", "Disk quota exceeded")
_ROOM_BYTES = 64_000_000  # with more room than this it is not this disk, unless it is nearly all of it


def is_full(error: OSError) -> bool:
    """Whether an error says that a disk is full; that of the commit log says it in words alone."""
    return error.errno in FULL or any(words in str(error) for words in _WORDS)


def full_disk(store_url: str) -> str:
    """The disk that is full, of those that a run of this store writes to."""
    files = Files.at(store_url)
    temporary = tempfile.gettempdir()
    places = [*([_existing(files.full(""))] if files.is_local else []), temporary]
    free = {place: shutil.disk_usage(place) for place in places}
    place = min(places, key=lambda place: free[place].free)
    if free[place].free > max(_ROOM_BYTES, free[place].total // 20):
        return "a disk was full, or a quota was used up, of this machine or of a worker's: make room"
    left = f"{free[place].free / 1e6:,.1f} MB free of {free[place].total / 1e6:,.1f} MB"
    if place == temporary:
        return f"the disk of {place}, where temporary files lie, is full: {left}; make room, or set TMPDIR to another"
    return f"the disk of {store_url} is full: {left}; make room (`mmdata gc` deletes what nothing names any more)"


def _existing(path: str) -> str:
    """The path itself, or the folder nearest above it."""
    while not os.path.exists(path) and os.path.dirname(path) != path:
        path = os.path.dirname(path)
    return path
