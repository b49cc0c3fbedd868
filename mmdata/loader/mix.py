"""Several parts in one order: which rows of which part each step takes, as arithmetic.

Each lane goes through slots, `width` of them a step, and each slot belongs to a part. How many of the first x slots are
a part's is known at once (`apportion`), so the rows that a lane took of a part before any step are too. Lane l is one
slice of slots ahead of lane l - 1: a global batch is then a run of slots, shared out as the weights say to within a row
or two, and every lane gets its share of every part.

    slots     | slice 0 | slice 1 | slice 2 | slice 3 | slice 4 | ...
    batch 0     lane 0    lane 1    lane 2    lane 3
    batch 1               lane 0    lane 1    lane 2    lane 3

A part's rows are an endless sequence, pass after pass, each pass in an order of its own. It is dealt to the lanes in
rounds of equal sections, so that no row comes again before all others of its part came, at however many lanes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, Literal

import numpy as np

from mmdata.loader.order import Taken, WindowId
from mmdata.loader.plan import Epoch, Plan, WindowRows

Batches = Literal["mixed", "single"]
Until = Literal["first", "all"]
SCALE = 1 << 40  # weights are whole numbers: what is counted in floating point may differ between machines
COUNTS_KEPT = 1000
PASSES_KEPT = 4  # of a part: its lanes are in the same pass, or in neighbouring ones


def apportion(slots: int, weights: Sequence[int]) -> list[int]:
    """How many of the first `slots` slots each part gets.

    Halves are shared out first, then halves of them, rounding each time. Nobody loses a slot when there is one more,
    the parts' slots are all slots, and each part is within 1 + log2(parts) / 2 of its exact share.

    >>> [apportion(slots, [2, 1, 1]) for slots in range(5)]
    [[0, 0, 0], [1, 0, 0], [1, 1, 0], [2, 1, 0], [2, 1, 1]]
    """
    if len(weights) == 1:
        return [slots]
    half = len(weights) // 2
    total, left = sum(weights), sum(weights[:half])
    first = (2 * slots * left + total) // (2 * total)
    return [*apportion(first, weights[:half]), *apportion(slots - first, weights[half:])]


@dataclass(frozen=True, kw_only=True)
class MixOrder:
    """An order of several parts.

    A global batch has `global_batch_size` rows in every step: a part that was gone through begins anew, in another
    order, and goes on where it is in the next epoch.

    Args:
        plans: of the parts: their chunks and windows. Batch size, lanes and `shuffle` are the same in all.
        shares: how many rows each gives in relation to the others; above 0.
        goals: how often each is to be gone through.
        until: epochs have as many steps as it takes until the "first" of the parts would go beyond its goal, or until
            "all" have reached theirs, both counted from epoch 0 on.
        batches: each step's rows are "mixed" from all parts, or of a "single" one.
        given: the shares as the user put them, for states.
    """

    plans: tuple[Plan, ...]
    shares: tuple[float, ...]
    goals: tuple[float, ...]
    until: Until = "first"
    batches: Batches = "mixed"
    given: tuple[tuple[str, float], ...] = ()

    @property
    def n_rows(self) -> int:
        return sum(plan.n_rows for plan in self.plans)

    @property
    def marks_real(self) -> bool:
        return False

    @property
    def n_lanes(self) -> int:
        return self.plans[0].n_lanes

    @cached_property
    def width(self) -> int:
        """Rows of a lane in a step."""
        return self.plans[0].global_batch_size // self.n_lanes

    @cached_property
    def weights(self) -> list[int]:
        total = sum(self.shares)
        return [max(1, round(share / total * SCALE)) for share in self.shares]

    def settings(self) -> dict[str, Any]:
        weighted = [plan.weights is not None for plan in self.plans]
        names = ("global_batch_size", "seed", "shuffle", "window_rows", "lanes")
        return {
            **{name: getattr(self.plans[0], name) for name in names},
            "shares": [list(share) for share in self.given],
            "until": self.until,
            "batches": self.batches,
            **({"weighted": weighted} if any(weighted) else {}),
        }

    def batch_size(self, world: int) -> int:
        return self.plans[0].batch_size(world)

    def n_windows(self, part: int, *, rank: int, world: int) -> int:  # noqa: ARG002  every lane reads all parts
        return len(list(self.lanes_of(rank, world)))

    def lanes_of(self, rank: int, world: int) -> Iterator[tuple[int, int, int]]:
        """A rank's lanes, with the rows [low, high) of each lane's slice that it gives."""
        size = self.batch_size(world)
        first, last = rank * size, (rank + 1) * size
        for lane in range(first // self.width, -(-last // self.width)):
            yield lane, max(first - lane * self.width, 0), min(last - lane * self.width, self.width)

    def before(self, step: int, lane: int) -> list[int]:
        """How many rows of each part a lane took before a step, counted from the first epoch's start."""
        if self.batches == "single":
            return [steps * self.width for steps in apportion(step, self.weights)]
        slots = apportion((step + lane) * self.width, self.weights)
        return [rows - skipped for rows, skipped in zip(slots, self._skipped[lane], strict=True)]

    @cached_property
    def _skipped(self) -> list[list[int]]:
        """Of each lane, the slots of each part that it never saw, as it began ahead of them."""
        return [apportion(lane * self.width, self.weights) for lane in range(self.n_lanes)]

    def n_steps(self, epoch: int) -> int:  # noqa: ARG002  all are of one length
        return self._n_steps

    @cached_property
    def _n_steps(self) -> int:
        ends = [(deal, round(goal * deal.n_rows)) for deal, goal in zip(self.deals, self.goals, strict=True)]
        goals = [deal.rows_before(end, lane) for lane in range(self.n_lanes) for deal, end in ends]

        def ended(step: int) -> bool:
            taken = [rows for lane in range(self.n_lanes) for rows in self.before(step, lane)]
            pairs = zip(taken, goals, strict=True)
            return any(a > b for a, b in pairs) if self.until == "first" else all(a >= b for a, b in pairs)

        steps = _first(ended)
        return steps - 1 if self.until == "first" else steps

    @cached_property
    def deals(self) -> list[Deal]:
        return [Deal(plan.n_rows, self.n_lanes) for plan in self.plans]

    def begin(self, epoch: int) -> MixEpoch:
        return MixEpoch(self, epoch)


def _first(holds: Callable[[int], bool]) -> int:
    """The first number from 0 on for which something holds that holds for all greater ones, too."""
    high = 1
    while not holds(high):
        high *= 2
    low = 0
    while low < high:
        middle = (low + high) // 2
        low, high = (low, middle) if holds(middle) else (middle + 1, high)
    return low


@dataclass(frozen=True)
class Deal:
    """How a part's endless sequence of rows is dealt to lanes: in rounds, each lane a section of `section` rows."""

    n_rows: int
    n_lanes: int

    @cached_property
    def section(self) -> int:
        return max(1, self.n_rows // self.n_lanes)

    def at(self, lane: int, count: int) -> tuple[int, int, int]:
        """The pass and the position in it of a lane's row, and how many rows follow without a gap, with this one."""
        turn, place = divmod(count, self.section)
        position = (turn * self.n_lanes + lane) * self.section + place
        number, within = divmod(position, self.n_rows)
        return number, within, min(self.section - place, self.n_rows - within)

    def rows_before(self, position: int, lane: int) -> int:
        """How many of the sequence's first rows are a lane's."""
        turns, rest = divmod(position, self.n_lanes * self.section)
        return turns * self.section + min(max(rest - lane * self.section, 0), self.section)


@dataclass(frozen=True, eq=False)
class MixEpoch:
    """One epoch of a mixture. Passes of the parts are looked up when a step comes to them."""

    order: MixOrder
    number: int
    passes: dict[tuple[int, int], Epoch] = field(default_factory=dict)
    _counts: dict[tuple[int, int], list[int]] = field(default_factory=dict)

    def taken(self, step: int, *, rank: int, world: int) -> list[Taken]:
        if step >= self.order.n_steps(self.number):
            return []
        found = []
        for lane, low, high in self.order.lanes_of(rank, world):
            first, last = self._span(step, lane)
            start = 0  # of the part's rows in the lane's slice: parts stand one after another there
            for part, (begin, end) in enumerate(zip(first, last, strict=True)):
                if begin < end:
                    rows = begin + max(low - start, 0), begin + min(high - start, end - begin)
                    found += [Taken(window, places) for window, places in self._pieces(part, lane, *rows)]
                start += end - begin
        return found

    def kept(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        if step >= self.order.n_steps(self.number):
            return []
        found = []
        for lane, _, _ in self.order.lanes_of(rank, world):
            first, last = self._span(step, lane)
            skipped = [part for part, end in enumerate(last) if end == first[part] < self._ends(lane)[part]]
            found += [self._piece(part, lane, first[part])[0] for part in skipped]
        return found

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        if step >= self.order.n_steps(self.number):
            return []
        found = []
        for lane, _, _ in self.order.lanes_of(rank, world):
            first, last = self._span(step, lane)
            for part, end in enumerate(self._ends(lane)):
                count = max(first[part], last[part] - 1)
                following = count + self._piece(part, lane, count)[2]
                if following < end:
                    found.append(self._piece(part, lane, following)[0])
        return found

    def window(self, window: WindowId) -> WindowRows:
        return self._pass(window.part, window.epoch).window(window.number)

    def _span(self, step: int, lane: int) -> tuple[list[int], list[int]]:
        """How many rows of each part the lane took before a step, and after it."""
        return self._before(step, lane), self._before(step + 1, lane)

    def _ends(self, lane: int) -> list[int]:
        """How many rows of each part the lane has taken at the epoch's end."""
        return self._before(self.order.n_steps(self.number), lane)

    def _before(self, step: int, lane: int) -> list[int]:
        """As the order says, kept: it is asked for several times a step."""
        found = self._counts.get((step, lane))
        if found is None:
            if len(self._counts) > COUNTS_KEPT:
                self._counts.clear()
            found = self.order.before(self.number * self.order.n_steps(self.number) + step, lane)
            self._counts[step, lane] = found
        return found

    def _pieces(self, part: int, lane: int, count: int, stop: int) -> Iterator[tuple[WindowId, np.ndarray]]:
        """The windows that a lane's rows [count, stop) of a part lie in, with their places."""
        while count < stop:
            window, place, n_rows = self._piece(part, lane, count)
            n_rows = min(n_rows, stop - count)
            yield window, np.arange(place, place + n_rows)
            count += n_rows

    def _piece(self, part: int, lane: int, count: int) -> tuple[WindowId, int, int]:
        """The window of a lane's row of a part, the row's place in it, and how many rows are the lane's from there."""
        number, position, n_rows = self.order.deals[part].at(lane, count)
        epoch = self._pass(part, number)
        window = epoch.window_at(position)
        start, stop = epoch.span(window)
        return WindowId(part, number, window), position - start, min(n_rows, stop - position)

    def _pass(self, part: int, number: int) -> Epoch:
        if (part, number) not in self.passes:
            for old in [key for key in self.passes if key[0] == part and key[1] < number - PASSES_KEPT]:
                del self.passes[old]
            self.passes[part, number] = self.order.plans[part].epoch(number)
        return self.passes[part, number]
