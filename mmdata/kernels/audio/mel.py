"""Mel spectra and cepstra, as librosa 0.11 has them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmdata.kernels.audio.spectrum import power_spectrum

Band = tuple[slice, slice, np.ndarray]  # bins, mels, weights [bin, mel]
DELTA_WIDTH = 9  # rows over which slopes are taken


def hz_to_mel(hz: np.ndarray | float) -> np.ndarray:
    """Slaney's mel scale (Auditory Toolbox, 1998): 3 mel to 200 Hz up to 1 kHz, 27 mel to a factor of 6.4 above."""
    hz = np.asarray(hz, np.float64)
    return np.where(hz < 1000, hz * 3 / 200, 15 + 27 * np.log(np.maximum(hz, 1000) / 1000) / np.log(6.4))


def mel_to_hz(mel: np.ndarray | float) -> np.ndarray:
    """The inverse of `hz_to_mel`."""
    mel = np.asarray(mel, np.float64)
    return np.where(mel < 15, mel * 200 / 3, 1000 * 6.4 ** ((np.maximum(mel, 15) - 15) / 27))


@lru_cache(maxsize=32)
def mel_filters(rate_hz: int, n_fft: int, n_mels: int, min_hz: float, max_hz: float) -> np.ndarray:
    """Triangles that are even on the mel scale, each of the same area: `librosa.filters.mel`, transposed.

    Returns:
        float32 [bin, mel], bin = n_fft // 2 + 1. Don't write to it. Too many mels for the FFT leave columns of zeros.
    """
    bins_hz = np.fft.rfftfreq(n_fft, 1 / rate_hz)
    edges_hz = mel_to_hz(np.linspace(hz_to_mel(min_hz), hz_to_mel(max_hz), n_mels + 2))
    left, peak, right = edges_hz[:-2], edges_hz[1:-1], edges_hz[2:]
    rising = (bins_hz[:, None] - left) / (peak - left)
    falling = (right - bins_hz[:, None]) / (right - peak)
    filters = np.asarray(np.maximum(0, np.minimum(rising, falling)) * (2 / (right - left)), np.float32)
    filters.flags.writeable = False
    return filters


@lru_cache(maxsize=32)
def dct_matrix(n_in: int, n_out: int) -> np.ndarray:
    """The first `n_out` vectors of the orthonormal DCT-II: float32 [n_in, n_out]. Don't write to it."""
    angles = np.pi / n_in * (np.arange(n_in)[:, None] + 0.5) * np.arange(n_out)
    matrix = np.asarray(np.sqrt(2 / n_in) * np.cos(angles), np.float32)
    matrix[:, 0] = np.sqrt(1 / n_in)
    matrix.flags.writeable = False
    return matrix


@lru_cache(maxsize=32)
def mel_bands(rate_hz: int, n_fft: int, n_mels: int, min_hz: float, max_hz: float) -> tuple[Band, ...]:
    """`mel_filters` without most of its zeros: 16 mels at a time, over the bins that they hear."""
    filters = mel_filters(rate_hz, n_fft, n_mels, min_hz, max_hz)
    bands = []
    for first in range(0, n_mels, 16):
        mels = slice(first, min(first + 16, n_mels))
        heard = np.flatnonzero(filters[:, mels].any(axis=1))
        bins = slice(int(heard[0]), int(heard[-1]) + 1) if heard.size else slice(0, 0)
        bands.append((bins, mels, np.ascontiguousarray(filters[bins, mels])))
    return tuple(bands)


def mel_of(power: np.ndarray, *, rate_hz: int, n_fft: int, n_mels: int, min_hz: float, max_hz: float) -> np.ndarray:
    """Mel power of power spectra: float32 [frame, bin] to [frame, mel]."""
    energies = np.empty((len(power), n_mels), np.float32)
    for bins, mels, weights in mel_bands(rate_hz, n_fft, n_mels, min_hz, max_hz):
        np.matmul(power[:, bins], weights, out=energies[:, mels])
    return energies


def mel_power(
    wave: np.ndarray, *, rate_hz: int, n_fft: int, window: int, hop: int, n_mels: int, min_hz: float, max_hz: float
) -> np.ndarray:
    """The mel power spectrogram: `librosa.feature.melspectrogram` with its Hann window, centring and zero padding.

    Args:
        wave: float32 [time].
        rate_hz: its rate.
        n_fft: FFT length, in samples.
        window: length of the Hann window, at most n_fft.
        hop: samples from frame to frame.
        n_mels: filters of `mel_filters`.
        min_hz: where the first begins.
        max_hz: where the last ends.

    Returns:
        float32 [1 + (time - n_fft % 2) // hop, mel]: row i is centred on sample i * hop. No rows for no samples.
    """
    power = power_spectrum(wave, n_fft=n_fft, window=window, hop=hop)
    return mel_of(power, rate_hz=rate_hz, n_fft=n_fft, n_mels=n_mels, min_hz=min_hz, max_hz=max_hz)


def delta(series: np.ndarray, *, order: int) -> np.ndarray:
    """Slopes (order 1) or curvatures (2) over 9 rows, by least squares: `librosa.feature.delta`.

    Savitzky and Golay's filter of that order. The rows at both ends have no neighbours on one side: they take what the
    nearest row has, as a parabola's curvature is the same all over it.

    Args:
        series: float32 [time, feature].
        order: of the derivative.

    Returns:
        float32 [time, feature]; zeros where there are less than 9 rows.
    """
    half = DELTA_WIDTH // 2
    if len(series) < DELTA_WIDTH:
        return np.zeros_like(series)
    windows = np.lib.stride_tricks.sliding_window_view(series, DELTA_WIDTH, axis=0)
    inner = (windows @ _delta_weights(order)).astype(series.dtype)
    return np.concatenate([np.repeat(inner[:1], half, axis=0), inner, np.repeat(inner[-1:], half, axis=0)])


@lru_cache(maxsize=4)
def _delta_weights(order: int) -> np.ndarray:
    half = DELTA_WIDTH // 2
    steps = np.arange(-half, half + 1, dtype=np.float64)
    weights: np.ndarray = np.linalg.pinv(np.vander(steps, order + 1, increasing=True))[order]
    return weights * np.prod(np.arange(1, order + 1))
