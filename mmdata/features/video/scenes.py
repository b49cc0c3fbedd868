"""The scenes of a film, and the clips that sum it up."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.features.video.stills import Candidates
from mmdata.kernels import video as kernels
from mmdata.kernels.scenes import LEAST_FRAMES, RATIO, THRESHOLD, WORKING_PX, ContentValues, adaptive_cuts, content_cuts


@dataclass(frozen=True, kw_only=True)
class SceneCuts(Watch):
    """Where a film is cut: float64 [scene, bound], the seconds at which each scene begins and ends.

    Every frame is compared, at 256 px. The columns "lengths_s", float64 [scene], and "content", float32 [time], are how
    long each scene is, and the content value of each frame, from which other thresholds can be tried without decoding.

    Args:
        method: "content" compares each frame with the one before; "adaptive" compares that with its neighbours',
            so that fast motion is no cut.
        threshold: of a content value (27), or of its ratio to its neighbours' (3); None is the method's own.
        min_frames: the least length of a scene.
        exact: convert whole frames before they are made small, as PySceneDetect has them, which takes as long as
            decoding does. Else values differ by 0.1 on the average, most where it is dark and hues are noise.

    Reference:
        PySceneDetect 0.7: its ContentDetector and AdaptiveDetector.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.scenes"
    method: Literal["content", "adaptive"] = "content"
    threshold: Annotated[float, Gt(0)] | None = None
    min_frames: Annotated[int, Ge(0)] = LEAST_FRAMES
    exact: bool = False

    def spec(self) -> Mapping[str, ArraySpec]:
        return {
            "": ArraySpec(dims=("scene", "bound"), sizes={"bound": 2}, dtype="float64"),
            "lengths_s": ArraySpec(dims=("scene",), dtype="float64"),
            "content": ArraySpec(dims=("time",)),
        }

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View() if self.exact else View(size_px=WORKING_PX, sampled=True)

    def watch(self, video: Video) -> Watching:
        content, times_s = ContentValues(working_px=WORKING_PX if self.exact else None), [np.empty(0)]
        while (frames := (yield)) is not None:
            content.add(frames.pixels)
            times_s.append(frames.times_s)
        values, all_s = content.values, np.concatenate(times_s)
        if self.method == "content":
            cuts = content_cuts(values, threshold=self.threshold or THRESHOLD, min_length=self.min_frames)
        else:
            cuts = adaptive_cuts(values, threshold=self.threshold or RATIO, min_length=self.min_frames)
        bounds_s = np.concatenate([all_s[:1], all_s[cuts], [max(all_s[-1] + 1 / video.fps, all_s[0])]])
        scenes = np.stack([bounds_s[:-1], bounds_s[1:]], axis=1)
        return {"": scenes, "lengths_s": np.diff(bounds_s), "content": values.astype(np.float32)}


@dataclass(frozen=True, kw_only=True)
class VideoSummary(Watch):
    """The clips that stand for a film: float64 [clip, bound], the seconds at which each begins and ends.

    The film is cut into stretches of `clip_s`, each with the mean of its frames' colours (histograms of a 4 x 4 grid);
    k-means groups them, and of each group the stretch nearest to the mean is taken (VSUMM's way with frames: de Avila
    et al., 2011). The column "weights", float32 [clip], is the share of the film that each stands for. A film of fewer
    stretches is all of them; a rest of less than half a stretch at the end is none.

    Args:
        n: how many clips, at most. clip_s: how long each is. fps: of the grid on which colours are looked at.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.summary"
    n: Annotated[int, Gt(0)] = 5
    clip_s: Annotated[float, Gt(0)] = 3.0
    fps: Annotated[float, Gt(0)] = 2.0

    def spec(self) -> Mapping[str, ArraySpec]:
        clips = ArraySpec(dims=("clip", "bound"), sizes={"bound": 2}, dtype="float64")
        return {"": clips, "weights": ArraySpec(dims=("clip",))}

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=self.fps, size_px=128)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        candidates, last_s = Candidates(size_px=1, with_colours=True), 0.0
        while (frames := (yield)) is not None:
            candidates.add(frames)
            last_s = float(frames.times_s[-1])
        times_s, colours = np.array(candidates.times_s), candidates.colours()
        stretches, places = np.unique(np.floor(times_s / self.clip_s + 1e-9).astype(np.int64), return_inverse=True)
        if len(stretches) > 1 and last_s + 1 / self.fps - stretches[-1] * self.clip_s < self.clip_s / 2:
            stretches = stretches[:-1]
        means = np.stack([colours[places == place].mean(axis=0) for place in range(len(stretches))])
        chosen = kernels.representatives(means, n=self.n)
        nearest = np.abs(means[:, None] - means[chosen][None]).sum(axis=2).argmin(axis=1)
        weights = np.bincount(nearest, minlength=len(chosen)) / len(means)
        starts_s = stretches[chosen] * self.clip_s
        ends_s = np.minimum(starts_s + self.clip_s, last_s + 1 / self.fps)
        return {"": np.stack([starts_s, ends_s], axis=1), "weights": weights.astype(np.float32)}
