"""A family's way through a shard: its samples in order, and which of them go to the model together."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from mmdata.core.pipeline import RunSettings
from mmdata.core.step import BatchExtract
from mmdata.engine.budgets import Budget, budget, budgets_file
from mmdata.engine.devices import described
from mmdata.engine.groups import Groups
from mmdata.engine.models import model_of
from mmdata.engine.rows import FamilyWork, Outcome


@dataclass(frozen=True)
class Bounds:
    """How much may be under way at once.

    Args:
        samples, nbytes: of a shard; a group holds a third of the bytes at most.
        together: values in a group.
    """

    samples: int
    nbytes: int
    together: int


ON_CPU = Bounds(samples=1024, nbytes=96_000_000, together=32)  # with more at once it is no faster
ON_GPU = Bounds(samples=1024, nbytes=256_000_000, together=256)


def bounds(device: str) -> Bounds:
    return ON_CPU if device == "cpu" else ON_GPU


@dataclass(eq=False)
class Value:
    """A part to be computed with, decoded when it is first asked for.

    Args:
        get: the decoded part; text in its place says why there is none. nbytes: held until then.
        decoder: the step that `get` is, as statistics call it; None where nothing is left to decode.
    """

    get: Callable[[], Any]
    nbytes: int
    decoder: str | None = None


@dataclass(eq=False)
class Item:
    """A sample on its way through a lane."""

    key: str
    entry_key: str
    cost: int = 0
    nbytes: int = 0
    prepared: Any = None
    waits: bool = False  # in a group
    outcome: Outcome | None = None


@dataclass(eq=False)
class Task:
    """A value to be prepared, for every lane that reads it."""

    value: Value
    items: list[tuple[Lane, Item]] = field(default_factory=list)

    @property
    def is_oldest(self) -> bool:
        """Whether rows wait for it."""
        return any(lane.items[0] is item for lane, item in self.items)


class Lane:
    """One family's way: its samples in order, and those that wait for the model."""

    def __init__(self, work: FamilyWork) -> None:
        step = work.family.step
        if not isinstance(step, BatchExtract):
            raise TypeError(f"{step.name} is no BatchExtract")
        self.work, self.step, self.name = work, step, work.family.name
        self.items: deque[Item] = deque()
        self.groups: Groups[Item] = Groups(self._fit)
        self.model: Any = None
        self.budget = Budget()
        self.is_loaded = False
        self.too_much = math.inf  # the least cost of a value that did not fit alone
        self._bounds = ON_CPU

    def load(self, device: str, settings: RunSettings) -> None:
        """Have the model, and the budget that it had last on such a device."""
        self.model = model_of(self.step, device, compile_it=settings.compile)
        compiled = ", compiled" if settings.compile else ""
        where = described(device, settings.gpus_per_worker)
        self.budget = budget(f"{self.step.fingerprint()} on {where}{compiled}", budgets_file())
        self._bounds = bounds(device)
        self.is_loaded = True

    def _fit(self, cost: int, nbytes: int) -> int:
        by_bytes = self._bounds.nbytes // 3 // max(1, nbytes)
        return max(1, min(self.budget.fits(cost), self._bounds.together, by_bytes))

    def n_done(self, most: int) -> int:
        """How many samples at the front have their outcome, if fewer than so many."""
        done = 0
        for item in self.items:
            if item.outcome is None or done == most:
                break
            done += 1
        return done
