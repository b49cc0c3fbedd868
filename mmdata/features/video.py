"""Arrays and scalars of a film and of its frames."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
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
class OpticalFlow(Extract[Frames]):
    """How things move from frame to frame: float32 [pair, row, column, xy], in pixels right and down.

    Flow is computed for every pixel and averaged over the blocks of a grid. Two more columns sum the film up from all
    pixels: "motion", a float32 scalar, is their mean speed in widths of the frame a second; "histogram", float32
    [bin], is the share of all movement that went right (bin 0) and on clockwise. Both are 0 where nothing moves, and
    where there is one frame only.

    Args:
        method: "dis", Dense Inverse Search (Kroeger et al., ECCV 2016), or "farneback" (SCIA 2003).
        preset: how carefully; for "dis" medium is about four times as slow as fast, and up to five times as exact.
        n_rows, n_columns: the grid. n_bins: directions.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    into: str = "frames.flow"
    method: Literal["dis", "farneback"] = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = "medium"
    n_rows: Annotated[int, Gt(0)] = 8
    n_columns: Annotated[int, Gt(0)] = 8
    n_bins: Annotated[int, Gt(0)] = 8

    def spec(self) -> Mapping[str, ArraySpec]:
        sizes = {"row": self.n_rows, "column": self.n_columns, "xy": 2}
        flow = ArraySpec(dims=("pair", "row", "column", "xy"), sizes=sizes)
        return {"": flow, "motion": ArraySpec(), "histogram": ArraySpec(dims=("bin",), sizes={"bin": self.n_bins})}

    def extract(self, frames: Frames) -> Mapping[str, np.ndarray]:
        method = kernels.flow_method(self.method, self.preset)
        flows = kernels.optical_flow(frames.pixels, method=method)
        return summed_up(flows, frames, n_rows=self.n_rows, n_columns=self.n_columns, n_bins=self.n_bins)


def summed_up(
    flows: Iterable[np.ndarray], frames: Frames, *, n_rows: int, n_columns: int, n_bins: int
) -> Mapping[str, np.ndarray]:
    """The columns of `OpticalFlow`, from the flow of each pair of frames: float32 [row, column, xy], in pixels."""
    n_pairs = max(0, len(frames.pixels) - 1)
    grid = np.empty((n_pairs, n_rows, n_columns, 2), np.float32)
    paths_px = np.zeros(n_bins)
    for pair, flow in enumerate(flows):
        grid[pair] = kernels.block_means(flow, n_rows=n_rows, n_columns=n_columns)
        paths_px += kernels.directions(flow, n_bins=n_bins) / flow[..., 0].size
    path_px, seconds = paths_px.sum(), np.ptp(frames.times_s) if n_pairs else 0.0
    motion = path_px / (frames.pixels.shape[2] * seconds) if seconds > 0 else 0.0
    histogram = paths_px / path_px if path_px > 0 else paths_px
    return {"": grid, "motion": np.asarray(motion, np.float32), "histogram": histogram.astype(np.float32)}


@dataclass(frozen=True, kw_only=True)
class FrameDifference(Extract[Frames]):
    """How much each frame differs from the one before: float32 [pair], mean absolute difference, full scale is 1.

    The columns "mean" and "max" are float32 scalars over all pairs, 0 where there is one frame only: a film that
    stands still has a low mean, one with a cut a high max.
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
    """What the container says, as scalars: "width" and "height" as shown, "fps", "duration_s", "has_audio"."""

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
