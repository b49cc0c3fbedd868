"""Sets that have much in common: candidates by a sample of what they hold, decided by all of it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from mmdata.kernels.hashing import mix

HITS = 1 << 22  # places where a set's item is found in another set, that are looked at at once
MEAN_ITEMS = 64.0  # items of a set that are looked up, on average, where sets are many
DEVIATIONS = 4.0
MANY = 4096  # sets, from which on a sample of the items is looked up


def overlapping(
    values: np.ndarray, starts: np.ndarray, least: float, min_common: int, chance: float = 0.0
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Pairs of sets that share at least a part of the smaller one.

    Each set's items are looked up in a list of who has which. Of many sets only items whose hash is low are, the same
    ones in all sets; who shares at least half as many as must be shared then is compared by all items. Memory is
    that of the items, twice, and of `HITS`.

    Args:
        values: uint32 [item], those of each set together, rising, each once.
        starts: int64 [set + 1], where each set's items begin.
        least: the share of the smaller set's items that must be in the larger one, of those that are not there by
            chance.
        min_common: the fewest items that must be shared: small sets have some in common with large ones by chance.
        chance: that an item of one set is a given item of another, which it has nothing to do with. Of a set of n
            items, n * chance of any other set are expected in it. These are taken off, and what is beyond must be
            `DEVIATIONS` of what chance would give.

    Yields:
        The places of the sets, int64 [pair] each.
    """
    sizes = np.diff(starts)
    owners = np.repeat(np.arange(len(sizes)), sizes)
    sampled = np.flatnonzero((sizes >= min_common)[owners])
    share = 1.0
    if len(sizes) > MANY:
        share = min(1.0, MEAN_ITEMS / max(1.0, float(sizes.mean())))
        hashed = mix(values[sampled].astype(np.uint64)) >> np.uint64(11)
        sampled = sampled[hashed < np.uint64(int(share * (1 << 53)))]
    items, owners = values[sampled], owners[sampled]
    order = np.argsort(items, kind="stable")  # within an item, owners rise
    items, owners = items[order], owners[order]
    last = np.searchsorted(items, items, side="right")  # an item is looked up in the sets after its own
    by_owner = np.argsort(owners, kind="stable")
    counts = (last - 1 - np.arange(len(items)))[by_owner]
    of_owner = np.concatenate([[0], np.cumsum(np.bincount(owners[by_owner], weights=counts, minlength=len(sizes)))])
    first_of = np.searchsorted(owners[by_owner], np.arange(len(sizes) + 1))
    for low, high in _blocks(of_owner.astype(np.int64)):
        mine = by_owner[first_of[low] : first_of[high]]
        many = last[mine] - 1 - mine
        at = np.repeat(mine + 1 - (np.cumsum(many) - many), many) + np.arange(int(many.sum()))
        one, other = np.repeat(owners[mine], many), owners[at]
        pairs, shared = np.unique(one * len(sizes) + other, return_counts=True)
        one, other = pairs // len(sizes), pairs % len(sizes)
        needed = _needed(sizes[one], sizes[other], least, min_common, chance)
        wanted = share * needed
        likely = shared >= (wanted if share == 1 else np.maximum(1.0, wanted / 2))
        one, other, needed = one[likely], other[likely], needed[likely]
        if share < 1:
            common = np.array([_common(values, starts, *pair) for pair in zip(one, other, strict=True)], np.int64)
            sure = common >= needed
            one, other = one[sure], other[sure]
        yield one, other


def _blocks(ends: np.ndarray) -> Iterator[tuple[int, int]]:
    """Ranges of sets whose hits together are at most `HITS`, or that are one set."""
    low, n = 0, len(ends) - 1
    while low < n:
        high = int(np.searchsorted(ends, ends[low] + HITS, side="right")) - 1
        high = min(n, max(low + 1, high))
        yield low, high
        low = high


def _needed(one: np.ndarray, other: np.ndarray, least: float, min_common: int, chance: float) -> np.ndarray:
    """How many items sets of these sizes must have in common: float64 [pair]."""
    smaller, larger = np.minimum(one, other).astype(np.float64), np.maximum(one, other)
    expected = smaller * np.minimum(0.9, larger * chance)
    needed = np.maximum(expected + least * (smaller - expected), expected + DEVIATIONS * np.sqrt(expected))
    return np.asarray(np.maximum(needed, min_common))


def _common(values: np.ndarray, starts: np.ndarray, one: int, other: int) -> int:
    first, second = values[starts[one] : starts[one + 1]], values[starts[other] : starts[other + 1]]
    return len(np.intersect1d(first, second, assume_unique=True))
