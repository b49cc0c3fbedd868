"""How much a film changes from frame to frame."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.kernels import video as kernels


@dataclass(frozen=True, kw_only=True)
class VideoDifference(Watch):
    """How much each frame differs from the one before: float32 [pair], mean absolute difference, full scale is 1.

    The columns "mean" and "max" are float32 scalars over all pairs, 0 where there is one frame only; "times_s", float64
    [pair], is when the later frame is shown.

    Args:
        fps: frames a second of the grid; None is every frame.
        size_px: the longer side at which frames are compared.

    Reference:
        Plain mean of differences.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.difference"
    fps: Annotated[float, Gt(0)] | None = None
    size_px: Annotated[int, Gt(0)] = 160

    def spec(self) -> Mapping[str, ArraySpec]:
        pair = ("pair",)
        return {
            "": ArraySpec(dims=pair),
            "times_s": ArraySpec(dims=pair, dtype="float64"),
            "mean": ArraySpec(),
            "max": ArraySpec(),
        }

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=self.fps, size_px=self.size_px)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        last, found, times_s = np.empty((0, 0, 0, 0), np.uint8), [np.empty(0, np.float32)], [np.empty(0)]
        while (frames := (yield)) is not None:
            if len(last):
                found.append(kernels.mean_differences(np.stack([last[0], frames.pixels[0]])))
            found.append(kernels.mean_differences(frames.pixels))
            times_s.append(frames.times_s)
            last = frames.pixels[-1:].copy()
        pairs = np.concatenate(found)
        mean, most = (pairs.mean(), pairs.max()) if pairs.size else (0.0, 0.0)
        return {
            "": pairs,
            "times_s": np.concatenate(times_s)[1:],
            "mean": np.asarray(mean, np.float32),
            "max": np.asarray(most, np.float32),
        }
