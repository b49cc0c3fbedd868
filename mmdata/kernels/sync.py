"""By how much one series of events lies behind another: sound behind picture, speech behind captions."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from mmdata.kernels.audio import BLOCK_BYTES, frame, hann, mel_of, power_of
from mmdata.kernels.fourier import rfft

N_DIRECTIONS, N_MELS = 12, 40
SOUND_HOP_S, SOUND_WINDOW_S = 0.01, 0.016
EARLY_S = 0.005  # by so much a burst is seen before it begins: the window is long, and levels are logarithms
RATE_HZ = 100.0  # of the series that are compared
NEAR_S = 0.15


@dataclass(frozen=True)
class Lag:
    """By how much a series lies behind another, in seconds, how alike they are then, and how far that stands out.

    Args:
        seconds: positive where the second series is late.
        correlation: of the two at that shift, -1 to 1.
        z: by how many standard deviations that is above the mean of all other shifts.
        runner_up: the best correlation of another shift, as a share of this one's; near 1, any of the two may be right,
            as with a beat that never changes.
    """

    seconds: float = 0.0
    correlation: float = 0.0
    z: float = 0.0
    runner_up: float = 1.0

    @property
    def confidence(self) -> float:
        """From 0 to 1. Series that have nothing to do with each other reach a z of 3 in the middle and 5.6 at most."""
        return float(np.clip((self.z - 4) / 4, 0, 1) * np.clip((1 - self.runner_up) / 0.4, 0, 1))


def sound_onsets(wave: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """How much louder it becomes, every 10 ms, over 40 mels: float32 [frame]; frame i is of time i * 0.01.

    Args:
        wave: float32 [time].
        rate_hz: its rate, at least 8 kHz.
    """
    levels = SoundLevels(rate_hz=rate_hz)
    levels.add(wave)
    return levels.onsets()


class SoundLevels:
    """The mel energies of a sound that comes piece by piece, every 10 ms, centred: of an hour, 58 MB.

    Args:
        rate_hz: its rate, at least 8 kHz.
    """

    def __init__(self, *, rate_hz: int) -> None:
        self._rate_hz, self._hop = rate_hz, round(SOUND_HOP_S * rate_hz)
        self._n_fft = round(SOUND_WINDOW_S * rate_hz)
        self._rest = np.zeros(self._n_fft // 2, np.float32)
        self._mels = [np.zeros((0, N_MELS), np.float32)]
        self._is_empty = True

    def add(self, wave: np.ndarray) -> None:
        """Listen to what comes next: float32 [time]."""
        if wave.size:
            self._is_empty = False
            self._look(wave)

    def _look(self, wave: np.ndarray) -> None:
        whole = np.concatenate([self._rest, wave])
        frames = frame(whole, size=self._n_fft, hop=self._hop)
        self._rest = whole[len(frames) * self._hop :].copy()
        n_rows = max(1, BLOCK_BYTES // (4 * self._n_fft))
        for first in range(0, len(frames), n_rows):
            power = power_of(rfft(frames[first : first + n_rows] * hann(self._n_fft, self._n_fft)))
            self._mels.append(
                mel_of(
                    power,
                    rate_hz=self._rate_hz,
                    n_fft=self._n_fft,
                    n_mels=N_MELS,
                    min_hz=60.0,
                    max_hz=self._rate_hz / 2,
                )
            )

    def onsets(self) -> np.ndarray:
        """How much louder each 10 ms are than those before, once no more comes: float32 [frame]."""
        if self._is_empty:
            return np.zeros(0, np.float32)
        self._look(np.zeros(self._n_fft // 2, np.float32))
        levels, self._mels = np.concatenate(self._mels), []
        levels /= np.float32(max(float(levels.mean()), 1e-9) * 1e-2)
        np.log1p(levels, out=levels)
        rise = np.zeros(len(levels), np.float32)
        if len(levels) > 2:
            louder = levels[2:] - levels[:-2]
            rise[1:-1] = np.maximum(louder, 0, out=louder).mean(axis=1)
        return rise


def directogram(flow: np.ndarray) -> np.ndarray:
    """How much moves which way: float64 [direction], mean pixels of flow in each of twelve (Davis and Agrawala 2018).

    Args:
        flow: float32 [row, column, xy], pixels.
    """
    speed = np.hypot(flow[..., 0], flow[..., 1]).ravel()
    place = (np.arctan2(flow[..., 1], flow[..., 0]).ravel() / (2 * np.pi)) % 1 * N_DIRECTIONS
    low = np.floor(place).astype(np.int64)
    share = place - low
    found = np.bincount(low % N_DIRECTIONS, weights=speed * (1 - share), minlength=N_DIRECTIONS)
    found += np.bincount((low + 1) % N_DIRECTIONS, weights=speed * share, minlength=N_DIRECTIONS)
    return np.asarray(found / max(1, speed.size))


def motion_changes(directograms: np.ndarray) -> np.ndarray:
    """How abruptly motion changes, from directograms of neighbouring pairs: float64 [pair - 1].

    Place i lies between pairs i and i + 1, so at the frame that both have.
    """
    changes: np.ndarray = np.abs(np.diff(directograms, axis=0)).sum(axis=1)
    return changes


def spread(series: np.ndarray, *, over_s: float) -> np.ndarray:
    """A series at RATE_HZ that knows times no better than one that has a value every `over_s` seconds."""
    half = max(1, round(over_s * RATE_HZ))
    weights = np.minimum(np.arange(1, 2 * half), np.arange(2 * half - 1, 0, -1)) / half**2
    return np.asarray(np.convolve(series, weights, mode="same")) if len(series) >= len(weights) else series


def on_grid(values: np.ndarray, times_s: np.ndarray, *, n: int) -> np.ndarray:
    """A series at times of its own, brought onto the grid of i / RATE_HZ linearly; 0 outside: float64 [n]."""
    if not len(values):
        return np.zeros(n)
    return np.asarray(np.interp(np.arange(n) / RATE_HZ, times_s, values, left=0.0, right=0.0))


def find_lag(first: np.ndarray, second: np.ndarray, *, most_s: float, near_s: float = NEAR_S) -> Lag:
    """The shift of the second series at which both are most alike.

    What overlaps is compared, and counts by how much that is. The best shift is set against all others up to twice as
    far.

    Args:
        first: float64 [time], at RATE_HZ.
        second: the same, beginning at the same moment.
        most_s: the greatest shift that is looked for.
        near_s: what is so near to the best shift is the same answer.
    """
    reach = min(round(2 * most_s * RATE_HZ), max(len(first), len(second)) // 2)
    n = max(len(first), len(second))
    if n < 3 or reach < 2:
        return Lag()
    one, other = _centred(first, n), _centred(second, n)
    n_fft = 1 << (2 * n - 1).bit_length()
    spectrum = np.conj(np.fft.rfft(one, n_fft)) * np.fft.rfft(other, n_fft)
    both = np.fft.irfft(spectrum, n_fft)
    lags = np.arange(-reach, reach + 1)
    scale = np.sqrt(np.square(one).sum() * np.square(other).sum())
    if not scale > 0:
        return Lag()
    alike = both[lags % n_fft] / scale
    inside = np.abs(lags) <= most_s * RATE_HZ
    best = int(np.flatnonzero(inside)[alike[inside].argmax()])
    others = alike[np.abs(lags - lags[best]) > near_s * RATE_HZ]
    spread_of = float(others.std()) if others.size > 8 else 0.0
    highest = float(alike[best])
    if not spread_of > 0 or not highest > 0:
        return Lag()
    z = (highest - float(others.mean())) / spread_of
    runner_up = max(0.0, float(others.max())) / highest
    return Lag(float(lags[best] + _vertex(alike, best)) / RATE_HZ, highest, z, runner_up)


def _centred(series: np.ndarray, n: int) -> np.ndarray:
    whole = np.zeros(n)
    whole[: len(series)] = series - series.mean() if len(series) else 0.0
    return whole


def _vertex(values: np.ndarray, at: int) -> float:
    """Where a parabola through a peak and its neighbours is highest, from the peak."""
    if not 0 < at < len(values) - 1:
        return 0.0
    left, middle, right = values[at - 1 : at + 2]
    bend = left - 2 * middle + right
    return float(0.5 * (left - right) / bend) if bend < 0 else 0.0
