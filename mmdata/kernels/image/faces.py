"""Faces in pictures: where they are, by CenterFace, and how they are made unknowable."""

from __future__ import annotations

import threading
from functools import lru_cache
from typing import Any, Literal

import numpy as np

from mmdata.kernels.image.color import as_array, rgb
from mmdata.kernels.image.sizes import shrink

_CELL_PX = 4  # of the model's maps
_FIT_PX = 32  # what its input's sides must be multiples of
# names in the file: how likely a centre is, logarithms of size, offsets, and the landmarks that are not used
_OUTPUTS = ("537", "538", "539", "540")
_SAME = 0.3  # boxes that overlap by more of their union are one face


class FaceDetector:
    """CenterFace: Xu et al., "CenterFace: joint face detection and alignment using face as point" (2019), as ONNX.

    Args:
        model: the file's bytes.
    """

    def __init__(self, model: bytes) -> None:
        import cv2

        self._net: Any = cv2.dnn.readNetFromONNX(np.frombuffer(model, np.uint8))
        self._turn = threading.Lock()  # a net of OpenCV is used by one thread at a time

    def __call__(self, pixels: np.ndarray, *, min_confidence: float, working_px: int) -> np.ndarray:
        """Boxes of faces, most likely first.

        Args:
            pixels: uint8 [row, column, channel], upright.
            min_confidence: 0 to 1; what is less likely is left out.
            working_px: the longest side at which faces are sought; those below 10 px there are not found.

        Returns:
            float64 [face, edge] in pixels: left, top, right, bottom, cut at the picture's edges.
        """
        import cv2

        small = rgb(shrink(pixels, working_px))
        height, width = small.shape[:2]
        fitted = np.zeros((-(-height // _FIT_PX) * _FIT_PX, -(-width // _FIT_PX) * _FIT_PX, 3), np.uint8)
        fitted[:height, :width] = small
        with self._turn:
            self._net.setInput(cv2.dnn.blobFromImage(fitted))
            heat, size, offset, _ = (as_array(array)[0] for array in self._net.forward(list(_OUTPUTS)))
        rows, columns = np.nonzero(heat[0] >= min_confidence)
        heights, widths = np.exp(size[:, rows, columns]) * _CELL_PX
        down, right = offset[:, rows, columns] + 0.5
        left, top = (columns + right) * _CELL_PX - widths / 2, (rows + down) * _CELL_PX - heights / 2
        boxes = np.stack([left, top, widths, heights], axis=1).astype(np.float64)
        confident = heat[0, rows, columns].astype(np.float64)
        kept = as_array(cv2.dnn.NMSBoxes(boxes.tolist(), confident.tolist(), min_confidence, _SAME)).astype(int).ravel()
        found = boxes[kept]
        found[:, 2:] += found[:, :2]
        scale = [pixels.shape[1] / width, pixels.shape[0] / height]
        return np.asarray(np.clip(found * (scale * 2), 0, [pixels.shape[1], pixels.shape[0]] * 2))


@lru_cache(maxsize=2)
def face_detector(path: str) -> FaceDetector:
    """The detector of a file, read once a process."""
    with open(path, "rb") as file:
        return FaceDetector(file.read())


def hide(pixels: np.ndarray, box: np.ndarray, *, how: Literal["blur", "fill"]) -> None:
    """Make a part of a picture unknowable, in place.

    Args:
        pixels: uint8 [row, column, channel], to be written to.
        box: left, top, right, bottom.
        how: "blur" first averages it down to 6 px, so that nothing finer is left, and blurs that; "fill" is its mean.
    """
    import cv2

    left, top = np.floor(box[:2]).astype(int).clip(0)
    right, bottom = np.ceil(box[2:]).astype(int)
    part = pixels[top:bottom, left:right]
    if not part.size:
        return
    if how == "fill":
        part[:] = np.rint(part.mean(axis=(0, 1)))
        return
    height, width = part.shape[:2]
    few = shrink(np.ascontiguousarray(part), 6)
    part[:] = as_array(cv2.resize(few, (width, height), interpolation=cv2.INTER_CUBIC)).reshape(part.shape)
