"""Passages of films in which nothing is to be seen or heard: black, frozen, silent. And borders that are always black.

What counts as black and as frozen is FFmpeg's: its filters blackdetect and freezedetect, and their defaults. Each class
is given all frames in order, in chunks of any size, and holds one frame at most. OpenCV is imported late.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdata.kernels.audio import levels_db

Passage = tuple[float, float]  # from when on, and until when, in seconds


class BlackFrames:
    """Which frames are black: those of which a share of at least `min_share` of the pixels is dark.

    Args:
        max_level: how dark, 0 to 1: the greatest luma (full range, BT.601).
        min_share: of a frame's pixels.
    """

    def __init__(self, *, max_level: float = 0.1, min_share: float = 0.98) -> None:
        self._max_level, self._min_share = int(max_level * 255), min_share
        self._black: list[bool] = []

    def add(self, pixels: np.ndarray) -> None:
        """Judge the next frames: uint8 [time, height, width, channel], RGB or grey."""
        import cv2

        for frame in pixels:
            dark = cv2.countNonZero(cv2.inRange(_grey(frame), 0, self._max_level))
            self._black.append(dark >= self._min_share * frame.shape[0] * frame.shape[1])

    @property
    def found(self) -> np.ndarray:
        """Of all frames so far: bool [time]."""
        return np.array(self._black, bool)


class FrozenFrames:
    """How long each frame has been still: the index of the frame that it does not differ from.

    A frame is compared with the one at which the stillness began, so that slow fades do not count as still.

    Args:
        max_change: the greatest mean absolute difference of levels that counts as none, 0 to 1.
    """

    def __init__(self, *, max_change: float = 0.001) -> None:
        self._max_change = max_change * 256  # FFmpeg divides by the number of levels
        self._reference: np.ndarray | None = None
        self._since: list[int] = []

    def add(self, pixels: np.ndarray) -> None:
        """Compare the next frames: uint8 [time, height, width, channel]."""
        import cv2

        for frame in pixels:
            still = (
                self._reference is not None
                and self._reference.shape == frame.shape
                and cv2.norm(frame, self._reference, cv2.NORM_L1) <= self._max_change * frame.size
            )
            self._since.append(self._since[-1] if still else len(self._since))
            if not still:
                self._reference = frame.copy()

    @property
    def since(self) -> np.ndarray:
        """Of all frames so far: int64 [time], the frame from which on nothing has moved; its own where it moved."""
        return np.array(self._since, np.int64)


def passages(found: np.ndarray, times_s: np.ndarray, end_s: float, *, min_s: float) -> list[Passage]:
    """Runs of frames, from when the first is shown until what follows is; those of less than `min_s` seconds left out.

    Args:
        found: bool [time], which frames count.
        times_s: float64 [time], when each is shown.
        end_s: when the last is over.
        min_s: the least length.
    """
    steps = np.diff(np.concatenate([[False], found, [False]]).astype(np.int8))
    ends = np.append(times_s, end_s)
    runs = zip(np.flatnonzero(steps == 1), np.flatnonzero(steps == -1), strict=True)
    stretches = [(float(ends[first]), float(ends[last])) for first, last in runs]
    return [(start, end) for start, end in stretches if end - start >= min_s]


def still_passages(since: np.ndarray, times_s: np.ndarray, end_s: float, *, min_s: float) -> list[Passage]:
    """Stretches of at least `min_s` seconds that show one frame, by `FrozenFrames.since`."""
    firsts = np.flatnonzero(since == np.arange(len(since)))
    starts, ends = times_s[firsts], np.append(times_s[firsts[1:]], end_s)
    held = np.diff(np.append(firsts, len(since))) > 1  # a frame that lasts, alone, is how a slow film is stored
    stretches = zip(starts[held].tolist(), ends[held].tolist(), strict=True)
    return [(start, end) for start, end in stretches if end - start >= min_s]


def joined(*kinds: Sequence[Passage]) -> list[Passage]:
    """The stretches that any of several lists covers, in order, none touching another.

    >>> joined([(0.0, 2.0), (5.0, 6.0)], [(1.0, 3.0)], [])
    [(0.0, 3.0), (5.0, 6.0)]
    """
    whole: list[Passage] = []
    for start, end in sorted(passage for kind in kinds for passage in kind):
        if whole and start <= whole[-1][1]:
            whole[-1] = whole[-1][0], max(end, whole[-1][1])
        else:
            whole.append((start, end))
    return whole


def between(cut: Sequence[Passage], end_s: float) -> list[Passage]:
    """What is left of [0, end_s) without stretches in order, as `joined` gives them.

    >>> between([(0.0, 3.0), (5.0, 6.0)], 8.0)
    [(3.0, 5.0), (6.0, 8.0)]
    """
    edges = [0.0, *(edge for passage in cut for edge in passage), end_s]
    return [(start, end) for start, end in zip(edges[::2], edges[1::2], strict=True) if end > start]


class BlackBorders:
    """The part of a film's frames that is not always black.

    A row or a column belongs to a border where the mean of the brightest that each of its pixels ever was is at most
    `max_level` (FFmpeg's cropdetect judges rows by their mean, too).

    Args:
        max_level: of luma, 0 to 255.
    """

    def __init__(self, *, max_level: int = 24) -> None:
        self._max_level = max_level
        self._brightest: np.ndarray | None = None

    def add(self, pixels: np.ndarray) -> None:
        """Look at the next frames: uint8 [time, height, width, channel], RGB or grey."""
        for frame in pixels:
            luma = _grey(frame)
            self._brightest = luma.copy() if self._brightest is None else np.maximum(self._brightest, luma)

    def inside(self) -> tuple[int, int, int, int] | None:
        """Left, top, right and bottom of what is left; None where nothing is, or no frame was given."""
        if self._brightest is None:
            return None
        rows = np.flatnonzero(self._brightest.mean(axis=1) > self._max_level)
        if not rows.size:
            return None
        columns = np.flatnonzero(self._brightest[rows[0] : rows[-1] + 1].mean(axis=0) > self._max_level)
        return (int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1) if columns.size else None


def _grey(frame: np.ndarray) -> np.ndarray:
    import cv2

    return frame[..., 0] if frame.shape[-1] == 1 else np.asarray(cv2.cvtColor(frame, cv2.COLOR_RGB2GRAY))


class QuietSound:
    """Which 10 ms of a sound are silent: every channel at or below a level.

    Args:
        rate_hz: of the sound.
        floor_db: dB re full scale, of the mean square.
    """

    def __init__(self, *, rate_hz: int, floor_db: float = -50.0) -> None:
        self._hop, self._floor_db = max(1, rate_hz // 100), floor_db
        self.hop_s = self._hop / rate_hz
        self._rest: np.ndarray | None = None
        self._quiet: list[np.ndarray] = []

    def add(self, samples: np.ndarray) -> None:
        """Listen to what comes next: float32 [channel, time]."""
        if self._rest is not None:
            samples = np.concatenate([self._rest, samples], axis=1)
        whole = samples.shape[1] // self._hop * self._hop
        self._rest = samples[:, whole:]
        self._judge(samples[:, :whole])

    def _judge(self, samples: np.ndarray) -> None:
        if samples.shape[1]:
            self._quiet.append(levels_db(samples, hop=self._hop).max(axis=0) <= self._floor_db)

    def found(self) -> np.ndarray:
        """Of all there was, once no more comes: bool [stretch]; the last one may be shorter."""
        rest, self._rest = self._rest, None
        if rest is not None:
            self._judge(rest)
        return np.concatenate([np.zeros(0, bool), *self._quiet])
