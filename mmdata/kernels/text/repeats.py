"""How much of a text repeats itself: lines, paragraphs, n-grams of words."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import numpy as np

from mmdata.kernels.hashing import BASE, mix


def repeated(pieces: Sequence[str]) -> tuple[int, int]:
    """How many pieces stood there before, and how many characters these have.

    >>> repeated(["a", "bc", "bc", "bc"])
    (2, 4)
    """
    once = set(pieces)
    return len(pieces) - len(once), sum(map(len, pieces)) - sum(map(len, once))


def gram_codes(codes: np.ndarray, most: int) -> Iterator[np.ndarray]:
    """A number for each run of n tokens, equal for equal runs: uint64 [max(0, token - n + 1)], for n = 1, 2 ... `most`.

    A polynomial modulo 2**64, one multiplication a step. Codes are hashes already, so nothing more is to be mixed.

    Args:
        codes: uint64 [token], of `Tokens.codes`.
        most: the largest n.
    """
    grams = codes
    yield grams
    for n in range(1, most):
        grams = grams[:-1] * BASE + codes[n:]
        yield grams


def top_gram_chars(grams: np.ndarray, lengths: np.ndarray) -> int:
    """Characters that all occurrences of the most frequent n-gram have together; of several, of the first to come.

    Args:
        grams: uint64 [n-gram], at least one.
        lengths: int64 [n-gram], characters of each.
    """
    ordered = np.sort(grams)
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    counts = np.diff(starts, append=len(ordered))
    most = int(counts.max())
    if most == 1:
        return int(lengths[0])
    frequent = ordered[starts[counts == most]]
    first = (grams == frequent[0] if len(frequent) == 1 else np.isin(grams, frequent)).argmax()
    return int(lengths[first]) * most


def repeated_places(grams: np.ndarray, among: np.ndarray | None = None) -> np.ndarray:
    """Where n-grams stand that occur more than once: int64 [place], ascending.

    Args:
        grams: uint64 [n-gram].
        among: int64 [place], ascending: places that alone need be looked at; None is all.
    """
    looked_at = grams if among is None else grams[among]
    ordered = np.sort(looked_at)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    if not len(twice):
        return np.empty(0, np.int64)
    found = np.flatnonzero(np.isin(looked_at, twice))
    return found if among is None else among[found]


def longer_places(places: np.ndarray, more: int, n_grams: int) -> np.ndarray:
    """Where runs that are `more` tokens longer may repeat, from where n-grams do: a run's ends repeat with it.

    Args:
        places: int64 [place], ascending, of `repeated_places`.
        more: tokens.
        n_grams: how many of the longer runs there are.
    """
    if not more:
        return places
    both: np.ndarray = places[np.isin(places + more, places, assume_unique=True)]
    return both[both < n_grams]


def repeated_gram_chars(grams: np.ndarray, lengths: np.ndarray, n: int, places: np.ndarray) -> int:
    """Characters of n-grams that occurred before, where none of them overlaps another: one that is counted is skipped.

    Args:
        grams: uint64 [n-gram].
        lengths: int64 [n-gram], characters of each.
        n: tokens of each.
        places: int64 [place], of `repeated_places`.
    """
    chars, free = 0, 0
    seen: set[int] = set()
    for place, gram, length in zip(places.tolist(), grams[places].tolist(), lengths[places].tolist(), strict=True):
        if place < free:
            continue
        if gram in seen:
            chars, free = chars + length, place + n
        else:
            seen.add(gram)
    return chars


def window_sums(values: np.ndarray, n: int) -> np.ndarray:
    """The sums over each n values in a row: int64 [max(0, value - n + 1)].

    >>> window_sums(np.array([1, 2, 3, 4]), 2)
    array([3, 5, 7])
    """
    sums = np.concatenate([[0], np.cumsum(values)])
    found: np.ndarray = sums[n:] - sums[:-n]
    return found


def repeated_runs(words: Sequence[str], n: int) -> np.ndarray:
    """Which words stand in a run of n words that stood before, not overlapping it: bool [word].

    Hashes of 64 bits stand for runs.

    >>> repeated_runs("a b c x a b c y".split(), 3).nonzero()[0]
    array([4, 5, 6])
    """
    found = np.zeros(len(words), bool)
    if len(words) < 2 * n:
        return found
    numbers: dict[str, int] = {}
    codes = mix(np.array([numbers.setdefault(word, len(numbers)) for word in words], np.uint64) + np.uint64(1))
    grams = deque(gram_codes(codes, n), maxlen=1)[0]
    _, first, which = np.unique(grams, return_index=True, return_inverse=True)
    starts = np.flatnonzero(first[which] + n <= np.arange(len(grams)))
    edges = np.zeros(len(words) + 1, np.int64)
    np.add.at(edges, starts, 1)
    np.add.at(edges, starts + n, -1)
    found[:] = np.cumsum(edges[:-1]) > 0
    return found
