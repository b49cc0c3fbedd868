"""Captions that come too early, too late or too fast, put right by when somebody is heard."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.align.captions.moving import moved, shifted
from mmdata.core.sample import Audio, Captions, Sample
from mmdata.core.step import Drop, Map
from mmdata.kernels import sync
from mmdata.kernels.audio import levels_db, mono, resample
from mmdata.kernels.audio.voice import FRAME, RATE_HZ, model_version, speech_probability
from mmdata.kernels.captions import activity

FILM, PAL, NTSC = 24.0, 25.0, 24000 / 1001  # frames a second that captions are made for
NEAR_S = 1.0  # speech comes in stretches of seconds
LEAST_S = 60  # in less, rates are not told apart
CLEARLY = 1.15  # how much better another rate must fit
Heard = Literal["speech", "sound"]


@dataclass(frozen=True, kw_only=True)
class FitCaptions(Map[Sample, Sample]):
    """Shift captions, and stretch them where they were made for another rate of frames, to when somebody speaks.

    When captions are shown is set against when speech is heard, at all shifts and some rates. What is unsure is left as
    it is: it takes a minute or more with pauses of unequal length, and most of what is said in captions.
    `ShiftCaptions` takes a shift that is known.

    Args:
        captions, audio: the parts.
        by: "speech" as Silero VAD finds it, or "sound": whatever is loud.
        max_offset_s: the greatest shift that is looked for.
        rates: whether captions made for 24, 25 and 23.976 frames a second are told apart, in a minute and more.
        min_confidence: from 0 to 1.

    Reference:
        ffsubsync (https://github.com/smacke/ffsubsync); speech by Silero VAD (https://github.com/snakers4/silero-vad).
        The confidence is of mmdata.
    """

    extra: ClassVar[str | None] = "speech"

    captions: str = "captions"
    audio: str = "audio"
    by: Heard = "speech"
    max_offset_s: Annotated[float, Gt(0), Le(600)] = 30.0
    rates: bool = True
    min_confidence: Annotated[float, Ge(0), Le(1)] = 0.5

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": model_version() if self.by == "speech" else ""}

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.captions: Captions, self.audio: Audio}

    def map(self, sample: Sample) -> Sample | Drop:
        captions, audio = sample.parts.get(self.captions), sample.parts.get(self.audio)
        if not isinstance(captions, Captions) or not isinstance(audio, Audio):
            return sample
        there = moved(captions, None, min_left=0.0)
        rate, lag = fitted(there, heard(audio, by=self.by), most_s=self.max_offset_s, rates=self.rates)
        if lag.confidence < self.min_confidence:
            return sample
        right = moved(shifted(there, offset_s=round(lag.seconds, 2), rate=rate), captions.time_map, min_left=0.0)
        return sample if right == captions else sample.with_part(self.captions, right)


def heard(audio: Audio, *, by: Heard) -> np.ndarray:
    """How much is heard, 0 to 1, on the source's clock and the grid of `kernels.sync`: float64 [time]."""
    if by == "speech":
        wave = resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=RATE_HZ)[0]
        found, every_s = speech_probability(wave), FRAME / RATE_HZ
    else:
        hop = max(1, audio.rate_hz // 50)
        levels, every_s = levels_db(audio.samples, hop=hop).max(axis=0, initial=-100.0), hop / audio.rate_hz
        low, high = np.percentile(levels, [20, 95]) if levels.size else (0.0, 0.0)
        found = np.clip((levels - low) / max(high - low, 1.0), 0, 1)
    times_s = (np.arange(len(found)) + 0.5) * every_s
    times_s = times_s if audio.time_map is None else audio.time_map.times_to_source(times_s)
    known = np.flatnonzero(np.isfinite(times_s))
    order = known[np.argsort(times_s[known], kind="stable")]
    end_s = times_s[order[-1]] if order.size else 0.0
    return sync.on_grid(found[order].astype(np.float64), times_s[order], n=int(end_s * sync.RATE_HZ))


def fitted(captions: Captions, found: np.ndarray, *, most_s: float, rates: bool = True) -> tuple[float, sync.Lag]:
    """What the captions' times are to be multiplied by, and then how late the sound is."""
    starts = np.array([cue.start_ms for cue in captions.cues], np.float64)
    ends = np.array([cue.end_ms for cue in captions.cues], np.float64)
    told_apart = rates and len(found) >= LEAST_S * sync.RATE_HZ
    others = [a / b for a in (FILM, PAL, NTSC) for b in (FILM, PAL, NTSC) if a != b] if told_apart else []
    best, best_lag = 1.0, sync.Lag()
    for rate in (1.0, *others):
        n = max(len(found), int(ends.max(initial=0) * rate / 1000 * sync.RATE_HZ) + 1)
        shown = activity(starts * rate, ends * rate, n_frames=min(n, len(found) * 2), hop_ms=1000 / sync.RATE_HZ)
        lag = sync.find_lag(shown.astype(np.float64), found, most_s=most_s, near_s=NEAR_S)
        if lag.z > best_lag.z * (CLEARLY if best == 1.0 and rate != 1.0 else 1.0):
            best, best_lag = rate, lag
    return best, best_lag
