"""Short-time spectra, there and back: the frames, window and FFT that every spectral feature stands on."""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Literal

import numpy as np

from mmdata.kernels.audio.waves import BLOCK_BYTES, frame
from mmdata.kernels.fourier import irfft, rfft


@lru_cache(maxsize=32)
def hann(window: int, n_fft: int) -> np.ndarray:
    """A periodic Hann window of `window` samples in the middle of `n_fft`: float32 [n_fft]. Don't write to it."""
    taper = np.asarray(hann_float64(window, n_fft), np.float32)
    taper.flags.writeable = False
    return taper


@lru_cache(maxsize=32)
def hann_float64(window: int, n_fft: int) -> np.ndarray:
    """The same in float64."""
    taper = np.zeros(n_fft)
    first = (n_fft - window) // 2
    taper[first : first + window] = 0.5 - 0.5 * np.cos(2 * np.pi * np.arange(window) / window)
    taper.flags.writeable = False
    return taper


def n_frames(n_samples: int, *, n_fft: int, hop: int) -> int:
    """How many centred frames a waveform has: frame i is centred on sample i * hop. None for no samples."""
    return 1 + (n_samples - n_fft % 2) // hop if n_samples else 0


def centred_ends(wave: np.ndarray, *, size: int, mode: Literal["constant", "edge"] = "constant") -> np.ndarray:
    """A waveform with half a frame more at both ends: zeros, or its first and last sample ("edge")."""
    half = size // 2
    padded = np.zeros(wave.size + 2 * half, wave.dtype)
    padded[half : half + wave.size] = wave
    if mode == "edge" and wave.size:
        padded[:half], padded[half + wave.size :] = wave[0], wave[-1]
    return padded


def centred(wave: np.ndarray, *, size: int, hop: int) -> np.ndarray:
    """Frames centred on every `hop`-th sample, with zeros past the ends: [frame, size], a read-only view."""
    if not wave.size:
        return np.empty((0, size), wave.dtype)
    return frame(centred_ends(wave, size=size), size=size, hop=hop)


def spectra(
    wave: np.ndarray, *, n_fft: int, window: int, hop: int, precise: bool = False
) -> Iterator[tuple[slice, np.ndarray]]:
    """The short-time Fourier transform of `librosa.stft`, block by block: which frames, and their spectra.

    Args:
        wave: float32 [time].
        n_fft: FFT length, in samples.
        window: length of the Hann window, at most n_fft.
        hop: samples from frame to frame.
        precise: compute in float64, as librosa does: it takes twice the time. In float32, what lies some 120 dB below
            a frame's loudest bin is rounding.

    Yields:
        complex64 [frame, bin] (complex128 where precise), bin = n_fft // 2 + 1. The array may be written to.
    """
    frames = centred(wave, size=n_fft, hop=hop)
    taper = hann_float64(window, n_fft) if precise else hann(window, n_fft)
    n_rows = max(1, BLOCK_BYTES // (taper.itemsize * n_fft))
    for first in range(0, len(frames), n_rows):
        rows = slice(first, min(first + n_rows, len(frames)))
        yield rows, rfft(frames[rows] * taper)


def stft(wave: np.ndarray, *, n_fft: int, window: int, hop: int, precise: bool = False) -> np.ndarray:
    """All of `spectra` in one array: complex64 [frame, bin]."""
    whole = np.empty((n_frames(wave.size, n_fft=n_fft, hop=hop), n_fft // 2 + 1), np.complex64)
    for rows, block in spectra(wave, n_fft=n_fft, window=window, hop=hop, precise=precise):
        whole[rows] = block
    return whole


def power_spectrum(wave: np.ndarray, *, n_fft: int, window: int, hop: int, precise: bool = False) -> np.ndarray:
    """Squared magnitudes of `spectra`: float32 [frame, bin]."""
    power = np.empty((n_frames(wave.size, n_fft=n_fft, hop=hop), n_fft // 2 + 1), np.float32)
    for rows, block in spectra(wave, n_fft=n_fft, window=window, hop=hop, precise=precise):
        parts = block.view(block.real.dtype)  # real and imaginary side by side: squaring them in place is one sweep
        np.square(parts, out=parts)
        np.add(parts[:, ::2], parts[:, 1::2], out=power[rows], casting="same_kind")
    return power


def istft(spectrum: np.ndarray, *, n_samples: int, n_fft: int, hop: int) -> np.ndarray:
    """The waveform whose `stft` comes nearest, by weighted overlap-add (Griffin and Lim 1984): float32 [time].

    Args:
        spectrum: complex64 [frame, bin], with a Hann window as long as the FFT.
        n_samples: how many samples the waveform has.
        n_fft: FFT length.
        hop: samples from frame to frame, at most half of it.
    """
    taper, half = hann(n_fft, n_fft), n_fft // 2
    whole = np.zeros(max(n_samples, (len(spectrum) - 1) * hop) + n_fft, np.float32)
    weight = np.zeros_like(whole)
    n_rows = max(1, BLOCK_BYTES // (4 * n_fft))
    for first in range(0, len(spectrum), n_rows):
        block = irfft(spectrum[first : first + n_rows], n_fft) * taper
        for row, part in enumerate(block, start=first):
            whole[row * hop : row * hop + n_fft] += part
            weight[row * hop : row * hop + n_fft] += np.square(taper)
    whole /= np.maximum(weight, np.float32(1e-8))
    return whole[half : half + n_samples]
