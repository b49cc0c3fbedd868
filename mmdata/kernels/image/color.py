"""Colours: to grey and to RGB, and what colours a picture has."""

from __future__ import annotations

from typing import Literal

import numpy as np

Space = Literal["rgb", "hsv", "lab"]


def grey(pixels: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601: uint8 [row, column]. A picture with one channel is its own."""
    import cv2

    if pixels.shape[2] == 1:
        return pixels[..., 0]
    return as_array(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def rgb(pixels: np.ndarray) -> np.ndarray:
    """Three channels: grey is repeated, RGB is returned as it is."""
    import cv2

    return as_array(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)) if pixels.shape[2] == 1 else pixels


def color_histogram(pixels: np.ndarray, *, n_bins: int, space: Space) -> np.ndarray:
    """The share of pixels in each cell of a colour space cut into n_bins x n_bins x n_bins: float32 [bin], sum 1.

    Args:
        pixels: uint8 [row, column, channel].
        n_bins: cells an axis, at most 256; the first axis of the space varies slowest.
        space: "rgb"; "hsv" (hue of 256 levels, full circle); "lab" (CIE L*a*b*, 8 bit).
    """
    import cv2

    colors = rgb(pixels)
    if space != "rgb":
        colors = cv2.cvtColor(colors, cv2.COLOR_RGB2HSV_FULL if space == "hsv" else cv2.COLOR_RGB2LAB)
    counts = cv2.calcHist([colors], [0, 1, 2], None, [n_bins] * 3, [0, 256] * 3)
    return as_array(counts).ravel() / np.float32(pixels.shape[0] * pixels.shape[1])


def colorfulness(pixels: np.ndarray) -> float:
    """How colourful a picture looks: 0 is grey, 15 slightly, 45 quite, 80 and more highly.

    Hasler and Suesstrunk, "Measuring colourfulness in natural images" (Human Vision and Electronic Imaging, 2003),
    equation 3: means and deviations of red against green and of yellow against blue.

    Args:
        pixels: uint8 [row, column, channel].
    """
    if pixels.shape[2] == 1:
        return 0.0
    red, green, blue = np.moveaxis(pixels.astype(np.float32), 2, 0)
    opponents = (red - green, (red + green) / 2 - blue)
    spread = np.sqrt(sum(float(each.var(dtype=np.float64)) for each in opponents))
    offset = np.sqrt(sum(float(each.mean(dtype=np.float64)) ** 2 for each in opponents))
    return float(spread + 0.3 * offset)


def turn_hue(pixels: np.ndarray, turns: float) -> np.ndarray:
    """RGB with every hue turned by a share of the whole circle, in steps of 1/256: uint8 [row, column, 3]."""
    import cv2

    hsv = as_array(cv2.cvtColor(pixels, cv2.COLOR_RGB2HSV_FULL))
    hsv[..., 0] += np.uint8(round(turns * 256) % 256)  # wraps around, as hues do
    return as_array(cv2.cvtColor(hsv, cv2.COLOR_HSV2RGB_FULL))


def as_array(value: object) -> np.ndarray:
    """What OpenCV returned, typed as numpy types it."""
    return np.asarray(value)
