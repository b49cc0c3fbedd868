"""A Dask cluster as the executor sees it: workers and their threads, tasks, and what became of them.

All that is known of Dask's interface stands here and in `dask_worker`.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import queue
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from typing import Any

import mmdata
from mmdata.engine.executors.pool import ONE_THREAD
from mmdata.errors import ConfigError

log = logging.getLogger(__name__)

CALL_S = 30.0  # what a call to the scheduler, or through it to all workers, may take
END_S = 10.0  # what workers have to end what was cancelled
LOCAL_BACK_S = 3600  # what a local worker has to come back in: within Dask's 15 s, a busy machine may still import
LARGE = "1 GiB"  # of a task; below, Dask warns of what is our own business


@dataclass(frozen=True)
class Worker:
    """A worker as the scheduler knows it; `resources` are what it was started with."""

    address: str
    threads: int
    resources: Mapping[str, float]

    def room(self, resources: Mapping[str, float]) -> int:
        """How many items that need these resources it does at once."""
        each = [self.resources.get(name, 0) / need + 1e-9 for name, need in resources.items() if need > 0]
        return int(min([self.threads, *each]))


@dataclass(frozen=True)
class Answered:
    """A task's answer, as `dask_worker.answer` packed it."""

    task: str
    packed: bytes


@dataclass(frozen=True)
class Failed:
    """A task that Dask gave up, with its reason."""

    task: str
    error: BaseException


@dataclass(frozen=True)
class Lost:
    """A worker that is gone, the tasks that it held, and whether it was sent away."""

    worker: str
    tasks: frozenset[str]
    expected: bool


@contextmanager
def connected(scheduler: Any, *, workers: int, connect_s: float) -> Iterator[Any]:
    """A client of our own, so that whatever it asked for ends with it; and a cluster on this machine if none is given.

    Raises:
        ConfigError: nobody answers there.
    """
    import dask.config
    from distributed import Client, LocalCluster

    settings: dict[str, Any]
    with ExitStack() as exits:
        if scheduler is None or isinstance(getattr(scheduler, "cluster", scheduler), LocalCluster):
            exits.enter_context(dask.config.set({"distributed.deploy.lost-worker-timeout": LOCAL_BACK_S}))
        if scheduler is None:
            settings = {"threads_per_worker": 1, "dashboard_address": "127.0.0.1:0", "env": ONE_THREAD}
            settings["resources"] = {"GPU": 1}  # one may be needed; processes of one machine take its GPUs in turn
            scheduler = exits.enter_context(LocalCluster(n_workers=workers, **settings))
        settings = {"set_as_default": False, "timeout": connect_s, "name": "mmdata"}
        if isinstance(scheduler, Client):
            if scheduler.scheduler is None:
                raise ConfigError("--scheduler", [f"the client {scheduler!r} is not connected"])
            settings |= {"address": scheduler.scheduler.address, "security": scheduler.security}
        elif isinstance(scheduler, str) and scheduler.endswith(".json"):
            settings["scheduler_file"] = scheduler
        else:
            settings["address"] = scheduler
        try:
            client = Client(**settings)
        except (OSError, ValueError, TypeError) as error:
            said = f"no Dask scheduler answers at {scheduler!r}: {error or type(error).__name__}"
            raise ConfigError("--scheduler", [f"{said}; expected an address such as tcp://host:8786"]) from error
        exits.enter_context(_closed(client))
        exits.enter_context(dask.config.set({"distributed.admin.large-graph-warning-threshold": LARGE}))
        yield client


@contextmanager
def _closed(client: Any) -> Iterator[None]:
    """Close a client in the end. That it then stops looking for a lost scheduler is no error and needs no traceback."""
    try:
        yield
    finally:
        said = logging.getLogger("distributed.client")
        level = said.level
        if client.status != "running":
            said.setLevel(logging.CRITICAL)
        try:
            client.close()
        finally:
            said.setLevel(level)


class Cluster:
    """Tasks on a cluster, and news of them in `news`. `look` comes first.

    Args:
        client: of our own. work: what is done with each item.
    """

    def __init__(self, client: Any, work: Callable[[Any], Any]) -> None:
        from distributed.protocol.pickle import dumps

        self._client = client
        self._work = dumps(work)
        self.digest = hashlib.blake2b(self._work, digest_size=16).hexdigest()
        self.news: queue.SimpleQueue[Answered | Failed | Lost] = queue.SimpleQueue()
        self.workers: dict[str, Worker] = {}
        self.paused = 0
        self._schedulers: set[str] = set()
        self._futures: dict[str, Any] = {}
        self._call = _call()
        client.subscribe_topic("all", self._heard)

    @property
    def address(self) -> str:
        scheduler = self._client.scheduler
        return str(scheduler.address if scheduler is not None else "the scheduler")

    @property
    def is_lost(self) -> bool:
        """Whether the scheduler is gone, or another has come in its place, which knows nothing of our tasks."""
        return str(self._client.status) != "running" or len(self._schedulers) > 1

    def look(self) -> None:
        """See which workers there are, and send the work to new ones. What was known stays if no scheduler answers.

        Raises:
            ConfigError: a worker has no mmdata, or that of another version.
        """
        client = self._client
        try:
            scheduler = client.sync(client.scheduler.identity, n_workers=-1, callback_timeout=CALL_S)
        except (OSError, TimeoutError, AttributeError) as error:  # no scheduler at all, while a client connects anew
            log.info("scheduler=%s does not answer: %s", self.address, error)
            return
        self._schedulers.add(scheduler["id"])
        found = scheduler["workers"]
        ready = {address: each for address, each in found.items() if each["status"] == "running"}
        self.paused = sum(each["status"] == "paused" for each in found.values())
        known, self.workers = (
            self.workers,
            {address: Worker(address, each["nthreads"], each["resources"] or {}) for address, each in ready.items()},
        )
        if new := [address for address in self.workers if address not in known]:
            self.introduce(new)

    def introduce(self, workers: list[str]) -> None:
        """Send the work to workers.

        Raises:
            ConfigError: a worker has no mmdata, or that of another version.
        """
        answers = self._on_workers(_introduction(), mmdata.__version__, self.digest, self._work, workers=workers)
        faults = [f"worker {address}: {said}" for address, said in answers.items() if isinstance(said, str) and said]
        if faults:
            raise ConfigError("the cluster", faults)
        for address, said in answers.items():
            if isinstance(said, BaseException):  # it is gone, or frozen; if it comes back, it will ask
                log.info("worker=%s was not reached: %s", address, said)

    def submit(self, item: Any, resources: Mapping[str, float], *, only: list[str] | None = None) -> str:
        """Hand an item to the scheduler, for any worker, or for some only. Returns the task."""
        from distributed.protocol.pickle import dumps

        task = f"mmdata-{uuid.uuid4().hex}"
        future = self._client.submit(
            self._call,
            self.digest,
            dumps(item),
            key=task,
            pure=False,
            resources=dict(resources) or None,
            workers=only,
        )
        self._futures[task] = future
        asyncio.run_coroutine_threadsafe(self._follow(task, future), self._client.loop.asyncio_loop)
        return task

    async def _follow(self, task: str, future: Any) -> None:
        try:
            answer = await future
        except BaseException as error:  # noqa: BLE001  cancelled ones, too: whoever reads the news decides
            self.news.put(Failed(task, error))
        else:
            self.news.put(Answered(task, answer))

    def _heard(self, event: tuple[float, Mapping[str, Any]]) -> None:
        told = event[1]
        if told.get("action") == "remove-worker":
            tasks = frozenset(map(str, told.get("processing-tasks", ())))
            self.news.put(Lost(told["worker"], tasks, expected=bool(told.get("expected"))))

    def cancel(self, tasks: list[str]) -> None:
        """Give tasks up. Their workers are told, and end them."""
        futures = [future for task in tasks if (future := self._futures.pop(task, None)) is not None]
        if futures and not self.is_lost:
            with suppress(OSError, TimeoutError):
                self._client.cancel(futures)

    def worker_of(self, task: str) -> str | None:
        """Which worker has a task; None where none has begun it."""
        try:
            found = self._client.sync(self._client.scheduler.processing, workers=None, callback_timeout=CALL_S)
        except (OSError, TimeoutError, AttributeError):
            return None
        return next((str(address) for address, tasks in found.items() if task in tasks), None)

    def end(self) -> None:
        """Give up whatever is not done, and wait until no worker does any of it, as long as they take part."""
        self.cancel(list(self._futures))
        if self.is_lost:
            return
        from mmdata.engine.executors.dask_worker import rested

        answers = self._on_workers(rested, self.digest, END_S)
        busy = [address for address, answer in answers.items() if answer is False]
        if busy:
            log.warning("workers=%s are still in a call that can't be interrupted", ",".join(busy))
        self._client.unsubscribe_topic("all")

    def _on_workers(self, function: Any, *given: Any, workers: list[str] | None = None) -> dict[str, Any]:
        client = self._client
        try:
            found = client.sync(
                client.run, function, *given, workers=workers, on_error="return", callback_timeout=CALL_S
            )
        except (OSError, TimeoutError) as error:
            log.info("scheduler=%s not all workers answer: %s", self.address, error)
            return {}
        return dict(found or {})


def _introduction() -> Callable[[str, str, bytes], str]:
    """A function that Dask sends as its code, not as a name: a worker may have no mmdata to find it in."""

    def introduce(version: str, digest: str, work: bytes) -> str:
        try:
            import mmdata
        except ImportError as error:
            return f"mmdata can't be imported there: {error}; install mmdata {version}"
        if mmdata.__version__ != version:
            return f"it has mmdata {mmdata.__version__}, here it is {version}; install the same on both"
        from mmdata.engine.executors.dask_worker import keep

        keep(digest, work)
        return ""

    return introduce


def _call() -> Callable[[str, bytes], bytes]:
    """What a task calls, sent as its code: a scheduler looks at tasks, and need not have mmdata."""

    def mmdata_item(digest: str, item: bytes) -> bytes:
        from mmdata.engine.executors.dask_worker import answer

        return answer(digest, item)

    return mmdata_item
