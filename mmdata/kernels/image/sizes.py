"""Sizes: what a picture is brought to, and how."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmdata.kernels.image.color import as_array


def resize(pixels: np.ndarray, *, width: int, height: int) -> np.ndarray:
    """Bring a picture to a size; the very same array when it has that size.

    An axis that shrinks is averaged by area, which is free of aliasing; one that grows is interpolated by cubics.

    Args:
        pixels: uint8 [row, column, channel], or without the last axis.
        width: columns wanted, at least 1.
        height: rows wanted, at least 1.
    """
    import cv2

    had_height, had_width = pixels.shape[:2]
    if (width, height) == (had_width, had_height):
        return pixels
    low_width, low_height = min(width, had_width), min(height, had_height)
    resized = pixels
    if (low_width, low_height) != (had_width, had_height):
        resized = as_array(cv2.resize(resized, (low_width, low_height), interpolation=cv2.INTER_AREA))
    if (low_width, low_height) != (width, height):
        resized = as_array(cv2.resize(resized, (width, height), interpolation=cv2.INTER_CUBIC))
    return resized.reshape(height, width, *pixels.shape[2:])  # OpenCV drops a last axis of one channel


def fitted_size(
    width: int, height: int, *, size_px: int, side: Literal["longest", "shortest"], enlarge: bool = False
) -> tuple[int, int]:
    """The (width, height) whose longest or shortest side is `size_px`, of the same aspect, at least 1 px a side.

    A picture that would have to grow keeps its size unless `enlarge`.

    >>> fitted_size(640, 480, size_px=320, side="longest")
    (320, 240)
    """
    current = max(width, height) if side == "longest" else min(width, height)
    if current == size_px or (current < size_px and not enlarge):
        return width, height
    # whole numbers: rounded half up, exact for any size
    scaled = ((2 * length * size_px + current) // (2 * current) for length in (width, height))
    fitted = tuple(max(1, length) for length in scaled)
    return fitted[0], fitted[1]


def shrink(pixels: np.ndarray, max_px: int) -> np.ndarray:
    """The picture with its longest side brought down to `max_px`; the very same array when it is no longer."""
    width, height = fitted_size(pixels.shape[1], pixels.shape[0], size_px=max_px, side="longest")
    return resize(pixels, width=width, height=height)
