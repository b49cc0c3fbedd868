"""Frames of FFmpeg to arrays: scaled, converted and turned."""

from __future__ import annotations

from collections import deque
from functools import cache
from typing import TYPE_CHECKING

import numpy as np

from mmdata.core.sample import Video

if TYPE_CHECKING:
    from av.video.frame import VideoFrame
    from av.video.plane import VideoPlane

_PLANAR = frozenset({"yuv420p", "yuv422p", "yuv444p", "yuvj420p", "yuvj422p", "yuvj444p"})  # of 8 bits
_FULL_RANGE = 2  # AVCOL_RANGE_JPEG
_RED_BLUE = {1: (0.2126, 0.0722), 9: (0.2627, 0.0593), 10: (0.2627, 0.0593)}  # of luma, by H.273's table; else BT.601
_TO_FULL = np.clip(np.rint((np.arange(256) - 16) * (255 / 219)), 0, 255).astype(np.uint8)


def fitted(video: Video, size_px: int | None) -> tuple[int, int]:
    """Width and height as shown, scaled down so that the longer has at most `size_px` pixels."""
    longest = max(video.width, video.height)
    if size_px is None or longest <= size_px:
        return video.width, video.height
    return max(1, round(video.width * size_px / longest)), max(1, round(video.height * size_px / longest))


class Planes:
    """A frame's planes, each averaged to the sizes that are asked for: halved as often as that goes, once for all.

    OpenCV rounds halves up, so that each halving makes a picture brighter by about 0.15 of 255.
    """

    def __init__(self, frame: VideoFrame) -> None:
        self.frame = frame
        self._halved = [[_pixels(plane, 1)[..., 0]] for plane in frame.planes]

    def at(self, index: int, size: tuple[int, int], *, sampled: bool = False) -> np.ndarray:
        """A plane at a size, averaged or sampled: uint8 [height, width]."""
        import cv2

        halved, (width, height) = self._halved[index], size
        if sampled:
            return cv2.resize(halved[0], size, interpolation=cv2.INTER_LINEAR)
        level = 0
        while halved[level].shape[0] >= 2 * height and halved[level].shape[1] >= 2 * width:
            if level + 1 == len(halved):
                rows, columns = halved[level].shape
                smaller = cv2.resize(halved[level], (columns // 2, rows // 2), interpolation=cv2.INTER_AREA)
                halved.append(smaller)
            level += 1
        whole = halved[level]
        return whole if whole.shape == (height, width) else cv2.resize(whole, size, interpolation=cv2.INTER_LINEAR)

    def luma(self, size: tuple[int, int], *, sampled: bool = False) -> np.ndarray:
        """At full range: uint8 [height, width]."""
        stored = self.at(0, size, sampled=sampled)
        return stored if _is_full_range(self.frame) else _TO_FULL[stored]

    def rgb(self, size: tuple[int, int], *, sampled: bool = False) -> np.ndarray:
        """In the film's own colours: uint8 [height, width, channel]."""
        import cv2

        planes = cv2.merge([self.at(index, size, sampled=sampled) for index in range(3)])
        return cv2.transform(planes, _to_rgb(self.frame.colorspace, _is_full_range(self.frame)))


class PlanesOf:
    """The planes of frames, for several scalers: the last two are kept, as a grid lags a frame behind."""

    def __init__(self) -> None:
        self._last: deque[Planes] = deque(maxlen=2)

    def __call__(self, frame: VideoFrame) -> Planes:
        for planes in self._last:
            if planes.frame is frame:
                return planes
        self._last.append(Planes(frame))
        return self._last[-1]


class Scaler:
    """Makes uint8 [height, width, channel] of frames.

    What becomes half as large or smaller is averaged plane by plane before colours are converted, which takes a third
    of libswscale's time; other sizes and forms of pixels are libswscale's, whose tables are made once for all.

    Args:
        size: width and height of what is made, after turning. rotation_deg: clockwise.
        grey: one channel of luma, or RGB. sampled: bilinear samples in place of averages.
        planes: shared by scalers of one film; None leaves all to libswscale.
    """

    def __init__(
        self,
        size: tuple[int, int],
        rotation_deg: int,
        *,
        grey: bool = False,
        sampled: bool = False,
        planes: PlanesOf | None = None,
    ) -> None:
        from av.video.reformatter import VideoReformatter

        self.stored_size = size if rotation_deg % 180 == 0 else size[::-1]
        self.quarters = -(rotation_deg // 90)
        self.n_channels, self.planes, self.sampled = (1 if grey else 3), planes, sampled
        self.reformatter = VideoReformatter()
        self._last: tuple[VideoFrame, np.ndarray] | None = None

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """The frame's pixels, valid until the next call; the same frame again costs nothing."""
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        if self.planes is not None and self._halves(frame):
            made = self.planes(frame)
            make = made.luma if self.n_channels == 1 else made.rgb
            stored = make(self.stored_size, sampled=self.sampled)
        else:
            stored = self._converted(frame)
        stored = stored[..., None] if stored.ndim == 2 else stored
        pixels: np.ndarray = np.rot90(stored, self.quarters) if self.quarters else stored
        self._last = frame, pixels
        return pixels

    def _converted(self, frame: VideoFrame) -> np.ndarray:
        """By libswscale."""
        import cv2

        form = "gray" if self.n_channels == 1 else "rgb24"
        width, height = (frame.width, frame.height) if self.sampled else self.stored_size
        made = self.reformatter.reformat(frame, width, height, form, interpolation="AREA", threads=1)
        pixels = _pixels(made.planes[0], self.n_channels)
        if (width, height) == self.stored_size:
            return pixels
        return cv2.resize(pixels, self.stored_size, interpolation=cv2.INTER_LINEAR)

    def _halves(self, frame: VideoFrame) -> bool:
        """Whether planes can be averaged, and are much larger than what is made of them."""
        width, height = self.stored_size
        return frame.width >= 2 * width and frame.height >= 2 * height and frame.format.name in _PLANAR


def _is_full_range(frame: VideoFrame) -> bool:
    return frame.color_range == _FULL_RANGE or frame.format.name.startswith("yuvj")


@cache
def _to_rgb(colorspace: int, full_range: bool) -> np.ndarray:
    """The matrix from luma and chroma to red, green and blue: float64 [3, 4] (ITU-T H.273, section 8.3)."""
    red, blue = _RED_BLUE.get(colorspace, (0.299, 0.114))
    green = 1 - red - blue
    to_rgb = np.array(
        [[1, 0, 2 - 2 * red], [1, -(2 - 2 * blue) * blue / green, -(2 - 2 * red) * red / green], [1, 2 - 2 * blue, 0]]
    )
    if not full_range:
        to_rgb = to_rgb * [255 / 219, 255 / 224, 255 / 224]
    zero = np.array([0 if full_range else 16, 128, 128])
    return np.column_stack([to_rgb, -to_rgb @ zero])


def _pixels(plane: VideoPlane, n_channels: int) -> np.ndarray:
    """A plane's memory, without the padding of its lines: uint8 [height, width, channel]."""
    lines: np.ndarray = np.frombuffer(memoryview(plane), np.uint8).reshape(-1, plane.line_size)
    return lines[: plane.height, : plane.width * n_channels].reshape(plane.height, plane.width, n_channels)
