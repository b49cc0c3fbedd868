"""Spawned processes on this machine, one thread each.

A pool of our own, as the standard library's breaks as a whole when one worker dies, and does not say on what: here a
death is a result, `Died`, and a new worker takes the place. Items are handed out one at a time, so that no queue grows.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from multiprocessing import resource_tracker
from multiprocessing.connection import Connection, wait
from multiprocessing.context import SpawnProcess
from typing import Any, TypeVar

from mmdata.core.allocation import keep_large_buffers
from mmdata.core.ports import Died
from mmdata.engine.isolation import answer, end_with_parent, how_it_ended
from mmdata.engine.signals import deaf_children
from mmdata.store.without_pandas import leave_pandas_alone

Item = TypeVar("Item")
Result = TypeVar("Result")

# every one of these libraries starts a thread a core in each process unless told not to, before it is imported
ONE_THREAD = {
    "OMP_NUM_THREADS": "1",
    "OPENBLAS_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "NUMEXPR_NUM_THREADS": "1",
    "OPENCV_FOR_THREADS_NUM": "1",
    "ARROW_IO_THREADS": "2",
}


@dataclass(frozen=True)
class Pool:
    """Worker processes on this machine.

    Args:
        workers: how many.
    """

    workers: int

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result | Died, None, None]:
        """Yield results as they are done; a `Died` for an item whose worker was killed; an exception is raised here."""
        queue = iter(items)
        crew = [_Worker(work) for _ in range(self.workers)]
        try:
            busy = [worker for worker in crew if worker.take(queue)]
            while busy:
                for worker in _ready(busy):
                    answer = worker.answer()
                    if isinstance(answer, Died):
                        crew.remove(worker)
                        worker.stop()
                        crew.append(_Worker(work))
                        busy.remove(worker)
                        busy += [crew[-1]] if crew[-1].take(queue) else []
                    elif not worker.take(queue):
                        busy.remove(worker)
                    yield answer
        finally:
            for worker in crew:
                worker.stop()


class _Worker:
    """One process, at most one item in its hands, and the pipe to it."""

    def __init__(self, work: Callable[[Any], Any]) -> None:
        context = multiprocessing.get_context("spawn")
        self.pipe, theirs = context.Pipe()
        self.item: Any = None
        self.process: SpawnProcess | None = None
        self._start = (context, theirs, work)

    def take(self, queue: Iterator[Any]) -> bool:
        """Take the next item in hand; False when there is none. The process starts with its first."""
        try:
            self.item = next(queue)
        except StopIteration:
            return False
        if self.process is None:
            context, theirs, work = self._start
            self.process = context.Process(target=_serve, args=(theirs, work), daemon=True)
            resource_tracker.ensure_running()  # else it would be begun within, and end the deafness
            with _one_thread(), deaf_children():
                self.process.start()
            theirs.close()
        with suppress(OSError):  # it died between two items: answer() will say so
            self.pipe.send(self.item)
        return True

    def answer(self) -> Any:
        """The result of the item in hand, `Died`, or the exception that the work raised."""
        try:
            done, value = self.pipe.recv()
        except (EOFError, OSError):
            return Died(self.item, self._last_words())
        if not done:
            raise value
        return value

    def _last_words(self) -> str:
        if self.process is None:
            return "it never started"
        self.process.join(timeout=5)
        return how_it_ended(self.process.exitcode)

    def stop(self) -> None:
        self.pipe.close()
        if self.process is not None:
            self.process.terminate()
            self.process.join(timeout=5)
            if self.process.is_alive():
                self.process.kill()
                self.process.join()
            self.process.close()


def _ready(busy: list[_Worker]) -> list[_Worker]:
    """The workers that have something to say, waiting for the first; a death closes the pipe, which counts."""
    heard = wait([worker.pipe for worker in busy])
    return [worker for worker in busy if worker.pipe in heard]


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


def _serve(pipe: Connection, work: Callable[[Any], Any]) -> None:
    """A worker's life: until the pipe closes, or the coordinator is gone."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the coordinator decides
    parent = multiprocessing.parent_process()
    if parent is not None and parent.pid is not None:
        end_with_parent(parent.pid)
    keep_large_buffers()
    leave_pandas_alone()
    while True:
        try:
            item = pipe.recv()
        except (EOFError, OSError):
            return
        if not answer(pipe, partial(work, item)):
            return
