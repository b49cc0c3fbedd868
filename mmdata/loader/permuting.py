"""Permutations that a key fixes, on every machine and in every version."""

from __future__ import annotations

import hashlib

import numpy as np


def permutation(n: int, *key: int | str) -> np.ndarray:
    """A permutation of range(n) fixed by the key: int64 [n].

    Numbers are ordered by a hash (SplitMix64's finalizer, Steele et al. 2014) of themselves and of the key. numpy's own
    shuffles may change from version to version (NEP 19), and a resumed run must not.

    >>> permutation(5, 7, "chunks").tolist() == permutation(5, 7, "chunks").tolist()
    True
    """
    digest = hashlib.blake2b("\x00".join(str(part) for part in key).encode(), digest_size=8).digest()
    numbers = np.arange(1, n + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    mixed = _mix(_mix(numbers) ^ np.uint64(int.from_bytes(digest, "little")))
    return np.argsort(mixed, kind="stable").astype(np.int64, copy=False)


def _mix(state: np.ndarray) -> np.ndarray:
    state = (state ^ (state >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    state = (state ^ (state >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(state ^ (state >> np.uint64(31)))
