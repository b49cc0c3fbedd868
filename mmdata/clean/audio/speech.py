"""Speech, told from all else by a small model: Silero VAD, whose package carries its weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le, Lt

from mmdata.clean.audio.silence import cut_out, widened
from mmdata.core.sample import Audio, Sample
from mmdata.core.step import Drop, Filter, Map, Split
from mmdata.kernels.audio import mono, resample
from mmdata.kernels.audio.voice import RATE_HZ, model_version, speech_seconds


@dataclass(frozen=True, kw_only=True)
class SpeechSettings:
    """When a stretch counts as speech. All channels are listened to as their mean, at 16 kHz, every 32 ms.

    Args:
        threshold: probability from which on somebody speaks; speech ends 0.15 below.
        min_speech_s: shorter stretches do not count.
        min_silence_s: shorter pauses are part of the speech.
    """

    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5
    min_speech_s: Annotated[float, Ge(0)] = 0.25
    min_silence_s: Annotated[float, Ge(0)] = 0.1

    def spans(self, audio: Audio) -> list[tuple[int, int]]:
        """Stretches of speech, [first, last) in the clip's own samples."""
        wave = resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=RATE_HZ)[0]
        found = speech_seconds(
            wave, threshold=self.threshold, min_speech_s=self.min_speech_s, min_silence_s=self.min_silence_s
        )
        rate_hz, end = audio.rate_hz, audio.n_samples
        return [(round(first * rate_hz), min(round(last * rate_hz), end)) for first, last in found]


@dataclass(frozen=True, kw_only=True)
class TrimToSpeech(SpeechSettings, Map[Audio, Audio]):
    """Cut away what comes before the first speech and after the last; drop a clip in which nobody speaks.

    Args:
        margin_s: what stays before and after the speech, where there is so much.

    Reference:
        Silero Team, Silero VAD (https://github.com/snakers4/silero-vad); stretches as its `get_speech_timestamps` finds
        them.
    """

    extra: ClassVar[str | None] = "speech"

    on: str = "audio"
    margin_s: Annotated[float, Ge(0)] = 0.1

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": model_version()}

    def map(self, audio: Audio) -> Audio | Drop:
        spans = self.spans(audio)
        if not spans:
            return Drop("no_speech")
        margin = round(self.margin_s * audio.rate_hz)
        return audio.cut(spans[0][0] - margin, spans[-1][1] + margin)


@dataclass(frozen=True, kw_only=True)
class SplitOnSpeech(SpeechSettings, Split[Audio]):
    """One sample for each stretch of speech, with the key `KEY@START-END`, as `SplitOnSilence` makes them.

    Args:
        margin_s: what stays before and after each, up to the middle of the pause.

    Reference:
        Silero Team, Silero VAD (https://github.com/snakers4/silero-vad); stretches as its `get_speech_timestamps` finds
        them.
    """

    extra: ClassVar[str | None] = "speech"

    on: str = "audio"
    margin_s: Annotated[float, Ge(0)] = 0.1
    min_silence_s: Annotated[float, Ge(0)] = 0.5

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": model_version()}

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        audio = sample.parts.get(self.on)
        if not isinstance(audio, Audio):
            return [sample]
        spans = self.spans(audio)
        if not spans:
            return Drop("no_speech")
        return cut_out(sample, self.on, widened(spans, round(self.margin_s * audio.rate_hz), audio.n_samples))


@dataclass(frozen=True, kw_only=True)
class KeepSpeech(SpeechSettings, Filter[Audio]):
    """Keep clips of which at least `min_share` is speech.

    Reference:
        Silero Team, Silero VAD (https://github.com/snakers4/silero-vad); stretches as its `get_speech_timestamps` finds
        them.
    """

    extra: ClassVar[str | None] = "speech"

    on: str = "audio"
    min_share: Annotated[float, Ge(0), Le(1)] = 0.5

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": model_version()}

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        spoken = sum(last - first for first, last in self.spans(audio))
        return True if spoken >= self.min_share * max(1, audio.n_samples) else Drop("too_little_speech")
