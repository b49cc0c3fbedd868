"""What a stream asks of an order: which rows of which windows each step takes. Without files, as `plan`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

import numpy as np

from mmdata.loader.plan import Epoch, Plan, Run


@dataclass(frozen=True, order=True)
class WindowId:
    """A window of one part of the data.

    Args:
        part: which part, in the order in which they were given; 0 where there is one.
        epoch: how often that part was gone through before. number: of the window in that epoch.
    """

    part: int
    epoch: int
    number: int


@dataclass(frozen=True, eq=False)
class Taken:
    """Rows that a step takes from a window, one after another in the batch.

    Args:
        places: int64 [row], their places in the window's order; none where a rank has no rows left.
        real: False where they only fill up a batch.
    """

    window: WindowId
    places: np.ndarray
    real: bool = True


class Order(Protocol):
    """Which rows each step takes, in every epoch."""

    @property
    def n_steps(self) -> int:
        """Steps of an epoch, the same on every rank."""

    def begin(self, epoch: int) -> EpochOrder:
        """The order of one epoch."""


class EpochOrder(Protocol):
    """Which rows each step of an epoch takes. Every question is answered in constant time, in any order."""

    def taken(self, step: int, *, rank: int, world: int) -> list[Taken]:
        """The rows of a rank's batch; one entry without rows where it has none. None at all past the last step."""

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        """The windows that come next, after those of the step."""

    def window(self, window: WindowId) -> tuple[np.ndarray, np.ndarray]:
        """A window's chunks and the order of their rows, as `plan.Epoch.window` gives them."""


@dataclass(frozen=True)
class PlanOrder:
    """The order of one plan."""

    plan: Plan

    @property
    def n_steps(self) -> int:
        return self.plan.n_steps

    def begin(self, epoch: int) -> PlanEpoch:
        return PlanEpoch(self.plan, epoch, self.plan.epoch(epoch))


@dataclass(frozen=True, eq=False)
class PlanEpoch:
    """One epoch of one plan, as part 0."""

    plan: Plan
    number: int
    epoch: Epoch

    def taken(self, step: int, *, rank: int, world: int) -> list[Taken]:
        return [
            Taken(WindowId(0, self.number, window), np.arange(start, stop), run.real)
            for run in self._share(step, rank, world)
            for window, start, stop in self.epoch.pieces(run)
        ]

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        found = []
        for run in self._share(step, rank, world):
            following = self.epoch.window_at(run.start) + 1
            if run.real and self.epoch.starts_before(following, self.plan.lane_end(run.lane)):
                found.append(WindowId(0, self.number, following))
        return found

    def window(self, window: WindowId) -> tuple[np.ndarray, np.ndarray]:
        return self.epoch.window(window.number)

    def _share(self, step: int, rank: int, world: int) -> list[Run]:
        return self.plan.share(step, rank=rank, world=world) if step < self.plan.n_steps else []
