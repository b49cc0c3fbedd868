"""Numbers of captions: how fast they are to be read, how they overlap. Times are int64 [cue], milliseconds."""

from __future__ import annotations

import numpy as np

LEAST_MS = 1  # a caption that is shown for no time is read at its length in milliseconds


def reading_speed(n_characters: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Characters a second of each caption: float64 [cue].

    >>> reading_speed(np.array([20]), np.array([1000]), np.array([2000]))
    array([20.])
    """
    speed: np.ndarray = n_characters / np.maximum(ends - starts, LEAST_MS) * 1000.0
    return speed


def shown_at_once(starts: np.ndarray, ends: np.ndarray) -> tuple[int, int]:
    """For how long, in milliseconds, any caption is shown, and for how long more than one is.

    >>> shown_at_once(np.array([0, 500, 3000]), np.array([1000, 2000, 4000]))
    (3000, 500)
    """
    times = np.concatenate([starts, ends])
    order = np.argsort(times, kind="stable")
    changes = np.concatenate([np.ones(len(starts), np.int64), -np.ones(len(ends), np.int64)])[order]
    lengths = np.diff(times[order])
    showing = np.cumsum(changes)[:-1]
    return int(lengths[showing >= 1].sum()), int(lengths[showing >= 2].sum())


def activity(starts: np.ndarray, ends: np.ndarray, *, n_frames: int, hop_ms: float) -> np.ndarray:
    """How much of each frame a caption is shown in, 0 to 1: float32 [frame].

    >>> activity(np.array([5]), np.array([20]), n_frames=4, hop_ms=10.0)
    array([0.5, 1. , 0. , 0. ], dtype=float32)
    """
    edges = np.arange(n_frames + 1) * hop_ms
    shown = np.zeros(n_frames)
    first = np.clip(starts / hop_ms, 0, n_frames).astype(np.int64)
    last = np.clip(np.ceil(ends / hop_ms), 0, n_frames).astype(np.int64)
    for low, high, start, end in zip(first, last, starts, ends, strict=True):
        shown[low:high] += np.minimum(edges[low + 1 : high + 1], end) - np.maximum(edges[low:high], start)
    return np.asarray(np.clip(shown / hop_ms, 0, 1), np.float32)
