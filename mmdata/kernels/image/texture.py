"""Texture and shape as vectors."""

from __future__ import annotations

import numpy as np


def oriented_gradients(levels: np.ndarray, *, cell_px: int, n_bins: int = 9) -> np.ndarray:
    """Histograms of oriented gradients, block by block: float32 [feature].

    Dalal and Triggs, "Histograms of Oriented Gradients for Human Detection" (CVPR 2005), as scikit-image's `hog` has it
    by default: central differences, unsigned orientation, each pixel adds to one bin of its cell, blocks of 2 x 2
    cells that overlap by one, L2-Hys.

    Args:
        levels: uint8 [row, column], at least two cells a side; what is left of cells at the right and bottom is unused.
        cell_px: side of a cell.
        n_bins: orientations in half a turn.

    Returns:
        blocks row by row, cells of a block row by row, orientations: (rows - 1) * (columns - 1) * 4 * n_bins features.
    """
    rows, columns = levels.shape[0] // cell_px, levels.shape[1] // cell_px
    values = levels.astype(np.float32)
    down, across = np.zeros_like(values), np.zeros_like(values)
    down[1:-1] = values[2:] - values[:-2]
    across[:, 1:-1] = values[:, 2:] - values[:, :-2]
    angles = np.arctan2(down, across) % np.float32(np.pi)
    bins = np.minimum((angles * np.float32(n_bins / np.pi)).astype(np.int64), n_bins - 1)
    inside = (slice(rows * cell_px), slice(columns * cell_px))
    cell = np.arange(rows).repeat(cell_px)[:, None] * columns + np.arange(columns).repeat(cell_px)
    sums = np.bincount(
        (cell * n_bins + bins[inside]).ravel(),
        weights=np.hypot(down, across)[inside].ravel(),
        minlength=rows * columns * n_bins,
    )
    cells = (sums / cell_px**2).reshape(rows, columns, n_bins)
    corners = (cells[:-1, :-1], cells[:-1, 1:], cells[1:, :-1], cells[1:, 1:])
    blocks = _unit(np.minimum(_unit(np.concatenate(corners, axis=-1)), 0.2))
    return blocks.astype(np.float32).ravel()


def _unit(vectors: np.ndarray) -> np.ndarray:
    """Vectors of length 1 along the last axis; zeros stay zeros."""
    scaled: np.ndarray = vectors / np.sqrt((vectors**2).sum(axis=-1, keepdims=True) + 1e-10)
    return scaled


def local_binary_patterns(levels: np.ndarray) -> np.ndarray:
    """How frequent each uniform local binary pattern is: float32 [pattern] of 10, sum 1; zeros below 3 x 3 px.

    Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification with
    local binary patterns" (PAMI 2002), LBP riu2 of 8 points at radius 1: patterns 0 to 8 have so many lighter points in
    one run, 9 is all others. Pixels at the edges, whose circle is not whole, are not counted.

    Args:
        levels: uint8 [row, column].
    """
    if min(levels.shape) < 3:
        return np.zeros(10, np.float32)
    center = levels[1:-1, 1:-1].astype(np.float32)
    # bits round the circle, counterclockwise from the right; equal counts as lighter, but for what rounding leaves
    bits = np.stack([_on_circle(levels, *direction) - center > -1e-3 for direction in _CIRCLE])
    n_changes = (bits != np.roll(bits, 1, axis=0)).sum(axis=0)
    patterns = np.where(n_changes <= 2, bits.sum(axis=0), 9)
    return (np.bincount(patterns.ravel(), minlength=10) / patterns.size).astype(np.float32)


_CIRCLE = ((0, 1), (-1, 1), (-1, 0), (-1, -1), (0, -1), (1, -1), (1, 0), (1, 1))


def _on_circle(levels: np.ndarray, down: int, right: int) -> np.ndarray:
    """Levels a radius of 1 away in a direction, between pixels on diagonals: float32 [row - 2, column - 2]."""
    rows, columns = levels.shape

    def moved(by_rows: int, by_columns: int) -> np.ndarray:
        inside = levels[1 + by_rows : rows - 1 + by_rows, 1 + by_columns : columns - 1 + by_columns]
        return inside.astype(np.float32)

    if not (down and right):
        return moved(down, right)
    share = np.float32(np.sqrt(0.5))
    near, far = (1 - share) * moved(0, 0) + share * moved(0, right), (1 - share) * moved(down, 0)
    return (1 - share) * near + share * (far + share * moved(down, right))


PROPERTIES = ("contrast", "dissimilarity", "homogeneity", "energy", "correlation")
_NEIGHBOURS = ((0, 1), (1, 1), (1, 0), (1, -1))


def co_occurrence(levels: np.ndarray, *, n_levels: int = 16, distance_px: int = 1) -> np.ndarray:
    """Which grey levels lie beside each other: float64 [direction, level, level], symmetric, each sum 1.

    Haralick, Shanmugam and Dinstein, "Textural features for image classification" (1973). Directions are right, down
    and right, down, down and left. Where a picture is too small to hold a pair, zeros.

    Args:
        levels: uint8 [row, column].
        n_levels: into how many equal steps the 256 levels are cut.
        distance_px: between the two of a pair; on diagonals along each axis.
    """
    steps = levels.astype(np.int64) * n_levels // 256
    rows, columns = levels.shape
    found = np.zeros((4, n_levels, n_levels))
    for index, (down, right) in enumerate(_NEIGHBOURS):
        by_rows, by_columns = down * distance_px, right * distance_px
        if by_rows >= rows or abs(by_columns) >= columns:
            continue
        first = steps[: rows - by_rows, max(0, -by_columns) : columns - max(0, by_columns)]
        second = steps[by_rows:, max(0, by_columns) : columns - max(0, -by_columns)]
        pairs = np.bincount((first * n_levels + second).ravel(), minlength=n_levels**2).reshape(n_levels, n_levels)
        found[index] = (pairs + pairs.T) / (2 * first.size)
    return found


def co_occurrence_properties(matrices: np.ndarray) -> np.ndarray:
    """What co-occurrence matrices say of a texture: float32 [direction, property], in the order of `PROPERTIES`.

    As scikit-image's `graycoprops` has them; the correlation of a flat picture is 1.

    Args:
        matrices: float64 [direction, level, level], each sum 1.
    """
    level = np.arange(matrices.shape[1], dtype=np.float64)
    gap = level[:, None] - level
    mean = (matrices.sum(axis=2) @ level)[:, None]
    variance = (matrices.sum(axis=2) * (level - mean) ** 2).sum(axis=1)
    off = level - mean
    covariance = np.einsum("dij,di,dj->d", matrices, off, off)
    flat = variance < 1e-15
    correlation = np.where(flat, 1.0, covariance / np.where(flat, 1.0, variance))
    by_weight = [(matrices * weight).sum(axis=(1, 2)) for weight in (gap**2, abs(gap), 1 / (1 + gap**2))]
    energy = np.sqrt((matrices**2).sum(axis=(1, 2)))
    return np.stack([*by_weight, energy, correlation], axis=1).astype(np.float32)
