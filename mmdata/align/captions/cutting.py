"""Clips of a film or a sound, each with what its captions say."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar

from annotated_types import Ge, Gt, Le

from mmdata.align.captions.moving import carried
from mmdata.codec.video.cutting import clip
from mmdata.core.sample import Audio, Captions, Cue, Frames, Part, Sample, Text, Video
from mmdata.core.spans import Span, exact
from mmdata.core.step import Drop, Split
from mmdata.errors import DataError

KINDS: Mapping[str, type] = {"audio": Audio, "video": Video, "frames": Frames}


@dataclass(frozen=True, kw_only=True)
class CutAtCaptions(Split[Captions]):
    """Cut sound, film and frames into clips, a caption each, with what it says as the clip's text.

    A clip has the key `KEY@START-END`, in seconds of the source; its text; the captions that it is made of, still on
    the clock of the source (`MoveCaptions` puts them on the clip's); and all other parts of its sample. A caption whose
    sound or picture was cut away before is left out.

    Args:
        on: the captions.
        audio, video, frames: the parts to cut, where the sample has them: None is left whole. A video is cut when it
            is stored, its frames encoded anew; to copy packets, cut it at scenes.
        into: the part for the text.
        join_gap_s: captions that follow each other within so many seconds make one clip; None joins only those shown
            at the very same time.
        max_s: the longest clip that joining makes, in seconds.
        margin_s: what is kept before and after, up to the middle of the gap to the next clip.
        min_left: the least share of a clip's time that must be left of what was not cut away before.
        crf: of a film's clips, from 0 (best) to 51.

    Reference:
        Of mmdata: clips lie where captions are shown.
    """

    version: ClassVar[int] = 2

    on: str = "captions"
    audio: str | None = "audio"
    video: str | None = "video"
    frames: str | None = "frames"
    into: str = "text"
    join_gap_s: Annotated[float, Ge(0)] | None = None
    max_s: Annotated[float, Gt(0)] = 30.0
    margin_s: Annotated[float, Ge(0)] = 0.0
    min_left: Annotated[float, Gt(0), Le(1)] = 0.5
    crf: Annotated[int, Ge(0), Le(51)] = 18

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:
        named = {name: kind for name, kind in self._media() if name in (parts or ())}
        return {name: kind for name, kind in named.items() if kind is not Frames}

    def _media(self) -> Iterator[tuple[str, type]]:
        for name, kind in zip((self.audio, self.video, self.frames), KINDS.values(), strict=True):
            if name is not None:
                yield name, kind

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        captions = sample.parts.get(self.on)
        if not isinstance(captions, Captions):
            return [sample]
        children = [self._child(sample, captions, *each) for each in self._clips(captions)]
        return [child for child in children if child is not None] or Drop("no_captions")

    def _clips(self, captions: Captions) -> list[tuple[Span, list[Cue]]]:
        """Spans on the clock of the captions, and the captions of each."""
        gap_ms = None if self.join_gap_s is None else round(self.join_gap_s * 1000)
        groups = joined(captions.cues, gap_ms=gap_ms, max_ms=round(self.max_s * 1000))
        bounds = [(group[0].start_ms, max(cue.end_ms for cue in group)) for group in groups]
        margin_ms = round(self.margin_s * 1000)
        spans = []
        for place, (start_ms, end_ms) in enumerate(bounds):
            before = start_ms - bounds[place - 1][1] if place else 2 * start_ms
            after = bounds[place + 1][0] - end_ms if place + 1 < len(bounds) else 2 * margin_ms
            low = start_ms - min(margin_ms, max(0, before // 2))
            high = end_ms + min(margin_ms, max(0, after // 2))
            spans.append(Span(Fraction(low, 1000), Fraction(high, 1000)))
        return list(zip(spans, groups, strict=True))

    def _child(self, sample: Sample, captions: Captions, span: Span, cues: list[Cue]) -> Sample | None:
        if not span.length_s:
            return None
        sources = [span] if captions.time_map is None else list(captions.time_map.spans_to_source(span))
        if not sources:
            return None
        source = Span(min(each.start_s for each in sources), max(each.end_s for each in sources))
        parts: dict[str, Part] = {}
        for name, kind in self._media():
            part = sample.parts.get(name)
            if part is None:
                continue
            if not isinstance(part, kind):
                decoder = {Audio: "codec.audio.DecodeAudio", Video: "codec.video.OpenVideo"}.get(kind, "DecodeFrames")
                raise DataError(
                    f"{name!r} is {type(part).__name__}, not {kind.__name__}: put {decoder} before this step"
                )
            cut = self._cut(part, source)
            if cut is None:
                return None
            parts[name] = cut
        said = " ".join(" ".join(cue.text.split()) for cue in cues)
        parts |= {self.into: Text(said), self.on: captions.changed(cues)}
        return sample.child(f"{float(source.start_s):.3f}-{float(source.end_s):.3f}", **parts)

    def _cut(self, part: Part, source: Span) -> Part | None:
        """What of a part shows a span of the source; None where too little is left."""
        if isinstance(part, Frames):
            inside = (part.times_s >= float(source.start_s)) & (part.times_s < float(source.end_s))
            return part.rows(inside) if inside.any() else None
        if not isinstance(part, Audio | Video):
            return None
        spans, share = carried(source, None, part.clock)
        if not spans or share < exact(self.min_left):
            return None
        start_s, end_s = spans[0].start_s, spans[-1].end_s
        if isinstance(part, Video):
            return clip(part, Span(start_s, end_s), method="encode", crf=self.crf)
        first, last = round(start_s * part.rate_hz), round(end_s * part.rate_hz)
        return part.cut(first, last) if last > first else None


def joined(cues: Sequence[Cue], *, gap_ms: int | None, max_ms: int) -> list[list[Cue]]:
    """Cues in groups, in order: those of one span always, others while gaps and the whole are short enough.

    >>> cues = [Cue(0, 900, "a"), Cue(1000, 2000, "b"), Cue(5000, 6000, "c")]
    >>> [[cue.text for cue in group] for group in joined(cues, gap_ms=200, max_ms=9000)]
    [['a', 'b'], ['c']]
    """
    groups: list[list[Cue]] = []
    end_ms = 0
    for cue in cues:
        last = groups[-1] if groups else None
        same = last is not None and (cue.start_ms, cue.end_ms) == (last[-1].start_ms, last[-1].end_ms)
        near = gap_ms is not None and last is not None and cue.start_ms - end_ms <= gap_ms
        if last is not None and (same or (near and max(end_ms, cue.end_ms) - last[0].start_ms <= max_ms)):
            last.append(cue)
            end_ms = max(end_ms, cue.end_ms)
        else:
            groups.append([cue])
            end_ms = cue.end_ms
    return groups
