"""What is made of decoded frames, and what a container says."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Video
from mmdata.core.step import Extract
from mmdata.kernels import video as kernels


@dataclass(frozen=True, kw_only=True)
class Keyframes(Extract[Frames]):
    """A few frames that stand for all: thumbnails, uint8 [keyframe, row, column, channel], and when each is shown.

    The column "times_s" is float64 [keyframe], rising. A film of fewer frames gives fewer; only one without any gives
    none. Thumbnails are squeezed to squares, so that all films have the same shape.

    Args:
        method: "distinct" takes the first frame, then always the one whose colours (histograms of a 4 x 4 grid) differ
            most from those taken; "codec" the frames that the codec stored whole, or the first; "uniform" the middles
            of equal stretches.
        n: how many at most. Of more codec keyframes, an even choice is taken.
        size_px: side of a thumbnail.
        min_difference: "distinct" stops when no frame differs in a greater share of its pixels.

    Reference:
        "distinct": Gonzalez, "Clustering to minimize the maximum intercluster distance" (1985); the histograms are of
        mmdata.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    into: str = "frames.keyframes"
    method: Literal["distinct", "codec", "uniform"] = "distinct"
    n: Annotated[int, Gt(0)] = 8
    size_px: Annotated[int, Gt(0)] = 64
    min_difference: Annotated[float, Ge(0), Le(1)] = 0.2

    def spec(self) -> Mapping[str, ArraySpec]:
        sizes = {"row": self.size_px, "column": self.size_px, "channel": 3}
        thumbnails = ArraySpec(dims=("keyframe", "row", "column", "channel"), sizes=sizes, dtype="uint8")
        return {"": thumbnails, "times_s": ArraySpec(dims=("keyframe",), dtype="float64")}

    def extract(self, frames: Frames) -> Mapping[str, np.ndarray]:
        chosen = self.choose(frames)
        thumbnails = np.empty((len(chosen), self.size_px, self.size_px, 3), np.uint8)
        for row, index in enumerate(chosen):
            thumbnails[row] = kernels.thumbnail(frames.pixels[index], size_px=self.size_px)
        return {"": thumbnails, "times_s": np.asarray(frames.times_s[chosen], np.float64)}

    def choose(self, frames: Frames) -> np.ndarray:
        """Indices of the keyframes, rising: int64 [keyframe]."""
        if self.method == "uniform":
            return kernels.evenly(len(frames.pixels), self.n)
        if self.method == "codec":
            whole = np.flatnonzero(frames.is_key)
            whole = whole if whole.size else np.arange(min(1, len(frames.pixels)))
            return np.take(whole, kernels.evenly(len(whole), self.n))
        histograms = kernels.color_histograms(frames.pixels)
        return kernels.most_distinct(histograms, n=self.n, min_distance=self.min_difference)


@dataclass(frozen=True, kw_only=True)
class FrameDifference(Extract[Frames]):
    """How much each frame differs from the one before: float32 [pair], mean absolute difference, full scale is 1.

    The columns "mean" and "max" are float32 scalars over all pairs, 0 where there is one frame only: a film that
    stands still has a low mean, one with a cut a high max.

    Reference:
        Plain mean of differences.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    into: str = "frames.difference"

    def spec(self) -> Mapping[str, ArraySpec]:
        return {"": ArraySpec(dims=("pair",)), "mean": ArraySpec(), "max": ArraySpec()}

    def extract(self, frames: Frames) -> Mapping[str, np.ndarray]:
        pairs = kernels.mean_differences(frames.pixels)
        mean, most = (pairs.mean(), pairs.max()) if len(pairs) else (0.0, 0.0)
        return {"": pairs, "mean": np.asarray(mean, np.float32), "max": np.asarray(most, np.float32)}


@dataclass(frozen=True, kw_only=True)
class VideoSize(Extract[Video]):
    """What the container says, as scalars: "width" and "height" as shown, "fps", "duration_s", "has_audio".

    Reference:
        As `codec.video.OpenVideo`: FFmpeg, by PyAV.
    """

    on: str = "video"
    into: str = "video.size"

    def spec(self) -> Mapping[str, ArraySpec]:
        return {
            "width": ArraySpec(dtype="int32"),
            "height": ArraySpec(dtype="int32"),
            "fps": ArraySpec(),
            "duration_s": ArraySpec(dtype="float64"),
            "has_audio": ArraySpec(dtype="bool"),
        }

    def extract(self, video: Video) -> Mapping[str, np.ndarray]:
        return {name: np.asarray(getattr(video, name), spec.dtype) for name, spec in self.spec().items()}
