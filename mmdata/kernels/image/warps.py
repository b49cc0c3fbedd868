"""Homographies of pictures, and what they do to pixels, points and boxes.

A homography maps new (x, y, 1) to old, float64 [3, 3], of pixel edges: the top left pixel spans 0 to 1.
"""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmdata.kernels.image.color import as_array
from mmdata.kernels.image.sizes import resize

Beyond = Literal["color", "mirror", "edge"]


def warp(
    pixels: np.ndarray,
    step: np.ndarray,
    *,
    width: int,
    height: int,
    beyond: Beyond = "color",
    color: tuple[int, int, int] = (0, 0, 0),
    nearest: bool = False,
) -> np.ndarray:
    """Draw a picture anew, each pixel looked up where its homography says.

    A picture that shrinks is first averaged by area, so that fine texture does not turn into a coarse one.

    Args:
        pixels: uint8 [row, column, channel].
        step: from new to old.
        width: of the new picture.
        height: of it.
        beyond: what shows where the old picture does not reach: `color`, the old picture mirrored, or its edge.
        color: RGB; a grey picture takes its first number.
        nearest: take the nearest pixel and never mix, as masks of classes need it.
    """
    import cv2

    shrunk = 1.0 if nearest else _shrinks(step, width, height)
    if shrunk > 1.0:
        old_height, old_width = pixels.shape[:2]
        small = max(1, round(old_width / shrunk)), max(1, round(old_height / shrunk))
        pixels = resize(pixels, width=small[0], height=small[1])
        step = np.diag([small[0] / old_width, small[1] / old_height, 1.0]) @ step
    to_edges, to_centers = shifting(0.5, 0.5), shifting(-0.5, -0.5)  # OpenCV counts from the centre of the first pixel
    drawn = cv2.warpPerspective(
        pixels,
        to_centers @ step @ to_edges,
        (width, height),
        flags=(cv2.INTER_NEAREST if nearest else cv2.INTER_LINEAR) | cv2.WARP_INVERSE_MAP,
        borderMode=_modes()[beyond],
        borderValue=color,
    )
    return as_array(drawn).reshape(height, width, pixels.shape[2])


def _modes() -> dict[str, int]:
    import cv2

    return {"color": cv2.BORDER_CONSTANT, "mirror": cv2.BORDER_REFLECT, "edge": cv2.BORDER_REPLICATE}


def _shrinks(step: np.ndarray, width: int, height: int) -> float:
    """How many old pixels lie side by side in a new one, at the centre of the new picture."""
    x, y = width / 2, height / 2
    here, across, down = project(step, np.array([[x, y], [x + 1, y], [x, y + 1]]))
    area = abs(np.linalg.det(np.stack([across - here, down - here])))
    return float(np.sqrt(area)) if np.isfinite(area) else 1.0


def shifting(x: float, y: float) -> np.ndarray:
    """The homography that adds (x, y): of a crop whose top left corner lies there."""
    return np.array([[1.0, 0.0, x], [0.0, 1.0, y], [0.0, 0.0, 1.0]])


def scaling(x: float, y: float) -> np.ndarray:
    """The homography that multiplies by (x, y)."""
    return np.diag([x, y, 1.0])


def rotating(width: int, height: int, *, degrees: float, expand: bool = False) -> tuple[np.ndarray, int, int]:
    """The homography of a turn about the centre, and the new width and height.

    Args:
        width: of the picture.
        height: of it.
        degrees: counterclockwise, as it is seen.
        expand: make the new picture so large that nothing is cut off; else it is as large as the old one.
    """
    angle = np.deg2rad(degrees)
    cos, sin = float(np.cos(angle)), float(np.sin(angle))
    new_width, new_height = width, height
    if expand:
        # rounded first, so that a quarter turn, whose cosine is 6e-17, needs no further pixel
        new_width = max(1, int(np.ceil(round(abs(width * cos) + abs(height * sin), 6))))
        new_height = max(1, int(np.ceil(round(abs(width * sin) + abs(height * cos), 6))))
    turn = np.array([[cos, -sin, 0.0], [sin, cos, 0.0], [0.0, 0.0, 1.0]])
    return shifting(width / 2, height / 2) @ turn @ shifting(-new_width / 2, -new_height / 2), new_width, new_height


def tilting(width: int, height: int, moved: np.ndarray) -> np.ndarray:
    """The homography whose new picture shows at its corners what the old one has at `moved`.

    Args:
        width: of both pictures.
        height: of both.
        moved: float64 [corner, xy], of the old picture: top left, top right, bottom right, bottom left.
    """
    import cv2

    corners = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    return as_array(cv2.getPerspectiveTransform(corners, moved.astype(np.float32))).astype(np.float64)


def project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    """Points (float64 [point, xy]) through a homography; infinite where it sends them behind the picture."""
    flat = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    depth = flat[:, 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        projected: np.ndarray = np.where(depth > 0, flat[:, :2] / depth, np.inf)
    return projected


def move_boxes(boxes: np.ndarray, forward: np.ndarray, *, width: int, height: int) -> tuple[np.ndarray, np.ndarray]:
    """Boxes after a homography: the smallest upright boxes around what they have become, cut at the picture's edges.

    Args:
        boxes: float64 [box, edge] of the old picture: left, top, right, bottom.
        forward: from old to new, the inverse of what `warp` takes.
        width: of the new picture.
        height: of it.

    Returns:
        the boxes, and the share of each one's area that is left within the picture: float64 [box]; 0 where nothing is.
    """
    left, top, right, bottom = boxes.reshape(-1, 4).T
    corners = np.stack([left, top, right, top, right, bottom, left, bottom], axis=1).reshape(-1, 2)
    moved = project(forward, corners).reshape(-1, 4, 2)
    low, high = moved.min(axis=1), moved.max(axis=1)
    seen = np.isfinite(high).all(axis=1)
    whole = np.where(seen[:, None], np.concatenate([low, high], axis=1), 0.0)
    cut = np.clip(whole, 0.0, [width, height, width, height])
    area = np.prod(whole[:, 2:] - whole[:, :2], axis=1)
    left_over = np.prod(cut[:, 2:] - cut[:, :2], axis=1)
    return cut, np.where(seen & (area > 0), left_over / np.where(area > 0, area, 1.0), 0.0)
