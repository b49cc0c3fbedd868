"""Hashes of bits that differ in few of them: all pairs, found without comparing all with all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np

PAIRS = 1 << 21  # candidates that are looked at at once
FEW = 8192  # hashes that are compared all with all
CHUNK_BITS = 16


def near_pairs(hashes: np.ndarray, max_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of hashes that differ in at most so many bits, none missed; a pair may come several times.

    Of m chunks of two hashes at a distance d, one differs in at most d // m bits (Norouzi, Punjani and Fleet, "Fast
    exact search in Hamming space with multi-index hashing", 2014). So for each chunk of 16 bits, all hashes are looked
    up whose chunk is that near. Few hashes are compared all with all.

    Args:
        hashes: uint8 [row, byte], each row another; an even number of bytes.
        max_bits: most bits that differ.
    """
    n, n_chunks = len(hashes), hashes.shape[1] * 8 // CHUNK_BITS
    if n < 2:
        return
    words = _words(hashes)
    if n <= FEW or max_bits // n_chunks > 3:
        yield from _all_pairs(words, max_bits)
        return
    chunks = np.ascontiguousarray(hashes).view(np.uint16)
    masks = _masks(max_bits // n_chunks)
    for chunk in chunks.T:
        order = np.argsort(chunk, kind="stable")
        starts = np.searchsorted(chunk[order], np.arange((1 << CHUNK_BITS) + 1))
        for mask in masks:
            wanted = (chunk ^ mask).astype(np.int64)
            yield from _looked_up(words, words, order, starts[wanted], starts[wanted + 1], max_bits)


def near_between(queries: np.ndarray, hashes: np.ndarray, max_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """All pairs of a query and a hash that differ in at most so many bits, as `near_pairs` finds them.

    Args:
        queries: uint8 [query, byte]; an even number of bytes.
        hashes: uint8 [row, byte], of as many.
        max_bits: most bits that differ.
    """
    n_chunks = hashes.shape[1] * 8 // CHUNK_BITS
    mine, theirs = _words(queries), _words(hashes)
    if len(mine) * len(theirs) <= FEW * FEW or max_bits // n_chunks > 3:
        step = max(1, PAIRS // max(1, len(theirs)))
        for start in range(0, len(mine), step):
            one, other = np.nonzero(_distance(mine[start : start + step, None], theirs[None]) <= max_bits)
            yield start + one, other
        return
    asked = np.ascontiguousarray(queries).view(np.uint16).T
    for wanted, chunk in zip(asked, np.ascontiguousarray(hashes).view(np.uint16).T, strict=True):
        order = np.argsort(chunk, kind="stable")
        starts = np.searchsorted(chunk[order], np.arange((1 << CHUNK_BITS) + 1))
        for mask in _masks(max_bits // n_chunks):
            at = (wanted ^ mask).astype(np.int64)
            yield from _looked_up(mine, theirs, order, starts[at], starts[at + 1], max_bits)


def _words(hashes: np.ndarray) -> np.ndarray:
    """As whole words: uint64 [row, word]."""
    n, size = hashes.shape
    padded = np.zeros((n, -(-size // 8) * 8), np.uint8)
    padded[:, :size] = hashes
    words: np.ndarray = padded.view(np.uint64)
    return words


def _masks(most: int) -> list[np.uint16]:
    """All numbers of 16 bits of which at most so many are set."""
    return [
        np.uint16(sum(1 << bit for bit in bits)) for n in range(most + 1) for bits in combinations(range(CHUNK_BITS), n)
    ]


def _distance(one: np.ndarray, other: np.ndarray) -> np.ndarray:
    found: np.ndarray = np.bitwise_count(one[..., 0] ^ other[..., 0]).astype(np.int16)
    for word in range(1, one.shape[-1]):
        found += np.bitwise_count(one[..., word] ^ other[..., word])
    return found


def _all_pairs(words: np.ndarray, max_bits: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    step = max(1, PAIRS // len(words))
    for start in range(0, len(words), step):
        one, other = np.nonzero(_distance(words[start : start + step, None], words[None, start:]) <= max_bits)
        later = other > one
        yield start + one[later], start + other[later]


def _looked_up(
    mine: np.ndarray, theirs: np.ndarray, order: np.ndarray, low: np.ndarray, high: np.ndarray, max_bits: int
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of each row with those of `order` from low to high, in pieces of bounded size; of the same rows, once."""
    counts = high - low
    ends = np.cumsum(counts)
    total, start = int(ends[-1]), 0
    while start < total:
        stop = min(total, start + PAIRS)
        at = np.arange(start, stop)
        one = np.searchsorted(ends, at, side="right")
        other = order[low[one] + at - (ends[one] - counts[one])]
        if mine is theirs:
            fits = other > one
            one, other = one[fits], other[fits]
        near = _distance(mine[one], theirs[other]) <= max_bits
        yield one[near], other[near]
        start = stop
