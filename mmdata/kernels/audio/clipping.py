"""Clipping: flat tops at a wave's extremes, found and bridged."""

from __future__ import annotations

import numpy as np

LEAST_RUN = 3  # samples in a row that make a flat top
LEAST_LEVEL = 0.05  # of full scale: below, nothing clips
SAME = 1 - 1e-6  # of the level: a tone is not flat where it turns, but for one below 50 Hz in 16 bits
MOST_OVERSHOOT = 2.0  # a bridge rises to at most so many times the level at which it was cut


def flat_tops(wave: np.ndarray) -> list[tuple[int, int]]:
    """Stretches [first, last) of at least three samples in a row at the wave's greatest, or at its least, level.

    Args:
        wave: float32 [time].
    """
    if wave.size < LEAST_RUN or wave.max() == wave.min():
        return []
    found: list[tuple[int, int]] = []
    for sign in (1, -1):
        top = float((sign * wave).max())
        if top >= LEAST_LEVEL:
            at_top = np.concatenate([[False], sign * wave >= top * SAME, [False]])
            edges = np.flatnonzero(at_top[1:] != at_top[:-1]).reshape(-1, 2)
            found += [(int(first), int(last)) for first, last in edges if last - first >= LEAST_RUN]
    return sorted(found)


def clipped_share(samples: np.ndarray) -> float:
    """The share of samples in flat tops, of the worst channel.

    Args:
        samples: float32 [channel, time].
    """
    if not samples.size:
        return 0.0
    worst = max(sum(last - first for first, last in flat_tops(wave)) for wave in samples)
    return float(worst / samples.shape[1])


def bridged(wave: np.ndarray, *, longest: int) -> np.ndarray:
    """Flat tops replaced by the cubic that leaves and meets the sound at its own slopes (Hermite).

    Args:
        wave: float32 [time].
        longest: stretches of more samples stay as they are: what was there can't be known.

    Returns:
        float32 [time]; it may pass full scale. The same array when there is nothing to bridge.
    """
    mended = wave
    for first, last in flat_tops(wave):
        if last - first > longest or first < 2 or last > wave.size - 2:
            continue
        if mended is wave:
            mended = wave.copy()
        left, right = float(wave[first - 1]), float(wave[last])
        span = last - first + 1
        rise, fall = left - float(wave[first - 2]), float(wave[last + 1]) - right
        t = np.arange(1, span) / span
        bridge = (1 + 2 * t) * (1 - t) ** 2 * left + t * t * (3 - 2 * t) * right
        bridge += span * (t * (1 - t) ** 2 * rise + t * t * (t - 1) * fall)
        top = float(wave[first])  # what was cut off lay beyond it
        low, high = sorted((top, MOST_OVERSHOOT * top))
        mended[first:last] = np.clip(bridge, low, high)
    return mended
