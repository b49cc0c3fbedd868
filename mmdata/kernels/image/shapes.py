"""Edges, corners, moments and keypoints of grey levels: uint8 [row, column]."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from mmdata.kernels.image.color import as_array

_LEAST_PX = 32  # below it ORB's pyramid and patches of 31 px find nothing, or fail


def edge_share(levels: np.ndarray, *, low: float = 100.0, high: float = 200.0) -> float:
    """The share of pixels on edges, by Canny's detector with 3 x 3 Sobel gradients.

    Canny, "A computational approach to edge detection" (PAMI 1986).

    Args:
        levels: uint8 [row, column].
        low: the gradient (sum over both axes) to which an edge is followed.
        high: that at which one begins.
    """
    import cv2

    return float(np.count_nonzero(cv2.Canny(levels, low, high)) / levels.size)


def harris_corners(levels: np.ndarray, *, quality: float = 0.01, apart_px: float = 5.0) -> int:
    """How many corners there are by the measure of Harris and Stephens, "A combined corner and edge detector" (1988).

    Args:
        levels: uint8 [row, column].
        quality: the least measure, in shares of the greatest.
        apart_px: the least distance between two.
    """
    import cv2

    found = cv2.goodFeaturesToTrack(levels, 0, quality, apart_px, blockSize=3, useHarrisDetector=True, k=0.04)
    return 0 if found is None else len(found)


def fast_corners(levels: np.ndarray, *, threshold: int = 20) -> int:
    """How many corners there are by FAST-9: Rosten and Drummond, "Machine learning for high-speed corner detection".

    Args:
        levels: uint8 [row, column].
        threshold: by how many levels nine pixels of the circle must all be lighter, or darker.
    """
    import cv2

    return len(cv2.FastFeatureDetector.create(threshold).detect(levels))


def hu_moments(levels: np.ndarray) -> np.ndarray:
    """The seven moments that do not change with place, size and turn, by their logarithms: float64 [moment].

    Hu, "Visual pattern recognition by moment invariants" (1962). Each is -sign(h) log10 |h|, as they lie many powers of
    ten apart; below 1e-30 (all of a black picture) it is 0.

    Args:
        levels: uint8 [row, column]; light is mass.
    """
    import cv2

    moments = as_array(cv2.HuMoments(cv2.moments(levels))).ravel()
    size = np.abs(moments)
    logs: np.ndarray = -np.sign(moments) * np.log10(np.where(size < 1e-30, 1.0, size))
    return logs


def orb(levels: np.ndarray, *, n_most: int) -> tuple[np.ndarray, np.ndarray]:
    """Keypoints by ORB: their places, float32 [keypoint, xy] of pixel edges, and descriptors, uint8 [keypoint, byte].

    Rublee et al., "ORB: an efficient alternative to SIFT or SURF" (ICCV 2011). Descriptors are 32 bytes and compared
    by the bits in which they differ. A picture below 32 px on a side has none.

    Args:
        levels: uint8 [row, column].
        n_most: the strongest so many are kept.
    """
    import cv2

    nothing = np.zeros((0, 2), np.float32), np.zeros((0, 32), np.uint8)
    if min(levels.shape) < _LEAST_PX:
        return nothing
    found: tuple[Sequence[cv2.KeyPoint], Any] = cv2.ORB.create(n_most).detectAndCompute(levels, None)
    points, descriptors = found
    if descriptors is None:
        return nothing
    places = np.array([point.pt for point in points], np.float32)
    return places[:n_most] + np.float32(0.5), as_array(descriptors)[:n_most]
