"""Frames as arrays: grey, thumbnails, colour histograms and differences.

Frames are uint8 [time, height, width, channel], RGB or one channel of grey. OpenCV is imported late.
"""

from __future__ import annotations

from itertools import pairwise

import numpy as np


def grey(pixels: np.ndarray) -> np.ndarray:
    """One frame's luma (BT.601): uint8 [height, width, channel] to uint8 [height, width]."""
    import cv2

    return pixels[..., 0] if pixels.shape[-1] == 1 else cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY)


def thumbnail(pixels: np.ndarray, *, size_px: int) -> np.ndarray:
    """One frame squeezed to a square, by area: uint8 [height, width, channel] to uint8 [size, size, 3]."""
    import cv2

    colour = np.repeat(pixels, 3, axis=-1) if pixels.shape[-1] == 1 else pixels
    return cv2.resize(colour, (size_px, size_px), interpolation=cv2.INTER_AREA)


def color_histograms(pixels: np.ndarray, *, n_cells: int = 4, n_levels: int = 4, cell_px: int = 16) -> np.ndarray:
    """Joint colour histograms of the cells of a grid, so that the same colours elsewhere count as another picture.

    Args:
        pixels: uint8 [time, height, width, channel].
        n_cells: cells a side.
        n_levels: levels of red, green and blue.
        cell_px: pixels a side that a cell is reduced to before it is counted.

    Returns:
        float32 [time, n_cells ** 2 * n_levels ** 3]; the sum of each is 1.
    """
    side, n_colors = n_cells * cell_px, n_levels**3
    cell = np.arange(side) // cell_px
    offsets = (cell[:, None] * n_cells + cell) * n_colors
    histograms = np.empty((len(pixels), n_cells**2 * n_colors), np.float32)
    for index, frame in enumerate(pixels):
        levels = thumbnail(frame, size_px=side).astype(np.int32) * n_levels // 256
        codes = offsets + (levels[..., 0] * n_levels + levels[..., 1]) * n_levels + levels[..., 2]
        histograms[index] = np.bincount(codes.ravel(), minlength=histograms.shape[1]) / codes.size
    return histograms


def mean_differences(pixels: np.ndarray) -> np.ndarray:
    """How much each frame differs from the one before: float32 [pair], mean absolute difference, full scale is 1."""
    import cv2

    sums = [cv2.norm(before, after, cv2.NORM_L1) for before, after in pairwise(pixels)]
    return np.array(sums, np.float32) / np.float32(255 * max(pixels[:1].size, 1))
