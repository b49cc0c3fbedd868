"""What is wrong with a recording, in numbers: noise, silence, a band that ends early."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.spectrum import hann_float64
from mmdata.kernels.audio.waves import frame, levels_db, mono
from mmdata.kernels.fourier import rfft

BEST_SNR_DB = 100.0


def snr_db(samples: np.ndarray, *, rate_hz: int) -> float:
    """An estimate of the signal-to-noise ratio, from how loud the clip's quietest moments are.

    Noise is what the quietest tenth of 20 ms stretches has, signal what the rest has more (in the manner of NIST's
    STNR). So it is of use for sound with pauses, such as speech; a steady tone reads as noise. Digital silence is left
    out, as it says nothing of a recording's noise.

    Args:
        samples: float32 [channel, time].
        rate_hz: their rate.

    Returns:
        decibels, -20 to 100; -20 where all is silent.
    """
    levels = levels_db(mono(samples)[None], hop=max(1, rate_hz // 50))[0]
    power = np.sort(10 ** (levels[levels > -99.9].astype(np.float64) / 10))
    if not power.size:
        return -20.0
    noise = power[: max(1, power.size // 10)].mean()
    signal = power[power.size // 10 :].mean() - noise
    ratio_db = 10 * np.log10(max(signal, 1e-12) / noise)
    return float(np.clip(ratio_db, -20.0, BEST_SNR_DB))


def silent_share(samples: np.ndarray, *, rate_hz: int, floor_db: float) -> float:
    """The share of 10 ms stretches in which every channel is at or below `floor_db`; 1 for no samples.

    Args:
        samples: float32 [channel, time].
        rate_hz: their rate.
        floor_db: re full scale, of the mean square.
    """
    if not samples.shape[1]:
        return 1.0
    return float((levels_db(samples, hop=max(1, rate_hz // 100)).max(axis=0) <= floor_db).mean())


def bandwidth_hz(samples: np.ndarray, *, rate_hz: int, floor_db: float) -> float:
    """The highest frequency that holds anything: up to it, the mean spectrum is above `floor_db` re its greatest.

    A file of 16 kHz that was made of one of 8 kHz reads 4 kHz, as a resampler's filter leaves next to nothing above.

    Args:
        samples: float32 [channel, time].
        rate_hz: their rate.
        floor_db: below the greatest power of the mean spectrum.

    Returns:
        Hz, at most half the rate; 0 for silence.
    """
    wave = mono(samples)
    n_fft = 1 << min(10, wave.size.bit_length() - 1) if wave.size > 1 else 2
    # whole frames only: half a frame that begins in silence would hold all frequencies
    frames, taper = frame(wave, size=n_fft, hop=n_fft // 2), hann_float64(n_fft, n_fft)
    total = np.zeros(n_fft // 2 + 1)
    for first in range(0, len(frames), 256):
        block = rfft(frames[first : first + 256] * taper)
        total += (np.square(block.real) + np.square(block.imag)).sum(axis=0)
    if not total.max() > 0:
        return 0.0
    heard = np.flatnonzero(total > total.max() * 10 ** (floor_db / 10))
    return float(heard[-1] * rate_hz / n_fft)
