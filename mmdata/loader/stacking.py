"""Arrays of a batch, as threads bring them: stacked where they have one shape, padded where they don't."""

from __future__ import annotations

from math import prod
from threading import Lock

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError
from mmdata.loader.buffers import Buffers


class Stack:
    """One column's arrays of one batch. Threads put different rows at the same time.

    The first array's shape is taken for that of all: those that have it are written to their places at once, and only
    where another comes are rows copied a second time.

    Args:
        name: of the column. spec: what the arrays keep to. n_rows: how many there will be.
        buffers: where memory comes from. max_bytes: most that the padded batch may take.
    """

    def __init__(self, name: str, spec: ArraySpec, n_rows: int, buffers: Buffers, *, max_bytes: int) -> None:
        self._name, self._spec, self._buffers, self._max_bytes = name, spec, buffers, max_bytes
        self._dtype = np.dtype(spec.dtype)
        self._mask = np.zeros(n_rows, bool)
        self._sizes = np.zeros((n_rows, len(spec.dims)), np.int64)
        self._first: np.ndarray | None = None
        self._others: dict[int, np.ndarray] = {}
        self._longest = tuple(max(1, size or 0) for size in spec.shape) if spec.varying else None
        self._lock = Lock()

    def put(self, row: int, array: np.ndarray) -> None:
        """Take in a row's array. Raises ConfigError when the batch grows too large."""
        with self._lock:
            self._grow(array.shape)
            if self._first is None:
                self._first = self._buffers.empty((len(self._mask), *array.shape), self._dtype)
            is_usual = array.shape == self._first.shape[1:]
            if not is_usual:
                self._others[row] = array
        if is_usual:
            self._first[row] = array
        self._sizes[row] = array.shape
        self._mask[row] = True

    def _grow(self, shape: tuple[int, ...]) -> None:
        if self._longest is not None:
            self._longest = tuple(map(max, self._longest, shape))
        n_bytes = len(self._mask) * prod(self._longest or shape) * self._dtype.itemsize
        if n_bytes > self._max_bytes:
            raise ConfigError(
                "stream",
                [
                    f"max_bytes: a batch of {len(self._mask)} rows of {self._name!r}, padded to "
                    f"{' x '.join(map(str, self._longest or shape))}, takes {n_bytes >> 20:,} MiB, allowed are "
                    f"{self._max_bytes >> 20:,}: take a smaller batch_size, steps that bring them to one size, a "
                    f"decoder with limits, or a larger max_bytes"
                ],
            )

    def batch(self) -> dict[str, np.ndarray]:
        """NAME: [batch, *axes]; NAME.length where axes vary; NAME.mask. Once, when all rows are there."""
        found = {self._name: self.values(), f"{self._name}.mask": self._mask}
        varying = [axis for axis, size in enumerate(self._spec.shape) if size is None]
        if varying:
            sizes = self._sizes[:, varying]
            found[f"{self._name}.length"] = sizes[:, 0].copy() if len(varying) == 1 else sizes
        return found

    def values(self) -> np.ndarray:
        """The array alone. Once, when all rows are there."""
        shape = self._longest or tuple(size or 0 for size in self._spec.shape)
        first = self._first
        if first is None:
            return np.zeros((len(self._mask), *shape), self._dtype)
        usual = first.shape[1:] == shape
        values = first if usual else self._buffers.empty((len(self._mask), *shape), self._dtype)
        for row in range(len(self._mask)):
            array = self._others.get(row, first[row] if self._mask[row] else None)
            if array is None:
                values[row] = 0
            elif not usual or row in self._others:
                if array.shape != shape:
                    values[row] = 0
                values[row][tuple(map(slice, array.shape))] = array
        return values
