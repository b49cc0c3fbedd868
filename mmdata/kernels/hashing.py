"""Hashes of many things at once, the same on every machine and in every process."""

from __future__ import annotations

from functools import cache, lru_cache

import numpy as np

# An odd number has an inverse modulo 2**64, which lets one running sum serve every stretch of a text.
BASE = np.uint64(0x9E3779B97F4A7C15)
INVERSE = np.uint64(pow(0x9E3779B97F4A7C15, -1, 1 << 64))


def code_points(text: str) -> np.ndarray:
    """A text as uint32 [character]; lone surrogates are kept as they are."""
    return np.frombuffer(text.encode("utf-32-le", "surrogatepass"), dtype="<u4")


def hash_spans(codes: np.ndarray, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """Hash stretches of a sequence: equal stretches give equal hashes wherever they lie.

    A polynomial hash modulo 2**64 (Karp and Rabin 1987) over prefix sums, so that any number of overlapping stretches
    costs a few operations each, then mixed. Not for use against an enemy: collisions can be made.

    Args:
        codes: whole numbers [position], such as `code_points` gives.
        starts: int64 [span], first position.
        ends: int64 [span], past the last position.

    Returns:
        uint64 [span].

    >>> one, other = hash_spans(code_points("abcab"), np.array([0, 3]), np.array([2, 5]))
    >>> bool(one == other)
    True
    """
    powers, inverses = _powers(max(len(codes) + 1, KEPT_POWERS))
    # codes are raised by one, so that U+0000 counts and "" differs from "\0"
    terms = np.add(codes, 1, dtype=np.uint64)
    terms *= powers[: len(codes)]
    sums = np.zeros(len(codes) + 1, np.uint64)
    np.add.accumulate(terms, out=sums[1:])
    hashes: np.ndarray = sums[ends]
    hashes -= sums[starts]
    hashes *= inverses[starts]
    return mix(hashes)


KEPT_POWERS = 1 << 18  # of longer texts they are computed anew


def _powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    """The first powers of BASE and of its inverse: uint64 [n] each."""
    return _short_powers() if n == KEPT_POWERS else _computed_powers(n)


@cache
def _short_powers() -> tuple[np.ndarray, np.ndarray]:
    return _computed_powers(KEPT_POWERS)


def _computed_powers(n: int) -> tuple[np.ndarray, np.ndarray]:
    first = np.arange(n) == 0
    powers = np.multiply.accumulate(np.where(first, np.uint64(1), BASE))
    return powers, np.multiply.accumulate(np.where(first, np.uint64(1), INVERSE))


def mix(hashes: np.ndarray) -> np.ndarray:
    """Spread uint64 values over all bits, one to one: the finaliser of SplitMix64 (Steele, Lea and Flood 2014)."""
    mixed: np.ndarray = hashes ^ (hashes >> np.uint64(30))
    mixed *= np.uint64(0xBF58476D1CE4E5B9)
    mixed ^= mixed >> np.uint64(27)
    mixed *= np.uint64(0x94D049BB133111EB)
    mixed ^= mixed >> np.uint64(31)
    return mixed


def signed_counts(hashes: np.ndarray, n_bins: int) -> np.ndarray:
    """Count hashes by bin, each with a sign of its own, so that collisions cancel on average: float32 [bin].

    The hashing trick with signs of Weinberger et al., "Feature Hashing for Large Scale Multitask Learning" (ICML
    2009); scikit-learn's HashingVectorizer(alternate_sign=True) is the same with another hash.

    Args:
        hashes: uint64 [item]. The top bit is the sign, the rest modulo `n_bins` the bin.
        n_bins: how many.
    """
    bins = (hashes & np.uint64((1 << 63) - 1)) % np.uint64(n_bins)
    signs = 1.0 - 2.0 * (hashes >> np.uint64(63)).astype(np.float64)
    return np.bincount(bins.astype(np.int64), weights=signs, minlength=n_bins).astype(np.float32)


def min_hashes(hashes: np.ndarray, n_permutations: int, *, seed: int = 1) -> np.ndarray:
    """The least of a set's hashes under each of many random orders: MinHash (Broder 1997).

    An order is that of `a * hash + b` modulo 2**32, a odd, of the hashes' upper halves. The share of equal places of
    two signatures is an estimate of the sets' Jaccard similarity.

    Args:
        hashes: uint64 [item]; items that occur several times count once.
        n_permutations: how many orders.
        seed: decides the orders.

    Returns:
        uint32 [permutation]; 2**32 - 1 throughout where there is no item.
    """
    a, b = _orders(n_permutations, seed)
    items = (hashes >> np.uint64(32)).astype(np.uint32)[:, None]
    least = np.full(n_permutations, np.iinfo(np.uint32).max, np.uint32)
    for start in range(0, len(items), CHUNK):
        ordered = np.multiply(items[start : start + CHUNK], a)
        ordered += b
        np.minimum(least, np.minimum.reduce(ordered, axis=0), out=least)
    return least


CHUNK = 256  # items whose orders are computed at once: they stay in the processor's cache


@lru_cache(maxsize=8)
def _orders(n: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    numbers = mix(np.arange(1, 2 * n + 1, dtype=np.uint64) * BASE + mix(np.array([seed], np.uint64)))
    short = (numbers >> np.uint64(32)).astype(np.uint32)
    return short[:n] | np.uint32(1), short[n:]


def hamming_bits(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    """How many bits differ: int64 [...], for uint8 [..., byte] hashes that broadcast against each other.

    >>> int(hamming_bits(np.array([0b1010], np.uint8), np.array([0b0110], np.uint8)))
    2
    """
    differing: np.ndarray = np.bitwise_count(one ^ other).sum(axis=-1, dtype=np.int64)
    return differing
