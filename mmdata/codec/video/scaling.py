"""Frames of FFmpeg to arrays: scaled, converted and turned in one step."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from mmdata.core.sample import Video

if TYPE_CHECKING:
    from av.video.frame import VideoFrame


def fitted(video: Video, size_px: int | None) -> tuple[int, int]:
    """Width and height as shown, scaled down so that the longer has at most `size_px` pixels."""
    longest = max(video.width, video.height)
    if size_px is None or longest <= size_px:
        return video.width, video.height
    return max(1, round(video.width * size_px / longest)), max(1, round(video.height * size_px / longest))


class Scaler:
    """Makes uint8 [height, width, channel] of frames; libswscale's tables are made once for all.

    Args:
        size: width and height of what is made, after turning. rotation_deg: clockwise.
        grey: one channel of luma, or RGB.
    """

    def __init__(self, size: tuple[int, int], rotation_deg: int, *, grey: bool = False) -> None:
        from av.video.reformatter import VideoReformatter

        self.stored_size = size if rotation_deg % 180 == 0 else size[::-1]
        self.quarters = -(rotation_deg // 90)
        self.form, self.n_channels = ("gray", 1) if grey else ("rgb24", 3)
        self.reformatter = VideoReformatter()
        self._last: tuple[VideoFrame, np.ndarray] | None = None

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        """The frame's pixels, valid until the next call; the same frame again costs nothing."""
        if self._last is not None and self._last[0] is frame:
            return self._last[1]
        width, height = self.stored_size
        made = self.reformatter.reformat(frame, width, height, self.form, interpolation="AREA", threads=1)
        plane = made.planes[0]
        rows = np.frombuffer(plane, np.uint8).reshape(-1, plane.line_size)[:height, : width * self.n_channels]
        pixels = np.rot90(rows.reshape(height, width, self.n_channels), self.quarters)
        self._last = frame, pixels
        return pixels
