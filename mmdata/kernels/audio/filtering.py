"""Filters in the frequency domain, and convolution with a room."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from mmdata.kernels.fourier import fast_length, irfft, rfft

ORDER = 4  # of Butterworth's slopes: 24 dB an octave, passed once
TAIL_S = 0.25  # by which a waveform is lengthened, so that its end does not reach round to its beginning


def band_passed(samples: np.ndarray, *, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Keep a band, with Butterworth's slopes of order 4 and no turn of phase.

    Args:
        samples: float32 [channel, time].
        rate_hz: its rate.
        low_hz: where it is 3 dB down; 0 is no lower end.
        high_hz: the same above; half the rate and more is no upper end.

    Returns:
        float32 [channel, time].
    """

    def gain(hz: np.ndarray) -> np.ndarray:
        passed: np.ndarray = np.ones_like(hz)
        if low_hz > 0:
            passed /= np.sqrt(1 + (low_hz / np.maximum(hz, 1e-6)) ** (2 * ORDER))
        if high_hz < rate_hz / 2:
            passed /= np.sqrt(1 + (hz / high_hz) ** (2 * ORDER))
        return passed

    return _weighted(samples, rate_hz, gain)


def band_stopped(samples: np.ndarray, *, rate_hz: int, low_hz: float, high_hz: float) -> np.ndarray:
    """Silence what lies from low_hz to high_hz, with edges as steep as the clip is long: float32 [channel, time]."""
    return _weighted(samples, rate_hz, lambda hz: np.where((hz >= low_hz) & (hz < high_hz), 0.0, 1.0))


def _weighted(samples: np.ndarray, rate_hz: int, gain: Callable[[np.ndarray], np.ndarray]) -> np.ndarray:
    n_samples = samples.shape[1]
    n_fft = fast_length(n_samples + int(TAIL_S * rate_hz) + 1)
    weights = gain(np.fft.rfftfreq(n_fft, 1 / rate_hz))
    spectrum = rfft(samples, n_fft) * np.asarray(weights, np.float32)
    return np.asarray(irfft(spectrum, n_fft)[:, :n_samples], np.float32)


def reverberated(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Sound in a room, in step with what it was: the response's strongest moment is time 0.

    Args:
        samples: float32 [channel, time].
        response: float32 [time], the room's impulse response at the same rate.

    Returns:
        float32 [channel, time], of the same mean square as before.
    """
    n_samples = samples.shape[1]
    at = int(np.abs(response).argmax())
    n_fft = fast_length(n_samples + response.size)
    spectrum = rfft(samples, n_fft) * rfft(response.astype(np.float32), n_fft)
    wet = irfft(spectrum, n_fft)[:, at : at + n_samples]
    before, after = (np.sqrt(np.mean(np.square(each, dtype=np.float64))) for each in (samples, wet))
    return np.asarray(wet * (before / after if after > 0 else 1.0), np.float32)


def room(rng: np.random.Generator, *, rate_hz: int, decay_s: float, direct_db: float) -> np.ndarray:
    """An impulse response made up: the direct sound, then noise that decays by 60 dB in `decay_s`.

    Polack's model of late reverberation (1988).

    Args:
        rng: draws the noise.
        rate_hz: the response's rate.
        decay_s: reverberation time, RT60.
        direct_db: how far the direct sound's energy stands above that of the rest.

    Returns:
        float32 [time], the direct sound first.
    """
    n_samples = max(1, round(decay_s * rate_hz))
    late = rng.standard_normal(n_samples) * 10 ** (-3 * np.arange(n_samples) / n_samples)
    late *= 10 ** (-direct_db / 20) / np.sqrt(np.square(late).sum())
    return np.concatenate([[1.0], late]).astype(np.float32)
