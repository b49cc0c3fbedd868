"""Landmarks of a sound: pairs of spectral peaks, which survive gain, codecs and cuts (Wang, ISMIR 2003)."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.audio.spectrum import power_spectrum
from mmdata.kernels.audio.waves import power_to_db
from mmdata.kernels.hashing import mix

RATE_HZ, N_FFT, HOP = (
    8000,
    512,
    64,
)  # what any telephone codec keeps; frames 8 ms apart, so that cuts between them tell little
BINS = slice(13, 224)  # 200 Hz to 3.5 kHz
NEAR_BINS, NEAR_FRAMES = 12, 15  # a peak is the greatest so far around it: 190 Hz, 120 ms
DEEPEST_DB = 45.0  # below the clip's loudest bin nothing is a peak: it would be the codec's noise
FAN = 6  # pairs a peak makes with those after it
NEXT_FRAMES, FAR_FRAMES, FAR_BINS = 4, 125, 64  # how near and far in time (1 s) and frequency (1 kHz) the second may be
FRAMES_A_STEP, BINS_A_STEP = 5, 2  # what a hash tells apart: 40 ms, 31 Hz
EMPTY = 0xFFFFFFFF  # the signature of no landmarks


def landmarks(wave: np.ndarray) -> np.ndarray:
    """The set of a sound's landmarks: two frequencies, and the time between them, hashed into 32 bits.

    Args:
        wave: float32 [time], at RATE_HZ.

    Returns:
        uint32 [landmark], rising, each once. Silence has none.
    """
    power = power_spectrum(wave, n_fft=N_FFT, window=N_FFT, hop=HOP)[:, BINS]
    frames, bins = _peaks(power_to_db(power))
    found = [np.empty(0, np.uint32)]
    order = np.arange(len(frames))
    made = np.zeros(len(frames), np.int64)
    for step in range(1, 6 * FAN):
        first, second = order[:-step], order[step:]
        after, up = frames[second] - frames[first], bins[second] - bins[first]
        fits = (after >= NEXT_FRAMES) & (after <= FAR_FRAMES) & (np.abs(up) <= FAR_BINS) & (made[first] < FAN)
        made[first] += fits
        pair = np.stack([bins[first] // BINS_A_STEP, bins[second] // BINS_A_STEP, after // FRAMES_A_STEP])[:, fits]
        found.append((pair[0] << 20 | pair[1] << 10 | pair[2]).astype(np.uint32))
    return np.unique((mix(np.unique(np.concatenate(found)).astype(np.uint64)) >> np.uint64(32)).astype(np.uint32))


def _peaks(decibels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Frames and bins of peaks, in order of time: int64 [peak] each."""
    if not decibels.size:
        return np.empty(0, np.int64), np.empty(0, np.int64)
    from scipy.ndimage import maximum_filter

    around = maximum_filter(decibels, size=(2 * NEAR_FRAMES + 1, 2 * NEAR_BINS + 1), mode="nearest")
    loud = decibels > max(float(decibels.max()) - DEEPEST_DB, -99.0)
    frames, bins = np.nonzero((decibels == around) & loud)
    return frames, bins


def overlap(one: np.ndarray, other: np.ndarray) -> float:
    """The share of the smaller of two sets of landmarks that the other has too: 1 for a cut from the same sound.

    Args:
        one: uint32 [landmark], of `landmarks`.
        other: the same. Without any on either side it is 0.

    >>> overlap(np.array([1, 2, 3], np.uint32), np.array([2, 3, 4, 5], np.uint32))
    0.6666666666666666
    """
    smaller = min(len(one), len(other))
    return len(np.intersect1d(one, other, assume_unique=True)) / smaller if smaller else 0.0


def min_hash(hashes: np.ndarray, *, n_permutations: int) -> np.ndarray:
    """A signature of fixed length of a set: the share of equal places of two estimates their Jaccard similarity.

    Broder, "On the resemblance and containment of documents" (1997).

    Args:
        hashes: uint32 [item].
        n_permutations: length of the signature; its error is about 1 / sqrt(n_permutations).

    Returns:
        uint32 [permutation]; EMPTY throughout where there are no items.
    """
    least = np.full(n_permutations, EMPTY, np.uint32)
    seeds = mix(np.arange(1, n_permutations + 1, dtype=np.uint64))
    for first in range(0, len(hashes), 4096):
        part = hashes[first : first + 4096].astype(np.uint64)
        mixed = (mix(part[:, None] ^ seeds) >> np.uint64(32)).astype(np.uint32)
        least = np.minimum(least, mixed.min(axis=0))
    return least
