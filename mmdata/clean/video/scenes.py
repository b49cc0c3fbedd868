"""Films split where they are cut, and into equal parts."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, ClassVar, Literal, cast

import numpy as np
from annotated_types import Ge, Gt

from mmdata.clean.video.clips import ClipSettings, Stretch, end_s, says_length
from mmdata.codec.video import seen
from mmdata.core.sample import Sample, Video
from mmdata.core.spans import exact
from mmdata.core.step import Drop, Split
from mmdata.core.watch import Seeing, View, WatchFirst
from mmdata.kernels.scenes import RATIO, THRESHOLD, WORKING_PX, ContentValues, adaptive_cuts, content_cuts

Cuts = tuple[np.ndarray, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class SplitScenes(ClipSettings, WatchFirst[Cuts], Split[Video]):
    """One sample for each scene of a film, with the key `KEY@START-END`, in seconds of the film.

    Scenes are found as PySceneDetect does, with its defaults: the same cuts, as the same frames are compared in the
    same way. A clip has a time map that says where it lay, and all other parts of its sample as they are. A film of
    one scene stays itself.

    Args:
        detector: "content" cuts where the content value (how much hue, saturation and value change from a frame to the
            next, 0 to 255) reaches the threshold; "adaptive" where it stands out of its neighbours, so that fast motion
            is no cut.
        threshold: of "content", 27 unless given; of "adaptive", how many times its neighbours' mean, 3 unless given.
        min_content: "adaptive" needs this content value, too.
        window: of "adaptive", how many frames before and after are neighbours.
        min_scene: cuts that follow the last by less are merged with it.
        min_scene_in: whether that is a number of frames or of seconds.
        luma_only: compare values alone: for films without colours.
        strict: refuse a film with damage. Else what comes before it is split, and the rest is part of the last scene.

    Reference:
        Castellano, PySceneDetect 0.7: `ContentDetector` and `AdaptiveDetector`.
    """

    extra: ClassVar[str | None] = "video"
    version: ClassVar[int] = 3

    on: str = "video"
    detector: Literal["content", "adaptive"] = "content"
    threshold: Annotated[float, Gt(0)] | None = None
    min_content: Annotated[float, Ge(0)] = 15.0
    window: Annotated[int, Gt(0)] = 2
    min_scene: Annotated[float, Ge(0)] = 15.0
    min_scene_in: Literal["frames", "seconds"] = "frames"
    luma_only: bool = False
    strict: bool = True

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        video = sample.parts.get(self.on)
        if not isinstance(video, Video):
            return [sample]
        return self.after(sample, seen(self, video))

    def after(self, sample: Sample, found: Cuts) -> Sequence[Sample] | Drop:
        video, (times_s, cuts) = cast(Video, sample.parts[self.on]), found
        edges = [Fraction(0), *(exact(time_s) for time_s in times_s[cuts].tolist()), end_s(video, times_s.tolist())]
        return self.clips(sample, self.on, list(pairwise(edges)), strict=self.strict)

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View()

    def watch(self, video: Video) -> Seeing[Cuts]:  # noqa: ARG002  what it sees is enough
        """When each frame is shown, float64 [time], and which begin a new scene, int64 [cut]."""
        weights = (0.0, 0.0, 1.0, 0.0) if self.luma_only else (1.0, 1.0, 1.0, 0.0)
        content, times = ContentValues(weights=weights, working_px=WORKING_PX), [np.zeros(0)]
        while (frames := (yield)) is not None:
            content.add(frames.pixels)
            times.append(frames.times_s)
        times_s = np.concatenate(times)
        clock = times_s if self.min_scene_in == "seconds" else None
        if self.detector == "content":
            threshold = THRESHOLD if self.threshold is None else self.threshold
            return times_s, content_cuts(content.values, threshold=threshold, min_length=self.min_scene, clock=clock)
        return times_s, adaptive_cuts(
            content.values,
            threshold=RATIO if self.threshold is None else self.threshold,
            min_content=self.min_content,
            window=self.window,
            min_length=self.min_scene,
            clock=clock,
        )


@dataclass(frozen=True, kw_only=True)
class SplitEvery(ClipSettings, WatchFirst[Fraction], Split[Video]):
    """Clips of one length, side by side or overlapping, with the key `KEY@START-END`.

    With `cut: copy` they begin and end at the key frames nearest to that. Nothing is decoded to find them, but of MPEG
    program streams, which don't say how long they are, and of films whose container does not.

    Args:
        length_s: of a clip. step_s: from the beginning of one to that of the next; None is their length.
        rest: whether the last clip may be shorter.
        strict: refuse a film with damage, where it is decoded; else it ends there.

    Reference:
        Plain arithmetic.
    """

    extra: ClassVar[str | None] = "video"
    version: ClassVar[int] = 3

    on: str = "video"
    length_s: Annotated[float, Ge(0.04)] = 10.0
    step_s: Annotated[float, Ge(0.04)] | None = None
    rest: bool = True
    strict: bool = True

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        video = sample.parts.get(self.on)
        return self.after(sample, seen(self, video)) if isinstance(video, Video) else [sample]

    def view(self, video: Video) -> View | None:
        return None if says_length(video) else View(size_px=16, grey=True, sampled=True)

    def watch(self, video: Video) -> Seeing[Fraction]:
        """When the film is over."""
        last_s = 0.0
        while (frames := (yield)) is not None:
            last_s = float(frames.times_s[-1])
        return exact(video.duration_s) if says_length(video) else exact(last_s + 1 / video.fps)

    def after(self, sample: Sample, whole_s: Fraction) -> Sequence[Sample] | Drop:
        return self.clips(sample, self.on, self._stretches(whole_s), strict=self.strict)

    def _stretches(self, whole: Fraction) -> list[Stretch]:
        length, step = exact(self.length_s), exact(self.length_s if self.step_s is None else self.step_s)
        starts = [number * step for number in range(max(1, -int(-whole // step)))]
        stretches = [(start, min(start + length, whole)) for start in starts]
        kept = [each for index, each in enumerate(stretches) if index == 0 or stretches[index - 1][1] < whole]
        return kept if self.rest else [each for each in kept if each[1] - each[0] == length]
