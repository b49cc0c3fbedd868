"""How loud sound is: ITU-R BS.1770-4, Annex 1 (integrated loudness) and Annex 2 (true peak)."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import accumulate, islice

import numpy as np

from mmdata.kernels.audio import BLOCK_BYTES, cut_up, frame, resample, side_by_side
from mmdata.kernels.fourier import fast_length, irfft, rfft

GATE_LUFS = -70.0  # blocks below are not heard at all
RELATIVE_GATE_LU = -10.0  # nor those so far below the mean of the rest
LEAST_HZ = 8000  # the weighting's shelf needs room below half the rate
TAIL_S = 0.075  # by then the weighting's response has fallen below 1e-7 of its peak
CHUNK = 1 << 14  # samples oversampled at once
ONE = np.float32(1)
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
    return gated_lufs(block_power(samples, rate_hz=rate_hz))


def gated_lufs(power: np.ndarray) -> float:
    """Integrated loudness of what `block_power` gives."""
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
    return block_powers([samples], rate_hz=rate_hz, n_tenths=n_tenths)[0]


def block_powers(clips: Sequence[np.ndarray], *, rate_hz: int, n_tenths: int = 4) -> list[np.ndarray]:
    """`block_power` of several clips of one rate, float32 [channel, time] each, which are filtered side by side."""
    if rate_hz < LEAST_HZ:
        clips = [resample(samples, from_hz=rate_hz, to_hz=LEAST_HZ) for samples in clips]
        rate_hz = LEAST_HZ
    weighted = iter(all_k_weighted([wave for samples in clips for wave in samples], rate_hz=rate_hz))
    found = []
    for samples in clips:
        waves = list(islice(weighted, len(samples)))
        found.append(_block_power(waves, rate_hz, n_tenths) if samples.shape[1] else np.empty(0))
    return found


def _block_power(weighted: Sequence[np.ndarray], rate_hz: int, n_tenths: int) -> np.ndarray:
    n_samples = weighted[0].size
    gains = SURROUND.get(len(weighted), (1.0,) * len(weighted))
    edges = np.arange(0, n_samples * 10 // rate_hz + 1) * rate_hz // 10  # every 100 ms, rounded down to a sample
    short = len(edges) <= n_tenths
    starts, end = ([0], n_samples) if short else (edges[:-1], edges[-1])
    powers = np.zeros(len(starts))
    for gain, wave in zip(gains, weighted, strict=True):
        powers += gain * np.add.reduceat(np.square(wave[:end]), starts, dtype=np.float64)
    if short:
        return np.asarray(powers / n_samples)
    blocks: np.ndarray = np.convolve(powers, np.ones(n_tenths), mode="valid") / (n_tenths * rate_hz / 10)
    return blocks


def track_lufs(power: np.ndarray) -> np.ndarray:
    """Loudness of each stretch that `block_power` gives (EBU Tech 3341: 4 tenths are momentary, 30 short-term).

    Returns:
        float64 [stretch], LUFS without a gate; -inf for silence.
    """
    with np.errstate(divide="ignore"):
        track: np.ndarray = -0.691 + 10 * np.log10(power)
    return track


def k_weighted(wave: np.ndarray, *, rate_hz: int) -> np.ndarray:
    """Filter one channel by the standard's two stages, in the frequency domain: float32 [time] to the same.

    Overlap-save with the recursive filters' own frequency response; what is lost of their endless tail lies 140 dB
    down. It takes the time of `scipy.signal.sosfilt`, without the second that importing that takes.
    """
    return all_k_weighted([wave], rate_hz=rate_hz)[0]


def all_k_weighted(waves: Sequence[np.ndarray], *, rate_hz: int) -> list[np.ndarray]:
    """`k_weighted` of several channels of one rate; the stretches of those that need as long ones go side by side."""
    tail = int(TAIL_S * rate_hz)
    lengths = [fast_length(min(4 * tail, tail + max(1, wave.size))) for wave in waves]
    found: dict[int, np.ndarray] = {}
    for n_fft in sorted(set(lengths)):
        places = [place for place, length in enumerate(lengths) if length == n_fft]
        filtered = _filtered([waves[place] for place in places], n_fft, tail, k_response(rate_hz, n_fft))
        found.update(zip(places, filtered, strict=True))
    return [found[place] for place in range(len(waves))]


def _filtered(waves: Sequence[np.ndarray], n_fft: int, tail: int, response: np.ndarray) -> list[np.ndarray]:
    """Overlap-save: each stretch of n_fft samples gives all but its first `tail`."""
    n_new = n_fft - tail
    starts = list(accumulate((-(-wave.size // n_new) for wave in waves), initial=0))
    whole = np.empty((starts[-1], n_new), np.float32)
    block = np.empty((max(1, min(starts[-1], BLOCK_BYTES // (4 * n_fft))), n_fft), np.float32)
    for rows, stretches in side_by_side((_stretches(wave, n_fft, tail) for wave in waves), block=block, taper=ONE):
        spectrum = rfft(stretches)
        spectrum *= response
        whole[rows] = irfft(spectrum, n_fft)[:, tail:]
    return [each.ravel()[: wave.size] for wave, each in zip(waves, cut_up(whole, starts), strict=True)]


def _stretches(wave: np.ndarray, n_fft: int, tail: int) -> np.ndarray:
    n_new = n_fft - tail
    padded = np.zeros(tail + -(-wave.size // n_new) * n_new, np.float32)
    padded[tail : tail + wave.size] = wave
    return frame(padded, size=n_fft, hop=n_new)


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
