"""Passages of a film in which nothing is to be seen."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.kernels.passages import BlackFrames, FrozenFrames, Passage, passages, still_passages

WORKING_PX = 256


@dataclass(frozen=True, kw_only=True)
class VideoPassages(Watch):
    """When a film is black, and when it stands still, by what `clean.video.CutPassages` cuts out.

    The columns "black" and "frozen" are float64 [passage, bound], the seconds at which each passage begins and ends;
    "black_share" and "frozen_share" are float32 scalars, their share of the film's length.

    Args:
        min_s: the least length of a passage.
        max_level: how dark a pixel of a black frame is, 0 to 1.
        min_black: the share of a black frame's pixels that are so dark.
        max_change: the greatest mean change of levels in a frozen passage, 0 to 1, from its first frame on.

    Reference:
        FFmpeg's filters blackdetect and freezedetect.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.passages"
    min_s: Annotated[float, Gt(0)] = 2.0
    max_level: Annotated[float, Ge(0), Le(1)] = 0.1
    min_black: Annotated[float, Gt(0), Le(1)] = 0.98
    max_change: Annotated[float, Ge(0), Le(1)] = 0.001

    def spec(self) -> Mapping[str, ArraySpec]:
        stretches = ArraySpec(dims=("passage", "bound"), sizes={"bound": 2}, dtype="float64")
        return {"black": stretches, "frozen": stretches, "black_share": ArraySpec(), "frozen_share": ArraySpec()}

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(size_px=WORKING_PX)

    def watch(self, video: Video) -> Watching:
        black = BlackFrames(max_level=self.max_level, min_share=self.min_black)
        frozen, times = FrozenFrames(max_change=self.max_change), [np.empty(0)]
        while (frames := (yield)) is not None:
            black.add(frames.pixels)
            frozen.add(frames.pixels)
            times.append(frames.times_s)
        times_s = np.concatenate(times)
        last_s = float(times_s[-1]) + 1 / video.fps if times_s.size else 0.0
        end_s = video.duration_s if video.duration_s > 0 else last_s
        dark = passages(black.found, times_s, end_s, min_s=self.min_s)
        still = still_passages(frozen.since, times_s, end_s, min_s=self.min_s)
        return {
            "black": np.array(dark, np.float64).reshape(-1, 2),
            "frozen": np.array(still, np.float64).reshape(-1, 2),
            "black_share": _share(dark, end_s),
            "frozen_share": _share(still, end_s),
        }


def _share(found: list[Passage], end_s: float) -> np.ndarray:
    length_s = sum(end - start for start, end in found)
    return np.asarray(min(1.0, length_s / end_s) if end_s > 0 else 0.0, np.float32)
