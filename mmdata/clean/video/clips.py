"""How films are split into clips."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, Literal

from annotated_types import Ge, Le

from mmdata.codec.video.cutting import clip, is_copied, key_times
from mmdata.codec.video.opening import kind_of
from mmdata.core.sample import Sample, Video
from mmdata.core.spans import Span, exact
from mmdata.core.step import Drop

Stretch = tuple[Fraction, Fraction]


@dataclass(frozen=True, kw_only=True)
class ClipSettings:
    """How clips are made.

    Args:
        cut: "copy" takes packets as they are, which costs next to nothing, loses nothing and moves each cut to the
            nearest key frame; "encode" cuts at the very frame, and encodes pictures as H.264 and sound as AAC. MPEG
            program streams and AVI are always encoded. Other tracks are left out.
        crf: of "encode", from 0 (best) to 51.
        min_clip_s: shorter clips are left out.
        max_clip_s: longer ones are cut into equal parts; None is no bound.
    """

    cut: Literal["copy", "encode"] = "copy"
    crf: Annotated[int, Ge(0), Le(51)] = 18
    min_clip_s: Annotated[float, Ge(0)] = 0.0
    max_clip_s: Annotated[float, Ge(0.1)] | None = None

    def __post_init__(self) -> None:
        if self.max_clip_s is not None and self.max_clip_s < 2 * self.min_clip_s:
            raise ValueError(f"max_clip_s must be at least twice min_clip_s: {self.max_clip_s}, {self.min_clip_s}")

    def clips(
        self, sample: Sample, part: str, stretches: Sequence[Stretch], *, strict: bool = True
    ) -> Sequence[Sample] | Drop:
        """A child for each stretch of a film's time, with the key `KEY@START-END`; itself where that is all of it."""
        video = sample.parts[part]
        if not isinstance(video, Video):
            return [sample]
        spans = self._spans(video, stretches)
        if not spans:
            return Drop("no_clip")
        if len(spans) == 1 and spans[0].start_s <= 0 and spans[0].end_s >= exact(video.duration_s):
            return [sample]
        names = [f"{float(span.start_s):.3f}-{float(span.end_s):.3f}" for span in spans]
        films = [clip(video, span, method=self.cut, crf=self.crf, strict=strict) for span in spans]
        return [sample.child(name, **{part: film}) for name, film in zip(names, films, strict=True)]

    def _spans(self, video: Video, stretches: Sequence[Stretch]) -> list[Span]:
        parts = [part for stretch in stretches for part in _halved(stretch, self.max_clip_s)]
        if self.cut == "copy" and is_copied(video):
            over_s = max([exact(video.duration_s), *(last_s for _, last_s in parts)])
            keys = [Fraction(0), *(time_s for time_s in key_times(video) if 0 < time_s < over_s), over_s]
            moved = [(_nearest(keys, first_s), _nearest(keys, last_s)) for first_s, last_s in parts]
            parts = list(dict.fromkeys(moved))  # overlapping stretches may have become one
        return [Span.of(*part) for part in parts if part[1] - part[0] >= max(exact(self.min_clip_s), _LEAST_S)]


_LEAST_S = Fraction(1, 1000)


def says_length(video: Video) -> bool:
    """Whether a film's container says when it is over; of MPEG program streams FFmpeg guesses it, mostly too early."""
    return video.duration_s > 0 and kind_of(video) != "video/mpeg"


def end_s(video: Video, times_s: Sequence[float]) -> Fraction:
    """When a film is over: as its container says, or, where that is before its last frame is shown, after that."""
    if not len(times_s) or video.duration_s > times_s[-1]:
        return exact(video.duration_s)
    return exact(float(times_s[-1]) + 1 / video.fps)


def _halved(stretch: Stretch, max_s: float | None) -> list[Stretch]:
    """A stretch in equal parts of at most `max_s`."""
    first, last = stretch
    n_parts = 1 if max_s is None else max(1, -int(-(last - first) // exact(max_s)))
    step = (last - first) / n_parts
    return [(first + number * step, first + (number + 1) * step) for number in range(n_parts)]


def _nearest(keys: Sequence[Fraction], time_s: Fraction) -> Fraction:
    after = bisect_left(keys, time_s)
    around = keys[max(0, after - 1) : after + 1]
    return min(around, key=lambda key: abs(key - time_s))
