"""Sound as arrays: resampling, levels, mel spectra, cepstra, noise. Loudness stands in `kernels.loudness`.

Waveforms are float32 [channel, time], full scale is -1 to 1; a function that takes one channel says `wave`. FFTs are
scipy's, imported late: on float32 rows they are three to seven times as fast as numpy's.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

BLOCK_BYTES = 1 << 20  # of frames transformed at once: they stay in the cache, and an hour costs no more than a second
Color = Literal["white", "pink"]
Band = tuple[slice, slice, np.ndarray]  # bins, mels, weights [bin, mel]
QUIETEST = 1e-10  # power below which levels stop falling: -100 dB, librosa's `amin`


def mono(samples: np.ndarray) -> np.ndarray:
    """The mean of the channels: float32 [channel, time] to float32 [time]. One channel comes back as a view."""
    wave: np.ndarray = samples[0] if len(samples) == 1 else samples.mean(axis=0, dtype=np.float32)
    return wave


def resample(samples: np.ndarray, *, from_hz: int, to_hz: int) -> np.ndarray:
    """Change the rate by soxr's HQ filter, which cuts off below the lower of the two Nyquist frequencies.

    Args:
        samples: float32 [channel, time].
        from_hz: the rate they have.
        to_hz: the rate they get.

    Returns:
        float32 [channel, round(time * to_hz / from_hz)]; the same array when the rates are equal.
    """
    if from_hz == to_hz:
        return samples
    import soxr

    # soxr takes [time, channel]; one channel without the second axis is its fast path
    if samples.shape[0] == 1:
        wave: np.ndarray = soxr.resample(samples[0], from_hz, to_hz)
        return wave[None]
    return np.ascontiguousarray(soxr.resample(samples.T, from_hz, to_hz).T)


def frame(wave: np.ndarray, *, size: int, hop: int) -> np.ndarray:
    """Cut a waveform into overlapping frames, dropping a last one that does not fit.

    Args:
        wave: [time].
        size: frame length, in samples.
        hop: distance between frame starts, in samples.

    Returns:
        [frame, size], a read-only view. No frames when time < size.

    Raises:
        ValueError: size or hop is below 1.

    >>> frame(np.arange(6), size=4, hop=2)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5]])
    """
    if size < 1 or hop < 1:
        raise ValueError(f"size and hop must be at least 1 sample, not {size} and {hop}")
    if wave.shape[0] < size:
        return np.empty((0, size), wave.dtype)
    return np.lib.stride_tricks.sliding_window_view(wave, size)[::hop]


def levels_db(samples: np.ndarray, *, hop: int) -> np.ndarray:
    """The level of stretches of `hop` samples, side by side: their mean square, in dB re full scale.

    Args:
        samples: float32 [channel, time].
        hop: samples in a stretch; the last one may be shorter, and is measured over its own length.

    Returns:
        float32 [channel, stretch]. A full-scale square wave is 0 dB, a full-scale sine -3.01 dB, silence -100 dB.
    """
    n_samples = samples.shape[1]
    if not n_samples:
        return np.empty((samples.shape[0], 0), np.float32)
    starts = np.arange(0, n_samples, hop)
    lengths = np.diff(starts, append=n_samples)
    power = np.add.reduceat(np.square(samples), starts, axis=1) / lengths.astype(np.float32)
    return power_to_db(power)


def power_to_db(power: np.ndarray, *, top_db: float | None = None) -> np.ndarray:
    """Decibels of powers re 1, not below -100, nor more than `top_db` below the greatest.

    As `librosa.power_to_db` with its defaults but for `top_db`; an empty array stays one.
    """
    decibels: np.ndarray = 10.0 * np.log10(np.maximum(power, np.float32(QUIETEST)))
    if top_db is not None and decibels.size:
        np.maximum(decibels, decibels.max() - top_db, out=decibels)
    return decibels


@lru_cache(maxsize=32)
def hann(window: int, n_fft: int) -> np.ndarray:
    """A periodic Hann window of `window` samples in the middle of `n_fft`: float32 [n_fft]. Don't write to it."""
    taper = np.zeros(n_fft, np.float32)
    first = (n_fft - window) // 2
    taper[first : first + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    taper.flags.writeable = False
    return taper


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
    import scipy.fft

    if not wave.size:
        return np.zeros((0, n_mels), np.float32)
    padded = np.zeros(wave.size + 2 * (n_fft // 2), np.float32)
    padded[n_fft // 2 : n_fft // 2 + wave.size] = wave
    frames, taper = frame(padded, size=n_fft, hop=hop), hann(window, n_fft)
    energies = np.empty((len(frames), n_mels), np.float32)
    n_rows = max(1, BLOCK_BYTES // (4 * n_fft))
    for first in range(0, len(frames), n_rows):
        rows = slice(first, first + n_rows)
        spectrum = scipy.fft.rfft(frames[rows] * taper, axis=1, overwrite_x=True)
        power = np.square(spectrum.real)
        power += np.square(spectrum.imag)
        for bins, mels, weights in mel_bands(rate_hz, n_fft, n_mels, min_hz, max_hz):
            np.matmul(power[:, bins], weights, out=energies[rows, mels])
    return energies


def noise(rng: np.random.Generator, shape: tuple[int, int], *, color: Color = "white") -> np.ndarray:
    """Gaussian noise of mean square 1: float32 [channel, time]; the channels are independent.

    Pink noise has equal power in every octave (1/f); its spectrum is drawn, and it has no offset.
    """
    if color == "white" or shape[1] < 2:
        drawn = rng.standard_normal(shape, np.float32)
    else:
        import scipy.fft

        n_fft = scipy.fft.next_fast_len(shape[1], real=True)
        parts = rng.standard_normal((shape[0], n_fft // 2 + 1, 2), np.float32)
        weights = np.zeros(n_fft // 2 + 1, np.float32)
        weights[1:] = 1 / np.sqrt(np.arange(1, n_fft // 2 + 1))
        spectrum = parts.view(np.complex64)[..., 0] * weights
        drawn = scipy.fft.irfft(spectrum, n_fft, axis=1)[:, : shape[1]]
    power = np.square(drawn).sum(axis=1, keepdims=True) / np.float32(max(1, shape[1]))
    scaled: np.ndarray = drawn / np.sqrt(np.maximum(power, np.float32(1e-20)))
    return scaled
