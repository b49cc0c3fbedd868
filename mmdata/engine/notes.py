"""What a worker was doing when it died: a small file in shared memory, written before each call."""

from __future__ import annotations

import mmap
from pathlib import Path

SIZE = 65_536  # longer than any path


class Notes:
    """A mapped file that outlives the process that writes it. A note costs less than a microsecond.

    Args:
        path: the file; made anew. None keeps no notes.
    """

    def __init__(self, path: str | None) -> None:
        self._map: mmap.mmap | None = None
        if path is not None:
            with open(path, "w+b") as file:
                file.truncate(SIZE)
                self._map = mmap.mmap(file.fileno(), SIZE)

    def write(self, entry_key: str, step: str) -> None:
        """Note that `step` is about to be called for a sample of that entry of the source."""
        if self._map is not None:
            raw = f"{entry_key}\x00{step}".encode("utf-8", "surrogateescape")[: SIZE - 4]
            self._map[: 4 + len(raw)] = len(raw).to_bytes(4, "little") + raw

    def close(self) -> None:
        if self._map is not None:
            self._map.close()


def read_note(path: str) -> tuple[str, str] | None:
    """The entry's key and the step of the last note in a file; None when there is none."""
    try:
        raw = Path(path).read_bytes()
    except OSError:
        return None
    length = int.from_bytes(raw[:4], "little")
    if not length or length > SIZE - 4:
        return None
    key, _, step = raw[4 : 4 + length].decode("utf-8", "surrogateescape").partition("\x00")
    return key, step
