"""Where a film is cut: content values and the two detectors of PySceneDetect, over chunks of frames as they come.

Brandon Castellano, PySceneDetect 0.7 (BSD-3-Clause): `ContentDetector` and `AdaptiveDetector` with their defaults. The
same frames give the same values, to the last bits of a float, and the same cuts. OpenCV is imported late.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

WORKING_PX = 256  # PySceneDetect's own: the longer side at which frames are compared
THRESHOLD, RATIO, LEAST_CONTENT, WINDOW, LEAST_FRAMES = 27.0, 3.0, 15.0, 2, 15  # its defaults
Weights = tuple[float, float, float, float]


class ContentValues:
    """How much each frame differs from the one before: the mean change of hue, saturation and value, 0 to 255.

    Give all frames in order, in chunks of any size; `values` is then float64 [time], and its first is 0.

    Args:
        weights: of hue, saturation, value and edges. Edges (Canny's, widened) cost as much as all else.
        working_px: the longer side to which larger frames are brought first, bilinearly; None leaves them as they are.
    """

    def __init__(self, *, weights: Weights = (1.0, 1.0, 1.0, 0.0), working_px: int | None = WORKING_PX) -> None:
        if not any(weights):
            raise ValueError(f"one weight at least must not be 0: {weights}")
        self._weights, self._working_px = weights, working_px
        self._before: np.ndarray | None = None
        self._edges: np.ndarray | None = None
        self._values: list[float] = []

    def add(self, pixels: np.ndarray) -> None:
        """Compare the next frames: uint8 [time, height, width, channel], RGB or grey."""
        for frame in pixels:
            self._values.append(self._value(self._as_hsv(frame)))

    @property
    def values(self) -> np.ndarray:
        """Of all frames so far: float64 [time]."""
        return np.array(self._values, np.float64)

    def _as_hsv(self, frame: np.ndarray) -> np.ndarray:
        import cv2

        longest = max(frame.shape[:2])
        if self._working_px is not None and longest >= self._working_px:
            factor = longest / self._working_px
            size = max(1, round(frame.shape[1] / factor)), max(1, round(frame.shape[0] / factor))
            frame = np.asarray(cv2.resize(frame, size, interpolation=cv2.INTER_LINEAR))
        if frame.ndim == 2 or frame.shape[2] == 1:
            frame = np.asarray(cv2.cvtColor(frame, cv2.COLOR_GRAY2RGB))
        return np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2HSV))

    def _value(self, hsv: np.ndarray) -> float:
        import cv2

        before, self._before = self._before, hsv
        edges_before, self._edges = self._edges, _edges(hsv[..., 2]) if self._weights[3] else None
        if before is None:
            return 0.0
        n_pixels = hsv.shape[0] * hsv.shape[1]
        changes = [total / n_pixels for total in cv2.sumElems(cv2.absdiff(hsv, before))[:3]]
        if self._edges is not None and edges_before is not None:
            changes.append(cv2.norm(self._edges, edges_before, cv2.NORM_L1) / n_pixels)
        weighed = sum(change * weight for change, weight in zip(changes, self._weights, strict=False))
        return float(weighed / sum(map(abs, self._weights)))


def _edges(value: np.ndarray) -> np.ndarray:
    """Where there are edges (255), widened so that a moving camera does not change all of them: uint8 [row, column]."""
    import cv2

    median = float(np.median(value))
    low, high = int(max(0.0, median * (1 - 1 / 3))), int(min(255.0, median * (1 + 1 / 3)))
    side = 4 + round(math.sqrt(value.size) / 192)
    side += 1 - side % 2
    canny = cv2.Canny(np.ascontiguousarray(value), low, high)
    return np.asarray(cv2.dilate(canny, np.ones((side, side), np.uint8)))


def content_cuts(
    values: np.ndarray,
    *,
    threshold: float = THRESHOLD,
    min_length: float = LEAST_FRAMES,
    clock: np.ndarray | None = None,
) -> np.ndarray:
    """The first frames of new scenes, where the content value reaches a threshold (`ContentDetector`, merging).

    Cuts that follow each other by less than `min_length` are one, at the last of them; but none comes before the first
    scene is that long.

    Args:
        values: float64 [time], of `ContentValues`.
        threshold: the least value of a cut.
        min_length: the least length of a scene, in frames, or in the unit of `clock`.
        clock: float64 [time], when each frame is shown; None counts frames.

    Returns:
        int64 [cut], rising; 0 is none of them.
    """
    times = _clock(values, clock)
    above = values >= threshold
    if min_length <= 0:
        return np.flatnonzero(above).astype(np.int64)
    return np.array(list(_merged(times, above, min_length)), np.int64)


def _merged(times: Sequence[float], above: np.ndarray, min_length: float) -> Iterator[int]:
    """PySceneDetect's `FlashFilter` in its mode "merge"."""
    last, first_merged, is_merging, may_merge = 0, 0, False, False
    for index, is_above in enumerate(above):
        is_long = times[index] - times[last] >= min_length
        if is_above:
            last = index
        if is_merging:
            if is_long and not is_above and times[last] - times[first_merged] >= min_length:
                is_merging = False
                yield last
        elif is_above and is_long:
            may_merge = True
            yield index
        elif is_above and may_merge:
            is_merging, first_merged = True, index


def adaptive_ratios(values: np.ndarray, *, window: int = WINDOW, min_content: float = LEAST_CONTENT) -> np.ndarray:
    """How each value compares with the mean of its neighbours, at most 255: float64 [time].

    The first and last `window` frames, which lack some, have 0.
    """
    ratios = np.zeros(len(values))
    width = 2 * window + 1
    if len(values) < width:
        return ratios
    around = np.lib.stride_tricks.sliding_window_view(values, width)
    means = np.delete(around, window, axis=1).sum(axis=1) / (2.0 * window)
    targets = values[window : len(values) - window]
    still = np.abs(means) < 1e-5
    moving = np.minimum(targets / np.where(still, 1.0, means), 255.0)
    ratios[window : len(values) - window] = np.where(still, np.where(targets >= min_content, 255.0, 0.0), moving)
    return ratios


def adaptive_cuts(
    values: np.ndarray,
    *,
    threshold: float = RATIO,
    min_content: float = LEAST_CONTENT,
    window: int = WINDOW,
    min_length: float = LEAST_FRAMES,
    clock: np.ndarray | None = None,
) -> np.ndarray:
    """The first frames of new scenes, where the content value stands out of its neighbours (`AdaptiveDetector`).

    Fast motion, which changes many frames alike, is no cut.

    Args:
        values: float64 [time], of `ContentValues`.
        threshold: the least ratio of a cut's value to the mean of those around it.
        min_content: the least value of a cut.
        window: how many frames before and after are looked at.
        min_length: the least length of a scene, in frames, or in the unit of `clock`.
        clock: float64 [time], when each frame is shown; None counts frames.

    Returns:
        int64 [cut], rising; 0 is none of them.
    """
    times, last, cuts = _clock(values, clock), 0, []
    ratios = adaptive_ratios(values, window=window, min_content=min_content)
    for index in np.flatnonzero((ratios >= threshold) & (values >= min_content)).tolist():
        if window <= index < len(values) - window and times[index] - times[last] >= min_length:
            last = index
            cuts.append(last)
    return np.array(cuts, np.int64)


def _clock(values: np.ndarray, clock: np.ndarray | None) -> Sequence[float]:
    if clock is not None and len(clock) != len(values):
        raise ValueError(f"there are {len(values)} values and {len(clock)} times")
    times: Sequence[float] = list(range(len(values))) if clock is None else clock.tolist()
    return times
