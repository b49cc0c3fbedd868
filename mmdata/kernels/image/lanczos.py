"""Lanczos resampling to the bit of Pillow's, which image hashes are defined by, as products of matrices."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

_LOBES = 3.0  # on each side of the filter
_ONE = 1 << 22  # a weight of 1, as Pillow rounds them for pictures of 8 bits
_TOGETHER = 8  # new positions whose old ones are multiplied at once: their windows overlap for the most part
_ROWS_BYTES = 1 << 20  # of a picture as float64: what is worked on stays in the processor's cache


@dataclass(frozen=True)
class _Band:
    """Neighbouring new positions [first, last), of old ones [start, end): weights float64 [old, new]."""

    start: int
    end: int
    first: int
    last: int
    weights: np.ndarray


def lanczos(levels: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Grey levels at another size, by Pillow's `Image.resize(..., LANCZOS)`: every level is the same.

    Reference: Pillow 13, src/libImaging/Resample.c, the form for 8 bits: one axis after the other, each rounded to
    levels, with weights in 22 bits. Sums of such whole numbers are exact in float64, in whatever order they are added.

    Args:
        levels: uint8 [row, column].
        width: columns wanted.
        height: rows wanted.

    Returns:
        float64 [row, column], of whole levels 0 to 255.
    """
    n_rows, n_columns = levels.shape
    # before its version 13 Pillow always took rows first, which gives other levels here and there in tall pictures
    if n_rows > height and n_rows - height > 2 * (n_columns - width):
        return _resampled(levels.T, height, width).T
    return _resampled(levels, width, height)


def _resampled(levels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Along the second axis, then along the first."""
    n_rows, n_columns = levels.shape
    narrow = np.empty((n_rows, width))
    together = max(1, _ROWS_BYTES // (8 * n_columns))
    for top in range(0, n_rows, together):
        rows = levels[top : top + together].astype(np.float64)
        for band in _bands(n_columns, width):
            narrow[top : top + together, band.first : band.last] = rows[:, band.start : band.end] @ band.weights
    narrow = _rounded(narrow)
    small = np.empty((height, width))
    for band in _bands(n_rows, height):
        small[band.first : band.last] = band.weights.T @ narrow[band.start : band.end]
    return _rounded(small)


def _rounded(sums: np.ndarray) -> np.ndarray:
    levels: np.ndarray = np.floor((sums + _ONE // 2) / _ONE).clip(0, 255)
    return levels


_KEPT = 1024  # of longer axes weights are made anew: each old position takes about 112 bytes of them


def _bands(n_old: int, n_new: int) -> tuple[_Band, ...]:
    """The weights from one length to another."""
    return _kept_bands(n_old, n_new) if n_old <= _KEPT else _made_bands(n_old, n_new)


@lru_cache(maxsize=256)
def _kept_bands(n_old: int, n_new: int) -> tuple[_Band, ...]:
    return _made_bands(n_old, n_new)


def _made_bands(n_old: int, n_new: int) -> tuple[_Band, ...]:
    scale = n_old / n_new
    widened = max(scale, 1.0)
    reach = _LOBES * widened
    centers = (np.arange(n_new) + 0.5) * scale
    starts = np.maximum(0, (centers - reach + 0.5).astype(np.int64))
    ends = np.minimum(n_old, (centers + reach + 0.5).astype(np.int64))
    old = starts[:, None] + np.arange(int((ends - starts).max()))  # [new, tap]
    at = (old - centers[:, None] + 0.5) / widened
    inside = old < ends[:, None]
    lobes = np.where(inside & (np.abs(at) < _LOBES), np.sinc(at) * np.sinc(at / _LOBES), 0.0)
    shares = lobes / lobes.sum(axis=1, keepdims=True) * _ONE
    weights = np.trunc(shares + np.copysign(0.5, shares))
    bands = []
    for first in range(0, n_new, _TOGETHER):
        last = min(n_new, first + _TOGETHER)
        start, end = int(starts[first]), int(ends[last - 1])
        new, tap = np.nonzero(inside[first:last])
        table = np.zeros((end - start, last - first))
        table[old[first + new, tap] - start, new] = weights[first + new, tap]
        bands.append(_Band(start, end, first, last, table))
    return tuple(bands)
