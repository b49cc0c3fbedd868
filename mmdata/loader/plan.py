"""The order of training data, as arithmetic: no files, no clock, no worker has a say in it.

A chunk is a run of selected rows that are stored together. An epoch's *sequence* holds every row once: chunks are
shuffled across shards, the shuffled chunks are taken together in windows, and rows are shuffled within a window. The
sequence is cut into equal *lanes*, each read from its own place on, so that one batch mixes rows from many windows.
Global batch t takes the t-th slice of every lane, lane after lane; a rank's batch is its part of the global batch, in
rank order. So the global batches are the same for every number of ranks that divides their size, and a rank that has
whole lanes reads only what it gives.

    sequence   |------ lane 0 ------|------ lane 1 ------|------ lane 2 ------|------ lane 3 ------|
    batch t        ..[ t ]              ..[ t ]              ..[ t ]              ..[ t ]
    of 2 ranks     rank 0               rank 0               rank 1               rank 1
"""

from __future__ import annotations

from bisect import bisect
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from math import gcd
from typing import Literal, NamedTuple

import numpy as np

from mmdata.loader.permuting import permutation
from mmdata.loader.weights import Layers, Weights

Tail = Literal["drop", "repeat", "mask", "short"]
TAILS: tuple[Tail, ...] = ("drop", "repeat", "mask", "short")


@dataclass(frozen=True)
class Run:
    """Positions [start, stop) of the sequence, given by a lane; `real` is False where they only fill up a batch."""

    start: int
    stop: int
    lane: int
    real: bool = True

    def __len__(self) -> int:
        return self.stop - self.start


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What fixes the order, all of it.

    Args:
        chunk_rows: selected rows of each chunk, in stored order; each at least 1.
        global_batch_size: rows of a step, over all ranks.
        seed: of the shuffle. shuffle: without it the sequence is the stored order, and there is one lane.
        window_rows: chunks are taken together until a window has about so many rows.
        lanes: how many places of the sequence are read at once; the greatest divisor that the batch size shares counts.
        tail: what becomes of the rows that don't fill a last batch. "drop": left out of this epoch. "repeat": filled up
            with rows from the sequence's start. "mask": the same, and the batch tells them apart. "short": the last
            batch is shorter, and may be empty on some ranks. Every rank has the same number of steps in each case.
        weights: of the rows, where they come as often as their weights say; without, every row comes once.

    Raises:
        ValueError: a number is out of range.
    """

    chunk_rows: tuple[int, ...]
    global_batch_size: int
    seed: int = 0
    shuffle: bool = True
    window_rows: int = 4096
    lanes: int = 8
    tail: Tail = "drop"
    weights: Weights | None = None

    def __post_init__(self) -> None:
        for name in ("global_batch_size", "window_rows", "lanes"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} must be at least 1, not {getattr(self, name)}")
        if self.tail not in TAILS:
            raise ValueError(f"tail must be one of {', '.join(TAILS)}, not {self.tail!r}")
        if any(rows < 1 for rows in self.chunk_rows):
            raise ValueError("a chunk has at least one row")
        if self.weights is not None and not (self.shuffle and len(self.weights.values) == self.n_rows):
            raise ValueError("weights are of the rows, one each, and need shuffle")

    @cached_property
    def n_rows(self) -> int:
        return sum(self.chunk_rows)

    @property
    def weighting(self) -> dict[str, bool]:
        """What states say of weights; nothing without, as those say that were saved before there were any."""
        return {} if self.weights is None else {"weighted": True}

    @cached_property
    def n_lanes(self) -> int:
        return gcd(self.lanes, self.global_batch_size) if self.shuffle else 1

    @cached_property
    def n_steps(self) -> int:
        """Steps of an epoch, the same on every rank."""
        spare = 0 if self.tail == "drop" else self.global_batch_size - 1
        return (self.n_rows + spare) // self.global_batch_size

    def batch_size(self, world: int) -> int:
        """Rows of one rank's step. Raises ValueError unless the world divides the global batch."""
        if world < 1 or self.global_batch_size % world:
            raise ValueError(f"{world} ranks can't share a global batch of {self.global_batch_size} rows equally")
        return self.global_batch_size // world

    def share(self, step: int, *, rank: int = 0, world: int = 1) -> list[Run]:
        """Where in the sequence a rank's batch of one step lies, in the batch's order; one empty run for no rows."""
        size = self.batch_size(world)
        if not 0 <= rank < world or not 0 <= step < self.n_steps:
            raise ValueError(f"there is no rank {rank} of {world}, step {step} of {self.n_steps}")
        width = self.global_batch_size // self.n_lanes
        first, last = rank * size, (rank + 1) * size
        runs: list[Run] = []
        for lane in range(first // width, -(-last // width)):
            low, high = max(first - lane * width, 0), min(last - lane * width, width)
            runs.extend(self._slice(step, lane, low, high))
        if not runs:  # nothing is left for this rank: an empty run where its last row was
            lane = (last - 1) // width
            at = max(0, self.lane_end(lane) - 1)
            runs.append(Run(at, at, lane, real=False))
        return runs

    def lane_end(self, lane: int) -> int:
        """The position after a lane's last row."""
        return self._lane_start(lane + 1)

    @cached_property
    def _last_rows(self) -> int:
        """Real rows of the last step."""
        return min(self.global_batch_size, self.n_rows - (self.n_steps - 1) * self.global_batch_size)

    def _lane_start(self, lane: int) -> int:
        full = self.global_batch_size // self.n_lanes * (self.n_steps - 1)
        return lane * full + self._last_rows * lane // self.n_lanes

    def _slice(self, step: int, lane: int, low: int, high: int) -> Iterator[Run]:
        """Rows [low, high) of a lane's slice of a step: real ones, then fillers."""
        width = self.global_batch_size // self.n_lanes
        start = self._lane_start(lane) + step * width
        real = width if step < self.n_steps - 1 else self._lane_start(lane + 1) - start
        if low < min(high, real):
            yield Run(start + low, start + min(high, real), lane)
        if max(low, real) < high and self.tail != "short":
            before = lane * width - self._last_rows * lane // self.n_lanes  # fillers of the lanes before
            yield from self._fillers(lane, before + max(low, real) - real, high - max(low, real))

    def _fillers(self, lane: int, first: int, count: int) -> Iterator[Run]:
        """`count` rows from the sequence's start on, after `first` that others took, round and round."""
        while count:
            start = first % self.n_rows
            stop = min(start + count, self.n_rows)
            yield Run(start, stop, lane, real=False)
            first, count = first + stop - start, count - (stop - start)

    def epoch(self, epoch: int) -> Epoch:
        """The sequence of one epoch; costs a sort of the chunks."""
        layers = None if self.weights is None else Layers.of(self.weights.copies(self.seed, epoch), self.chunk_rows)
        counts = np.array(self.chunk_rows, dtype=np.int64) if layers is None else layers.sizes
        order = np.arange(len(counts), dtype=np.int64)
        if self.shuffle:
            order = permutation(len(order), self.seed, epoch, "chunks")
        starts = np.concatenate([[0], np.cumsum(counts[order])])
        firsts = np.flatnonzero(np.diff(starts[:-1] // self.window_rows, prepend=-1))
        bounds = np.append(firsts, len(order))
        return Epoch(self, epoch, order, starts, bounds, layers)


class WindowRows(NamedTuple):
    """The rows of a window.

    Args:
        chunks: int64 [chunk], the numbers of its chunks; one may be there several times.
        rows: of each of them, which of its rows are read: int64 [row], ascending.
        order: int64 [place], for each place of the window, which of those rows, taken one after another, stands there.
    """

    chunks: np.ndarray
    rows: list[np.ndarray]
    order: np.ndarray


@dataclass(frozen=True, eq=False)
class Epoch:
    """Which rows the sequence of one epoch holds, window by window.

    Args:
        plan, epoch: what it was made from.
        chunks: int64 [chunk], numbers of chunks, or of layers, in order of the sequence.
        starts: int64 [chunk + 1], the position at which each of them starts.
        bounds: int64 [window + 1], which of `chunks` each window starts with.
        layers: of the chunks, where rows have weights.
    """

    plan: Plan
    epoch: int
    chunks: np.ndarray
    starts: np.ndarray
    bounds: np.ndarray
    layers: Layers | None = None

    @property
    def n_windows(self) -> int:
        return len(self.bounds) - 1

    @cached_property
    def window_starts(self) -> np.ndarray:
        """int64 [window + 1], the position at which each window starts."""
        return np.asarray(self.starts[self.bounds])

    @cached_property
    def _window_starts(self) -> list[int]:
        """The same as a list: asked for many times a batch, where an array takes microseconds a number."""
        return [int(start) for start in self.window_starts]

    def window_at(self, position: int) -> int:
        """The window that holds a position of the sequence."""
        return bisect(self._window_starts, position) - 1

    def span(self, window: int) -> tuple[int, int]:
        """The positions [start, stop) of a window's rows."""
        return self._window_starts[window], self._window_starts[window + 1]

    def starts_before(self, window: int, position: int) -> bool:
        """Whether there is such a window, and it starts before a position."""
        return window < self.n_windows and self._window_starts[window] < position

    def pieces(self, run: Run) -> Iterator[tuple[int, int, int]]:
        """The windows that a run lies in, with the rows [start, stop) of each; one without rows for an empty run."""
        position = run.start
        while True:
            window = self.window_at(position)
            first, end = self._window_starts[window], min(run.stop, self._window_starts[window + 1])
            yield window, position - first, end - first
            position = end
            if position >= run.stop:
                return

    def window(self, window: int) -> WindowRows:
        """A window's chunks, which of their rows it has, and the order of its places."""
        first, last = self.bounds[window], self.bounds[window + 1]
        n_places = int(self.starts[last] - self.starts[first])
        order = np.arange(n_places, dtype=np.int64)
        if self.plan.shuffle:
            order = permutation(n_places, self.plan.seed, self.epoch, window)
        chunks = self.chunks[first:last]
        if self.layers is None:
            return WindowRows(chunks, [np.arange(self.plan.chunk_rows[chunk]) for chunk in chunks], order)
        held = [self.layers.held(layer) for layer in chunks]
        firsts = np.cumsum([0, *(len(rows) for rows, _ in held)])
        places = np.concatenate([at + start for (_, at), start in zip(held, firsts, strict=False)])
        return WindowRows(self.layers.chunks[chunks], [rows for rows, _ in held], places[order])

    def sequence(self) -> tuple[np.ndarray, np.ndarray]:
        """The whole order: int64 [row] chunk numbers, int64 [row] rows within their chunks."""
        chunk, row = np.empty(self.plan.n_rows, np.int64), np.empty(self.plan.n_rows, np.int64)
        for window in range(self.n_windows):
            chunks, rows, order = self.window(window)
            here = slice(self.window_starts[window], self.window_starts[window + 1])
            chunk[here] = np.repeat(chunks, [len(each) for each in rows])[order]
            row[here] = np.concatenate(rows)[order]
        return chunk, row
