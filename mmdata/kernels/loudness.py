"""How loud sound is: ITU-R BS.1770-4, Annex 1 (integrated loudness) and Annex 2 (true peak)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmdata.kernels.audio import BLOCK_BYTES, frame, resample
from mmdata.kernels.fourier import fast_length, irfft, rfft

GATE_LUFS = -70.0  # blocks below are not heard at all
RELATIVE_GATE_LU = -10.0  # nor those so far below the mean of the rest
LEAST_HZ = 8000  # the weighting's shelf needs room below half the rate
TAIL_S = 0.075  # by then the weighting's response has fallen below 1e-7 of its peak
CHUNK = 1 << 14  # samples oversampled at once
# left, right, (centre), (LFE), left and right surround, in the order of WAV files, as in libebur128
SURROUND = {4: (1, 1, 1.41, 1.41), 5: (1, 1, 1, 1.41, 1.41), 6: (1, 1, 1, 0, 1.41, 1.41)}


def loudness_lufs(samples: np.ndarray, *, rate_hz: int) -> float:
    """Integrated loudness with both gates.

    A clip shorter than one block of 400 ms is measured as a single block of its own length; an incomplete last block
    of a longer one is not used, as the standard has it.

    Args:
        samples: float32 [channel, time].
        rate_hz: its rate.

    Returns:
        LUFS; -inf when all blocks are below -70 LUFS or there are no samples.
    """
    power = block_power(samples, rate_hz=rate_hz)
    heard = power[power > lufs_to_power(GATE_LUFS)]
    if not heard.size:
        return -np.inf
    threshold = heard.mean() * 10 ** (RELATIVE_GATE_LU / 10)
    return power_to_lufs(float(heard[heard > threshold].mean()))


def power_to_lufs(power: float) -> float:
    return float(-0.691 + 10 * np.log10(power))


def lufs_to_power(lufs: float) -> float:
    return float(10 ** ((lufs + 0.691) / 10))


def block_power(samples: np.ndarray, *, rate_hz: int, n_tenths: int = 4) -> np.ndarray:
    """Weighted mean square of blocks of 400 ms (`n_tenths` of 100 ms), one every 100 ms: float64 [block].

    Channels are summed. A clip shorter than a block is one block of its own length.
    """
    if rate_hz < LEAST_HZ:
        samples, rate_hz = resample(samples, from_hz=rate_hz, to_hz=LEAST_HZ), LEAST_HZ
    n_channels, n_samples = samples.shape
    if not n_samples:
        return np.empty(0)
    gains = SURROUND.get(n_channels, (1.0,) * n_channels)
    edges = np.arange(0, n_samples * 10 // rate_hz + 1) * rate_hz // 10  # every 100 ms, rounded down to a sample
    short = len(edges) <= n_tenths
    starts, end = ([0], n_samples) if short else (edges[:-1], edges[-1])
    powers = np.zeros(len(starts))
    for gain, wave in zip(gains, samples, strict=True):
        square = np.square(k_weighted(wave, rate_hz=rate_hz)[:end])
        powers += gain * np.add.reduceat(square, starts, dtype=np.float64)
    if short:
        return np.asarray(powers / n_samples)
    blocks: np.ndarray = np.convolve(powers, np.ones(n_tenths), mode="valid") / (n_tenths * rate_hz / 10)
    return blocks


def loudness_track(samples: np.ndarray, *, rate_hz: int, n_tenths: int) -> np.ndarray:
    """Loudness of stretches of `n_tenths` of 100 ms, one every 100 ms (EBU Tech 3341: 4 momentary, 30 short-term).

    Args:
        samples: float32 [channel, time].
        rate_hz: its rate.
        n_tenths: length of a stretch.

    Returns:
        float64 [stretch], LUFS without a gate; -inf for silence. No rows for no samples.
    """
    with np.errstate(divide="ignore"):
        track: np.ndarray = -0.691 + 10 * np.log10(block_power(samples, rate_hz=rate_hz, n_tenths=n_tenths))
    return track


def k_weighted(wave: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """Filter one channel by the standard's two stages, in the frequency domain: float32 [time] to the same.

    Overlap-save with the recursive filters' own frequency response; what is lost of their endless tail lies 140 dB
    down. It takes the time of `scipy.signal.sosfilt`, without the second that importing that takes.
    """
    tail = int(TAIL_S * rate_hz)
    n_fft = fast_length(min(4 * tail, tail + wave.size))
    response, n_new = k_response(rate_hz, n_fft), n_fft - tail
    n_frames, n_rows = -(-wave.size // n_new), max(1, BLOCK_BYTES // (4 * n_fft))
    padded = np.zeros(tail + n_frames * n_new, np.float32)
    padded[tail : tail + wave.size] = wave
    frames = frame(padded, size=n_fft, hop=n_new)
    filtered = np.empty((n_frames, n_new), np.float32)
    for first in range(0, n_frames, n_rows):
        rows = slice(first, first + n_rows)
        spectrum = rfft(frames[rows])
        spectrum *= response
        filtered[rows] = irfft(spectrum, n_fft)[:, tail:]
    return filtered.ravel()[: wave.size]


@lru_cache(maxsize=32)
def k_response(rate_hz: int, n_fft: int) -> np.ndarray:
    """The K-weighting's frequency response: complex64 [n_fft // 2 + 1]. Don't write to it."""
    z = np.exp(-2j * np.pi * np.arange(n_fft // 2 + 1) / n_fft)
    powers = np.stack([np.ones_like(z), z, z * z])
    response = np.ones_like(z)
    for numerator, denominator in k_stages(rate_hz):
        response *= (numerator @ powers) / (denominator @ powers)
    narrow = np.asarray(response, np.complex64)
    narrow.flags.writeable = False
    return narrow


def k_stages(rate_hz: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """The high shelf and the high pass, numerator and denominator, for any rate.

    The analogue prototypes behind the table that the standard gives for 48 kHz (B. De Man, "Evaluation of
    implementations of the EBU R128 loudness measurement", AES 145, 2018; the same numbers as in libebur128).
    """
    k, q, gain = np.tan(np.pi * 1681.974450955533 / rate_hz), 0.7071752369554196, 10 ** (3.999843853973347 / 20)
    mid, scale = gain**0.4996667741545416, 1 + k / q + k * k
    shelf = np.array([gain + mid * k / q + k * k, 2 * (k * k - gain), gain - mid * k / q + k * k]) / scale
    shelf_poles = np.array([scale, 2 * (k * k - 1), 1 - k / q + k * k]) / scale
    k, q = np.tan(np.pi * 38.13547087602444 / rate_hz), 0.5003270373238773
    scale = 1 + k / q + k * k
    high_poles = np.array([scale, 2 * (k * k - 1), 1 - k / q + k * k]) / scale
    return [(shelf, shelf_poles), (np.array([1.0, -2.0, 1.0]), high_poles)]


def true_peak(samples: np.ndarray, *, rate_hz: int) -> float:
    """The greatest magnitude between samples as well as at them, by oversampling to 192 kHz or near it.

    Four times below 96 kHz, twice below 192 kHz, and not at all above, as libebur128 does.

    Args:
        samples: float32 [channel, time].
        rate_hz: its rate.

    Returns:
        a factor of full scale, never below the greatest sample; 0 when there are none.
    """
    import soxr

    peak = float(np.abs(samples).max(initial=0.0))
    factor = 4 if rate_hz < 96_000 else 2 if rate_hz < 192_000 else 1
    if factor == 1:
        return peak
    n_channels, n_samples = samples.shape
    stream = soxr.ResampleStream(rate_hz, factor * rate_hz, n_channels, dtype="float32")
    for first in range(0, n_samples, CHUNK):
        chunk = np.ascontiguousarray(samples[:, first : first + CHUNK].T)
        between = stream.resample_chunk(chunk, last=first + CHUNK >= n_samples)
        peak = max(peak, float(np.abs(between).max(initial=0.0)))
    return peak
