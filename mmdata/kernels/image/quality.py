"""How a picture came out: sharpness, exposure, contrast, how much there is to see."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.image.color import as_array, grey
from mmdata.kernels.image.sizes import shrink

DARK, BRIGHT = 5, 250  # at or below, at or above which a level counts as lost in shadow or light


def laplacian_variance(pixels: np.ndarray, *, working_px: int = 512) -> float:
    """How sharp a picture is: the variance of the Laplacian of its grey levels (0 to 255), at one size for all.

    Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000), method LAPV, with the 4-neighbour
    Laplacian of OpenCV. The longest side is first brought down to `working_px`, so that the number tells how sharp a
    picture looks at that size, whatever size it is stored at; a smaller picture is taken as it is. It also grows with
    contrast and with how much there is to see.
    """
    import cv2

    levels = shrink(grey(pixels), working_px)
    _, deviation = cv2.meanStdDev(cv2.Laplacian(levels, cv2.CV_16S))
    return float(deviation[0, 0]) ** 2


def level_shares(pixels: np.ndarray) -> np.ndarray:
    """The share of pixels at each grey level: float64 [level] of 256, sum 1. What follows reads it."""
    import cv2

    counts = as_array(cv2.calcHist([grey(pixels)], [0], None, [256], [0, 256]))
    # OpenCV counts in float32, which is exact below 2**24 pixels and close enough above
    shares: np.ndarray = counts.ravel().astype(np.float64) / counts.sum(dtype=np.float64)
    return shares


def mean_level(shares: np.ndarray) -> float:
    """The mean grey level, 0 to 255."""
    return float(shares @ np.arange(256.0))


def level_deviation(shares: np.ndarray) -> float:
    """The standard deviation of grey levels: 0 is flat, 127.5 is half black and half white.

    Over 255 it is the RMS contrast of Peli, "Contrast in complex images" (JOSA A, 1990).
    """
    return float(np.sqrt(shares @ (np.arange(256.0) - mean_level(shares)) ** 2))


def entropy_bits(shares: np.ndarray) -> float:
    """Shannon's entropy of the grey levels: 0 bits for one level, 8 where all 256 are as frequent."""
    found = shares[shares > 0]
    return float(max(0.0, -(found @ np.log2(found))))


def dark_share(shares: np.ndarray) -> float:
    """The share of pixels that are black or next to it, at level 5 or below."""
    return float(shares[: DARK + 1].sum())


def bright_share(shares: np.ndarray) -> float:
    """The share of pixels that are white or next to it, at level 250 or above."""
    return float(shares[BRIGHT:].sum())


def plain_share(pixels: np.ndarray, *, tolerance: int) -> float:
    """The share of pixels whose every channel is within `tolerance` levels of the picture's median colour.

    1 is a picture of one colour, a scan of an empty page for instance.
    """
    import cv2

    median = np.array([_median(np.ascontiguousarray(channel)) for channel in np.moveaxis(pixels, 2, 0)])
    low, high = np.ceil(median - tolerance).clip(0, 255), np.floor(median + tolerance).clip(0, 255)
    near = cv2.inRange(pixels, low, high)
    return float(cv2.countNonZero(near) / near.size)


def _median(levels: np.ndarray) -> float:
    """The median of uint8 levels, by counting them; the mean of the two in the middle where their number is even."""
    import cv2

    below = as_array(cv2.calcHist([levels], [0], None, [256], [0, 256])).ravel().astype(np.int64).cumsum()
    middle = [(levels.size - 1) // 2, levels.size // 2]
    return float(np.searchsorted(below, middle, side="right").mean())


def border(pixels: np.ndarray, *, tolerance: int) -> tuple[int, int, int, int] | None:
    """What is left of a picture without its plain borders: left, top, right and bottom; None when nothing is.

    A line belongs to a border when every pixel of it is within `tolerance` levels, in each channel, of the median
    colour of the outermost line on that side. Rows are cut first, then columns of what is left.

    Args:
        pixels: uint8 [row, column, channel].
        tolerance: levels; 0 takes borders of exactly one colour, JPEG's need about 10.
    """
    top = _plain_lines(pixels, tolerance)
    if top == len(pixels):
        return None
    bottom = len(pixels) - _plain_lines(pixels[::-1], tolerance)
    rows = pixels[top:bottom].transpose(1, 0, 2)
    left = _plain_lines(rows, tolerance)
    right = len(rows) - _plain_lines(rows[::-1], tolerance)
    return (left, top, right, bottom) if left < right else None


def _plain_lines(lines: np.ndarray, tolerance: int) -> int:
    """How many of the first lines [line, pixel, channel] are of the first one's colour; one pixel makes no line."""
    if lines.shape[1] < 2:
        return 0
    color = np.median(lines[0], axis=0)
    low, high = color - tolerance, color + tolerance
    for index, line in enumerate(lines):
        if not ((line >= low) & (line <= high)).all():
            return index
    return len(lines)
