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


@lru_cache(maxsize=64)
def _bands(n_old: int, n_new: int) -> tuple[_Band, ...]:
    """The weights from one length to another."""
    scale = n_old / n_new
    widened = max(scale, 1.0)
    reach = _LOBES * widened
    centers = (np.arange(n_new) + 0.5) * scale
    starts = np.maximum(0, (centers - reach + 0.5).astype(np.int64))
    ends = np.minimum(n_old, (centers + reach + 0.5).astype(np.int64))
    bands = []
    for first in range(0, n_new, _TOGETHER):
        last = min(n_new, first + _TOGETHER)
        start, end = int(starts[first]), int(ends[last - 1])
        weights = np.zeros((end - start, last - first))
        for new in range(first, last):
            old = np.arange(starts[new], ends[new])
            at = (old - centers[new] + 0.5) / widened
            lobes = np.where(np.abs(at) < _LOBES, np.sinc(at) * np.sinc(at / _LOBES), 0.0)
            whole = lobes / lobes.sum() * _ONE
            weights[old - start, new - first] = np.trunc(whole + np.copysign(0.5, whole))
        bands.append(_Band(start, end, first, last, weights))
    return tuple(bands)
