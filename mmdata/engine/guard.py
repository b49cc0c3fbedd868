"""Limits on a process, kept by itself: how long a call may stand still, and how much memory it may hold."""

from __future__ import annotations

import faulthandler
import os
import resource
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from time import monotonic

from mmdata.engine.notes import Notes

TICK_S = 0.2  # how often is looked
OUTSIDE_S = 600.0  # for what is no call of a step: starting, loading a model, closing and sending a shard's files
OUT_OF_MEMORY = 86  # the exit code of a process that passed its limit


@dataclass(frozen=True)
class Limits:
    """What a worker may take.

    Args:
        timeout_s: seconds that one call of a step may take. memory_bytes: what a process may hold; None is no limit.
    """

    timeout_s: float
    memory_bytes: int | None = None

    def seconds(self, *, in_call: bool) -> float:
        """How long nothing may be noted: in a call of a step, and outside of any."""
        return self.timeout_s if in_call else max(self.timeout_s, OUTSIDE_S)


def held_bytes(pid: int | None = None) -> int:
    """Memory that a process holds of its own, without the pages of files that it maps.

    Where the system does not tell (macOS), it is the most that this process ever held, and 0 for another.

    Args:
        pid: the process; None is this one.
    """
    try:
        _, resident, shared, *_ = Path(f"/proc/{pid or 'self'}/statm").read_text().split()
    except OSError:
        if pid is not None:
            return 0
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        return most if sys.platform == "darwin" else most * 1024
    return (int(resident) - int(shared)) * resource.getpagesize()


@dataclass
class _Watched:
    notes: Notes
    limits: Limits
    told: int
    count: int = -1
    since_s: float = field(default_factory=monotonic)

    def left_s(self) -> float:
        """Seconds until the call that goes on has taken too long."""
        if self.notes.count != self.count:
            self.count, self.since_s = self.notes.count, monotonic()
        return self.limits.seconds(in_call=self.notes.in_call) - (monotonic() - self.since_s)


@dataclass
class _Watch:
    """All that is watched in this process: one job, or several where an executor does them in threads."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    watched: list[_Watched] = field(default_factory=list)
    is_kept: bool = False  # whether the thread runs

    def begin(self, one: _Watched) -> None:
        with self.lock:
            self.watched.append(one)
            self._wind_up()
            one.notes.tell(self.change)
            if not self.is_kept:
                self.is_kept = True
                threading.Thread(target=self._keep, name="mmdata-guard", daemon=True).start()

    def change(self) -> None:
        """Set the clock at once, as the thread may not get its turn before a call that never lets go of the lock."""
        with self.lock:
            if self.watched:
                self._wind_up()

    def end(self, one: _Watched) -> None:
        with self.lock:
            self.watched = [other for other in self.watched if other is not one]
            if not self.watched:
                faulthandler.cancel_dump_traceback_later()

    def _keep(self) -> None:
        """Look at what is watched until nothing is."""
        pause = threading.Event()
        while True:
            with self.lock:
                if not self.watched:
                    self.is_kept = False
                    return
                each = self._wind_up()
                _end_if_too_large(each)
            pause.wait(min(TICK_S, each.limits.timeout_s / 4))

    def _wind_up(self) -> _Watched:
        """Set the clock for the one that has the least time left."""
        each = min(self.watched, key=_Watched.left_s)
        faulthandler.dump_traceback_later(max(each.left_s(), 0.001), exit=True, file=each.told)
        return each


_WATCH = _Watch()


@contextmanager
def guarded(limits: Limits, notes: Notes, told: int | None = None) -> Iterator[None]:
    """End this process, at once and without a word to it, when the work within passes a limit.

    A call that stands still is ended by a thread of faulthandler, which needs no lock of Python: also where it hangs in
    C. It writes first where each thread is.

    Args:
        limits: the limits.
        notes: where the work notes what it does; a note ends one call and begins another.
        told: a descriptor of a file for the last words; None is standard error.
    """
    watched = _Watched(notes, limits, 2 if told is None else told)
    _WATCH.begin(watched)
    try:
        yield
    finally:
        _WATCH.end(watched)


def _end_if_too_large(watched: _Watched) -> None:
    limit, held = watched.limits.memory_bytes, held_bytes()
    if limit is not None and held > limit:
        with suppress(OSError):
            os.write(watched.told, f"mmdata: {held:,} bytes of memory, and {limit:,} are allowed\n".encode())
        os._exit(OUT_OF_MEMORY)
