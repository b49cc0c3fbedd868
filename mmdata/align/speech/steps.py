"""Transcripts put on the clock of their sound."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.align.speech.ctc import ctc_voice, digest
from mmdata.align.speech.sphinx import SphinxVoice, model_version
from mmdata.align.speech.voice import Voice
from mmdata.align.speech.windows import WORDS_A_SECOND, Alignment, align
from mmdata.align.speech.words import Word, to_source, words_meta
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.step import Drop, Map
from mmdata.kernels.align.spoken import tokens
from mmdata.kernels.audio import mono, resample

SILENT = 1e-3  # peak below which a clip counts as silent: -60 dB
LOUDEST = 1e9  # of samples; the energies of louder ones are no float32


@dataclass(frozen=True, kw_only=True)
class AlignSpeech(Map[Sample, Sample]):
    """Find when each word of a transcript is said (forced alignment); drop a transcript that doesn't fit the sound.

    The words come as metadata: a list of {"text", "start_s", "end_s", "confidence"}, on the clock of the source, which
    the sound's time map tells, so that whatever is trimmed, cut or played faster later on moves none of them:
    `WordTimes` says where they are in the clip as it is stored. The score, a number that is 0 or a little less where
    all fits, is metadata too: `words_score`.

    Samples without the sound or the text pass by. Reasons to drop: `no_transcript` (nothing in it is said), `silent`,
    `not_finite` (NaN in the sound, or numbers beyond all), `unpronounceable` (a word in a script or of signs that the
    model can't say), `too_short` (for so many words) and `does_not_fit`.

    Args:
        audio, text: the parts.
        words: the metadata to write.
        model: a CTC model of `transformers`, a folder or another name as in `features.embed`; it computes on the CPU.
            None is the model of English in the package pocketsphinx.
        revision: of a model of the hub.
        phones: whether each word also has "phones", [name, start_s, end_s] each; letters, of a CTC model.
        min_score: the least score that fits, natural logs a frame; None is the model's own. -1000 drops nothing.
        window_s: how much is heard at once; longer sounds are aligned window by window.

    Reference:
        The acoustic model is CMU Sphinx's en-us; CTC's graph is of Graves et al., "Connectionist Temporal
        Classification" (ICML 2006), section 4.1. The path is Viterbi's, without a beam.
    """

    extra: ClassVar[str | None] = "align"

    audio: str = "audio"
    text: str = "text"
    words: str = "words"
    model: str | None = None
    revision: str | None = None
    phones: bool = False
    min_score: float | None = None
    window_s: Annotated[float, Ge(5), Le(120)] = 30.0

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.audio: Audio, self.text: Text}

    def settings(self) -> dict[str, Any]:
        own = model_version() if self.model is None else digest(self.model, self.revision)
        return {**super().settings(), "model": own}

    def map(self, sample: Sample) -> Sample | Drop:
        audio, text = sample.parts.get(self.audio), sample.parts.get(self.text)
        if not isinstance(audio, Audio) or not isinstance(text, Text):
            return sample
        said = tokens(text.text)
        if not said:
            return Drop("no_transcript")
        peak = float(np.abs(audio.samples).max(initial=0.0))
        if not peak < LOUDEST:
            return Drop("not_finite")
        if peak < SILENT:
            return Drop("silent")
        if len(said) > WORDS_A_SECOND * audio.duration_s + 1:
            return Drop("too_short")  # before each of a million words is looked up
        voice = self._voice()
        spelled = [voice.spelled(token.text) for token in said]
        if None in spelled:
            return Drop("unpronounceable")
        wave = resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=voice.rate_hz)[0]
        found = align(voice, wave, spelled, window_s=self.window_s)
        if found is None:
            return Drop("too_short")
        least = voice.least_score if self.min_score is None else self.min_score
        if found.score < least:
            return Drop("does_not_fit")
        return self._with_words(sample, audio, [token.text for token in said], found)

    def _with_words(self, sample: Sample, audio: Audio, texts: list[str], found: Alignment) -> Sample:
        words = [
            Word(
                text,
                *to_source(audio, placed.start_s, placed.end_s),
                round(placed.confidence, 4),
                self._phones(audio, placed.phones),
            )
            for text, placed in zip(texts, found.words, strict=True)
        ]
        return sample.with_meta(**{self.words: words_meta(words), f"{self.words}_score": round(found.score, 4)})

    def _phones(
        self, audio: Audio, phones: tuple[tuple[str, float, float], ...]
    ) -> tuple[tuple[str, float, float], ...]:
        return tuple((name, *to_source(audio, start, end)) for name, start, end in phones) if self.phones else ()

    def _voice(self) -> Voice:
        if self.model is None:
            return SphinxVoice()
        return ctc_voice(self.model, self.revision, digest(self.model, self.revision))
