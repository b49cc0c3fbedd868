"""Spectral gating: frequencies are turned down where they stand no higher than the noise.

After T. Sainburg's noisereduce (https://github.com/timsainb/noisereduce; Sainburg, Thielk and Gentner, PLOS
Computational Biology 2020), with two differences: the noise of a stationary gate is read off the clip's quietest fifth
instead of all of it, and that of a moving one is followed by its minimum instead of a mean that sound would raise.
"""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.spectrum import istft, stft

QUIETEST_SHARE = 0.2  # of frames, which are taken for noise alone
SMOOTH_HZ, SMOOTH_S = 60.0, 0.05  # reach of the mask's smoothing
AVERAGED = 9  # frames, before the least is looked for
LEAST_TO_MEAN = 1.8  # for noise: its mean level over the least of such averages in 2 s
STEEPNESS = 10.0  # of the moving gate


def gate(wave: np.ndarray, *, rate_hz: int, moving: bool, strength: float, reduction: float) -> np.ndarray:
    """Turn down what does not stand out of the noise.

    Args:
        wave: float32 [time].
        rate_hz: its rate.
        moving: whether the noise may change: its level is then that of the least of 2 s.
        strength: how far a bin must stand out: standard deviations of the noise's decibels, or, where it moves,
            multiples of its level.
        reduction: what is taken off of the rest, 0 nothing, 1 all.

    Returns:
        float32 [time].
    """
    n_fft = 1 << max(4, round(np.log2(0.064 * rate_hz)))
    hop = n_fft // 4
    spectrum = stft(wave, n_fft=n_fft, window=n_fft, hop=hop)
    level = np.abs(spectrum)
    if moving:
        mask = _moving_mask(level, strength=strength, n_rows=max(1, round(2.0 * rate_hz / hop)))
    else:
        mask = _fixed_mask(level, strength=strength)
    smooth = smoothed(
        mask, n_rows=max(1, round(SMOOTH_S * rate_hz / hop)), n_columns=max(1, round(SMOOTH_HZ * n_fft / rate_hz))
    )
    spectrum *= 1 - np.float32(reduction) * (1 - smooth)
    return istft(spectrum, n_samples=wave.size, n_fft=n_fft, hop=hop)


def _fixed_mask(level: np.ndarray, *, strength: float) -> np.ndarray:
    """1 where a bin stands out of the mean of the quietest frames by so many standard deviations, 0 elsewhere."""
    decibels = 20 * np.log10(np.maximum(level, np.float32(1e-10)))
    loudness = level.sum(axis=1)
    heard = np.flatnonzero(loudness > 0)  # digital silence says nothing of the noise
    if not heard.size:
        return np.zeros_like(level)
    n_quiet = max(1, round(QUIETEST_SHARE * heard.size))
    noise = decibels[heard[np.argsort(loudness[heard], kind="stable")[:n_quiet]]]
    mask: np.ndarray = decibels > noise.mean(axis=0) + strength * noise.std(axis=0)
    return mask.astype(np.float32)


def _moving_mask(level: np.ndarray, *, strength: float, n_rows: int) -> np.ndarray:
    """Near 1 where a bin is more than `strength` times above the noise around it, near 0 where it is below.

    Noise is known by its minimum (Martin, "Noise power spectral density estimation based on optimal smoothing and
    minimum statistics", 2001): of levels averaged over some frames, times what brings it to the mean of noise alone.
    """
    from scipy.ndimage import minimum_filter1d, uniform_filter1d

    short = uniform_filter1d(level, AVERAGED, axis=0, mode="nearest")
    floor = LEAST_TO_MEAN * minimum_filter1d(short, n_rows, axis=0, mode="nearest")
    above = (level - floor) / np.maximum(floor, np.float32(1e-10))
    mask = 1 / (1 + np.exp(np.clip(-STEEPNESS * (above - strength), -60, 60)))
    return np.asarray(mask, np.float32)


def smoothed(mask: np.ndarray, *, n_rows: int, n_columns: int) -> np.ndarray:
    """A mask averaged by triangles that reach so far to either side; half full is full: float32 [row, column].

    So what fills its surroundings for the most part passes whole, and single bins, which would ring, do not.
    """
    from scipy.ndimage import convolve1d

    for axis, reach in ((0, n_rows), (1, n_columns)):
        triangle = 1 - np.abs(np.arange(-reach, reach + 1)) / (reach + 1)
        mask = convolve1d(mask, triangle / triangle.sum(), axis=axis, mode="nearest")
    return np.asarray(np.minimum(2 * mask, 1), np.float32)
