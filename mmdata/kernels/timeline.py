"""Times of frames: their grids and their ends."""

from __future__ import annotations

import numpy as np


def step_s(times_s: np.ndarray) -> float:
    """How long the last frame is shown: as long as the others on average; nothing is known of a single one: 0.

    Args:
        times_s: float64 [time], rising, or falling where frames were reversed.
    """
    return float(abs(times_s[-1] - times_s[0])) / (len(times_s) - 1) if len(times_s) > 1 else 0.0


def on_grid(times_s: np.ndarray, *, fps: float, pace: float = 1.0) -> tuple[np.ndarray, np.ndarray]:
    """The frames shown at each time of a grid, from the first frame on.

    Args:
        times_s: float64 [time], rising, or falling where frames were reversed.
        fps: grid times a second, as it is played.
        pace: how many seconds of `times_s` pass in one of the grid: 2 plays at double speed.

    Returns:
        int64 [row], the frames by index, and float64 [row], when they are shown, on the clock of `times_s`. None where
        there are no frames; one where there is one.
    """
    if not len(times_s):
        return np.zeros(0, np.int64), np.zeros(0)
    sign = -1.0 if times_s[-1] < times_s[0] else 1.0
    passed = (times_s - times_s[0]) * sign
    hop_s = pace / fps
    n_rows = max(1, int(np.ceil((passed[-1] + step_s(times_s)) / hop_s - 1e-6)))
    at = np.arange(n_rows) * hop_s
    rows = np.searchsorted(passed, at + 1e-6 * hop_s, side="right") - 1
    return np.maximum(rows, 0).astype(np.int64), times_s[0] + sign * at
