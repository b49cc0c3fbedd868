"""Pitch classes: how much of each of the twelve semitones a spectrum holds, whatever the octave (librosa 0.11)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmdata.kernels.audio.shape import TINY, bins_hz

N_CLASSES = 12
PEAKS_HZ = (150.0, 4000.0)  # where tuning is listened for
PEAK_SHARE = 0.1  # of the frame's greatest power: smaller peaks say nothing of the tuning
CENTRE_OCTAVE, OCTAVES_WIDE = 5.0, 2.0


def tuning(peaks: np.ndarray, *, n_classes: int = N_CLASSES) -> float:
    """How far a sound is tuned off A = 440 Hz, in steps of a class, -0.5 to 0.49: `librosa.estimate_tuning`.

    Args:
        peaks: of all of its frames, of `spectral_peaks`.
        n_classes: classes in an octave.
    """
    pitches, heights = peaks
    kept = pitches[heights >= np.median(heights)] if pitches.size else pitches
    if not kept.size:
        return 0.0
    off = np.mod(n_classes * np.log2(kept.astype(np.float64) / 27.5), 1.0)
    counts, edges = np.histogram(np.where(off >= 0.5, off - 1.0, off), np.linspace(-0.5, 0.5, 101))
    return float(edges[counts.argmax()])


def spectral_peaks(power: np.ndarray, *, rate_hz: int, n_fft: int) -> np.ndarray:
    """The peaks by which a sound's tuning is told: float32 [2, peak], their frequencies in Hz and their heights.

    Args:
        power: float32 [frame, bin].
        rate_hz: of the waveform.
        n_fft: FFT length.
    """
    hz = bins_hz(rate_hz, n_fft)
    heard = np.flatnonzero((hz >= PEAKS_HZ[0]) & (hz < min(PEAKS_HZ[1], rate_hz / 2)))
    heard = heard[(heard > 0) & (heard < len(hz) - 1)]
    if not heard.size or not len(power):
        return np.empty((2, 0), np.float32)
    first, last = int(heard[0]), int(heard[-1]) + 1
    loud = power > np.float32(PEAK_SHARE) * power.max(axis=1, keepdims=True)
    raised = np.where(loud[:, first - 1 : last + 1], power[:, first - 1 : last + 1], np.float32(0))
    inner = raised[:, 1:-1]
    rows, columns = np.nonzero((inner > raised[:, :-2]) & (inner >= raised[:, 2:]))
    columns += first
    below, at, above = (power[rows, columns + step].astype(np.float64) for step in (-1, 0, 1))
    curve, slope = above + below - 2 * at, (above - below) / 2
    bent = np.abs(slope) < np.abs(curve)
    shift = np.where(bent, -slope / np.where(bent, curve, 1.0), 0.0)
    return np.stack([(columns + shift) * rate_hz / n_fft, at + 0.5 * slope * shift]).astype(np.float32)


@lru_cache(maxsize=128)
def chroma_filters(rate_hz: int, n_fft: int, tuned: float, n_classes: int = N_CLASSES) -> np.ndarray:
    """Weights from bins to pitch classes, class 0 being C: `librosa.filters.chroma`, transposed.

    Returns:
        float32 [bin, class]. Don't write to it.
    """
    a440_hz = 440.0 * 2.0 ** (tuned / n_classes)
    hz = np.arange(1, n_fft) * (rate_hz / n_fft)
    places = n_classes * np.log2(hz / (a440_hz / 16))
    places = np.concatenate([[places[0] - 1.5 * n_classes], places])  # 0 Hz: an octave and a half below bin 1
    widths = np.concatenate([np.maximum(np.diff(places), 1.0), [1.0]])
    half = np.round(n_classes / 2)
    off = np.remainder(places[:, None] - np.arange(n_classes) + half + 10 * n_classes, n_classes) - half
    weights = np.exp(-0.5 * (2 * off / widths[:, None]) ** 2)
    weights /= np.sqrt(np.square(weights).sum(axis=1, keepdims=True))
    weights *= np.exp(-0.5 * ((places / n_classes - CENTRE_OCTAVE) / OCTAVES_WIDE) ** 2)[:, None]
    rolled = np.roll(weights, -3 * (n_classes // 12), axis=1)[: 1 + n_fft // 2]
    filters = np.ascontiguousarray(rolled, np.float32)
    filters.flags.writeable = False
    return filters


def chroma(power: np.ndarray, *, rate_hz: int, n_fft: int, tuned: float, n_classes: int = N_CLASSES) -> np.ndarray:
    """Pitch classes of power spectra, each frame's greatest being 1: `librosa.feature.chroma_stft`.

    Args:
        power: float32 [frame, bin].
        rate_hz: of the waveform.
        n_fft: FFT length.
        tuned: the sound's `tuning`.
        n_classes: classes in an octave.

    Returns:
        float32 [frame, class]; zeros where a frame is silent.
    """
    raw = power @ chroma_filters(rate_hz, n_fft, tuned, n_classes)
    greatest = raw.max(axis=1, keepdims=True, initial=0)
    scaled: np.ndarray = raw / np.where(greatest < TINY, np.float32(1), greatest)
    return scaled
