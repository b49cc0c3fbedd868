"""Whether sound and picture go together: by how much the sound is late, as a feature, and put right by a step."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Annotated, ClassVar, cast

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.codec.limits import within
from mmdata.codec.video import seen
from mmdata.codec.video.hearing import Gapless
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Frames, Sample, Video
from mmdata.core.spans import Segment, TimeMap, exact
from mmdata.core.step import Arrays, Drop, Map
from mmdata.core.watch import Attending, Heard, Hearing, Seeing, View, Watch, WatchFirst
from mmdata.errors import DataError
from mmdata.kernels import sync
from mmdata.kernels.audio import Resampler, mono
from mmdata.kernels.video.flow import Flow, flow_method

HEARD_HZ, BLOCK_SAMPLES = 16_000, 1 << 20
MOST_S = 12 * 3600  # of a film's sound: 690 MB of mels; only a damaged clock leads further
SEEN = View(size_px=160, grey=True)


@dataclass(frozen=True, kw_only=True)
class SoundOffset(Watch):
    """By how much a film's sound comes after its picture, in seconds, and how sure that is: two float32 scalars.

    Sudden changes of motion (how much moves which way, by optical flow: the impacts of Davis and Agrawala, "Visual
    Rhythm and Beat", SIGGRAPH 2018) are set against the onsets of the sound. `.offset_s` is negative where the sound is
    early. `.confidence` is from 0 to 1: 0.5 and more where things are seen to hit or move with the sound, near 0 where
    picture and sound have nothing to do with each other, and where a beat never changes, which fits at many shifts. It
    is only as good as what is seen: a speaker's face is not enough.

    The film's own first sound track is listened to, on the film's clock, in the same pass as others hear it.

    Args:
        max_offset_s: the greatest offset that is looked for.
    """

    extra: ClassVar[str | None] = "audio,video"
    version: ClassVar[int] = 2

    into: str = "video.sync"
    max_offset_s: Annotated[float, Gt(0), Le(10)] = 1.5

    def spec(self) -> Mapping[str, ArraySpec]:
        return {"offset_s": ArraySpec(), "confidence": ArraySpec()}

    def view(self, video: Video) -> View:  # noqa: ARG002  the same for all films
        return SEEN

    def hears(self, video: Video) -> Hearing:  # noqa: ARG002  the same for all films
        return Hearing()

    def watch(self, video: Video) -> Attending[Arrays]:
        if not video.has_audio:
            raise DataError("the film has no sound track")
        motion, sound, gapless = Motion(), Onsets(), Gapless(film_s=video.duration_s)
        while (sent := (yield)) is not None:
            if isinstance(sent, Heard):
                within("seconds of sound", float(sent.time_s), "the most that is compared", MOST_S)
                for samples in gapless.of(sent):
                    sound.hear(samples, sent.rate_hz)
            else:
                motion.see(sent)
        lag = compared(motion, sound.found(), most_s=self.max_offset_s)
        return {
            "offset_s": np.asarray(lag.seconds, np.float32),
            "confidence": np.asarray(lag.confidence, np.float32),
        }


@dataclass(frozen=True, kw_only=True)
class AlignSound(WatchFirst["Motion"], Map[Sample, Sample]):
    """Shift a sound to where its film shows what is heard, as far as `SoundOffset` is sure; other samples stay.

    A late sound loses its beginning, an early one gets silence before it. It is on the film's clock then: its time map
    says which moment of the film each of its own goes with. Put it before whatever cuts the sound.

    Args:
        audio, video: the parts. The sound may be the film's own (`codec.video.DecodeSound`), or a file.
        max_offset_s: the greatest offset that is looked for.
        min_offset_s: smaller ones are left.
        min_confidence: the sound is left where it is surer than that of nothing.

    Reference:
        As `SoundOffset`: impacts of Davis and Agrawala, "Visual Rhythm and Beat" (SIGGRAPH 2018), by optical flow of
        Kroeger et al., "Fast Optical Flow using Dense Inverse Search" (ECCV 2016).
    """

    extra: ClassVar[str | None] = "audio,video"
    strict = False  # what comes before damage is enough

    audio: str = "audio"
    video: str = "video"
    max_offset_s: Annotated[float, Gt(0), Le(10)] = 1.5
    min_offset_s: Annotated[float, Ge(0)] = 0.03
    min_confidence: Annotated[float, Ge(0), Le(1)] = 0.5

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.audio: Audio, self.video: Video}

    @property
    def film(self) -> str:
        return self.video

    def film_of(self, sample: Sample) -> Video | None:
        return super().film_of(sample) if isinstance(sample.parts.get(self.audio), Audio) else None

    def view(self, video: Video) -> View:  # noqa: ARG002  the same for all films
        return SEEN

    def watch(self, video: Video) -> Seeing[Motion]:
        motion = Motion(video.time_map)
        while (frames := (yield)) is not None:
            motion.see(frames)
        return motion

    def map(self, sample: Sample) -> Sample | Drop:
        video = self.film_of(sample)
        return sample if video is None else self.after(sample, seen(self, video))

    def after(self, sample: Sample, motion: Motion) -> Sample:
        audio = cast(Audio, sample.parts[self.audio])
        lag = compared(motion, onsets(audio), most_s=self.max_offset_s)
        if lag.confidence < self.min_confidence or abs(lag.seconds) < self.min_offset_s:
            return sample
        return sample.with_part(self.audio, earlier(audio, lag.seconds))


@dataclass
class Motion:
    """What a film's motion is like between each frame and the next, as frames come.

    Args:
        time_map: the film's, so that times are those of its source; None leaves them.
    """

    time_map: TimeMap | None = None
    flow: Flow = field(default_factory=lambda: flow_method("dis", "ultrafast"))
    times_s: list[float] = field(default_factory=list)
    found: list[np.ndarray] = field(default_factory=list)
    last: np.ndarray | None = None

    def see(self, frames: Frames) -> None:
        for pixels, time_s in zip(frames.pixels[..., 0], frames.times_s, strict=True):
            now = padded(pixels)
            if self.last is not None:
                self.found.append(sync.directogram(self.flow(self.last, now)))
            self.last = now
            self.times_s.append(float(time_s))

    def changes(self) -> tuple[np.ndarray, np.ndarray]:
        """How abruptly motion changes, and when: float64 [frame] each."""
        if len(self.found) < 2:
            return np.zeros(0), np.zeros(0)
        times_s = np.array(self.times_s[1:-1])
        return sync.motion_changes(np.stack(self.found)), on_source(self.time_map, times_s)


@dataclass
class Onsets:
    """How suddenly a sound becomes louder, as it comes.

    Args:
        time_map: the sound's, so that times are those of its source; None leaves them.
    """

    time_map: TimeMap | None = None
    levels: sync.SoundLevels = field(default_factory=lambda: sync.SoundLevels(rate_hz=HEARD_HZ))
    rate: Resampler | None = None

    def hear(self, samples: np.ndarray, rate_hz: int) -> None:
        """Listen to what comes next: float32 [channel, time]."""
        if self.rate is None:
            self.rate = Resampler(from_hz=rate_hz, to_hz=HEARD_HZ)
        self.levels.add(self.rate.add(mono(samples)))

    def found(self) -> tuple[np.ndarray, np.ndarray]:
        """How suddenly, and when, once no more comes: float64 [frame] each."""
        if self.rate is not None:
            self.levels.add(self.rate.add(np.zeros(0, np.float32), last=True))
        rise = self.levels.onsets()
        times_s = np.arange(len(rise)) * sync.SOUND_HOP_S + sync.EARLY_S
        return rise.astype(np.float64), on_source(self.time_map, times_s)


def padded(pixels: np.ndarray) -> np.ndarray:
    """A frame large enough for the search of flow, continued at its edges: uint8 [row, column]."""
    below, beside = (max(0, 32 - size) for size in pixels.shape)
    return np.ascontiguousarray(np.pad(pixels, ((0, below), (0, beside)), mode="edge") if below or beside else pixels)


def onsets(audio: Audio) -> tuple[np.ndarray, np.ndarray]:
    """How suddenly it becomes louder, and when on the source's clock: float64 [frame] each."""
    sound = Onsets(audio.time_map)
    for first in range(0, audio.n_samples, BLOCK_SAMPLES):
        sound.hear(audio.samples[:, first : first + BLOCK_SAMPLES], audio.rate_hz)
    return sound.found()


def on_source(clock: TimeMap | None, times_s: np.ndarray) -> np.ndarray:
    """Times of an output as those of its source; NaN past its ends."""
    return times_s if clock is None else clock.times_to_source(times_s)


def compared(motion: Motion, heard: tuple[np.ndarray, np.ndarray], *, most_s: float) -> sync.Lag:
    """By how much the sound is later than the picture."""
    changes, seen_s = motion.changes()
    rises, heard_s = heard
    both = np.concatenate([seen_s, heard_s])
    both = both[np.isfinite(both)]
    if len(changes) < 3 or len(rises) < 3 or not both.size:
        return sync.Lag()
    first_s, n = both.min(), int(np.ptp(both) * sync.RATE_HZ) + 2
    seen = sync.on_grid(*_rising(changes, seen_s - first_s), n=n)
    sound = sync.on_grid(*_rising(rises, heard_s - first_s), n=n)
    every_s = float(np.median(np.diff(motion.times_s)))
    return sync.find_lag(seen, sync.spread(sound, over_s=min(every_s, 0.2)), most_s=most_s)


def _rising(values: np.ndarray, times_s: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    order = np.argsort(times_s, kind="stable")
    order = order[np.isfinite(times_s[order])]
    return values[order], times_s[order]


def earlier(audio: Audio, by_s: float) -> Audio:
    """A sound whose every moment goes with a moment of the film `by_s` earlier than its time map says."""
    shift = round(by_s * audio.rate_hz)
    length, late_s = Fraction(abs(shift), audio.rate_hz), Fraction(shift, audio.rate_hz)
    if shift > 0:
        kept = audio.cut(shift, audio.n_samples)
        return kept.changed(kept.samples, time_map=_labelled(kept.clock, -late_s))
    silence = np.zeros((len(audio.samples), -shift), np.float32)
    first_s = audio.clock.to_source(0) or exact(0)
    before = TimeMap((Segment(exact(0), length, first_s),))
    clock = before.followed_by(_labelled(audio.clock, -late_s))
    return audio.changed(np.concatenate([silence, audio.samples], axis=1), time_map=clock)


def _labelled(clock: TimeMap, by_s: Fraction) -> TimeMap:
    return TimeMap(tuple(Segment(p.start_s, p.length_s, p.source_s + by_s, p.speed) for p in clock.segments))
