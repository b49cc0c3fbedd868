"""Values that wait for a model, by like cost: which of them go together."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Generic, Protocol, TypeVar

LIKE = 1.25  # costs of one bucket differ by no more, so that padding is at most a quarter


class Costly(Protocol):
    """What is grouped."""

    cost: int
    nbytes: int


Item = TypeVar("Item", bound=Costly)
Fits = Callable[[int, int], int]  # how many values of at most that cost and those bytes may go together


class Groups(Generic[Item]):
    """Values in the order in which they came, in buckets by like cost.

    Args:
        fits: how many values may go together, given the largest cost and the most bytes among them.
    """

    def __init__(self, fits: Fits) -> None:
        self._fits = fits
        self._buckets: dict[int, list[Item]] = {}
        self._largest: dict[int, tuple[int, int]] = {}

    def __bool__(self) -> bool:
        return bool(self._buckets)

    def add(self, item: Item) -> None:
        index = _bucket(item.cost)
        cost, nbytes = self._largest.get(index, (0, 0))
        self._largest[index] = max(cost, item.cost), max(nbytes, item.nbytes)
        self._buckets.setdefault(index, []).append(item)

    def full(self) -> list[Item] | None:
        """A group that is as large as may be; None while there is none."""
        for index, bucket in self._buckets.items():
            n = self._fits(*self._largest[index])
            if len(bucket) >= n:
                return self._taken(index, n)
        return None

    def around(self, item: Item) -> list[Item]:
        """The largest group that has an item in it: others of its bucket, then cheaper ones, down to half its cost."""
        index = _bucket(item.cost)
        self._buckets[index].remove(item)
        self._buckets[index].insert(0, item)
        cost, nbytes = self._largest[index]
        group = self._taken(index, self._fits(cost, nbytes))
        for lower in sorted((each for each in self._buckets if each < index), reverse=True):
            lowest, most_bytes = self._largest[lower]
            room = self._fits(cost, max(nbytes, most_bytes)) - len(group)
            if room < 1 or 2 * lowest < cost:
                break
            group += self._taken(lower, room)
        return group

    def costliest(self) -> Item:
        """One of the most expensive items that wait."""
        return self._buckets[max(self._buckets)][0]

    def _taken(self, index: int, n: int) -> list[Item]:
        bucket = self._buckets[index]
        group, rest = bucket[:n], bucket[n:]
        if rest:
            self._buckets[index] = rest
        else:
            del self._buckets[index], self._largest[index]
        return group


def _bucket(cost: int) -> int:
    return int(math.log(cost) / math.log(LIKE))
