"""Workers of a Dask cluster: on this machine, on several, on Slurm, Kubernetes or a cloud. See docs/clusters.md.

The scheduler hands items to workers, and that is all it is trusted with. What is done stands in the store; a scheduler
that dies costs what was in hand. Few items are with it at a time, so neither it nor a worker has a queue that grows.
"""

from __future__ import annotations

import logging
import queue
import time
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar

from mmdata.core.ports import Died
from mmdata.engine.executors.cluster import Answered, Cluster, Failed, Lost, connected
from mmdata.engine.executors.dask_worker import LACKS, UNWANTED
from mmdata.engine.executors.pace import Pace
from mmdata.engine.sending import RAISED, unpacked
from mmdata.errors import ConfigError, RunStopped

log = logging.getLogger(__name__)

Item = TypeVar("Item")
Result = TypeVar("Result")

DEPTH = 2  # items a thread: one in work, one waiting beside it
DEATHS = 2  # of workers under one item, before it counts as died: the first may be any machine's own
TRIES = 20  # of one item for reasons that are no worker's death
LOOK_EVERY_S = 1.0
SAY_FIRST_S, SAY_EVERY_S = 3.0, 60.0  # that workers are waited for
GOES_ON = "what is committed stays, and the same command goes on from there"


@dataclass(frozen=True)
class Dask:
    """A Dask cluster.

    Args:
        scheduler: an address (tcp://host:8786), a scheduler file (.json), a cluster, or a `distributed.Client`; None
            starts a cluster on this machine, which ends with the work.
        workers: processes of that cluster, of one thread each.
        wait_s: for so long it is borne that there is no worker at all, or none that has what an item needs.
        connect_s: for so long a scheduler may take to answer.
        patience_s: below this an item is no straggler.
    """

    scheduler: Any = None
    workers: int = 1
    wait_s: float = 300.0
    connect_s: float = 30.0
    patience_s: float = 20.0

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result | Died, None, None]:
        """Yield results as they are done. An item may say in `resources` what its worker must have: {"GPU": 1}.

        Raises:
            ConfigError: no scheduler answers, or workers have another mmdata.
            RunStopped: the scheduler is lost, or no worker comes.
        """
        with connected(self.scheduler, workers=self.workers, connect_s=self.connect_s) as client:
            cluster = Cluster(client, work)
            try:
                with _told_as_lost(cluster):
                    cluster.look()
                    yield from _Flight(cluster, iter(items), self).results()
            finally:
                cluster.end()


@contextmanager
def _told_as_lost(cluster: Cluster) -> Iterator[None]:
    """Errors of a connection that is gone, in the words of who has to do something about it."""
    try:
        yield
    except OSError as error:
        if not cluster.is_lost:
            raise
        raise _lost(cluster, error) from error


def _lost(cluster: Cluster, error: object) -> RunStopped:
    return RunStopped(f"the Dask scheduler at {cluster.address} is lost ({error}); {GOES_ON}")


@dataclass
class _Held:
    """An item that is with the cluster.

    Args:
        since_s: when it was handed out. tasks: those that do it, one unless it is a straggler.
        pinned: the worker that alone may do it, as another died on it.
    """

    item: Any
    resources: Mapping[str, float]
    since_s: float = 0.0
    tasks: list[str] = field(default_factory=list)
    deaths: int = 0
    tries: int = 0
    pinned: str | None = None


class _Flight:
    """The items of one `map` that are with the cluster."""

    def __init__(self, cluster: Cluster, items: Iterator[Any], settings: Dask) -> None:
        self._cluster, self._items, self._settings = cluster, items, settings
        self._next: _Held | None = None
        self._held: list[_Held] = []
        self._suspects: list[_Held] = []
        self._by_task: dict[str, _Held] = {}
        self._pace = Pace(settings.patience_s)
        now = time.monotonic()
        self._looked_s = self._able_s = now
        self._say_s = now + SAY_FIRST_S

    def results(self) -> Iterator[Any]:
        self._fill()
        while self._held:
            for news in self._news():
                yield from self._taken(news)
            if time.monotonic() - self._looked_s > LOOK_EVERY_S:
                self._look()
            self._fill()

    def _news(self) -> list[Answered | Failed | Lost]:
        """What happened, after a wait for the first of it."""
        found = []
        try:
            found.append(self._cluster.news.get(timeout=LOOK_EVERY_S))
            while True:
                found.append(self._cluster.news.get_nowait())
        except queue.Empty:
            return found

    def _fill(self) -> None:
        """Hand out as many items as there is room for; one where there is none, so that a cluster that grows does."""
        self._try_suspects()
        while (held := self._upcoming()) is not None:
            if len(self._held) >= max(1, DEPTH * self._room(held.resources)):
                return
            self._next = None
            self._held.append(held)
            self._submit(held)

    def _try_suspects(self) -> None:
        """Hand out items on which a worker died: one a worker, so that a second death tells whose it was."""
        taken = {held.pinned for held in self._held}
        free = [worker for worker in self._cluster.workers.values() if worker.address not in taken]
        for held in list(self._suspects):
            able = next((worker for worker in free if worker.room(held.resources)), None)
            if able is not None:
                free.remove(able)
                self._suspects.remove(held)
                held.pinned = able.address
                self._submit(held, only=[able.address])

    def _upcoming(self) -> _Held | None:
        """The next item, without taking it away; None when there is none."""
        if self._next is None:
            for item in self._items:
                self._next = _Held(item, getattr(item, "resources", None) or {})
                break
        return self._next

    def _room(self, resources: Mapping[str, float]) -> int:
        return sum(worker.room(resources) for worker in self._cluster.workers.values())

    def _submit(self, held: _Held, *, only: list[str] | None = None) -> None:
        if not held.tasks:
            held.since_s = time.monotonic()
        task = self._cluster.submit(held.item, held.resources, only=only)
        held.tasks.append(task)
        self._by_task[task] = held

    def _taken(self, news: Answered | Failed | Lost) -> Iterator[Any]:
        """What comes of news: a result, a death, or nothing yet."""
        if isinstance(news, Lost):
            yield from self._after_loss(news)
            return
        held = self._by_task.get(news.task)
        if held is None:  # another was first with the same item
            return
        if isinstance(news, Failed):
            yield from self._after_failure(held, news)
            return
        verdict, value = unpacked(news.packed)
        if verdict == RAISED:
            raise value
        if verdict in (LACKS, UNWANTED):
            if verdict == LACKS:
                self._cluster.introduce([value])
            self._again(held, news.task, f"its worker said {verdict!r}")
            return
        self._pace.add(time.monotonic() - held.since_s)
        self._able_s = time.monotonic()
        self._drop(held)
        yield value

    def _drop(self, held: _Held) -> None:
        """Done with an item; copies of it that still run are given up."""
        self._held = [other for other in self._held if other is not held]
        self._take_back(held, *held.tasks)

    def _take_back(self, held: _Held, *tasks: str) -> None:
        for task in tasks:
            held.tasks.remove(task)
            del self._by_task[task]
        self._cluster.cancel(list(tasks))

    def _again(self, held: _Held, task: str, why: object) -> None:
        held.tries += 1
        if held.tries > TRIES:
            raise RunStopped(f"Dask did not do an item in {TRIES} tries, the last time because {why}; {GOES_ON}")
        self._take_back(held, task)
        if not held.tasks:
            held.pinned = None
            self._submit(held)

    def _after_failure(self, held: _Held, news: Failed) -> Iterator[Died]:
        from concurrent.futures import CancelledError

        from distributed import KilledWorker

        error = news.error
        if isinstance(error, KilledWorker):
            yield self._died(held, f"several workers were lost, the last of them {error.last_worker.address}")
        elif isinstance(error, CancelledError | OSError):
            if self._cluster.is_lost or getattr(error, "reason", "") == "scheduler-connection-lost":
                raise _lost(self._cluster, getattr(error, "reason", error))
            self._again(held, news.task, error)
        elif isinstance(error, ImportError):
            raise ConfigError("the cluster", [f"a worker can't import what it needs: {error}"]) from error
        elif isinstance(error, Exception):
            raise error
        else:
            self._again(held, news.task, repr(error))

    def _after_loss(self, news: Lost) -> Iterator[Died]:
        """The items of a lost worker are handed out anew; those on which one was lost before are given up.

        Only as many can have caused it as the worker has threads, and they were handed out first. They are tried again
        one a worker, each.
        """
        worker = self._cluster.workers.pop(news.worker, None)
        hit = [(held, task) for task in news.tasks if (held := self._by_task.get(task)) is not None]
        hit += [(held, held.tasks[0]) for held in self._held if held.pinned == news.worker and held.tasks]
        tasks = dict(sorted(((task, held) for held, task in hit), key=lambda each: each[1].since_s))
        log.warning("worker=%s is gone; items=%d are handed out anew", news.worker, len(tasks))
        suspects = list(tasks)[: worker.threads if worker else None] if not news.expected else []
        for task, held in tasks.items():
            self._take_back(held, task)
            held.deaths += task in suspects
            if held.deaths >= DEATHS:
                yield self._died(held, f"{held.deaths} workers were lost, the last of them {news.worker}")
            elif held.tasks:  # it is being done elsewhere, too
                continue
            elif held.deaths:
                held.pinned = None
                self._suspects.append(held)
            else:
                self._submit(held)

    def _died(self, held: _Held, error: str) -> Died:
        self._drop(held)
        return Died(held.item, error)

    def _look(self) -> None:
        """See to workers that came and went, to those that never come, and to stragglers."""
        self._looked_s = now = time.monotonic()
        self._cluster.look()
        if self._cluster.is_lost:
            raise _lost(self._cluster, "it does not answer, or is another")
        first = self._held[0] if self._held else self._next
        needs = first.resources if first else {}
        if self._room(needs):
            self._able_s = now
            self._say_s = now + SAY_FIRST_S
            self._mind_stragglers()
            return
        lacking = self._lacking(needs)
        if now - self._able_s > self._settings.wait_s:
            raise RunStopped(f"{lacking}, for {self._settings.wait_s:g} s; {GOES_ON}")
        if now > self._say_s:
            self._say_s = now + SAY_EVERY_S
            left = self._settings.wait_s - (now - self._able_s)
            log.warning("%s; waiting for %.0f s more", lacking, left)

    def _lacking(self, needs: Mapping[str, float]) -> str:
        at = self._cluster.address
        if self._cluster.workers and needs:
            wanted = " ".join(f"{name}={need:g}" for name, need in needs.items())
            return f"no Dask worker at {at} offers what steps need; start one with `dask worker --resources {wanted!r}`"
        paused = f", and {self._cluster.paused} that are paused for want of memory" if self._cluster.paused else ""
        return f"the Dask scheduler at {at} has no worker that could work{paused}; start some: `dask worker {at}`"

    def _mind_stragglers(self) -> None:
        """Once all is handed out, do again elsewhere what takes far longer than the rest: the first result counts."""
        if self._upcoming() is not None or len(self._by_task) >= self._room({}):
            return
        now = time.monotonic()
        for held in self._held:
            if len(held.tasks) == 1 and self._pace.is_slow(now - held.since_s):
                slow = self._cluster.worker_of(held.tasks[0])
                able = [worker for worker in self._cluster.workers.values() if worker.room(held.resources)]
                others = [worker.address for worker in able if worker.address != slow]
                if slow is not None and others:
                    log.warning("worker=%s is slow; its item is done again elsewhere", slow)
                    self._submit(held, only=others)
                    return
