"""Which rows belong together, as pairs of them become known."""

from __future__ import annotations

import numpy as np


class Clusters:
    """Rows in disjoint clusters that are joined by pairs, many at once; memory is 8 bytes a row.

    Union and find in whole arrays: every pass hooks the larger root of each pair to the smaller one, and shortens all
    paths to their roots (Shiloach and Vishkin, "An O(log n) parallel connectivity algorithm", 1982).

    >>> clusters = Clusters(5)
    >>> clusters.join(np.array([0, 3]), np.array([4, 1]))
    >>> clusters.labels().tolist()
    [0, 1, 2, 1, 0]
    """

    def __init__(self, n: int) -> None:
        self._parent: np.ndarray = np.arange(n, dtype=np.int64)

    def __len__(self) -> int:
        return len(self._parent)

    def join(self, one: np.ndarray, other: np.ndarray) -> None:
        """Put rows into one cluster, pair by pair: int64 [pair] each."""
        first, second = self._roots(one), self._roots(other)
        while True:
            apart = first != second
            if not apart.any():
                return
            first, second = first[apart], second[apart]
            np.minimum.at(self._parent, np.maximum(first, second), np.minimum(first, second))
            self._shorten(np.concatenate([first, second]))
            first, second = self._parent[first], self._parent[second]

    def join_equal(self, values: np.ndarray, rows: np.ndarray | None = None) -> None:
        """Put rows of equal values into one cluster.

        Args:
            values: of a type that can be sorted [row].
            rows: int64 [row], whose values they are; None is all rows.
        """
        order = np.argsort(values, kind="stable")
        if not len(order):
            return
        is_first = np.concatenate([[True], values[order[1:]] != values[order[:-1]]])
        first = np.maximum.accumulate(np.where(is_first, np.arange(len(order)), 0))
        at = order if rows is None else rows[order]
        self.join(at[first[~is_first]], at[~is_first])

    def together(self, one: int, other: int) -> bool:
        """Whether two rows are in one cluster by now."""
        roots = self._roots(np.array([one, other]))
        return bool(roots[0] == roots[1])

    def _roots(self, rows: np.ndarray) -> np.ndarray:
        """The root of each row's cluster; rows are hooked to it."""
        found: np.ndarray = self._parent[rows]
        while True:
            above = self._parent[found]
            if (above == found).all():
                break
            found = above
        self._parent[rows] = found
        return found

    def _shorten(self, roots: np.ndarray) -> None:
        """Hook what were roots to the roots that they have now: each pass halves all paths among them."""
        while True:
            above = self._parent[self._parent[roots]]
            if (above == self._parent[roots]).all():
                return
            self._parent[roots] = above

    def labels(self) -> np.ndarray:
        """The least row of each row's cluster: int64 [row]."""
        while ((above := self._parent[self._parent]) != self._parent).any():
            self._parent = above
        return self._parent
