"""How things move: dense optical flow of decoded frames, and of a film as it is watched."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Video
from mmdata.core.step import Extract
from mmdata.core.watch import View, Watch, Watching
from mmdata.errors import DecodeError
from mmdata.kernels import video as kernels


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
class VideoFlow(Watch):
    """How things move from frame to frame of a grid: float32 [pair, row, column, xy], in pixels right and down.

    Flow is computed for every pixel of frames of `size_px`, and kept as the means of the blocks of a grid. The columns
    that sum it up look at every second pixel of every second row. "motion" (float32, scalar) and "track" (float32
    [pair]) are their mean speed in widths of the frame a second, of the whole film and of each pair; "directions",
    float32 [bin], is the share of all movement that went right (bin 0) and on clockwise; "speeds", float32 [speed], is
    the share of pixels by speed, each bin twice as fast as the one before, the last from 1 width a second on;
    "times_s", float64 [pair], is when the later frame is shown. All shares are 0 where there is one frame only.

    Args:
        method: "dis", Dense Inverse Search (Kroeger et al., ECCV 2016), or "farneback" (SCIA 2003).
        preset: how carefully; for "dis" medium is about four times as slow as fast, and up to five times as exact.
        fps: frames a second of the grid; None is every frame. size_px: the longer side.
        keep: "grid" keeps the means of blocks; "dense" the flow of every pixel, as float16 [pair, row, column, xy].
        n_rows, n_columns: the grid. n_bins: directions. n_speeds: bins of speed.
        max_bytes: refuse films whose dense flow takes more memory.

    Raises:
        DecodeError: the flow would take more than `max_bytes`.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.flow"
    method: Literal["dis", "farneback"] = "dis"
    preset: Literal["ultrafast", "fast", "medium"] = "medium"
    fps: Annotated[float, Gt(0)] | None = 8.0
    size_px: Annotated[int, Gt(0)] = 320
    keep: Literal["grid", "dense"] = "grid"
    n_rows: Annotated[int, Gt(0)] = 8
    n_columns: Annotated[int, Gt(0)] = 8
    n_bins: Annotated[int, Gt(0)] = 8
    n_speeds: Annotated[int, Ge(2)] = 8
    max_bytes: Annotated[int, Gt(0)] = 256 * 1024**2

    def spec(self) -> Mapping[str, ArraySpec]:
        dims = ("pair", "row", "column", "xy")
        sizes = {"row": self.n_rows, "column": self.n_columns, "xy": 2}
        dense = ArraySpec(dims=dims, sizes={"xy": 2}, dtype="float16")
        return {
            "": dense if self.keep == "dense" else ArraySpec(dims=dims, sizes=sizes),
            "motion": ArraySpec(),
            "track": ArraySpec(dims=("pair",)),
            "directions": ArraySpec(dims=("bin",), sizes={"bin": self.n_bins}),
            "speeds": ArraySpec(dims=("speed",), sizes={"speed": self.n_speeds}),
            "times_s": ArraySpec(dims=("pair",), dtype="float64"),
        }

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=self.fps, size_px=self.size_px, grey=True)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        method, sums = kernels.flow_method(self.method, self.preset), _FlowSums(self)
        last: Frames | None = None
        while (frames := (yield)) is not None:
            pixels, times_s = frames.pixels, frames.times_s
            if last is not None:
                pixels, times_s = np.concatenate([last.pixels, pixels]), np.concatenate([last.times_s, times_s])
            for pair, flow in enumerate(kernels.optical_flow(pixels, method=method)):
                sums.add(flow, float(times_s[pair]), float(times_s[pair + 1]))
            last = Frames(pixels[-1:].copy(), times_s[-1:], frames.is_key[-1:])
        return sums.arrays()


class _FlowSums:
    """The columns of `VideoFlow` as they grow."""

    def __init__(self, step: VideoFlow) -> None:
        self.step = step
        self.flows: list[np.ndarray] = []
        self.times_s: list[float] = []
        self.track: list[float] = []
        self.paths = np.zeros(step.n_bins)
        self.speeds = np.zeros(step.n_speeds)
        self.seconds = self.path = 0.0
        self.shape, self.n_bytes = (step.n_rows, step.n_columns), 0

    def add(self, flow: np.ndarray, from_s: float, to_s: float) -> None:
        step, width, seconds = self.step, flow.shape[1], to_s - from_s
        some = np.ascontiguousarray(flow[::2, ::2])
        paths_px, lengths_px = kernels.directions(some, n_bins=step.n_bins), kernels.lengths(some)
        path = float(lengths_px.mean(dtype=np.float64)) / width
        self.paths += paths_px / lengths_px.size
        self.speeds += kernels.speed_shares(lengths_px * np.float32(1 / (width * seconds)), n_bins=step.n_speeds)
        self.seconds, self.path = self.seconds + seconds, self.path + path
        self.track.append(path / seconds)
        self.times_s.append(to_s)
        self.flows.append(self._kept(flow))
        self.n_bytes += self.flows[-1].nbytes
        if self.n_bytes > step.max_bytes:
            raise DecodeError(f"its flow takes more than {step.max_bytes:,} bytes up to {to_s:.1f} s: max_bytes")

    def _kept(self, flow: np.ndarray) -> np.ndarray:
        if self.step.keep == "dense":
            self.shape = flow.shape[:2]
            return flow.astype(np.float16)
        return kernels.block_means(flow, n_rows=self.step.n_rows, n_columns=self.step.n_columns)

    def arrays(self) -> Mapping[str, np.ndarray]:
        dtype = np.float16 if self.step.keep == "dense" else np.float32
        total = self.paths.sum()
        return {
            "": np.stack(self.flows) if self.flows else np.empty((0, *self.shape, 2), dtype),
            "motion": np.asarray(self.path / self.seconds if self.seconds else 0.0, np.float32),
            "track": np.array(self.track, np.float32),
            "directions": (self.paths / total if total > 0 else self.paths).astype(np.float32),
            "speeds": (self.speeds / max(1, len(self.flows))).astype(np.float32),
            "times_s": np.array(self.times_s, np.float64),
        }
