"""Sound made faster, slower, higher or lower."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.spectrum import istft, stft

WINDOW_S = 0.093  # 2,048 samples at 22,050 Hz, as librosa has it


def sped(samples: np.ndarray, *, speed: float) -> np.ndarray:
    """Play faster, and so higher, as a tape does: float32 [channel, time] to [channel, about time / speed]."""
    import soxr

    return np.ascontiguousarray(soxr.resample(samples.T, 1e6 * speed, 1e6).T, np.float32)


def stretched(wave: np.ndarray, *, rate_hz: int, speed: float) -> np.ndarray:
    """Play faster at the same pitch: a phase vocoder, `librosa.effects.time_stretch`.

    Args:
        wave: float32 [time].
        rate_hz: its rate.
        speed: 2 is half as long.

    Returns:
        float32 [round(time / speed)].
    """
    n_fft = 1 << max(4, round(np.log2(WINDOW_S * rate_hz)))
    hop, n_samples = n_fft // 4, round(wave.size / speed)
    if not wave.size:
        return wave
    spectrum = stft(wave, n_fft=n_fft, window=n_fft, hop=hop)
    slow = vocoded(spectrum, speed=speed, hop=hop, n_fft=n_fft)
    return istft(slow, n_samples=n_samples, n_fft=n_fft, hop=hop)


def vocoded(spectrum: np.ndarray, *, speed: float, hop: int, n_fft: int) -> np.ndarray:
    """Spectra at another pace, whose phases go on as the bins' own frequencies ask.

    Ellis, "A phase vocoder in Matlab" (2002); `librosa.phase_vocoder`.

    Args:
        spectrum: complex64 [frame, bin].
        speed: frames of it for each that is made.
        hop: samples from frame to frame.
        n_fft: FFT length.

    Returns:
        complex64 [ceil(frame / speed), bin].
    """
    at = np.arange(0, len(spectrum), speed)
    first, share = at.astype(int), (at % 1.0)[:, None]
    padded = np.concatenate([spectrum, np.zeros((2, spectrum.shape[1]), spectrum.dtype)])
    one, other = padded[first], padded[first + 1]
    level = (1 - share) * np.abs(one) + share * np.abs(other)
    advance = 2 * np.pi * hop * np.arange(spectrum.shape[1]) / n_fft
    turn = np.angle(other) - np.angle(one) - advance
    step = advance + turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    phase = np.angle(spectrum[0]) + np.concatenate([np.zeros((1, len(advance))), np.cumsum(step[:-1], axis=0)])
    return np.asarray(level * np.exp(1j * phase), np.complex64)


def shifted(wave: np.ndarray, *, rate_hz: int, semitones: float) -> np.ndarray:
    """Sound higher, or lower, at the same pace: stretched, then resampled back to its length. float32 [time]."""
    if not wave.size:
        return wave
    factor = 2.0 ** (semitones / 12)
    longer = sped(stretched(wave, rate_hz=rate_hz, speed=1 / factor)[None], speed=factor)[0]
    whole = np.zeros_like(wave)
    n_samples = min(wave.size, longer.size)
    whole[:n_samples] = longer[:n_samples]
    return whole
