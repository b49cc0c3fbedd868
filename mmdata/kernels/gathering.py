"""Gathering values of one size from wherever they lie in memory."""

from __future__ import annotations

import ctypes
from functools import lru_cache

import numpy as np

LARGE_BYTES = 16_384  # values above this are copied one by one, which then costs no more
_FIRST = 4096  # no address is lower: the first page of a process is never mapped
_SPAN = 1 << 48  # of the addresses that a process of 64 bits has


def gather(addresses: np.ndarray, item_bytes: int) -> np.ndarray:
    """Copy values that lie anywhere in this process's memory into one new array.

    All at once: a call of numpy's for every buffer that they come from cost as much as the copying, with batches that
    draw on many buffers.

    Args:
        addresses: int64 [row], where each value's first byte is. The caller answers for them: the memory is there,
            and stays while this runs.
        item_bytes: the size of every value, at least 1.

    Returns:
        Opaque items (dtype V), [row].

    >>> numbers = np.arange(6, dtype=np.int32)
    >>> gather(numbers.ctypes.data + np.array([8, 0, 16]), 8).view(np.int32).tolist()
    [2, 3, 0, 1, 4, 5]
    """
    if item_bytes <= LARGE_BYTES:
        return np.asarray(_memory(item_bytes)[addresses - _FIRST])
    made = np.empty(len(addresses), f"V{item_bytes}")
    start = made.ctypes.data
    for row, address in enumerate(addresses.tolist()):
        ctypes.memmove(start + row * item_bytes, address, item_bytes)
    return made


class _Memory:
    """The whole memory as overlapping values, one from every byte on."""

    def __init__(self, item_bytes: int) -> None:
        self.__array_interface__ = {
            "version": 3,
            "data": (_FIRST, True),
            "shape": (_SPAN,),
            "strides": (1,),
            "typestr": f"|V{item_bytes}",
        }


@lru_cache(64)
def _memory(item_bytes: int) -> np.ndarray:
    return np.asarray(_Memory(item_bytes))
