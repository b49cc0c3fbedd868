"""Pixels: turning, resizing, sharpness, hashes, descriptors. Pictures are uint8 [row, column, channel], RGB or grey."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal

import numpy as np

Space = Literal["rgb", "hsv", "lab"]


def grey(pixels: np.ndarray) -> np.ndarray:
    """Luma of ITU-R BT.601: uint8 [row, column]. A picture with one channel is its own."""
    import cv2

    if pixels.shape[2] == 1:
        return pixels[..., 0]
    return _array(cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))


def rgb(pixels: np.ndarray) -> np.ndarray:
    """Three channels: grey is repeated, RGB is returned as it is."""
    import cv2

    return _array(cv2.cvtColor(pixels, cv2.COLOR_GRAY2RGB)) if pixels.shape[2] == 1 else pixels


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
        resized = _array(cv2.resize(resized, (low_width, low_height), interpolation=cv2.INTER_AREA))
    if (low_width, low_height) != (width, height):
        resized = _array(cv2.resize(resized, (width, height), interpolation=cv2.INTER_CUBIC))
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


def mirrored(pixels: np.ndarray, *, left_right: bool = False, top_bottom: bool = False) -> np.ndarray:
    """The picture mirrored; the very same array when neither is asked for."""
    import cv2

    if not (left_right or top_bottom):
        return pixels
    code = -1 if left_right and top_bottom else int(left_right)
    return _array(cv2.flip(pixels, code)).reshape(pixels.shape)


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
        turned = _array(cv2.transpose(turned)).reshape(width, height, n_channels)
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


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of pHash: uint8 [byte] of 8. Pictures that look alike differ in few bits.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1, in the form of
    the Python package ImageHash: grey, 32 x 32, unscaled type II DCT, the 8 x 8 lowest frequencies (the constant one
    too), a bit each for those above their median, rows first, most significant bit first. The one difference is that
    pixels are averaged by area here, where ImageHash has Pillow's Lanczos filter: up to four bits of 64 on photographs.
    """
    small = resize(grey(pixels), width=32, height=32).astype(np.float64)
    waves = cosines(32)[:8]
    # rounded, so that noise in the last digits decides no bit of a flat picture
    lowest = np.round(waves @ small @ waves.T, 6)
    return np.packbits(lowest > np.median(lowest))


@lru_cache(maxsize=8)
def cosines(size: int) -> np.ndarray:
    """The type II discrete cosine transform, unscaled, as a matrix: float64 [frequency, position], read-only."""
    frequency, position = np.arange(size)[:, None], np.arange(size)[None] + 0.5
    matrix: np.ndarray = np.cos(np.pi / size * frequency * position)
    matrix.flags.writeable = False
    return matrix


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
    return _array(counts).ravel() / np.float32(pixels.shape[0] * pixels.shape[1])


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


def _array(value: object) -> np.ndarray:
    """What OpenCV returned, typed as numpy types it."""
    return np.asarray(value)
