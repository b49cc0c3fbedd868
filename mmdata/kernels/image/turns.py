"""Turning and mirroring without loss, with the homographies that say where pixels came from."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.image.color import as_array


def mirrored(pixels: np.ndarray, *, left_right: bool = False, top_bottom: bool = False) -> np.ndarray:
    """The picture mirrored; the very same array when neither is asked for."""
    import cv2

    if not (left_right or top_bottom):
        return pixels
    code = -1 if left_right and top_bottom else int(left_right)
    return as_array(cv2.flip(pixels, code)).reshape(pixels.shape)


def mirroring(width: int, height: int, *, left_right: bool = False, top_bottom: bool = False) -> np.ndarray:
    """The homography of `mirrored`, from new (x, y, 1) to old, float64 [3, 3], of pixel edges."""
    x = [-1.0, 0.0, float(width)] if left_right else [1.0, 0.0, 0.0]
    y = [0.0, -1.0, float(height)] if top_bottom else [0.0, 1.0, 0.0]
    return np.array([x, y, [0.0, 0.0, 1.0]])


def turn_upright(pixels: np.ndarray, orientation: int) -> tuple[np.ndarray, np.ndarray]:
    """Turn and mirror a picture as EXIF's orientation asks.

    Args:
        pixels: uint8 [row, column, channel].
        orientation: 1 to 8, as in EXIF 2.32, tag 0x0112.

    Returns:
        the upright picture, and the homography from its (x, y, 1) to those of `pixels`, float64 [3, 3], of pixel edges.

    Raises:
        ValueError: there is no such orientation.
    """
    if orientation not in TURNS:
        raise ValueError(f"EXIF orientations are 1 to 8, not {orientation}")
    import cv2

    swap, mirror_x, mirror_y = TURNS[orientation]
    height, width, n_channels = pixels.shape
    turned = mirrored(pixels, left_right=mirror_x, top_bottom=mirror_y)
    if swap:
        turned = as_array(cv2.transpose(turned)).reshape(width, height, n_channels)
    mirror = mirroring(width, height, left_right=mirror_x, top_bottom=mirror_y)
    transpose = np.array([[0.0, 1, 0], [1, 0, 0], [0, 0, 1]]) if swap else np.eye(3)
    return turned, mirror @ transpose


# orientation: (rows and columns swapped, after mirroring left-right, after mirroring top-bottom)
TURNS = {
    1: (False, False, False),
    2: (False, True, False),
    3: (False, True, True),
    4: (False, False, True),
    5: (True, False, False),
    6: (True, False, True),
    7: (True, True, True),
    8: (True, True, False),
}
