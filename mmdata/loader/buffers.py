"""Memory of batches that is used again once nobody holds the batch any more.

A batch of pictures is tens of megabytes. The system hands such memory out page by page, each zeroed first, which takes
a tenth of the time that decoding takes; and what is freed goes straight back to it.
"""

from __future__ import annotations

import sys
from threading import Lock

import numpy as np

_OWN_REFERENCES = 3  # of a buffer that nobody uses: the list's, the loop's, and the count's own
WORTH_BYTES = 1 << 20  # smaller ones come from the allocator's own free memory


class Buffers:
    """Gives arrays out, and takes their memory again when the last view of it is gone. Safe to use from threads.

    Whoever holds an array, a view of it or a tensor over it, holds a reference to the buffer below: that is how it is
    known to be in use, and why batches are the caller's own for as long as they are wanted.

    Args:
        kept_bytes: of memory to remember; what is beyond that is forgotten, oldest first.
        n_items: arrays of fewer items get memory for so many, so that all of an item's size fit into each other's.
    """

    def __init__(self, kept_bytes: int, *, n_items: int = 0) -> None:
        self._kept_bytes, self._n_items = kept_bytes, n_items
        self._buffers: list[np.ndarray] = []
        self._lock = Lock()

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[np.generic]) -> np.ndarray:
        """An array that holds anything."""
        n_bytes = int(np.prod(shape, dtype=np.int64)) * dtype.itemsize
        if n_bytes < WORTH_BYTES:
            return np.empty(shape, dtype)
        with self._lock:
            buffer = self._free(n_bytes, max(n_bytes, self._n_items * dtype.itemsize))
        return buffer[:n_bytes].view(dtype).reshape(shape)

    def _free(self, n_bytes: int, usual: int) -> np.ndarray:
        for buffer in self._buffers:
            if n_bytes <= buffer.nbytes <= 2 * usual and sys.getrefcount(buffer) == _OWN_REFERENCES:
                return buffer
        made = np.empty(usual, np.uint8)
        self._buffers.append(made)
        while sum(each.nbytes for each in self._buffers) > self._kept_bytes:
            self._buffers.pop(0)
        return made
