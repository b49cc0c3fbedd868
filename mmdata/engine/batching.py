"""Features by models, over a shard: values are prepared in threads, grouped by like cost, computed, written in order.

    add() -> tasks -> preparing threads -> groups -> the model's thread -> rows -> the writing thread

One lock guards all of it. What is under way is bounded, in samples and in bytes: `add` waits where it is too much. A
sample stays under way until its rows are written, and rows are written in the shard's order; so where the oldest sample
still waits for others to go with it while no more may come in, the model takes it with whoever there is.
"""

from __future__ import annotations

import operator
import threading
from collections import deque
from collections.abc import Callable, Sequence
from time import perf_counter
from typing import Any

import numpy as np

from mmdata.core.pipeline import RunSettings
from mmdata.engine.carry import ALWAYS_FAILS, always_fails, rejection
from mmdata.engine.counts import Counts
from mmdata.engine.devices import has_room, is_out_of_memory, n_preparers, release, take_device
from mmdata.engine.lanes import ON_GPU, Item, Lane, Task, Value, bounds
from mmdata.engine.models import together
from mmdata.engine.notes import Notes
from mmdata.engine.reading import SOURCE, seconds_read
from mmdata.engine.rows import FamilyWork, Outcome, Row, held_bytes, said
from mmdata.errors import DataError, DoesNotFit, StepError

ROWS_AT_ONCE = 64


class Batches:
    """The families of a shard that need models.

    Args:
        work: each with a BatchExtract. settings: the device, and whether to compile. notes: told before each group.
        one_by_one: whether to do everything at once, in order, a sample at a time, so that a note names the sample.
    """

    def __init__(
        self, work: Sequence[FamilyWork], notes: Notes, settings: RunSettings, *, one_by_one: bool = False
    ) -> None:
        self.lanes = [Lane(each) for each in work]
        self.counts = Counts()
        self._notes, self._settings, self._one_by_one = notes, settings, one_by_one
        self._bounds = ON_GPU
        self._lock = threading.RLock()
        self._room, self._todo, self._ready, self._rows = (threading.Condition(self._lock) for _ in range(4))
        self._tasks: deque[Task] = deque()
        self._threads: list[threading.Thread] = []
        self._n_preparers, self._n_preparing, self._bytes = 1, 0, 0
        self._ended = self._stopped = False
        self._failure: BaseException | None = None

    def add(self, key: str, entry_key: str, given: Sequence[Outcome | Value]) -> None:
        """Add a sample: by lane its outcome, where that is known, or the value that is to be computed with.

        Raises what ended the work: StepError where a model can't be loaded, or a step always fails.
        """
        if self._one_by_one:
            self._at_once(self._taken(key, entry_key, given))
            return
        self._start()
        with self._lock:
            while self._is_full and self._failure is None:
                self._wake()
                self._room.wait()
            self._raise_failure()
            tasks = self._taken(key, entry_key, given)
            self._tasks += tasks
            self._bytes += sum(task.value.nbytes for task in tasks)
            self._todo.notify(len(tasks))
            self._rows.notify()

    def _taken(self, key: str, entry_key: str, given: Sequence[Outcome | Value]) -> list[Task]:
        """Put a sample at the end of each lane; returns what is to be prepared for them."""
        tasks: dict[int, Task] = {}
        for lane, each in zip(self.lanes, given, strict=True):
            item = Item(key, entry_key)
            lane.items.append(item)
            if isinstance(each, Value):
                tasks.setdefault(id(each), Task(each)).items.append((lane, item))
            else:
                item.outcome = each
        return list(tasks.values())

    def finish(self) -> Counts:
        """Wait until all rows are written; returns what was counted."""
        with self._lock:
            self._ended = True
            self._wake()
            while self._failure is None and any(lane.items for lane in self.lanes):
                self._room.wait()
        self.close()
        self._raise_failure()
        return self.counts

    def close(self) -> None:
        """End the threads, whatever they were at."""
        with self._lock:
            self._stopped = True
            self._wake()
        for thread in self._threads:
            thread.join()
        self._threads = []

    def _start(self) -> None:
        if self._threads:
            return
        self._bounds = bounds(self._device)
        self._n_preparers = n_preparers(self._device, self._settings.gpus_per_worker)
        for work in [self._prepare_all] * self._n_preparers + [self._compute_all, self._write_all]:
            name = f"mmdata-model-{work.__name__.strip('_')}"
            self._threads.append(threading.Thread(target=self._guarded, args=(work,), name=name, daemon=True))
        for thread in self._threads:
            thread.start()

    def _guarded(self, work: Callable[[], None]) -> None:
        try:
            work()
        except BaseException as error:  # noqa: BLE001  it is raised where samples are added
            with self._lock:
                self._failure = self._failure or error
                self._stopped = True
                self._wake()

    def _raise_failure(self) -> None:
        if self._failure is not None:
            raise self._failure

    def _wake(self) -> None:
        for condition in (self._room, self._todo, self._ready, self._rows):
            condition.notify_all()

    @property
    def _is_full(self) -> bool:
        return self._has_no_room or any(len(lane.items) >= self._bounds.samples for lane in self.lanes)

    @property
    def _has_no_room(self) -> bool:
        return self._bytes >= self._bounds.nbytes

    # --- preparing: several threads

    def _prepare_all(self) -> None:
        while (task := self._next_task()) is not None:
            found = self._prepared(task)
            with self._lock:
                self._n_preparing -= 1
                self._bytes -= task.value.nbytes
                for (lane, item), (prepared, cost, outcome) in zip(task.items, found, strict=True):
                    item.prepared, item.cost, item.outcome = prepared, cost, outcome
                    if outcome is None:
                        item.nbytes = held_bytes(prepared)
                        self._bytes += item.nbytes
                        item.waits = True
                        lane.groups.add(item)
                self._ready.notify()
                self._rows.notify()
                self._room.notify()

    def _next_task(self) -> Task | None:
        with self._lock:
            while not self._stopped:
                if self._tasks and (not self._has_no_room or self._tasks[0].is_oldest):
                    self._n_preparing += 1
                    return self._tasks.popleft()
                self._todo.wait()
            return None

    def _prepared(self, task: Task) -> list[tuple[Any, int, Outcome | None]]:
        """For each lane of a task the prepared value and its cost, or the outcome of a failure."""
        first = task.items[0][1]
        if task.value.decoder is not None:
            self._note(first, task.value.decoder)
        value, seconds = _timed(task.value.get)
        if task.value.decoder is not None:
            read = seconds_read()
            self._count(SOURCE, "", read / self._n_preparers)
            self._count(task.value.decoder, "", (seconds - read) / self._n_preparers, n=1)
        if isinstance(value, str):
            with self._lock:
                for lane, _ in task.items:
                    self.counts.missing[lane.name] += 1
            return [(None, 0, (None, value))] * len(task.items)
        return [self._prepared_for(lane, item, value) for lane, item in task.items]

    def _prepared_for(self, lane: Lane, item: Item, value: Any) -> tuple[Any, int, Outcome | None]:
        self._note(item, lane.step.name)
        started = perf_counter()
        try:
            prepared = lane.step.prepare(value)
            cost = operator.index(lane.step.cost(prepared))
            if cost < 1:
                raise StepError(f"{lane.step.name} gave a cost of {cost}; it must be at least 1")
        except Exception as error:  # noqa: BLE001  a value that can't be prepared costs its row, nothing more
            return None, 0, self._failed(lane, error)
        finally:
            read = seconds_read()
            self._count(SOURCE, "", read / self._n_preparers)
            self._count(lane.step.name, "prepare", (perf_counter() - started - read) / self._n_preparers)
        return prepared, cost, None

    def _note(self, item: Item, step: str) -> None:
        """Note a call of a thread where it is the only one; elsewhere the model's calls are noted."""
        if self._one_by_one:
            self._notes.write(item.entry_key, step)

    # --- computing: one thread, as there is one device

    def _compute_all(self) -> None:
        while (found := self._next_group()) is not None:
            lane, group = found
            if not group:
                self._load(lane)
                continue
            outcomes = self._outcomes(lane, group)
            with self._lock:
                for item, outcome in zip(group, outcomes, strict=True):
                    self._bytes -= item.nbytes
                    item.outcome, item.prepared = outcome, None
                    item.nbytes = held_bytes(outcome[0] or {})
                    self._bytes += item.nbytes
                self._wake()

    def _next_group(self) -> tuple[Lane, list[Item]] | None:
        """A lane and those of its values that are to be computed now; none where its model is to be loaded first."""
        started = perf_counter()
        with self._lock:
            while not self._stopped:
                for lane in self.lanes:
                    if lane.groups and not lane.is_loaded:
                        return lane, []
                    if group := self._group_of(lane):
                        for item in group:
                            item.waits = False
                        self._count(lane.step.name, "idle", perf_counter() - started)
                        return lane, group
                self._ready.wait()
            return None

    def _load(self, lane: Lane) -> None:
        if not lane.is_loaded:
            self._notes.write("", lane.step.name)  # a process that ends here ends by no sample
            _, seconds = _timed(lambda: lane.load(self._device, self._settings))
            self._count(lane.step.name, "load", seconds)

    @property
    def _device(self) -> str:
        return take_device(self._settings.device, self._settings.gpus_per_worker)

    def _group_of(self, lane: Lane) -> list[Item] | None:
        """Values of a lane to be computed now: as many as may be, or fewer where no others can come."""
        if not lane.groups:
            return None
        if group := lane.groups.full():
            return group
        if self._ended and not self._tasks and not self._n_preparing:
            return lane.groups.around(lane.groups.costliest())
        if self._is_full and lane.items[0].waits:
            return lane.groups.around(lane.items[0])
        return None

    def _outcomes(self, lane: Lane, group: Sequence[Item], *, again: bool = False) -> list[Outcome]:
        """Each value's row or error. Out of memory, the group is halved; after another error, each goes alone."""
        device, allowed = self._device, lane.budget
        self._notes.write(group[0].entry_key, lane.step.name)
        cost = len(group) * max(item.cost for item in group)
        started = perf_counter()
        try:
            found = together(lane.step, lane.model, [item.prepared for item in group], device)
            rows = [_owned(lane.work.checked(arrays)) for arrays in found]
        except Exception as error:  # noqa: BLE001  it costs those at fault, nothing more
            failure = error
        else:
            seconds = perf_counter() - started
            allowed.worked(cost, seconds, may_grow=lambda: has_room(device, self._settings.memory_bytes))
            self._count(lane.step.name, "compute", seconds, n=len(group))
            with self._lock:
                self.counts.computed[lane.name] += len(rows)
            return [(row, None) for row in rows]
        self._count(lane.step.name, "compute", perf_counter() - started)
        if is_out_of_memory(failure):
            failure.__traceback__ = failure.__cause__ = failure.__context__ = None  # their frames hold tensors
            if cost < lane.too_much:  # else it is known that there is no more to be had
                release(device)
            allowed.ran_out(cost)
            if len(group) > 1:
                half = (len(group) + 1) // 2
                return self._outcomes(lane, group[:half]) + self._outcomes(lane, group[half:])
            if not again and cost < lane.too_much:
                return self._outcomes(lane, group, again=True)
            lane.too_much = min(lane.too_much, cost)
            kind = device.partition(":")[0]
            failure = DoesNotFit(f"alone, at a cost of {cost}, it takes more memory than {kind} has to give")
        if len(group) > 1:
            return [outcome for item in group for outcome in self._outcomes(lane, [item])]
        return [self._failed(lane, failure)]

    def _failed(self, lane: Lane, error: Exception) -> Outcome:
        """The outcome of a value at fault. Raises StepError where the step has never worked, and should have by now."""
        why = rejection(lane.step.name, error)
        with self._lock:
            self.counts.missing[lane.name] += 1
            times = self.counts.times(lane.step.name)
            times.n += 1
            if not isinstance(error, DataError):
                times.bugs += 1
                if times.bugs == ALWAYS_FAILS and not self.counts.computed[lane.name]:
                    raise StepError(always_fails(lane.step.name, times.bugs, why.error)) from error
        return None, said(why, error)

    # --- writing: one thread

    def _write_all(self) -> None:
        while (found := self._next_rows()) is not None:
            lane, items = found
            outcomes = [item.outcome or (None, None) for item in items]
            _, seconds = _timed(lambda: lane.work.write([item.key for item in items], outcomes))  # noqa: B023
            self._count(lane.step.name, "write", seconds)
            with self._lock:
                for item in items:
                    lane.items.popleft()
                    self._bytes -= item.nbytes
                self._wake()

    def _next_rows(self) -> tuple[Lane, list[Item]] | None:
        """The next rows of a lane: many at once, unless others wait for them."""
        with self._lock:
            while not self._stopped:
                for lane in self.lanes:
                    n = lane.n_done(ROWS_AT_ONCE)
                    if n and (n == ROWS_AT_ONCE or self._ended or self._is_full):
                        return lane, [lane.items[index] for index in range(n)]
                self._rows.wait()
            return None

    # --- one by one, without threads

    def _at_once(self, tasks: Sequence[Task]) -> None:
        for task in tasks:
            for (lane, item), (prepared, cost, outcome) in zip(task.items, self._prepared(task), strict=True):
                item.prepared, item.cost, item.outcome = prepared, cost, outcome
                if outcome is None:
                    self._load(lane)
                    (item.outcome,) = self._outcomes(lane, [item])
        for lane in self.lanes:
            item = lane.items.popleft()
            lane.work.write([item.key], [item.outcome or (None, None)])

    def _count(self, step: str, stage: str, seconds: float, *, n: int = 0) -> None:
        with self._lock:
            self.counts.times(step).spent(stage, seconds, n=n)


def _owned(row: Row) -> Row:
    """A row whose arrays are no views: each would hold the results of its whole group for as long as it waits."""
    return {name: None if array is None else np.array(array) for name, array in row.items()}


def _timed(call: Callable[[], Any]) -> tuple[Any, float]:
    started = perf_counter()
    return call(), perf_counter() - started
