"""Samples that must not be apart: groups, what becomes of them as they merge, and how strata are dealt."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from mmdata.select.clusters import Clusters


@dataclass(frozen=True)
class History:
    """What an earlier selection of the same name and settings said of the samples that there are now.

    Args:
        splits: int64 [sample], the split that a sample was used in, by its number; -1 where it was in none.
        since: int64 [sample], the number of the selection that saw it first; -1 where none did.
        number: of the selection that is being made.
    """

    splits: np.ndarray
    since: np.ndarray
    number: int

    @classmethod
    def none(cls, n: int) -> History:
        """Before the first selection."""
        return cls(np.full(n, -1), np.full(n, -1), 0)


@dataclass(frozen=True)
class Dealt:
    """Which split each sample is in.

    Args:
        splits: int64 [sample], by number.
        moved: bool [sample]: it was used in this split, and its group is in another now.
        since: int64 [sample], as in `History`, with the new ones; None where splits hang on no history.
    """

    splits: np.ndarray
    moved: np.ndarray
    since: np.ndarray | None = None


def components(n: int, codes: Sequence[np.ndarray]) -> np.ndarray:
    """Which samples are together, where equal codes of any kind keep them so: int64 [sample].

    Args:
        n: how many samples.
        codes: int64 [sample] each; below 0 it keeps a sample with nobody.
    """
    groups = Clusters(n)
    for each in codes:
        rows = np.flatnonzero(each >= 0)
        groups.join_equal(each[rows], rows)
    return groups.labels()


def deal_groups(groups: np.ndarray, splits: np.ndarray, places: np.ndarray, history: History) -> Dealt:
    """Deal groups that may merge as samples come: a group goes where its oldest member is.

    The oldest is the one that was used first; of those seen at once, the one with the lowest place. Members that were
    used in another split would change sides: they are named in `moved`, to be left out.

    Args:
        groups: int64 [sample].
        splits: int64 [sample], the split that each sample's own place falls to.
        places: uint64 [sample].
        history: what was said before.
    """
    since = np.where(history.since < 0, history.number, history.since)
    known = history.splits >= 0
    order = np.lexsort((places, since, ~known, groups))
    first = np.concatenate([[True], groups[order][1:] != groups[order][:-1]]) if len(order) else np.zeros(0, bool)
    oldest = order[np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))]
    dealt = np.empty(len(groups), np.int64)
    dealt[order] = np.where(known, history.splits, splits)[oldest]
    return Dealt(np.where(known, history.splits, dealt), known & (history.splits != dealt), since)


def deal_strata(groups: np.ndarray, strata: np.ndarray, places: np.ndarray, shares: Sequence[float]) -> Dealt:
    """Deal the groups of each stratum by the shares, to within two groups, and all of them together to within one.

    A group of several strata counts for the one that most of its members have. Within a stratum, groups are dealt in
    the order of the least of their members' places.

    Args:
        groups: int64 [sample].
        strata: int64 [sample].
        places: uint64 [sample].
        shares: of each split.
    """
    names, inverse = np.unique(groups, return_inverse=True)
    least = np.full(len(names), np.iinfo(np.uint64).max)
    np.minimum.at(least, inverse, places)
    most = _most_common(inverse, strata, len(names))
    order = np.lexsort((least, most))
    ends = np.cumsum(np.unique(most, return_counts=True)[1])
    counts = np.diff(_apportioned(np.concatenate([[0], ends]), shares), axis=0)  # [stratum, split]
    by_group = np.empty(len(names), np.int64)
    by_group[order] = np.repeat(np.tile(np.arange(len(shares)), len(counts)), counts.ravel())
    return Dealt(by_group[inverse], np.zeros(len(groups), bool))


def _most_common(groups: np.ndarray, strata: np.ndarray, n: int) -> np.ndarray:
    """The stratum that most members of each group have, the least where several do: int64 [group]."""
    pairs, counts = np.unique(np.stack([groups, strata]), axis=1, return_counts=True)
    order = np.lexsort((-pairs[1], counts, pairs[0]))  # the last of each group is the one
    found = np.empty(n, np.int64)
    found[pairs[0][order]] = pairs[1][order]
    return found


def _apportioned(totals: np.ndarray, shares: Sequence[float]) -> np.ndarray:
    """So many things shared out: int64 [total, split]. With a larger total no split gets fewer."""
    rest, left = totals.astype(np.int64), sum(shares)
    found = []
    for share in shares[:-1]:
        part = np.floor(rest * min(1.0, share / left if left > 0 else 0.0) + 0.5).astype(np.int64)
        part = np.minimum(part, rest)
        found.append(part)
        rest, left = rest - part, left - share
    return np.stack([*found, rest], axis=1)
