"""What a cropped or a mirrored picture would look like, out of the picture in small: its hash, and its cells.

All is linear in the grey levels, and rows and columns go apart: a view is a product with a matrix on either side.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

SIDE = 32
CELLS = 16
_WHOLE, _CUT = (0.0, 1.0), ((0.0, 0.9), (0.05, 0.95), (0.1, 1.0))
# from where to where in height and in width, and whether it is mirrored; the first is the picture itself
View = tuple[tuple[float, float], tuple[float, float], bool]
VIEWS: tuple[View, ...] = (
    (_WHOLE, _WHOLE, False),
    (_WHOLE, _WHOLE, True),
    *((rows, columns, False) for rows in _CUT for columns in _CUT),
    ((0.025, 0.975), (0.025, 0.975), False),
)


def view_bits(levels: np.ndarray, view: View) -> np.ndarray:
    """The 64 bits of a view, as pHash has them of a picture: uint8 [picture, byte] of 8.

    Args:
        levels: grey levels [picture, 32, 32].
        view: what is seen.
    """
    rows, columns, mirrored = view
    waves = _waves(*rows) @ levels @ _waves(*columns).T
    if mirrored:
        waves = waves * np.where(np.arange(8) % 2, -1.0, 1.0)
    waves = np.round(waves, 6).reshape(len(waves), -1)
    return np.packbits(waves > np.median(waves, axis=1, keepdims=True), axis=1)


def view_cells(levels: np.ndarray, view: View) -> np.ndarray:
    """The means of 16 x 16 cells of a view, without their mean and of length 1: float32 [picture, cell].

    The product of two is their correlation. All zeros for a view without contrast: less than a level.
    """
    rows, columns, mirrored = view
    cells = _means(*rows) @ levels @ _means(*columns).T
    cells = (cells[:, :, ::-1] if mirrored else cells).reshape(len(cells), -1)
    cells = cells - cells.mean(axis=1, keepdims=True)
    lengths = np.linalg.norm(cells, axis=1, keepdims=True)
    return np.asarray(np.where(lengths < CELLS, 0, cells / np.maximum(lengths, 1e-9)), np.float32)


@lru_cache(maxsize=32)
def _waves(first: float, last: float) -> np.ndarray:
    """The eight lowest cosines of a stretch, integrated over positions: float64 [frequency, position]."""
    edges = np.clip(np.arange(SIDE + 1) / SIDE, first, last) - first
    turns = np.pi * np.arange(1, 8)[:, None] / (last - first)
    return np.concatenate([np.diff(edges)[None], np.diff(np.sin(turns * edges), axis=1) / turns])


@lru_cache(maxsize=32)
def _means(first: float, last: float) -> np.ndarray:
    """The share that each position has in each cell of a stretch: float64 [cell, position]."""
    bounds = first + (last - first) * np.arange(CELLS + 1) / CELLS
    edges = np.clip(np.arange(SIDE + 1)[None] / SIDE, bounds[:-1, None], bounds[1:, None])
    return np.asarray(np.diff(edges, axis=1) * CELLS / (last - first))
