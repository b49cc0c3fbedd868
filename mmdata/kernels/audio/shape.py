"""The shape of spectra in single numbers a frame, as librosa 0.11 defines them.

Magnitudes are float32 [frame, bin]; what comes out is float32 [frame], but for the contrast's bands.
"""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.waves import QUIETEST, power_to_db

TINY = float(np.finfo(np.float32).tiny)  # sums below it are not divided by
AUDIBLE = 1e-10  # smaller samples count as 0 where signs are counted, librosa's threshold


def bins_hz(rate_hz: int, n_fft: int) -> np.ndarray:
    """The frequencies of an FFT's bins: float64 [n_fft // 2 + 1]."""
    return np.fft.rfftfreq(n_fft, 1 / rate_hz)


def moments(magnitude: np.ndarray, *, rate_hz: int, n_fft: int) -> tuple[np.ndarray, np.ndarray]:
    """Centroid and bandwidth in Hz: mean and standard deviation of frequency, weighted by magnitude.

    As `librosa.feature.spectral_centroid` and `spectral_bandwidth`; 0 where a frame is silent.
    """
    hz = bins_hz(rate_hz, n_fft)
    # in float64, and about the middle: the difference of squares would lose a pure tone's few Hz
    sums = magnitude.astype(np.float64) @ np.stack([np.ones_like(hz), hz, hz * hz], axis=1)
    total = np.where(sums[:, 0] < TINY, 1.0, sums[:, 0])
    centroid = sums[:, 1] / total
    variance = np.maximum(sums[:, 2] / total - centroid * centroid, 0)
    return centroid.astype(np.float32), np.sqrt(variance).astype(np.float32)


def rolloff(magnitude: np.ndarray, *, rate_hz: int, n_fft: int, share: float) -> np.ndarray:
    """The frequency in Hz below which `share` of the magnitude lies: `librosa.feature.spectral_rolloff`."""
    running = np.cumsum(magnitude, axis=1)
    reached = running >= np.float32(share) * running[:, -1:]
    return np.asarray(bins_hz(rate_hz, n_fft)[reached.argmax(axis=1)], np.float32)


def flatness(power: np.ndarray) -> np.ndarray:
    """Geometric over arithmetic mean of powers, 0 to 1: `librosa.feature.spectral_flatness`. Silence is flat: 1."""
    raised = np.maximum(power, np.float32(QUIETEST))
    geometric = np.exp(np.log(raised).mean(axis=1, dtype=np.float64))
    return np.asarray(geometric / raised.mean(axis=1, dtype=np.float64), np.float32)


def contrast_bands(rate_hz: int, n_fft: int, min_hz: float, n_bands: int) -> list[tuple[slice, int]]:
    """The bins of each octave band, and how many of them the contrast's quantile of 2 % takes; librosa's rounding."""
    hz = bins_hz(rate_hz, n_fft)
    edges = np.concatenate([[0.0], min_hz * 2.0 ** np.arange(n_bands + 1)])
    bands = []
    for band in range(n_bands + 1):
        inside = np.flatnonzero((hz >= edges[band]) & (hz <= edges[band + 1]))
        first, last = int(inside[0]) - (band > 0), int(inside[-1]) + 1
        if band == n_bands:
            last = len(hz)
        n_taken = max(1, int(np.rint(0.02 * (last - first))))
        bands.append((slice(first, last if band == n_bands else last - 1), n_taken))
    return bands


def contrast_ends(magnitude: np.ndarray, *, rate_hz: int, n_fft: int, min_hz: float, n_bands: int) -> np.ndarray:
    """The mean magnitude of each octave band's peaks, and of its valleys: float64 [frame, end, band]."""
    bands = contrast_bands(rate_hz, n_fft, min_hz, n_bands)
    found = np.zeros((len(magnitude), 2, len(bands)), np.float64)
    for place, (bins, n_taken) in enumerate(bands):
        # the quantiles' few bins are all that has to stand in its place
        width = bins.stop - bins.start
        ends = sorted({n_taken - 1, width - n_taken})
        parted = np.partition(magnitude[:, bins], ends, axis=1)
        found[:, 0, place] = parted[:, width - n_taken :].mean(axis=1)
        found[:, 1, place] = parted[:, :n_taken].mean(axis=1)
    return found


def contrast_of(ends: np.ndarray) -> np.ndarray:
    """Decibels from the valleys of each octave band to its peaks: `librosa.feature.spectral_contrast`.

    Args:
        ends: of all of a sound's frames, of `contrast_ends`; levels are cut off 80 dB below the greatest.

    Returns:
        float32 [frame, n_bands + 1]; the first band is all below min_hz, the last all that is left above.
    """
    decibels: np.ndarray = power_to_db(ends[:, 0], top_db=80.0) - power_to_db(ends[:, 1], top_db=80.0)
    return decibels.astype(np.float32)


def zero_crossings(frames_of: np.ndarray, *, n_frames: int, size: int, hop: int) -> np.ndarray:
    """The share of a frame's samples whose sign is not that of the one before.

    As `librosa.feature.zero_crossing_rate`; a frame's first sample never counts.

    Args:
        frames_of: float32 [time], ends already filled up, from which frames are cut every `hop` samples.
        n_frames: how many.
        size: samples in a frame.
        hop: from frame to frame.
    """
    negative = frames_of < -AUDIBLE
    changes = np.concatenate([[0, 0], np.cumsum(negative[1:] != negative[:-1])])  # up to, not with, each sample
    starts = np.arange(n_frames) * hop
    rate: np.ndarray = (changes[starts + size] - changes[starts + 1]) / size
    return rate.astype(np.float32)


def root_mean_square(frames_of: np.ndarray, *, n_frames: int, size: int, hop: int) -> np.ndarray:
    """The level of frames, `librosa.feature.rms` of a waveform; arguments as in `zero_crossings`."""
    energy = np.concatenate([[0.0], np.cumsum(np.square(frames_of, dtype=np.float64))])
    starts = np.arange(n_frames) * hop
    power: np.ndarray = np.maximum(energy[starts + size] - energy[starts], 0) / size
    return np.asarray(np.sqrt(power), np.float32)
