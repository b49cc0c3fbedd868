"""Which part of a film's pictures is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Frames
from mmdata.core.step import Drop, Map
from mmdata.kernels.passages import BlackBorders


@dataclass(frozen=True, kw_only=True)
class CutBlackBorders(Map[Frames, Frames]):
    """Cut black bars off, the same ones of all frames; drop frames that are black throughout.

    A row or column belongs to a bar where the brightest that its pixels ever were is at most `max_level` on average:
    what lights up once, at any time, stays.

    Args:
        max_level: of luma, 0 to 255.
        even: make width and height even, which most encoders want, by a row or column less.

    Reference:
        FFmpeg's filter cropdetect, which judges rows and columns by their means, too.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    max_level: Annotated[int, Ge(0), Le(254)] = 24
    even: bool = True

    def map(self, frames: Frames) -> Frames | Drop:
        borders = BlackBorders(max_level=self.max_level)
        borders.add(frames.pixels)
        inside = borders.inside()
        if inside is None:
            return Drop("only_border")
        left, top, right, bottom = inside
        height, width = frames.pixels.shape[1:3]
        if (left, top, right, bottom) == (0, 0, width, height):
            return frames
        if self.even:
            right -= (right - left) % 2 if right - left > 1 else 0
            bottom -= (bottom - top) % 2 if bottom - top > 1 else 0
        pixels = np.ascontiguousarray(frames.pixels[:, top:bottom, left:right])
        return frames.changed(pixels, space_map=frames.space_map.cropped(left=left, top=top))
