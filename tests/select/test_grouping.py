"""Splits that hang on groups which merge, and those that are balanced."""

from __future__ import annotations

from collections import defaultdict

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.select.grouping import Dealt, History, components, deal_groups, deal_strata
from mmdata.select.split import Split

SPLIT = Split(shares={"train": 0.5, "val": 0.25, "test": 0.25})
N = 24


def deal(links: list[tuple[int, int]], n: int, before: Dealt | None, left: np.ndarray | None = None) -> Dealt:
    """Deal the first n of N samples, of which some are linked, after an earlier deal."""
    keys = [f"k{number}" for number in range(n)]
    codes = []
    for one, other in links:
        if max(one, other) < n:
            code = np.full(n, -1)
            code[[one, other]] = 0
            codes.append(code)
    history = History.none(n)
    if before is not None and before.since is not None:
        used = np.full(n, -1)
        since = used.copy()
        m = len(before.splits)
        used[:m] = np.where(left, before.splits, -1) if left is not None else before.splits
        since[:m] = before.since
        history = History(used, since, int(before.since.max(initial=-1)) + 1)
    places = SPLIT.places(keys)
    return deal_groups(components(n, codes), SPLIT.deal(places), places, history)


LINKS = st.lists(st.tuples(st.integers(0, N - 1), st.integers(0, N - 1)), max_size=14)


@given(links=LINKS, sizes=st.lists(st.integers(1, N), min_size=1, max_size=4))
@settings(deadline=None)
def test_whatever_merges_no_group_straddles_and_nobody_used_moves(
    links: list[tuple[int, int]], sizes: list[int]
) -> None:
    """Samples come, links appear with them; the splits recorded are those that samples were used in."""
    dealt: Dealt | None = None
    used: dict[int, int] = {}
    for n in sorted(sizes):
        dealt = deal(links, n, dealt)
        groups = components(n, [np.where(np.isin(np.arange(n), pair), 0, -1) for pair in links if max(pair) < n])
        sides = defaultdict(set)
        for row, split in enumerate(dealt.splits.tolist()):
            assert used.setdefault(row, split) == split
            if not dealt.moved[row]:
                sides[groups[row]].add(split)
        assert all(len(found) == 1 for found in sides.values())
        assert all(used[row] not in sides[groups[row]] for row in np.flatnonzero(dealt.moved).tolist())


def test_when_groups_merge_all_go_where_the_oldest_is_and_those_who_would_move_are_named() -> None:
    before = deal([], 8, None)
    apart = next((a, b) for a in range(8) for b in range(a + 1, 8) if before.splits[a] != before.splits[b])
    after = deal([(apart[0], 8), (8, apart[1])], 9, before)
    keys = SPLIT.places([f"k{number}" for number in range(9)])
    oldest = min(apart, key=lambda row: keys[row])  # both were seen at once
    other = apart[0] + apart[1] - oldest
    assert after.splits[[oldest, 8]].tolist() == [before.splits[oldest]] * 2
    assert after.splits[other] == before.splits[other]
    assert np.flatnonzero(after.moved).tolist() == [other]
    assert after.since is not None
    assert after.since.tolist() == [0] * 8 + [1]


def test_one_that_was_never_used_may_change_sides() -> None:
    before = deal([], 8, None)
    apart = next((a, b) for a in range(8) for b in range(a + 1, 8) if before.splits[a] != before.splits[b])
    left = np.arange(8) != apart[1]  # it was left out then
    after = deal([apart], 8, before, left)
    assert not after.moved.any()
    assert after.splits[apart[1]] == before.splits[apart[0]]


@given(
    strata=st.lists(st.integers(0, 4), min_size=1, max_size=120),
    shares=st.sampled_from([(0.7, 0.15, 0.15), (0.5, 0.5), (0.0, 1.0), (0.2,) * 5]),
    seed=st.integers(0, 3),
)
@settings(deadline=None)
def test_each_stratum_is_shared_out_to_within_two_and_all_to_within_one(
    strata: list[int], shares: tuple[float, ...], seed: int
) -> None:
    n = len(strata)
    places = Split(seed=seed).places([str(row) for row in range(n)])
    dealt = deal_strata(np.arange(n), np.array(strata), places, shares).splits
    for share, split in zip(shares, range(len(shares)), strict=True):
        assert abs((dealt == split).sum() - share * n) <= 1
        for stratum in set(strata):
            here = np.array(strata) == stratum
            assert abs((dealt[here] == split).sum() - share * here.sum()) <= 2
            assert share > 0 or not (dealt[here] == split).any()


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 2)), min_size=1, max_size=60))
@settings(deadline=None)
def test_stratified_groups_are_never_apart(rows: list[tuple[int, int]]) -> None:
    groups, strata = (np.array(column) for column in zip(*rows, strict=True))
    dealt = deal_strata(groups, strata, Split().places([str(n) for n in range(len(rows))]), (0.5, 0.5)).splits
    assert all(len(set(dealt[groups == group].tolist())) == 1 for group in set(groups.tolist()))


def test_a_group_counts_for_the_stratum_of_most_of_its_members() -> None:
    groups = np.repeat(np.arange(40), 3)
    strata = np.tile([0, 1, 1], 40)
    strata[:60] = np.tile([0, 0, 1], 20)
    dealt = deal_strata(groups, strata, Split().places([str(n) for n in range(120)]), (0.5, 0.5)).splits[::3]
    assert (dealt[:20] == 0).sum() == (dealt[20:] == 0).sum() == 10


def test_shares_are_met_within_three_deviations_of_chance_but_in_one_of_many_deals() -> None:
    """For 200 sets of 1,000 groups; which hang on nothing but the hash, so that the count never changes."""
    outside = 0
    for seed in range(200):
        dealt = Split(seed=seed).deal(Split(seed=seed).places([f"k{number}" for number in range(1000)]))
        for share, split in ((0.7, 0), (0.15, 1), (0.15, 2)):
            outside += abs((dealt == split).mean() - share) > 3 * (share * (1 - share) / 1000) ** 0.5
    assert outside <= 6  # of 600; chance gives 1.6
