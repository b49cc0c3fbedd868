"""Sound as arrays: channels, rates, frames, levels and noise.

Waveforms are float32 [channel, time], full scale is -1 to 1; a function that takes one channel says `wave`. FFTs are
scipy's, imported late: on float32 rows they are three to seven times as fast as numpy's.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np

from mmdata.kernels.fourier import fast_length, irfft

BLOCK_BYTES = 1 << 20  # of frames transformed at once: they stay in the cache, and an hour costs no more than a second
Color = Literal["white", "pink"]
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


class Resampler:
    """`resample` of one channel that comes piece by piece: the same to the bit as of the whole.

    Args:
        from_hz: the rate it has.
        to_hz: the rate it gets.
    """

    def __init__(self, *, from_hz: int, to_hz: int) -> None:
        self._stream: Any = None
        if from_hz != to_hz:
            import soxr

            self._stream = soxr.ResampleStream(from_hz, to_hz, 1, dtype="float32", quality="HQ")

    def add(self, wave: np.ndarray, *, last: bool = False) -> np.ndarray:
        """What comes of the next piece, and of those before: float32 [time] to float32 [time], which may be empty."""
        if self._stream is None:
            return wave
        found: np.ndarray = self._stream.resample_chunk(np.ascontiguousarray(wave, np.float32), last=last)
        return found


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
    shape, step = (1 + (wave.shape[0] - size) // hop, size), wave.strides[0]
    # what sliding_window_view gives, in a fifth of its time
    return np.lib.stride_tricks.as_strided(wave, shape, (hop * step, step), writeable=False)


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


def noise(rng: np.random.Generator, shape: tuple[int, int], *, color: Color = "white") -> np.ndarray:
    """Gaussian noise of mean square 1: float32 [channel, time]; the channels are independent.

    Pink noise has equal power in every octave (1/f); its spectrum is drawn, and it has no offset.
    """
    if color == "white" or shape[1] < 2:
        drawn = rng.standard_normal(shape, np.float32)
    else:
        n_fft = fast_length(shape[1])
        parts = rng.standard_normal((shape[0], n_fft // 2 + 1, 2), np.float32)
        weights = np.zeros(n_fft // 2 + 1, np.float32)
        weights[1:] = 1 / np.sqrt(np.arange(1, n_fft // 2 + 1))
        spectrum = parts.view(np.complex64)[..., 0] * weights
        drawn = irfft(spectrum, n_fft)[:, : shape[1]]
    power = np.square(drawn).sum(axis=1, keepdims=True) / np.float32(max(1, shape[1]))
    scaled: np.ndarray = drawn / np.sqrt(np.maximum(power, np.float32(1e-20)))
    return scaled
