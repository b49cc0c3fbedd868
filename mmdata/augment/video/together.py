"""The same stretch of time of a sample's frames and sound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt

from mmdata.augment.video.timeline import in_order
from mmdata.core.sample import Audio, Frames, Sample
from mmdata.core.spans import exact
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.timeline import step_s


@dataclass(frozen=True, kw_only=True)
class CropTogether(RandomMap[Sample, Sample]):
    """Keep one stretch of time, at a random place, of frames and of the sound that belongs to them.

    Both are cut on the clock of their source: the times of frames, and the time map of the sound, which is that of the
    film where `codec.video.DecodeSound` made it. So what is seen and what is heard stay together. The stretch lies
    where both are there. A sample without the sound has its frames cut.

    Args:
        frames: the part that holds frames, as `codec.video.DecodeFrames` gives them, not reversed.
        audio: the part that holds the sound.
        min_s: the least length, in seconds; it is uniform between the two.
        max_s: the greatest.
        short: what becomes of samples that have less: "keep" them whole, or "drop" them.

    Reference:
        Plain cuts.
    """

    extra: ClassVar[str | None] = "video"

    frames: str = "frames"
    audio: str = "audio"
    min_s: Annotated[float, Gt(0)] = 2.0
    max_s: Annotated[float, Gt(0)] = 2.0
    short: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        in_order("min_s", self.min_s, "max_s", self.max_s)

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:
        return {self.frames: Frames, **({self.audio: Audio} if self.audio in (parts or ()) else {})}

    def map(self, sample: Sample, rng: np.random.Generator) -> Sample | Drop:
        length_s, place = rng.uniform(self.min_s, self.max_s), rng.random()
        frames, audio = sample.parts.get(self.frames), sample.parts.get(self.audio)
        if not isinstance(frames, Frames) or not len(frames.times_s):
            return sample
        low_s, high_s = float(frames.times_s[0]), float(frames.times_s[-1]) + step_s(frames.times_s)
        if isinstance(audio, Audio) and audio.n_samples:
            heard = audio.clock.segments
            low_s, high_s = max(low_s, float(heard[0].source_s)), min(high_s, float(heard[-1].source_end_s))
        if high_s - low_s < length_s - 1e-6:
            return Drop("too_short") if self.short == "drop" else sample
        start_s = low_s + place * max(0.0, high_s - low_s - length_s)
        end_s = start_s + length_s
        first = max(0, int(np.searchsorted(frames.times_s, start_s + 1e-6, side="right")) - 1)  # what is shown then
        last = max(first + 1, int(np.searchsorted(frames.times_s, end_s - 1e-6)))
        start_s = max(float(frames.times_s[first]), low_s)
        cut = sample.with_part(self.frames, frames.rows(slice(first, last)))
        if not isinstance(audio, Audio) or not audio.n_samples:
            return cut
        bounds = [audio.clock.from_source(exact(time_s)) for time_s in (start_s, end_s)]
        begin = 0 if bounds[0] is None else round(bounds[0] * audio.rate_hz)
        end = audio.n_samples if bounds[1] is None else round(bounds[1] * audio.rate_hz)
        return cut.with_part(self.audio, audio.cut(begin, end))
