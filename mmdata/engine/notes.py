"""What a process was doing when it died: a mapped file that outlives it, written before each call."""

from __future__ import annotations

import copy
import mmap
import os
from collections.abc import Callable
from dataclasses import dataclass

from mmdata.engine.wanted import check

SIZE = 65_536  # longer than any path
INGEST, FEATURES = "ingest", "features"  # what a death costs: the sample, or one feature of it
_HEAD = 12  # how many notes there were, 8 bytes, and the length of the last, 4 bytes


@dataclass(frozen=True)
class Note:
    """What was about to be done.

    Args:
        entry: the key of the source's entry; "" where it was for no sample alone.
        step: the step, or what else it was. stage: INGEST or FEATURES.
    """

    entry: str
    step: str
    stage: str = INGEST


class Notes:
    """Notes in a file. One costs less than a microsecond.

    Args:
        file: a descriptor of the file, of `SIZE` bytes; it is mapped, and may be closed. None keeps no notes, but
            counts them.
    """

    def __init__(self, file: int | None) -> None:
        self._sheet = _Sheet(None if file is None else mmap.mmap(file, SIZE))
        self._stage = INGEST

    def of(self, stage: str) -> Notes:
        """The same notes, for another stage."""
        other = copy.copy(self)
        other._stage = stage
        return other

    @property
    def count(self) -> int:
        """How many notes were written, of all stages."""
        return self._sheet.count

    @property
    def in_call(self) -> bool:
        """Whether a sample is being worked on, and not the process started, a model loaded or a file closed."""
        return self._sheet.in_call

    def tell(self, listener: Callable[[], object]) -> None:
        """Have something called whenever `in_call` has changed."""
        self._sheet.on_change = listener

    def write(self, entry_key: str, step: str) -> None:
        """Note that `step` is about to be called for a sample of that entry of the source.

        Raises:
            Unwanted: nobody waits for it.
        """
        check()
        sheet = self._sheet
        sheet.count += 1
        if bool(entry_key) != sheet.in_call:
            sheet.in_call = not sheet.in_call
            if sheet.on_change is not None:
                sheet.on_change()
        if sheet.map is not None:
            raw = f"{entry_key}\x00{self._stage}\x00{step}".encode("utf-8", "surrogateescape")[: SIZE - _HEAD]
            head = sheet.count.to_bytes(8, "little") + len(raw).to_bytes(4, "little")
            sheet.map[: _HEAD + len(raw)] = head + raw

    def close(self) -> None:
        if self._sheet.map is not None:
            self._sheet.map.close()


@dataclass
class _Sheet:
    map: mmap.mmap | None
    count: int = 0
    in_call: bool = False
    on_change: Callable[[], object] | None = None


def read_count(file: int) -> int:
    """How many notes another process wrote into a file so far."""
    return int.from_bytes(os.pread(file, 8, 0), "little")


def read_note(file: int) -> Note | None:
    """The last note in a file; None when there is none."""
    raw = os.pread(file, SIZE, 0)
    length = int.from_bytes(raw[8:_HEAD], "little")
    if not length or length > SIZE - _HEAD:
        return None
    entry, stage, step = raw[_HEAD : _HEAD + length].decode("utf-8", "surrogateescape").split("\x00", 2)
    return Note(entry, step, stage)
