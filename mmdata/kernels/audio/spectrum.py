"""Short-time spectra, there and back: the frames, window and FFT that every spectral feature stands on."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from itertools import accumulate, pairwise
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
    waves: Sequence[np.ndarray], *, n_fft: int, window: int, hop: int, precise: bool = False
) -> Iterator[tuple[slice, np.ndarray]]:
    """The short-time Fourier transforms of `librosa.stft`, block by block, frames of several waves side by side in one.

    A row's numbers do not hang on the rows beside it, so a wave's are the same to the bit whatever else is transformed.

    Args:
        waves: float32 [time] each; their frames follow each other.
        n_fft: FFT length, in samples.
        window: length of the Hann window, at most n_fft.
        hop: samples from frame to frame.
        precise: compute in float64, as librosa does: it takes twice the time. In float32, what lies some 120 dB below
            a frame's loudest bin is rounding.

    Yields:
        which of all frames, and complex64 [frame, bin] (complex128 where precise), bin = n_fft // 2 + 1. The array may
        be written to.
    """
    taper = hann_float64(window, n_fft) if precise else hann(window, n_fft)
    n_rows = BLOCK_BYTES // (taper.itemsize * n_fft)
    for rows, block in frame_blocks(waves, taper=taper, hop=hop, n_rows=n_rows):
        yield rows, rfft(block)


def frame_blocks(
    waves: Sequence[np.ndarray], *, taper: np.ndarray, hop: int, n_rows: int
) -> Iterator[tuple[slice, np.ndarray]]:
    """Centred frames of several waves, one wave's after the other's, in blocks of `n_rows`.

    Args:
        waves: float32 [time] each.
        taper: what each frame is multiplied by: [size], float32 or float64.
        hop: samples from frame to frame.
        n_rows: how many frames a block has; the last has fewer.

    Yields:
        which of all frames, and [frame, size] of the taper's dtype. The next block is written over it.
    """
    size = len(taper)
    n_all = frame_starts(waves, n_fft=size, hop=hop)[-1]
    block = np.empty((max(1, min(n_all, n_rows)), size), taper.dtype)
    return side_by_side((centred(wave, size=size, hop=hop) for wave in waves), block=block, taper=taper)


def side_by_side(
    sounds: Iterable[np.ndarray], *, block: np.ndarray, taper: np.ndarray | np.float32
) -> Iterator[tuple[slice, np.ndarray]]:
    """Frames of several sounds, [frame, size] each, times a taper, block by block; as `frame_blocks`.

    Args:
        sounds: looked at one at a time.
        block: [frame, size], what is written to.
        taper: [size], or one number.
    """
    first = held = 0
    for frames in sounds:
        at = 0
        while at < len(frames):
            n_taken = min(len(frames) - at, len(block) - held)
            np.multiply(frames[at : at + n_taken], taper, out=block[held : held + n_taken])
            at, held = at + n_taken, held + n_taken
            if held == len(block):
                yield slice(first, first + held), block
                first, held = first + held, 0
    if held:
        yield slice(first, first + held), block[:held]


def stfts(waves: Sequence[np.ndarray], *, n_fft: int, window: int, hop: int, precise: bool = False) -> list[np.ndarray]:
    """All of `spectra` a wave: complex64 [frame, bin], views of one array."""
    starts = frame_starts(waves, n_fft=n_fft, hop=hop)
    whole = np.empty((starts[-1], n_fft // 2 + 1), np.complex64)
    for rows, block in spectra(waves, n_fft=n_fft, window=window, hop=hop, precise=precise):
        whole[rows] = block
    return cut_up(whole, starts)


def stft(wave: np.ndarray, *, n_fft: int, window: int, hop: int, precise: bool = False) -> np.ndarray:
    """The short-time Fourier transform of one wave: complex64 [frame, bin]."""
    return stfts([wave], n_fft=n_fft, window=window, hop=hop, precise=precise)[0]


def power_spectra(
    waves: Sequence[np.ndarray], *, n_fft: int, window: int, hop: int, precise: bool = False
) -> list[np.ndarray]:
    """Squared magnitudes of `spectra`, a wave: float32 [frame, bin], views of one array."""
    starts = frame_starts(waves, n_fft=n_fft, hop=hop)
    whole = np.empty((starts[-1], n_fft // 2 + 1), np.float32)
    for rows, block in spectra(waves, n_fft=n_fft, window=window, hop=hop, precise=precise):
        power_of(block, out=whole[rows])
    return cut_up(whole, starts)


def power_spectrum(wave: np.ndarray, *, n_fft: int, window: int, hop: int, precise: bool = False) -> np.ndarray:
    """Squared magnitudes of one wave's spectra: float32 [frame, bin]."""
    return power_spectra([wave], n_fft=n_fft, window=window, hop=hop, precise=precise)[0]


def power_of(spectrum: np.ndarray, *, out: np.ndarray | None = None) -> np.ndarray:
    """Squared magnitudes: complex [frame, bin], which is written over, to float32 [frame, bin]."""
    parts = spectrum.view(spectrum.real.dtype)  # real and imaginary side by side: squaring them in place is one sweep
    np.square(parts, out=parts)
    power = np.empty(spectrum.shape, np.float32) if out is None else out
    np.add(parts[:, ::2], parts[:, 1::2], out=power, casting="same_kind")
    return power


def frame_starts(waves: Sequence[np.ndarray], *, n_fft: int, hop: int) -> list[int]:
    """The row with which each wave's frames begin, where they follow each other; and the number of all."""
    counts = (n_frames(wave.size, n_fft=n_fft, hop=hop) for wave in waves)
    return list(accumulate(counts, initial=0))


def cut_up(rows: np.ndarray, starts: Sequence[int]) -> list[np.ndarray]:
    """Views from each start to the next."""
    return [rows[first:last] for first, last in pairwise(starts)]


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
