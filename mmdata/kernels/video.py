"""Frames as arrays: colour histograms, the choice of frames, differences and optical flow.

Frames are uint8 [time, height, width, channel], RGB or one channel of grey. OpenCV is imported late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Literal

import numpy as np

LEAST_PX = 32  # DIS refuses pictures below 12 px a side, and reads past the edge of long ones below 32 (OpenCV 5.0)
Method = Literal["dis", "farneback"]
Preset = Literal["ultrafast", "fast", "medium"]
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]


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


def evenly(n_in: int, n_out: int) -> np.ndarray:
    """The middles of `n_out` equal stretches of range(n_in), or all of it when that is fewer: int64, rising."""
    n_out = min(n_in, n_out)
    return (2 * np.arange(n_out) + 1) * n_in // (2 * max(n_out, 1))


def most_distinct(features: np.ndarray, *, n: int, min_distance: float) -> np.ndarray:
    """Rows that are far from each other: the first, then always the one farthest from all that were taken.

    Farthest-first traversal (Gonzalez, 1985), within a factor of two of the best cover. The distance is half the L1
    norm: for histograms the share of pixels that differ, 0 to 1.

    Args:
        features: float32 [row, feature].
        n: the most to take.
        min_distance: stop when no row is farther than this from those taken.

    Returns:
        int64 [taken], rising.
    """
    taken = [0] if len(features) and n else []
    nearest = np.full(len(features), np.inf, np.float32)
    while taken and len(taken) < n:
        nearest = np.minimum(nearest, np.abs(features - features[taken[-1]]).sum(axis=1) / 2)
        farthest = int(nearest.argmax())
        if nearest[farthest] <= min_distance:
            break
        taken.append(farthest)
    return np.sort(np.array(taken, np.int64))


def mean_differences(pixels: np.ndarray) -> np.ndarray:
    """How much each frame differs from the one before: float32 [pair], mean absolute difference, full scale is 1."""
    import cv2

    sums = [cv2.norm(before, after, cv2.NORM_L1) for before, after in pairwise(pixels)]
    return np.array(sums, np.float32) / np.float32(255 * max(pixels[:1].size, 1))


def flow_method(name: Method, preset: Preset) -> Flow:
    """A function from two grey frames, uint8 [height, width], to their flow, float32 [height, width, xy] in pixels.

    "dis" is Dense Inverse Search (Kroeger et al., ECCV 2016); "farneback" is polynomial expansion (Farnebaeck, SCIA
    2003), with fewer iterations in the quicker presets. Both are OpenCV's.
    """
    import cv2

    if name == "dis":
        number = {"ultrafast": cv2.DISOPTICAL_FLOW_PRESET_ULTRAFAST, "fast": cv2.DISOPTICAL_FLOW_PRESET_FAST}
        search = cv2.DISOpticalFlow.create(number.get(preset, cv2.DISOPTICAL_FLOW_PRESET_MEDIUM))
        return lambda before, after: search.calc(before, after, None)  # type: ignore[call-overload]
    n_iterations = {"ultrafast": 1, "fast": 2, "medium": 3}[preset]
    return lambda before, after: cv2.calcOpticalFlowFarneback(before, after, None, 0.5, 4, 15, n_iterations, 7, 1.5, 0)  # type: ignore[call-overload]


def optical_flow(pixels: np.ndarray, *, method: Flow) -> Iterator[np.ndarray]:
    """The flow from each frame to the next, one at a time: float32 [height, width, xy], pixels right and down.

    Frames below 32 pixels a side are continued at their edges for the search.
    """
    import cv2

    height, width = pixels.shape[1:3]
    below, beside = max(0, LEAST_PX - height), max(0, LEAST_PX - width)
    before = None
    for frame in pixels:
        after = cv2.copyMakeBorder(grey(frame), 0, below, 0, beside, cv2.BORDER_REPLICATE)
        if before is not None:
            yield method(before, after)[:height, :width]
        before = after


def block_means(flow: np.ndarray, *, n_rows: int, n_columns: int) -> np.ndarray:
    """The mean flow in each block of a grid: float32 [height, width, xy] to float32 [n_rows, n_columns, xy].

    Blocks share a pixel by area where the size is no multiple; frames smaller than the grid are repeated.
    """
    import cv2

    return cv2.resize(flow, (n_columns, n_rows), interpolation=cv2.INTER_AREA)


def directions(flow: np.ndarray, *, n_bins: int) -> np.ndarray:
    """How far all pixels move towards each direction: float64 [n_bins], in pixels; its sum is the path of all.

    Bin 0 is centred on rightwards, and the bins go on clockwise: with four of them, right, down, left, up.
    """
    import cv2

    length, angle = cv2.cartToPolar(flow[..., 0], flow[..., 1])
    bins = (angle.ravel() * (n_bins / (2 * np.pi)) + 0.5).astype(np.intp)
    paths_px = np.bincount(bins, weights=length.ravel(), minlength=n_bins + 1)
    paths_px[0] += paths_px[n_bins]  # the half of rightwards that lies just below a whole turn
    return paths_px[:n_bins]
