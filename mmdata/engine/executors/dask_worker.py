"""What runs in a Dask worker: items, on one thread or many, and their end when nobody wants them any more.

The work itself comes once a process, by its digest. Dask can't stop a task that has begun; here a thread whose task was
cancelled, or whose worker is closing, gets an exception at its next line of Python, so that a run that was interrupted
does not keep a cluster busy, nor write files for nobody.
"""

from __future__ import annotations

import asyncio
import ctypes
import sys
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from mmdata.core.allocation import keep_large_buffers
from mmdata.engine.sending import RAISED, pack, packed, sendable
from mmdata.engine.threads import one_blas_thread_for_good
from mmdata.engine.wanted import Unwanted, begin_anew, tell_off

LACKS, UNWANTED = "lacks", "unwanted"
WORKS_KEPT = 4  # runs that share a worker
WATCH_EVERY_S = 0.2
AGAIN_S = 5.0  # a thread that was told to end has so long to tidy up before it is told again
WANTED = frozenset({"executing", "long-running"})  # states of a Dask task that somebody waits for


@dataclass(frozen=True)
class _Task:
    """An item in work: its Dask worker and key, and which work it belongs to."""

    worker: Any
    key: str
    digest: str

    @property
    def is_wanted(self) -> bool:
        state = getattr(self.worker.state.tasks.get(self.key), "state", None)
        return state in WANTED and self.worker.status.name in ("running", "paused", "closing_gracefully")


class _Process:
    """The works that this process knows, and what its threads are doing."""

    def __init__(self) -> None:
        self.lock = threading.Lock()
        self.loading = threading.Lock()
        self.packed: OrderedDict[str, bytes] = OrderedDict()
        self.works: dict[str, Callable[[Any], Any]] = {}
        self.running: dict[int, _Task] = {}
        self.told: dict[int, float] = {}  # when a thread was last told to end
        self.watched = False

    def work(self, digest: str) -> Callable[[Any], Any] | None:
        """The work of a digest, made on its first use; None when it was never sent."""
        from distributed.protocol.pickle import loads

        with self.loading:
            if digest not in self.packed:
                return None
            if digest not in self.works:
                try:
                    work = loads(self.packed[digest])
                except ImportError as error:
                    raise ImportError(f"{error}; steps of your own must be installed on every worker") from error
                one_blas_thread_for_good()
                keep_large_buffers()
                ready = getattr(work, "ready", None)
                if ready is not None:
                    ready()
                self.works[digest] = work
            return self.works[digest]

    @contextmanager
    def doing(self, task: _Task) -> Iterator[None]:
        """Watch this thread while it does a task: `Unwanted` is raised in it when nobody waits any more."""
        me = threading.get_ident()
        with self.lock:
            self.running[me] = task
            if not self.watched:
                self.watched = True
                threading.Thread(target=self._watch, name="mmdata-watch", daemon=True).start()
        try:
            yield
        finally:
            self.leave(me)

    def leave(self, thread: int) -> None:
        with self.lock:
            self.running.pop(thread, None)
            self.told.pop(thread, None)
            begin_anew(thread)
        _interrupt(thread, None)  # an end that came too late must not hit this thread's next task

    def _watch(self) -> None:
        while True:
            time.sleep(WATCH_EVERY_S)
            with self.lock:
                now = time.monotonic()
                for thread, task in self.running.items():
                    due = now - self.told.get(thread, -AGAIN_S) >= AGAIN_S
                    if due and not task.is_wanted and not _is_importing(thread):
                        self.told[thread] = now
                        tell_off(thread)
                        _interrupt(thread, Unwanted)
                self.watched = bool(self.running)
                if not self.watched:
                    return


_process = _Process()


def _is_importing(thread: int) -> bool:
    """Whether a thread is in the midst of an import: one that is broken off leaves modules that no later one mends.

    It can't begin one between this look and its end: it needs the interpreter for that, and then is told first.
    """
    frame = sys._current_frames().get(thread)
    while frame is not None and not frame.f_code.co_filename.startswith("<frozen importlib"):
        frame = frame.f_back
    return frame is not None


def _interrupt(thread: int, error: type[BaseException] | None) -> None:
    """Raise an exception in another thread at its next line; None takes back one that was not raised yet."""
    given = ctypes.py_object(error) if error is not None else None
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread), given)


def keep(digest: str, work: bytes) -> None:
    """Keep a packed work in this process, in place of the one that was least recently sent where there are many."""
    with _process.loading:
        _process.packed[digest] = work
        _process.packed.move_to_end(digest)
        while len(_process.packed) > WORKS_KEPT:
            old, _ = _process.packed.popitem(last=False)
            _process.works.pop(old, None)


def answer(digest: str, item: bytes) -> bytes:
    """Do one item, as a Dask task; for `sending.unpacked`. LACKS, with this worker's address: it knows no such work."""
    from distributed import get_worker
    from distributed.protocol.pickle import loads

    worker = get_worker()
    task = _Task(worker, str(worker.get_current_task()), digest)
    try:
        try:
            work = _process.work(digest)
            given = loads(item)
        except Exception as error:  # noqa: BLE001  it is raised where the results are read
            return pack((RAISED, sendable(error)))
        if work is None:
            return pack((LACKS, worker.address))
        with _process.doing(task):
            return packed(work, given)
    except Unwanted:
        _process.leave(threading.get_ident())  # it may have come in the midst of leaving
        return pack((UNWANTED, None))


async def rested(digest: str, at_most_s: float) -> bool:
    """Wait until no thread of this process does items of a work, or until the time is over; whether none does."""
    until = time.monotonic() + at_most_s
    while busy := [task for task in list(_process.running.values()) if task.digest == digest]:
        if time.monotonic() > until:
            break
        await asyncio.sleep(WATCH_EVERY_S / 4)
    return not busy
