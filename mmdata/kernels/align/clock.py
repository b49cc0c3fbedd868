"""Rows with times, brought onto ticks of equal length."""

from __future__ import annotations

from typing import Literal

import numpy as np

How = Literal["hold", "mean", "max", "linear"]
FAR_S = 1e9
NS = 1_000_000_000  # times are compared as whole nanoseconds: 0.1 and 10 * 0.01 are one moment


def tick_count(duration_s: float, hop_s: float) -> int:
    """How many ticks it takes to cover a duration; the last may reach beyond.

    >>> tick_count(1.0, 0.1), tick_count(1.01, 0.1), tick_count(0.0, 0.1)
    (10, 11, 0)
    """
    return max(0, -(-round(duration_s * NS) // max(1, round(hop_s * NS))))


def on_ticks(
    values: np.ndarray, starts_s: np.ndarray, ends_s: np.ndarray, *, hop_s: float, n_ticks: int, how: How
) -> tuple[np.ndarray, np.ndarray]:
    """Bring rows, each with a stretch of time that it holds for, onto a clock.

    Tick t is the time from t * hop_s to (t + 1) * hop_s. A row counts for a tick that it shares time with; for `hold`
    and `linear`, a tick is its middle. Rows may come in any order, overlap, and leave gaps.

    hold: the row that began last of those that hold at the tick's middle, and of those the last one in order.
    mean: of all rows of the tick, each by the time that it shares with it.
    max: the greatest of each number over all rows of the tick.
    linear: between the middles of the rows before and after; of the nearest row beyond the first and last middle. There
        is nothing where no row holds.

    Args:
        values: [row, ...].
        starts_s: float64 [row], in seconds.
        ends_s: float64 [row]; a row that ends where it starts, or is NaN, holds for no time.
        hop_s: seconds from tick to tick, at least a microsecond.
        n_ticks: how many.
        how: see above.

    Returns:
        [tick, ...] of the dtype of values for hold and max, else float32 (float64 of float64); zeros where there is
        nothing; and bool [tick], whether there is anything. NaN stays NaN, in its own ticks only, but for those between
        which `linear` runs.

    Raises:
        ValueError: the lengths differ, or hop_s is not positive.

    >>> rows, starts = np.array([1.0, 3.0]), np.array([0.0, 0.1])
    >>> values, mask = on_ticks(rows, starts, starts + 0.1, hop_s=0.2, n_ticks=2, how="mean")
    >>> values.tolist(), mask.tolist()
    ([2.0, 0.0], [True, False])
    """
    if not hop_s >= 1e-6:
        raise ValueError(f"hop_s must be at least a microsecond, not {hop_s}")
    if not len(values) == len(starts_s) == len(ends_s):
        raise ValueError(f"there are {len(values)} rows, {len(starts_s)} starts and {len(ends_s)} ends")
    edges = np.round(np.arange(n_ticks + 1) * (hop_s * NS)).astype(np.int64)
    starts, ends = _whole(starts_s), _whole(ends_s)
    order = np.argsort(starts, kind="stable")
    order = order[(ends > starts)[order] & (ends_s > starts_s)[order]]
    rows, starts, ends = values[order], starts[order], ends[order]
    dtype = values.dtype if how in ("hold", "max") else np.result_type(values.dtype, np.float32)
    if dtype.kind == "f" and how in ("mean", "linear") and values.dtype != np.float64:
        dtype = np.dtype(np.float32)
    found, mask = np.zeros((n_ticks, *values.shape[1:]), dtype), np.zeros(n_ticks, bool)
    if not len(rows) or not n_ticks:
        return found, mask
    if how in ("mean", "max"):
        _over_ticks(rows, starts, ends, edges, how == "mean", found, mask)
        return found, mask
    middles = (edges[:-1] + edges[1:]) // 2
    holding = _holding(starts, ends, middles)
    mask[:] = holding >= 0
    at_middle = rows[holding[mask]] if how == "hold" else _between(rows, (starts + ends) / 2, middles[mask])
    found[mask] = at_middle
    return found, mask


def _whole(seconds: np.ndarray) -> np.ndarray:
    """Times as nanoseconds; int64, what is farther than 30 years counting as that far."""
    near = np.nan_to_num(np.clip(np.asarray(seconds, np.float64), -FAR_S, FAR_S))
    whole: np.ndarray = np.round(near * NS).astype(np.int64)
    return whole


def _over_ticks(
    rows: np.ndarray,
    starts: np.ndarray,
    ends: np.ndarray,
    edges: np.ndarray,
    weighs: bool,
    found: np.ndarray,
    mask: np.ndarray,
) -> None:
    """Fill in sums or maxima over the pairs of a row and a tick that share time."""
    first = np.maximum(np.searchsorted(edges, starts, "right") - 1, 0)
    counts = np.maximum(np.minimum(np.searchsorted(edges, ends, "left"), len(mask)) - first, 0)
    if not counts.any():
        return
    owner = np.repeat(np.arange(len(rows)), counts)
    ticks = np.arange(len(owner)) - np.repeat(np.cumsum(counts) - counts, counts) + first[owner]
    order = np.argsort(ticks, kind="stable")
    owner, ticks = owner[order], ticks[order]
    groups = np.flatnonzero(np.diff(ticks, prepend=-1))
    filled = ticks[groups]
    mask[filled] = True
    if not weighs:
        found[filled] = np.maximum.reduceat(rows[owner], groups, axis=0)
        return
    shared = (np.minimum(ends[owner], edges[ticks + 1]) - np.maximum(starts[owner], edges[ticks])).astype(np.float64)
    weights = shared / np.repeat(np.add.reduceat(shared, groups), np.diff(groups, append=len(owner)))
    spread = weights.reshape(-1, *[1] * (rows.ndim - 1))
    found[filled] = np.add.reduceat(rows[owner] * spread, groups, axis=0)


def _holding(starts: np.ndarray, ends: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """The last row to begin of those that hold at each moment; -1 where none does."""
    found = np.searchsorted(starts, moments, "right") - 1
    waiting = np.flatnonzero((found >= 0) & (ends[found] <= moments))
    longest = np.maximum.accumulate(ends)
    while len(waiting):  # the row before may hold longer
        found[waiting] -= 1
        behind = found[waiting] >= 0
        ends_there = ends[found[waiting]]
        found[waiting[behind & (longest[found[waiting]] <= moments[waiting])]] = -1
        waiting = waiting[behind & (ends_there <= moments[waiting]) & (found[waiting] >= 0)]
    return found


def _between(rows: np.ndarray, middles: np.ndarray, moments: np.ndarray) -> np.ndarray:
    """Rows at moments, by straight lines between the rows' middles."""
    order = np.argsort(middles, kind="stable")
    middles, rows = middles[order], rows[order]
    after = np.clip(np.searchsorted(middles, moments, "right"), 1, max(1, len(rows) - 1))
    before, after = after - 1, np.minimum(after, len(rows) - 1)
    gap = middles[after] - middles[before]
    share = np.clip(np.divide(moments - middles[before], gap, out=np.zeros(len(moments)), where=gap > 0), 0, 1)
    share = share.reshape(-1, *[1] * (rows.ndim - 1))
    mixed: np.ndarray = rows[before] * (1 - share) + rows[after] * share
    return mixed
