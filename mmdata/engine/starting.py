"""Processes of the pool: how they begin, before there is work for them where that can be foreseen, and how they live.

Half of what a short run takes goes to imports, in the command and then in its workers. So a command begins its first
workers before all else, and they import what they will need while it reads the pipeline and looks at the source. This
module loads nothing that takes time.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from importlib import import_module
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.context import SpawnProcess
from typing import Any

from mmdata.engine.signals import deaf_children

# every one of these libraries starts a thread a core in each process unless told not to, before it is imported
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "ARROW_IO_THREADS": "2",
}
EARLY = 2  # workers that begin early; more may have nothing to do, as nobody knows yet how much there is


@dataclass
class Begun:
    """A process that waits for its work, and then for items, and this end of the pipe to it."""

    process: SpawnProcess
    pipe: Any

    def stop(self) -> None:
        self.pipe.close()
        self.process.terminate()
        self.process.join(timeout=5)
        if self.process.is_alive():
            self.process.kill()
            self.process.join()
        self.process.close()


_EARLY: list[Begun] = []


@contextmanager
def early(workers: int) -> Iterator[None]:
    """Have the first of so many workers begin at once, for the pool that is used within; what is left is stopped."""
    _EARLY.extend(_begin(early=True) for _ in range(min(workers, EARLY)))
    try:
        yield
    finally:
        dismiss()


def dismiss() -> None:
    """Stop workers that began early and were not taken."""
    while _EARLY:
        _EARLY.pop().stop()


def begin() -> Begun:
    """A worker: one that has begun early, or a new one."""
    while _EARLY:
        found = _EARLY.pop(0)
        if found.process.is_alive():
            return found
        found.stop()
    return _begin(early=False)


def _begin(*, early: bool) -> Begun:
    context = multiprocessing.get_context("spawn")
    mine, theirs = context.Pipe()
    process = context.Process(target=serve, args=(theirs, early), daemon=True)
    resource_tracker.ensure_running()  # else it would be begun within, and end the deafness
    with _one_thread(), deaf_children():
        process.start()
    theirs.close()
    return Begun(process, mine)


@contextmanager
def _one_thread() -> Iterator[None]:
    before = {name: os.environ.get(name) for name in ONE_THREAD}
    os.environ.update({name: value for name, value in ONE_THREAD.items() if before[name] is None})
    try:
        yield
    finally:
        for name, value in before.items():
            if value is None:
                os.environ.pop(name, None)


def serve(pipe: Connection[Any, Any], early: bool) -> None:
    """A worker's life: until the pipe closes, or the coordinator is gone. First comes the work, then items."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the coordinator decides
    from mmdata.engine.isolation import answer, end_with_parent

    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid)
    if early:
        import_module("mmdata.engine.careful")  # what the work of a run is made of
    try:
        work = pipe.recv()
    except (EOFError, OSError):
        return
    from mmdata.core.allocation import keep_large_buffers
    from mmdata.store.without_pandas import leave_pandas_alone

    keep_large_buffers()
    leave_pandas_alone()
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        if not answer(pipe, partial(work, item)):
            return
