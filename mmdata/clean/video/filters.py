"""What a film must be like to be kept: by what its container says, and by its decoded frames."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.nested import nested
from mmdata.core.sample import Frames, Image, Video
from mmdata.core.step import Drop, Filter, decision
from mmdata.kernels.image.quality import laplacian_variance
from mmdata.kernels.video import flow_method, mean_differences, optical_flow


@dataclass(frozen=True, kw_only=True)
class KeepDuration(Filter[Video]):
    """Keep films whose picture track lasts `min_s` to `max_s` seconds, both included; None is no bound.

    Reference:
        Plain bounds.
    """

    on: str = "video"
    min_s: Annotated[float, Ge(0)] | None = None
    max_s: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.min_s is not None and self.max_s is not None and self.min_s > self.max_s:
            raise ValueError(f"min_s must not be greater than max_s: {self.min_s} > {self.max_s}")

    def keep(self, video: Video) -> Literal[True] | Drop:
        if self.min_s is not None and video.duration_s < self.min_s:
            return Drop("too_short")
        if self.max_s is not None and video.duration_s > self.max_s:
            return Drop("too_long")
        return True


@dataclass(frozen=True, kw_only=True)
class KeepResolution(Filter[Video]):
    """Drop films whose pictures are too small or too large, too tall or too wide, as they are shown.

    Args:
        min_px: of the shorter side.
        max_px: of the longer side; None is no bound.
        min_aspect: width / height; None is no bound.
        max_aspect: the same.

    Reference:
        Plain bounds.
    """

    on: str = "video"
    min_px: Annotated[int, Ge(1)] = 240
    max_px: Annotated[int, Ge(1)] | None = None
    min_aspect: Annotated[float, Gt(0)] | None = None
    max_aspect: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        in_order("min_px", self.min_px, "max_px", self.max_px)
        in_order("min_aspect", self.min_aspect, "max_aspect", self.max_aspect)

    def keep(self, video: Video) -> Literal[True] | Drop:
        if min(video.width, video.height) < self.min_px:
            return Drop("too_small")
        if self.max_px is not None and max(video.width, video.height) > self.max_px:
            return Drop("too_large")
        if self.min_aspect is not None and video.width < self.min_aspect * video.height:
            return Drop("too_tall")
        is_wide = self.max_aspect is not None and video.width > self.max_aspect * video.height
        return Drop("too_wide") if is_wide else True


@dataclass(frozen=True, kw_only=True)
class KeepFrameRate(Filter[Video]):
    """Keep films of `min_fps` to `max_fps` frames a second on average, both included; None is no bound.

    Reference:
        Plain bounds.
    """

    on: str = "video"
    min_fps: Annotated[float, Ge(0)] | None = None
    max_fps: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        in_order("min_fps", self.min_fps, "max_fps", self.max_fps)

    def keep(self, video: Video) -> Literal[True] | Drop:
        if self.min_fps is not None and video.fps < self.min_fps:
            return Drop("too_slow")
        return Drop("too_fast") if self.max_fps is not None and video.fps > self.max_fps else True


@dataclass(frozen=True, kw_only=True)
class KeepMotion(Filter[Frames]):
    """Drop frames in which too little or too much moves. Decode them at a low rate and size before: 2 and 256, say.

    Args:
        measure: "flow" is the mean speed of all pixels, in widths of the frame a second, by optical flow (DIS), as
            `features.video.OpticalFlow` has it in its column "motion"; "difference" the mean absolute change of levels
            from frame to frame, 0 to 1, which also counts flicker and costs a hundredth.
        min_motion: the least that is kept; frames of one moment have 0.
        max_motion: the greatest; None is no bound.
        preset: how carefully flow is computed.

    Reference:
        Kroeger et al., "Fast optical flow using dense inverse search" (ECCV 2016), as OpenCV has it.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    measure: Literal["flow", "difference"] = "flow"
    min_motion: Annotated[float, Ge(0)] = 0.01
    max_motion: Annotated[float, Ge(0)] | None = None
    preset: Literal["ultrafast", "fast", "medium"] = "fast"

    def __post_init__(self) -> None:
        in_order("min_motion", self.min_motion, "max_motion", self.max_motion)

    def keep(self, frames: Frames) -> Literal[True] | Drop:
        motion = self.motion(frames)
        if motion < self.min_motion:
            return Drop("too_still")
        return Drop("too_restless") if self.max_motion is not None and motion > self.max_motion else True

    def motion(self, frames: Frames) -> float:
        """How much moves, in the unit of `measure`; 0 where there are less than two frames."""
        if len(frames.pixels) < 2:
            return 0.0
        if self.measure == "difference":
            return float(mean_differences(frames.pixels).mean())
        flows = optical_flow(frames.pixels, method=flow_method("dis", self.preset))
        path_px = sum(float(np.hypot(flow[..., 0], flow[..., 1]).mean(dtype=np.float64)) for flow in flows)
        seconds = float(np.ptp(frames.times_s))
        return path_px / (frames.pixels.shape[2] * seconds) if seconds > 0 else 0.0


@dataclass(frozen=True, kw_only=True)
class KeepSharp(Filter[Frames]):
    """Drop frames that are blurred, or show nothing: those whose median sharpness is low.

    Args:
        min_sharpness: the least median of the variances of the frames' Laplacians, as `clean.image.DropBlurred` has it.
        working_px: the longest side at which it is measured.

    Reference:
        Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000), method LAPV.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    min_sharpness: Annotated[float, Ge(0)] = 20.0
    working_px: Annotated[int, Gt(0)] = 512

    def keep(self, frames: Frames) -> Literal[True] | Drop:
        found = [laplacian_variance(frame, working_px=self.working_px) for frame in frames.pixels]
        return True if found and float(np.median(found)) >= self.min_sharpness else Drop("blurred")


@dataclass(frozen=True, kw_only=True)
class KeepByFrames(Filter[Frames]):
    """Keep a clip of whose frames at least a share is kept by a filter on pictures, of any kind.

    With `clean.image.KeepByScore` a classifier of yours judges frames: overlaid text, watermarks, nudity, beauty. The
    reason for a drop is the one that most frames give.

    Args:
        step: the filter with its settings, as in a list of steps: {use: clean.image.KeepExposure, min_level: 30}.
        min_share: of the frames; 1 is all of them, 0.5 half.

    Reference:
        That of the step.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    step: Mapping[str, Any]
    min_share: Annotated[float, Gt(0), Le(1)] = 1.0

    def __post_init__(self) -> None:
        nested(self.step, kind=Filter, takes=Image)

    def settings(self) -> dict[str, Any]:
        inner = nested(self.step, kind=Filter, takes=Image)
        return {**super().settings(), "step": [inner.name, inner.version, inner.settings()]}

    def keep(self, frames: Frames) -> Literal[True] | Drop:
        inner = nested(self.step, kind=Filter, takes=Image)
        said = [decision(inner.keep(Image(frame, space_map=frames.space_map))) for frame in frames.pixels]
        drops = Counter(each.reason for each in said if isinstance(each, Drop))
        if not said:
            return Drop("no_frames")
        kept = len(said) - drops.total()
        return True if kept >= self.min_share * len(said) else Drop(drops.most_common(1)[0][0])


def in_order(low: str, least: float | None, high: str, most: float | None) -> None:
    """Raise ValueError where a greatest value lies below the least."""
    if least is not None and most is not None and most < least:
        raise ValueError(f"{high} ({most}) is below {low} ({least})")
