"""Spawned processes on this machine, one thread each.

A pool of our own, as the standard library's breaks as a whole when one worker dies, and does not say on what: here a
death is a result, `Died`, and a new worker takes the place. Items are handed out one at a time, so that no queue grows.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import wait
from typing import Any, TypeVar

from mmdata.core.ports import Died
from mmdata.engine.isolation import how_it_ended
from mmdata.engine.starting import ONE_THREAD, Begun, begin, dismiss

__all__ = ["ONE_THREAD", "Pool"]

Item = TypeVar("Item")
Result = TypeVar("Result")


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
            dismiss()
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
        self.item: Any = None
        self._work = work
        self._begun: Begun | None = None

    @property
    def pipe(self) -> Any:
        return None if self._begun is None else self._begun.pipe

    def take(self, queue: Iterator[Any]) -> bool:
        """Take the next item in hand; False when there is none. The process is given its work with its first."""
        try:
            self.item = next(queue)
        except StopIteration:
            return False
        if self._begun is None:
            self._begun = begin()
            with suppress(OSError):
                self.pipe.send(self._work)
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
        if self._begun is None:
            return "it never started"
        self._begun.process.join(timeout=5)
        return how_it_ended(self._begun.process.exitcode)

    def stop(self) -> None:
        if self._begun is not None:
            self._begun.stop()
            self._begun = None


def _ready(busy: list[_Worker]) -> list[_Worker]:
    """The workers that have something to say, waiting for the first; a death closes the pipe, which counts."""
    heard = wait([worker.pipe for worker in busy])
    return [worker for worker in busy if worker.pipe in heard]
