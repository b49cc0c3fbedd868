"""Words with times: as metadata on the clock of the source, and where a clip has them now."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from fractions import Fraction
from itertools import pairwise
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Le

from mmdata.codec.decoders import decode
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Blob, Sample, Text
from mmdata.core.spans import Span, TimeMap
from mmdata.core.step import Drop, Extract, Map
from mmdata.errors import DataError

Phone = tuple[str, float, float]


@dataclass(frozen=True)
class Word:
    """A word and when it is said.

    Args:
        text: as it is written. start_s, end_s: on one clock, whichever.
        confidence: from 0 to 1.
        phones: name, start and end of each of its sounds.
    """

    text: str
    start_s: float
    end_s: float
    confidence: float = 1.0
    phones: tuple[Phone, ...] = ()

    def at(self, start_s: float, end_s: float) -> Word:
        """The word at another time; its phones are moved and stretched along."""
        length = self.end_s - self.start_s
        scale = (end_s - start_s) / length if length > 0 else 0.0
        phones = tuple(
            (name, start_s + (begin - self.start_s) * scale, start_s + (end - self.start_s) * scale)
            for name, begin, end in self.phones
        )
        return replace(self, start_s=start_s, end_s=end_s, phones=phones)


def words_meta(words: Sequence[Word]) -> list[dict[str, Any]]:
    """Words as JSON has them."""
    return [
        {
            "text": word.text, "start_s": word.start_s, "end_s": word.end_s, "confidence": word.confidence,
            **({"phones": [list(phone) for phone in word.phones]} if word.phones else {}),
        }
        for word in words
    ]  # fmt: skip


def words_of(sample: Sample, name: str = "words") -> list[Word]:
    """A sample's words, on the clock of their source.

    Raises:
        DataError: there are none in its metadata, or they are of another form.
    """
    if name not in sample.meta:
        raise DataError(f"there are no words in metadata {name!r}: put align.speech.AlignSpeech under ingest")
    try:
        return [_word(item) for item in sample.meta[name]]
    except (KeyError, TypeError, ValueError) as error:
        raise DataError(f"metadata {name!r} must list words with text, start_s and end_s: {error!r:.120}") from None


def _word(item: Mapping[str, Any]) -> Word:
    start, end, sure = float(item["start_s"]), float(item["end_s"]), float(item.get("confidence", 1.0))
    if not np.isfinite([start, end, sure]).all() or end < start:
        raise ValueError(f"{item['text']!r} can't be from {start} to {end} s")
    phones = tuple((str(phone), float(begin), float(stop)) for phone, begin, stop in item.get("phones", ()))
    return Word(str(item["text"]), start, end, sure, phones)


def to_source(audio: Audio, start_s: float, end_s: float) -> tuple[float, float]:
    """A stretch of a sound on its source's clock, to the microsecond; the longest piece, where it plays several."""
    span = Span.of(start_s, max(start_s, min(end_s, audio.duration_s)))
    pieces = list(audio.clock.spans_to_source(span))
    if not pieces:
        return round(start_s, 6), round(end_s, 6)
    first, last = pieces[0], pieces[-1]
    if any(one.end_s > other.start_s for one, other in pairwise(pieces)):
        first = last = max(pieces, key=lambda piece: piece.length_s)
    return round(float(first.start_s), 6), round(float(last.end_s), 6)


def heard(words: Sequence[Word], audio: Audio, *, min_left: float = 0.5) -> list[tuple[int, Word]]:
    """The words that a sound still has, by number, on its own clock and in the order in which they are heard.

    Args:
        words: on the clock of the source.
        audio: whose time map says what is left of it.
        min_left: the least share of a word's time that must be left.
    """
    if audio.time_map is None:
        inside = ((number, word) for number, word in enumerate(words) if word.start_s < audio.duration_s)
        return sorted(inside, key=lambda found: found[1].start_s)
    found = []
    for number, word in enumerate(words):
        span = Span.of(word.start_s, word.end_s)
        for start, end, left in _stretches(audio, span):
            if left >= min_left * float(span.length_s):
                found.append((number, word.at(start, end)))
    return sorted(found, key=lambda each: (each[1].start_s, each[0]))


def _stretches(audio: Audio, span: Span) -> list[tuple[float, float, float]]:
    """Where a span of the source is heard, without a break: start, end, and how many of its seconds that is."""
    joined: list[list[Fraction]] = []
    for piece in sorted(audio.clock.spans_from_source(span)):
        left = sum((back.length_s for back in audio.clock.spans_to_source(piece)), Fraction(0))
        if joined and piece.start_s <= joined[-1][1] and joined[-1][2] + left <= span.length_s:
            joined[-1] = [joined[-1][0], max(joined[-1][1], piece.end_s), joined[-1][2] + left]
        else:
            joined.append([piece.start_s, piece.end_s, left])
    return [(float(start), float(end), float(left)) for start, end, left in joined]


@dataclass(frozen=True, kw_only=True)
class WordTimes(Extract[Sample]):
    """When each word is said in a clip as it is stored, trimmed, cut or played faster as it may be.

    `.start_s`, `.end_s` and `.confidence`, float32 [word]; `.number`, int32 [word], which word of the metadata it is:
    words that were cut away are left out. `.score`, float32, is that of the whole transcript, NaN where there is none.

    Args:
        audio: the sound whose clock it is. words: the metadata, as `AlignSpeech` writes it.
        min_left: the least share of a word's time that must be left.

    Reference:
        Of mmdata: the times of `align.speech.AlignSpeech`, by the clip's time map.
    """

    into: str = "audio.words"
    audio: str = "audio"
    words: str = "words"
    min_left: Annotated[float, Gt(0), Le(1)] = 0.5

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.audio: Audio}

    def spec(self) -> Mapping[str, ArraySpec]:
        times = dict.fromkeys(("start_s", "end_s", "confidence"), ArraySpec(dims=("word",)))
        return {**times, "number": ArraySpec(dims=("word",), dtype="int32"), "score": ArraySpec()}

    def extract(self, sample: Sample) -> Mapping[str, np.ndarray]:
        found = heard(words_of(sample, self.words), sound_of(sample, self.audio), min_left=self.min_left)
        rows = np.array([(word.start_s, word.end_s, word.confidence) for _, word in found], np.float32).reshape(-1, 3)
        score = sample.meta.get(f"{self.words}_score")
        return {
            "start_s": rows[:, 0].copy(), "end_s": rows[:, 1].copy(), "confidence": rows[:, 2].copy(),
            "number": np.array([number for number, _ in found], np.int32),
            "score": np.array(np.nan if score is None else score, np.float32),
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class TrimTranscript(Map[Sample, Sample]):
    """Make the transcript say what a clip still has, after trims and splits; drop a clip in which no word is left.

    The text becomes the words that are heard, in the order in which they are, with blanks between; the list of words
    loses the others, and stays on the clock of the source.

    Args:
        audio, text: the parts. words: the metadata, as `AlignSpeech` writes it.
        min_left: the least share of a word's time that must be left.

    Reference:
        Of mmdata: the times of `align.speech.AlignSpeech`, by the clip's time map.
    """

    audio: str = "audio"
    text: str = "text"
    words: str = "words"
    min_left: Annotated[float, Gt(0), Le(1)] = 0.5

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.audio: Audio}

    def map(self, sample: Sample) -> Sample | Drop:
        if self.words not in sample.meta or not isinstance(sample.parts.get(self.audio), Audio):
            return sample
        words = words_of(sample, self.words)
        found = heard(words, sound_of(sample, self.audio), min_left=self.min_left)
        numbers = [number for number, _ in found]
        if numbers == list(range(len(words))):
            return sample
        if not numbers:
            return Drop("no_words_left")
        kept = [words[number] for number in sorted(set(numbers))]
        text = Text(" ".join(words[number].text for number in numbers))
        return sample.with_part(self.text, text).with_meta(**{self.words: words_meta(kept)})


def sound_of(sample: Sample, name: str) -> Audio:
    """A sample's sound with its time map, decoded where it comes from the store.

    Raises:
        DataError: there is none. DecodeError: it can't be decoded.
    """
    part = sample.parts.get(name)
    if isinstance(part, Blob):
        clock: TimeMap | None = getattr(part, "time_map", None)  # of a part in a store
        decoded = decode(part, Audio)
        part = replace(decoded, time_map=clock) if isinstance(decoded, Audio) else decoded
    if not isinstance(part, Audio):
        raise DataError(f"there is no sound {name!r} whose clock words could be on")
    return part
