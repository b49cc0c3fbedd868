"""Which windows a stream holds, and the memory that they lie in, which is used again by those that come after them.

A window's rows lie in slabs as large as the largest window's, one for each column of one shape. So any slab that is
free fits, what is held is never more than was counted, and an epoch maps no memory that the one before it had already.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Sequence
from typing import Any

import numpy as np

from mmdata.errors import ConfigError
from mmdata.loader.buffers import Buffers
from mmdata.loader.contents import Contents
from mmdata.loader.order import EpochOrder, Order, Taken, WindowId

GIB = 1 << 30
BATCHES = 4  # of features at the same time: with the caller, the next two, and the memory that one is gathered into
KEPT_BYTES = 1 << 40  # of slabs: all, as no more are ever made than windows are held at the same time


class Holding:
    """The windows of one rank.

    Args:
        parts: what is read. order: in which order. rank, world: whose windows.
        max_bytes: of windows and batches together; windows that come next are read ahead as far as there is room.
        has_media: whether batches are of media, for which most of it is then kept.

    Attributes:
        batches_bytes: what is left for batches.

    Raises:
        ConfigError: not even the windows in use fit.
    """

    def __init__(
        self, parts: Sequence[Contents], order: Order, *, rank: int, world: int, max_bytes: int, has_media: bool
    ) -> None:
        self._rank, self._world = rank, world
        counts = [order.n_windows(number, rank=rank, world=world) for number in range(len(parts))]
        # a window ends with a whole chunk
        self._rows = tuple(min(plan.n_rows, plan.window_rows + max(plan.chunk_rows)) for plan in order.plans)
        self._bytes = tuple(rows * part.row_bytes for rows, part in zip(self._rows, parts, strict=True))
        # a part of few rows is held as a whole, in however many windows
        whole = [plan.n_rows * part.row_bytes for plan, part in zip(order.plans, parts, strict=True)]
        uses = [min(count * each, most) for count, each, most in zip(counts, self._bytes, whole, strict=True)]
        self.used_bytes = sum(uses)
        self._pools: dict[tuple[int, int], Buffers] = {}
        batches = BATCHES * (order.batch_size(world) or 0) * max(part.row_bytes for part in parts)
        self._max_bytes = int(
            max(self.used_bytes, min(2 * self.used_bytes, max_bytes / 4)) if has_media else max_bytes - batches
        )
        self.batches_bytes = max_bytes - self._max_bytes
        if self.used_bytes > self._max_bytes or self.batches_bytes < 0:
            raise ConfigError("stream", [self._too_much(parts, order, counts, max_bytes - batches)])

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_pools": {}}

    def pool(self, part: int) -> Buffers:
        """Slabs for the windows of a part. After a fork there are others: a lock may have been held."""
        found = self._pools.get((os.getpid(), part))
        return found or self._pools.setdefault((os.getpid(), part), Buffers(KEPT_BYTES, n_items=self._rows[part]))

    def close(self) -> None:
        """Let go of the memory that no window lies in."""
        self._pools.clear()

    def has_room(self, order: EpochOrder, taken: Sequence[Taken], step: int, reduced: Collection[WindowId]) -> bool:
        """Whether the windows of steps under way, the last of which is `step`, can be held together."""
        return self._left(self._needed(order, taken, step), reduced) >= 0

    def leaving(self, order: EpochOrder, taken: Sequence[Taken], following: int) -> dict[WindowId, np.ndarray]:
        """Which places of those windows are needed that no step from `following` on takes rows of."""
        stay = self._needed(order, order.taken(following, rank=self._rank, world=self._world), following)
        places: dict[WindowId, list[np.ndarray]] = {}
        for one in taken:
            if one.window not in stay:
                places.setdefault(one.window, []).append(one.places)
        return {window: np.concatenate(each) for window, each in places.items()}

    def wanted(
        self, order: EpochOrder, taken: Sequence[Taken], step: int, reduced: Collection[WindowId]
    ) -> dict[WindowId, None]:
        """The windows of steps under way, and those that come next as far as there is room.

        Args:
            order: of the epoch.
            taken: what all steps under way take.
            step: the last of them.
            reduced: windows of which only a few rows are held.
        """
        wanted = self._needed(order, taken, step)
        left = self._left(wanted, reduced)
        for window in order.ahead(step, rank=self._rank, world=self._world):
            if window in wanted:
                continue
            left -= self._bytes[window.part]
            if left < 0:
                break
            wanted[window] = None
        return wanted

    def _needed(self, order: EpochOrder, taken: Sequence[Taken], step: int) -> dict[WindowId, None]:
        kept = order.kept(step, rank=self._rank, world=self._world)
        return dict.fromkeys([*(one.window for one in taken), *kept])

    def _left(self, windows: Iterable[WindowId], reduced: Collection[WindowId]) -> float:
        return self._max_bytes - sum(self._bytes[window.part] for window in windows if window not in reduced)

    def _too_much(self, parts: Sequence[Contents], order: Order, counts: Sequence[int], allowed: float) -> str:
        row_bytes = [part.row_bytes for part in parts]
        each = sum(count * size for count, size in zip(counts, row_bytes, strict=True))
        fixed = sum(
            count * max(plan.chunk_rows) * size
            for count, plan, size in zip(counts, order.plans, row_bytes, strict=True)
        )
        return (
            f"max_bytes: {sum(counts)} windows of {order.plans[0].window_rows} rows and more take about "
            f"{self.used_bytes / GIB:.2g} GiB, beside batches there are {max(0, allowed) / GIB:.2g}: "
            f"set window_rows={max(1, int((allowed - fixed) / each))}, fewer lanes, or a larger max_bytes"
        )
