from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.select.clusters import Clusters

PAIRS = st.lists(st.tuples(st.integers(0, 30), st.integers(0, 30)), max_size=60)


def one_by_one(n: int, pairs: list[tuple[int, int]]) -> list[int]:
    """The same, a pair at a time."""
    labels = list(range(n))
    for one, other in pairs:
        low, high = sorted((labels[one], labels[other]))
        labels = [low if label == high else label for label in labels]
    return labels


@given(batches=st.lists(PAIRS, max_size=4))
@settings(deadline=None)
def test_pairs_make_the_clusters_that_they_would_one_by_one(batches: list[list[tuple[int, int]]]) -> None:
    clusters = Clusters(31)
    for pairs in batches:
        both = np.array(pairs, np.int64).reshape(-1, 2)
        clusters.join(both[:, 0], both[:, 1])
    assert clusters.labels().tolist() == one_by_one(31, [pair for pairs in batches for pair in pairs])


@given(values=st.lists(st.integers(0, 5), max_size=40))
@settings(deadline=None)
def test_equal_values_are_one_cluster(values: list[int]) -> None:
    clusters = Clusters(len(values))
    clusters.join_equal(np.array(values, np.int64))
    assert clusters.labels().tolist() == [values.index(value) for value in values]


def test_only_the_rows_named_are_joined() -> None:
    clusters = Clusters(6)
    clusters.join_equal(np.array([7, 8, 7]), np.array([5, 1, 2]))
    assert clusters.labels().tolist() == [0, 1, 2, 3, 4, 2]


@pytest.mark.parametrize("order", ["rising", "falling", "mixed"])
def test_a_chain_of_a_hundred_thousand_is_one_cluster(order: str) -> None:
    n = 100_000
    ring = np.arange(n) if order != "falling" else np.arange(n)[::-1]
    ring = np.random.default_rng(1).permutation(n) if order == "mixed" else ring
    clusters = Clusters(n)
    clusters.join(ring[:-1], ring[1:])
    assert len(clusters) == n
    assert not clusters.labels().any()
