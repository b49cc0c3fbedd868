"""Batches of similar length, as many rows as a budget allows: the order as arithmetic over a table of lengths.

An epoch's sequence is cut into equal *shares*, and each share into *pools* of some windows. In each pool, every share's
rows are sorted by length. A step takes the same places of the sorted rows from every share, as many as keep rows x
longest within the budget, where the longest is that of all shares. The steps of a pool come in random order.

So every share gives as many rows as the others, of about the same length, and stays within its budget; a rank has whole
shares, and the global batches are the same for every number of ranks that divides them.

    share 0   |--- pool 0 ---|--- pool 1 ---|          sorted  |aaaaaa|bbb|cc|
    share 1   |--- pool 0 ---|--- pool 1 ---|                  |aaaaaa|bbb|cc|
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np

from mmdata.core.fingerprint import fingerprint
from mmdata.loader.order import Taken, WindowId
from mmdata.loader.permuting import permutation
from mmdata.loader.plan import Epoch, Plan, WindowRows

EPOCHS_KEPT = 2  # tables of epochs: of the one under way, and of the next


@dataclass(frozen=True, kw_only=True, eq=False)
class BudgetOrder:
    """An order of batches by length.

    Args:
        plan: the rows: its chunks and windows, and what becomes of the rows that make no full shares, fewer than there
            are shares. Its batch size is not used.
        lengths: of each row in stored order, float64 [row]; at least 0.
        budget: most that a share's rows x its longest may come to. No row is longer.
        shares: how many equal shares a global batch has.
        max_rows: most rows of a share, however short they are; None for as many as a pool has.
        name: what the lengths are, for states.

    Raises:
        ValueError: a number is out of range, or a row is longer than the budget.
    """

    plan: Plan
    lengths: np.ndarray
    budget: float
    shares: int
    max_rows: int | None = None
    name: str = ""
    _tables: dict[int, BudgetEpoch] = field(default_factory=dict, repr=False)

    def __post_init__(self) -> None:
        if self.shares < 1 or (self.max_rows is not None and self.max_rows < 1):
            raise ValueError(f"shares and rows must be at least 1, not {self.shares} and {self.max_rows}")
        if not 0 < self.budget < np.inf:
            raise ValueError(f"the budget must be above 0 and finite, not {self.budget}")
        if len(self.lengths) != self.plan.n_rows or not (self.lengths >= 0).all():
            raise ValueError("each row has a length, of at least 0")
        if len(self.lengths) and self.lengths.max() > self.budget:
            raise ValueError(f"a row of length {self.lengths.max():g} is longer than the budget, {self.budget:g}")

    @property
    def plans(self) -> Sequence[Plan]:
        return (self.plan,)

    @property
    def n_rows(self) -> int:
        return self.plan.n_rows

    @property
    def marks_real(self) -> bool:
        return self.plan.tail == "mask"

    @property
    def share_rows(self) -> int:
        """Rows of a share in an epoch."""
        spare = 0 if self.plan.tail == "drop" else self.shares - 1
        return (self.plan.n_rows + spare) // self.shares

    @property
    def pool_rows(self) -> int:
        """Rows of a share's pool; all pools but the last have so many."""
        return self.plan.window_rows * self._pool_windows

    @property
    def _pool_windows(self) -> int:
        return max(1, self.plan.lanes // self.shares) if self.plan.shuffle else 1

    def settings(self) -> dict[str, Any]:
        names = ("seed", "shuffle", "window_rows", "lanes", "tail")
        return {
            **{name: getattr(self.plan, name) for name in names},
            **self.plan.weighting,
            "length": self.name,
            "lengths": self._digest,
            "budget": self.budget,
            "shares": self.shares,
            "max_rows": self.max_rows,
        }

    @cached_property
    def _digest(self) -> str:
        return fingerprint(self.lengths.astype("<f8").tobytes().hex())

    def batch_size(self, world: int) -> None:
        if world < 1 or self.shares % world:
            raise ValueError(f"{world} ranks can't have {self.shares} shares between them equally")

    def n_steps(self, epoch: int) -> int:
        return len(self.begin(epoch).cuts)

    def n_windows(self, part: int, *, rank: int, world: int) -> int:  # noqa: ARG002  there is one part
        return len(self.shares_of(rank, world)) * (self._pool_windows + 1)  # a pool begins and ends within windows

    def shares_of(self, rank: int, world: int) -> range:
        """The shares of a rank. Raises ValueError when there is no such rank, or it can't have whole ones."""
        self.batch_size(world)
        if not 0 <= rank < world:
            raise ValueError(f"there is no rank {rank} of {world}")
        each = self.shares // world
        return range(rank * each, (rank + 1) * each)

    def begin(self, epoch: int) -> BudgetEpoch:
        if epoch not in self._tables:
            for old in [number for number in self._tables if abs(number - epoch) >= EPOCHS_KEPT]:
                self._tables.pop(old, None)
            self._tables[epoch] = self._table(epoch)
        return self._tables[epoch]

    def _table(self, number: int) -> BudgetEpoch:
        epoch = self.plan.epoch(number)
        chunk, row = epoch.sequence()
        counts = np.array(self.plan.chunk_rows, np.int64)
        in_order = self.lengths[(np.cumsum(counts) - counts)[chunk] + row]
        positions = np.arange(self.shares * self.share_rows).reshape(self.shares, self.share_rows)
        lengths = in_order[positions % max(1, self.n_rows)]  # what fills up comes from the sequence's start
        cuts, most = [np.empty((0, 2), np.int64)], [np.empty(0)]
        for pool, start in enumerate(range(0, self.share_rows, self.pool_rows)):
            here = slice(start, min(start + self.pool_rows, self.share_rows))
            falling = np.argsort(-lengths[:, here], axis=1, kind="stable")
            positions[:, here] = np.take_along_axis(positions[:, here], falling, axis=1)
            longest = np.take_along_axis(lengths[:, here], falling, axis=1).max(axis=0)
            found = np.array(list(self._cut(longest)), np.int64) + start
            shuffled = permutation(len(found), self.plan.seed, number, "batches", pool)
            cuts.append(found[shuffled] if self.plan.shuffle else found)
            most.append(longest[cuts[-1][:, 0] - start])
        return BudgetEpoch(self, number, epoch, in_order, positions, np.concatenate(cuts), np.concatenate(most))

    def _cut(self, longest: np.ndarray) -> Iterator[tuple[int, int]]:
        """Cut falling lengths [row] into runs, each as long as the budget allows."""
        fits = np.minimum(self.budget / np.maximum(longest, self.budget / (len(longest) + 1)), self.max_rows or np.inf)
        rows = np.maximum(1, np.floor(fits)).astype(np.int64).tolist()
        start = 0
        while start < len(longest):
            stop = min(start + rows[start], len(longest))
            yield start, stop
            start = stop


@dataclass(frozen=True, eq=False)
class BudgetEpoch:
    """One epoch of batches by length.

    Args:
        order, number: what it was made from.
        epoch: its windows.
        lengths: float64 [row], in order of the sequence.
        positions: int64 [share, row], the sequence's positions, sorted by length within each pool; those from the
            number of rows on fill up.
        cuts: int64 [step, 2], which of each share's rows a step takes: from, and up to.
        longest: float64 [step], the longest row of each step.
    """

    order: BudgetOrder
    number: int
    epoch: Epoch
    lengths: np.ndarray
    positions: np.ndarray
    cuts: np.ndarray
    longest: np.ndarray

    def taken(self, step: int, *, rank: int, world: int) -> list[Taken]:
        if step >= len(self.cuts):
            return []
        start, stop = self.cuts[step].tolist()
        most, shares = float(self.longest[step]), self.order.shares_of(rank, world)
        found = [one for share in shares for one in self._of_share(share, start, stop, most)]
        if not found:  # nothing but what would fill up
            return [Taken(WindowId(0, self.number, 0), np.arange(0), real=False)]
        return found

    def _of_share(self, share: int, start: int, stop: int, most: float) -> Iterator[Taken]:
        rows = np.sort(self.positions[share, start:stop])
        n_real = int(np.searchsorted(rows, self.order.n_rows))
        yield from self._in_windows(rows[:n_real], most, real=True)
        if n_real < len(rows) and self.order.plan.tail != "short":
            yield from self._in_windows(np.sort(rows[n_real:] % self.order.n_rows), most, real=False)

    def _in_windows(self, rows: np.ndarray, most: float, *, real: bool) -> Iterator[Taken]:
        start = 0
        while start < len(rows):
            window = self.epoch.window_at(int(rows[start]))
            first, end = self.epoch.span(window)
            stop = int(np.searchsorted(rows, end))
            fits = self.lengths[first:end] <= most  # what takes a bad row's place stays within the budget, too
            yield Taken(WindowId(0, self.number, window), rows[start:stop] - first, real, fits)
            start = stop

    def kept(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        """The windows of the pool that the step is in."""
        if step >= len(self.cuts):
            return []
        return self._of_pool(int(self.cuts[step, 0]) // self.order.pool_rows, rank, world)

    def ahead(self, step: int, *, rank: int, world: int) -> list[WindowId]:
        """The windows of the pool after it."""
        if step >= len(self.cuts):
            return []
        return self._of_pool(int(self.cuts[step, 0]) // self.order.pool_rows + 1, rank, world)

    def _of_pool(self, pool: int, rank: int, world: int) -> list[WindowId]:
        order, found = self.order, []
        start = pool * order.pool_rows
        stop = min(start + order.pool_rows, order.share_rows)
        for share in order.shares_of(rank, world):
            first, last = share * order.share_rows + start, min(share * order.share_rows + stop, order.n_rows) - 1
            if first <= last:
                windows = range(self.epoch.window_at(first), self.epoch.window_at(last) + 1)
                found += [WindowId(0, self.number, window) for window in windows]
        return found

    def window(self, window: WindowId) -> WindowRows:
        return self.epoch.window(window.number)
