"""Onsets and tempo from mel spectra, as librosa 0.11 defines them."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.waves import frame
from mmdata.kernels.fourier import fast_length, irfft, rfft

TEMPO_WINDOW_S = 8.0  # of the local autocorrelation
USUAL_BPM, OCTAVES_OFF, MOST_BPM = 120.0, 1.0, 320.0  # the prior on tempo: log-normal, cut off above
DELTA = 0.07  # an onset stands so far above the mean around it, of an envelope from 0 to 1


def onset_strength(decibels: np.ndarray, *, n_fft: int, hop: int) -> np.ndarray:
    """How much louder a frame is than the one before, over all mels: `librosa.onset.onset_strength`.

    Args:
        decibels: float32 [frame, mel], cut off 80 dB below the greatest.
        n_fft: of the spectra, for the half window by which an onset is seen early.
        hop: samples from frame to frame.

    Returns:
        float32 [frame].
    """
    rise = np.zeros(len(decibels), np.float32)
    lag = 1 + n_fft // (2 * hop)
    if len(decibels) > lag:
        louder = np.maximum(0, decibels[1:] - decibels[:-1]).mean(axis=1)
        rise[lag:] = louder[: len(rise) - lag]
    return rise


def onset_frames(strength: np.ndarray, *, rate_hz: int, hop: int) -> np.ndarray:
    """The frames where something begins: `librosa.onset.onset_detect` with its settings found by a large search.

    Args:
        strength: float32 [frame], of `onset_strength`.
        rate_hz: of the waveform.
        hop: samples from frame to frame.

    Returns:
        int64 [onset], rising.
    """
    if not strength.size or strength.max() <= strength.min():
        return np.empty(0, np.int64)
    envelope = strength - strength.min()
    envelope = envelope / (envelope.max() + np.finfo(envelope.dtype).tiny)
    pre_max, post_max = int(0.03 * rate_hz // hop), int(0.00 * rate_hz // hop + 1)
    pre_mean, post_mean = int(0.10 * rate_hz // hop), int(0.10 * rate_hz // hop + 1)
    greatest = _around(envelope, pre_max, post_max).max(axis=1)
    mean = np.nanmean(_around(envelope, pre_mean, post_mean, np.nan), axis=1)
    peaks = np.flatnonzero((envelope == greatest) & (envelope >= mean + np.float32(DELTA)))
    kept, last = [], -pre_max - 1
    for peak in peaks.tolist():
        if peak - last > pre_max:  # the wait between two onsets is as long
            kept.append(peak)
            last = peak
    return np.array(kept, np.int64)


def _around(envelope: np.ndarray, before: int, after: int, fill: float = -np.inf) -> np.ndarray:
    """Each frame's neighbourhood, from `before` frames before it to `after` past its start: [frame, neighbour]."""
    padded = np.pad(envelope, (before, after - 1), constant_values=fill)
    return np.lib.stride_tricks.sliding_window_view(padded, before + after)


def tempo_bpm(strength: np.ndarray, *, rate_hz: int, hop: int) -> float:
    """Beats a minute, one number for all of it: `librosa.feature.tempo`.

    The mean over time of the local autocorrelation of onset strength in windows of 8 s (Grosche, Mueller and Kurth
    2010), weighted by a log-normal prior about 120. That is also what silence reads.

    Args:
        strength: float32 [frame], of `onset_strength`.
        rate_hz: of the waveform.
        hop: samples from frame to frame.
    """
    size = max(2, int(int(TEMPO_WINDOW_S * rate_hz) // hop))
    half = size // 2
    ramp = np.linspace(0, 1, half, endpoint=False)
    ends = (strength[0], strength[-1]) if strength.size else (0, 0)
    padded = np.concatenate([ends[0] * ramp, strength, ends[1] * ramp[::-1]])
    frames = frame(padded, size=size, hop=1)[: strength.size]
    taper = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(size) / size)
    n_fft = fast_length(2 * size - 1)
    total, rows = np.zeros(size), 256
    for first in range(0, len(frames), rows):
        spectrum = rfft(frames[first : first + rows] * taper, n_fft)
        power = np.square(spectrum.real) + np.square(spectrum.imag)
        lagged = irfft(power, n_fft)[:, :size]
        greatest = np.abs(lagged).max(axis=1, keepdims=True)
        total += (lagged / np.where(greatest < np.finfo(np.float64).tiny, 1, greatest)).sum(axis=0)
    bpm = 60.0 * rate_hz / (hop * np.arange(1, size))
    prior = -0.5 * ((np.log2(bpm) - np.log2(USUAL_BPM)) / OCTAVES_OFF) ** 2
    prior[bpm >= MOST_BPM] = -np.inf
    if not np.isfinite(prior).any():
        return USUAL_BPM
    weighed = np.log1p(1e6 * np.maximum(total[1:], 0) / max(1, len(frames))) + prior
    return float(bpm[weighed.argmax()])
