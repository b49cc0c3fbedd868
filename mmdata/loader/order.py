"""What a stream asks of an order: which rows of which windows each step takes. Without files, as `plan`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np

from mmdata.loader.plan import Epoch, Plan, Run, WindowRows


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
        fits: bool [place], which places of the window may stand in for one of these that turns out bad; None for all.
    """

    window: WindowId
    places: np.ndarray
    real: bool = True
    fits: np.ndarray | None = None


class Order(Protocol):
    """Which rows each step takes, in every epoch. Can be sent to another process."""

    @property
    def plans(self) -> Sequence[Plan]:
        """Of each part, what cuts it into windows."""

    @property
    def n_rows(self) -> int:
        """Rows of all parts."""

    @property
    def marks_real(self) -> bool:
        """Whether batches tell rows apart that only fill up."""

    def settings(self) -> dict[str, Any]:
        """What fixes it besides the data: small, JSON. States of equal settings are places in the same order."""

    def batch_size(self, world: int) -> int | None:
        """Rows of a rank's step; None where they differ. Raises ValueError when so many ranks can't share it."""

    def n_steps(self, epoch: int) -> int:
        """Steps of an epoch, the same on every rank."""

    def n_windows(self, part: int, *, rank: int, world: int) -> int:
        """About how many windows of a part a rank has in use at the same time."""

    def begin(self, epoch: int) -> EpochOrder:
        """The order of one epoch."""


class EpochOrder(Protocol):
    """Which rows each step of an epoch takes. Every question is answered in constant time, in any order."""

    def taken(self, step: int, *, rank: int, world: int) -> list[Taken]:
        """The rows of a rank's batch; one entry without rows where it has none. None at all past the last step."""

    def kept(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        """Windows that are in use, though this step takes no rows of them."""

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        """The windows that come next, after those of the step; as a rule those first that come soonest."""

    def window(self, window: WindowId) -> WindowRows:
        """A window's chunks, their rows and the order of its places."""


@dataclass(frozen=True)
class PlanOrder:
    """The order of one plan."""

    plan: Plan

    @property
    def plans(self) -> Sequence[Plan]:
        return (self.plan,)

    @property
    def n_rows(self) -> int:
        return self.plan.n_rows

    @property
    def marks_real(self) -> bool:
        return self.plan.tail == "mask"

    def settings(self) -> dict[str, Any]:
        names = ("global_batch_size", "seed", "shuffle", "window_rows", "lanes", "tail")
        return {name: getattr(self.plan, name) for name in names} | self.plan.weighting

    def batch_size(self, world: int) -> int:
        return self.plan.batch_size(world)

    def n_steps(self, epoch: int) -> int:  # noqa: ARG002  all are of one length
        return self.plan.n_steps

    def n_windows(self, part: int, *, rank: int, world: int) -> int:  # noqa: ARG002  there is one part
        return len({run.lane for run in self.plan.share(0, rank=rank, world=world)})

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

    def kept(self, step: int, *, rank: int, world: int) -> list[WindowId]:  # noqa: ARG002  every lane gives rows
        return []

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        found = []
        for run in self._share(step, rank, world):
            following = self.epoch.window_at(run.start) + 1
            if run.real and self.epoch.starts_before(following, self.plan.lane_end(run.lane)):
                found.append((self.epoch.span(following)[0] - run.start, following))
        return [WindowId(0, self.number, following) for _, following in sorted(found)]

    def window(self, window: WindowId) -> WindowRows:
        return self.epoch.window(window.number)

    def _share(self, step: int, rank: int, world: int) -> list[Run]:
        return self.plan.share(step, rank=rank, world=world) if step < self.plan.n_steps else []
