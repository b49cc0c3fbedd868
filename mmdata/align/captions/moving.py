"""Captions on another clock: shifted and stretched as they come, or moved to where their sound now is."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from fractions import Fraction
from typing import Annotated

from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Audio, Captions, Cue, Sample, Video
from mmdata.core.spans import Span, TimeMap, exact
from mmdata.core.step import Drop, Map


@dataclass(frozen=True, kw_only=True)
class ShiftCaptions(Map[Captions, Captions]):
    """Put captions right that come too early or late, or drift: each time becomes `rate` times itself plus `offset_s`.

    Captions made for 25 frames a second drift on a film of 24: there, `rate` is 25/24 = 1.041667. What would be before
    0 is cut off.

    Reference:
        Plain arithmetic.
    """

    on: str = "captions"
    offset_s: float = 0.0
    rate: Annotated[float, Gt(0), Le(100)] = 1.0

    def map(self, captions: Captions) -> Captions:
        return shifted(captions, offset_s=self.offset_s, rate=self.rate)


@dataclass(frozen=True, kw_only=True)
class MoveCaptions(Map[Sample, Sample]):
    """Move captions to where their sound, or their film, now has what they say: put it after all that moves time.

    Captions come on the clock of the file. Trims, cuts and changes of speed leave a time map, which says where each
    moment went; captions of what was cut away are left out, and those of what is now in several places are repeated.
    Decoded frames keep the times of their source: captions need no moving for them.

    Args:
        captions: the part to move.
        onto: the sound or film.
        min_left: the least share of a caption's time that must be left; with less, its text would say too much.

    Reference:
        Of mmdata: captions go by the sound's or film's time map.
    """

    captions: str = "captions"
    onto: str = "audio"
    min_left: Annotated[float, Ge(0), Le(1)] = 0.5

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:  # noqa: ARG002  always the same
        return {self.captions: Captions, self.onto: object}  # decoded or not: what no step touched has no time map

    def map(self, sample: Sample) -> Sample | Drop:
        captions, onto = sample.parts.get(self.captions), sample.parts.get(self.onto)
        if not isinstance(captions, Captions) or not isinstance(onto, Audio | Video):
            return sample
        there = moved(captions, onto.time_map, min_left=self.min_left)
        return sample if there is captions else sample.with_part(self.captions, there)


def shifted(captions: Captions, *, offset_s: float, rate: float = 1.0) -> Captions:
    """Captions whose times are `rate` times what they were plus `offset_s`; what comes before 0 is cut off."""
    if offset_s == 0 and rate == 1:
        return captions
    offset_ms, factor = exact(offset_s) * 1000, exact(rate)
    cues = []
    for cue in captions.cues:
        end_ms = round(cue.end_ms * factor + offset_ms)
        if end_ms > 0:
            cues.append(Cue(max(0, round(cue.start_ms * factor + offset_ms)), end_ms, cue.text))
    return captions.changed(cues)


def moved(captions: Captions, clock: TimeMap | None, *, min_left: float) -> Captions:
    """Captions on another clock of the same source; themselves where that is the one they are on.

    Args:
        captions: on any clock.
        clock: the time map of what they go with; None is the source's own clock.
        min_left: captions of which a smaller share of time is left are left out.
    """
    if clock == captions.time_map:
        return captions
    cues = []
    for cue in captions.cues:
        spans, share = carried(cue.span, captions.time_map, clock)
        if spans and share >= min_left:
            cues += [Cue(_ms(span.start_s), _ms(span.end_s), cue.text) for span in spans]
    return replace(captions.changed(cues), time_map=clock, origin=None)


def carried(span: Span, given: TimeMap | None, clock: TimeMap | None) -> tuple[list[Span], Fraction]:
    """Where a span of one clock is on another, pieces that touch being one; and the share of its time that is there."""
    sources = [span] if given is None else list(given.spans_to_source(span))
    pieces = [piece for source in sources for piece in ([source] if clock is None else clock.spans_from_source(source))]
    whole = sum((source.length_s for source in sources), Fraction(0))
    shown = pieces if clock is None else [back for piece in pieces for back in clock.spans_to_source(piece)]
    left = sum((each.length_s for each in shown), Fraction(0))
    return list(_joined(pieces)), left / whole if whole else Fraction(0)


def _joined(pieces: Iterable[Span]) -> Iterator[Span]:
    current: Span | None = None
    for piece in sorted(pieces):
        if current is not None and piece.start_s <= current.end_s:
            current = Span(current.start_s, max(current.end_s, piece.end_s))
            continue
        if current is not None:
            yield current
        current = piece
    if current is not None:
        yield current


def _ms(seconds: Fraction) -> int:
    return max(0, round(seconds * 1000))
