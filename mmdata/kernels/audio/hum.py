"""Hum of the mains: found, and notched out."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.spectrum import power_spectrum
from mmdata.kernels.fourier import fast_length, irfft, rfft

MAINS_HZ = (50.0, 60.0)
LOOKED_AT = 4  # harmonics by which hum is known
PROMINENCE_DB = 12.0  # above what surrounds them


def mains_hz(wave: np.ndarray, *, rate_hz: int) -> float | None:
    """The mains frequency that hums through a whole clip, 50 or 60 Hz; None where none does.

    Harmonics stand out of what is 4 to 9 Hz beside them by 12 dB on average, in the median of windows of a second, so
    that a voice that passes by counts for nothing. A clip of less than half a second can't tell.

    Args:
        wave: float32 [time].
        rate_hz: its rate.
    """
    if wave.size < rate_hz / 2 or rate_hz < 4 * MAINS_HZ[0]:
        return None
    size = min(rate_hz, wave.size) // 2 * 2
    power = np.median(power_spectrum(wave, n_fft=size, window=size, hop=max(1, size // 2)), axis=0)
    prominence = {hz: _prominence_db(power, hz * size / rate_hz, size / rate_hz) for hz in MAINS_HZ}
    loudest = max(prominence, key=lambda hz: prominence[hz])
    return loudest if prominence[loudest] >= PROMINENCE_DB else None


def _prominence_db(power: np.ndarray, first_bin: float, bins_a_hz: float) -> float:
    """How far the first harmonics stand out of their surroundings, on average."""
    found = []
    for harmonic in range(1, LOOKED_AT + 1):
        middle = first_bin * harmonic
        if middle + 9 * bins_a_hz >= len(power):
            break
        peak = power[int(middle - bins_a_hz) : int(np.ceil(middle + bins_a_hz)) + 1].max()
        sides = [
            power[int(middle + sign * 4 * bins_a_hz) : int(middle + sign * 9 * bins_a_hz) + sign : sign]
            for sign in (-1, 1)
        ]
        around = np.median(np.concatenate(sides))
        found.append(10 * np.log10((peak + 1e-12) / (around + 1e-12)))
    return float(np.mean(found)) if found else 0.0


def notched(wave: np.ndarray, *, rate_hz: int, hum_hz: float, n_harmonics: int, q: float) -> np.ndarray:
    """Take out a frequency and its harmonics by second-order notches, there and back, so that no phase is turned.

    The notch is that of `scipy.signal.iirnotch`, applied in the frequency domain.

    Args:
        wave: float32 [time].
        rate_hz: its rate.
        hum_hz: the first frequency taken out.
        n_harmonics: how many multiples of it, itself counted; those above half the rate are left out.
        q: frequency over width of the notch at -3 dB (-6 dB, as it is passed twice).

    Returns:
        float32 [time].
    """
    if not wave.size:
        return wave
    tail = int(2 * q / hum_hz * rate_hz)  # of the notch's ringing, past both ends
    n_fft = fast_length(wave.size + tail)
    z = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)
    gain = np.ones(n_fft // 2 + 1)
    for harmonic in range(1, n_harmonics + 1):
        omega = 2 * np.pi * hum_hz * harmonic / rate_hz
        if omega >= np.pi:
            break
        share = 1 / (1 + np.tan(omega / q / 2))
        above = share * (1 - 2 * np.cos(omega) * z + z * z)
        below = 1 - 2 * share * np.cos(omega) * z + (2 * share - 1) * z * z
        gain *= np.abs(above / below) ** 2
    spectrum = rfft(wave, n_fft)
    spectrum *= gain.astype(np.float32)
    return np.asarray(irfft(spectrum, n_fft)[: wave.size], np.float32)
