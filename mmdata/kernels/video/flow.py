"""Dense optical flow, and what sums it up.

Frames are uint8 [time, height, width, channel], RGB or one channel of grey. OpenCV is imported late.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Literal

import numpy as np

from mmdata.kernels.video.pictures import grey

LEAST_PX = 32  # DIS refuses pictures below 12 px a side, and reads past the edge of long ones below 32 (OpenCV 5.0)
Method = Literal["dis", "farneback"]
Preset = Literal["ultrafast", "fast", "medium"]
Flow = Callable[[np.ndarray, np.ndarray], np.ndarray]


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


def lengths(flow: np.ndarray) -> np.ndarray:
    """How far each pixel moves: float32 [height, width, xy] to float32 [height, width]."""
    import cv2

    return np.asarray(cv2.magnitude(flow[..., 0], flow[..., 1]))


def speed_shares(speeds: np.ndarray, *, n_bins: int) -> np.ndarray:
    """The share of pixels by speed: float64 [n_bins].

    Args:
        speeds: any float array, in widths of the frame a second.
        n_bins: the last has whatever is 1 or faster, each one before it what is half as fast, the first all the rest.
    """
    mantissas, exponents = np.frexp(speeds.ravel())  # 1 is 0.5 * 2 ** 1
    bins = np.where(mantissas > 0, np.clip(exponents + n_bins - 2, 0, n_bins - 1), 0)
    shares: np.ndarray = np.bincount(bins, minlength=n_bins) / max(1, bins.size)
    return shares
