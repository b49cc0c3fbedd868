"""Pairs that are near, against all compared with all."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import MissingExtra
from mmdata.kernels.audio.landmarks import overlap
from mmdata.kernels.hashing import hamming_bits
from mmdata.select.clusters import Clusters
from mmdata.select.dedup import bits, neighbours, overlaps
from mmdata.select.dedup.semantic import exact_pairs
from mmdata.select.dedup.text import bands

Pairs = Iterator[tuple[np.ndarray, np.ndarray]]


def as_set(found: Pairs) -> set[tuple[int, int]]:
    return {tuple(sorted(pair)) for one, other in found for pair in zip(one.tolist(), other.tolist(), strict=True)}


def flipped(n: int, size: int, seed: int) -> np.ndarray:
    """Hashes in families: of each hash there are copies with a few bits flipped."""
    random = np.random.default_rng(seed)
    hashes = random.integers(0, 256, (n // 4, size), np.uint8).repeat(4, axis=0)
    for row in hashes:
        for bit in random.integers(0, size * 8, random.integers(0, 9)):
            row[bit // 8] ^= np.uint8(1 << bit % 8)
    return np.unique(hashes, axis=0)


@pytest.mark.parametrize("size", [2, 8, 32])
@pytest.mark.parametrize("max_bits", [0, 3, 4, 7, 11, 33])
@pytest.mark.parametrize("few", [0, 1 << 20])
def test_every_pair_of_hashes_within_the_distance_is_found(
    size: int, max_bits: int, few: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(bits, "FEW", few)
    monkeypatch.setattr(bits, "PAIRS", 997)  # several pieces
    hashes = flipped(240, size, seed=size + max_bits)
    far = hamming_bits(hashes[:, None], hashes[None])
    expected = {(one, other) for one, other in combinations(range(len(hashes)), 2) if far[one, other] <= max_bits}
    assert as_set(bits.near_pairs(hashes, max_bits)) == expected
    assert expected or max_bits == 0


def test_one_hash_and_none_have_no_pairs() -> None:
    assert as_set(bits.near_pairs(np.zeros((1, 8), np.uint8), 6)) == set()
    assert as_set(bits.near_pairs(np.zeros((0, 8), np.uint8), 6)) == set()


SETS = st.lists(st.sets(st.integers(0, 25), max_size=12), min_size=1, max_size=14)


def joined(sets: list[set[int]]) -> tuple[np.ndarray, np.ndarray]:
    values = np.array([value for each in sets for value in sorted(each)], np.uint32)
    return values, np.cumsum([0, *map(len, sets)]).astype(np.int64)


@given(
    sets=SETS, least=st.sampled_from([0.25, 0.5, 1.0]), min_common=st.integers(1, 4), hits=st.sampled_from([3, 1 << 20])
)
@settings(deadline=None)
def test_sets_that_share_enough_are_found_as_by_comparing_all(
    sets: list[set[int]], least: float, min_common: int, hits: int
) -> None:
    before, overlaps.HITS = overlaps.HITS, hits
    try:
        found = as_set(overlaps.overlapping(*joined(sets), least, min_common))
    finally:
        overlaps.HITS = before
    arrays = [np.array(sorted(each), np.uint32) for each in sets]
    assert found == {
        (one, other)
        for one, other in combinations(range(len(sets)), 2)
        if overlap(arrays[one], arrays[other]) >= least and len(sets[one] & sets[other]) >= min_common
    }


def test_of_many_sets_a_sample_of_their_items_finds_the_pairs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(overlaps, "MANY", 100)
    random = np.random.default_rng(3)
    originals = [set(random.integers(0, 1 << 18, 600).tolist()) for _ in range(150)]
    copies = [
        set(random.permutation(sorted(each))[:330].tolist()) | set(range(n, n + 250))
        for n, each in enumerate(originals)
    ]
    found = as_set(overlaps.overlapping(*joined(originals + copies), 0.45, 12))
    copied = {(n, n + 150) for n in range(150)}
    assert copied <= found
    assert all(b - a == 150 or a >= 150 for a, b in found)  # the copies' own items are alike, among neighbours


@pytest.mark.parametrize("similarity", [0.5, 0.7, 0.8, 0.9])
def test_bands_find_what_their_formula_says(similarity: float) -> None:
    """Signatures whose places agree with the probability that the sets' similarity says."""
    random = np.random.default_rng(int(similarity * 10))
    n = 4000
    one = random.integers(0, 1 << 32, (n, 128), np.uint32)
    other = np.where(random.random((n, 128)) < similarity, one, random.integers(0, 1 << 32, (n, 128), np.uint32))
    alike = np.zeros(n, bool)
    for keys in bands(np.concatenate([one, other]), 14, 9):
        alike |= keys[:n] == keys[n:]
    expected = 1 - (1 - similarity**9) ** 14
    assert abs(alike.mean() - expected) <= 4 * (expected * (1 - expected) / n) ** 0.5 + 1e-9


def test_texts_without_words_have_no_band() -> None:
    signatures = np.full((2, 128), 2**32 - 1, np.uint32)
    assert all(not keys.any() for keys in bands(signatures, 14, 9))


def units(n: int, seed: int = 0) -> np.ndarray:
    """Unit vectors, each four times with a little noise."""
    random = np.random.default_rng(seed)
    values = random.normal(size=(n // 4, 32)).repeat(4, axis=0) + random.normal(size=(n, 32)) * 0.15
    found: np.ndarray = (values / np.linalg.norm(values, axis=1, keepdims=True)).astype(np.float32)
    return found


def test_all_pairs_of_near_vectors_are_found_over_all_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.select.dedup.semantic.BLOCK", 37)
    vectors = units(200)
    among = np.arange(0, 200, 1)[::-1].copy()
    cosines = vectors @ vectors.T
    expected = {pair for pair in combinations(range(200), 2) if cosines[pair] >= 0.97}
    assert 50 < len(expected) < 300
    assert as_set(exact_pairs(vectors, among, 0.97)) == expected
    assert as_set(exact_pairs(vectors, among[:0], 0.97)) == set()


def test_an_index_finds_nearly_all_that_comparing_finds() -> None:
    pytest.importorskip("usearch")
    vectors = units(4000)
    among = np.arange(4000)
    clusters = []
    for found in (exact_pairs(vectors, among, 0.95), neighbours.indexed_pairs(vectors, among, 0.95, 16)):
        made = Clusters(4000)
        for one, other in found:
            made.join(one, other)
        clusters.append(made.labels())
    assert (clusters[0] == clusters[1]).mean() >= 0.999


def test_an_index_that_is_not_installed_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(MissingExtra, match=r"mmdata\[semantic\]"):
        next(neighbours.indexed_pairs(units(8), np.arange(8), 0.9, 4))
