"""Passages in which nothing is to be seen or heard."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Len

from mmdata.clean.video.clips import ClipSettings, end_s
from mmdata.codec.video import seen
from mmdata.core.sample import Sample, Video
from mmdata.core.spans import exact
from mmdata.core.step import Drop, Filter, Split
from mmdata.core.watch import Attending, Heard, Hearing, View, WatchFirst
from mmdata.kernels.passages import (
    BlackFrames,
    FrozenFrames,
    Passage,
    QuietSound,
    between,
    joined,
    passages,
    still_passages,
)

Kind = Literal["black", "frozen", "silent"]
Found = tuple[Mapping[Kind, list[Passage]], float]
WORKING_PX = 256
_REST_S = 0.1  # a track may end so much before the pictures do, and there is no silence


@dataclass(frozen=True, kw_only=True)
class PassageSettings:
    """What counts as a passage. Black and frozen are FFmpeg's blackdetect and freezedetect, with their defaults.

    Args:
        min_s: the least length of a passage, in seconds.
        max_level: how dark a pixel of a black frame is, 0 to 1.
        min_black: the share of a black frame's pixels that are so dark.
        max_change: the greatest mean change of levels in a frozen passage, 0 to 1, from its first frame on.
        floor_db: silent is what has every channel at or below it, in each 10 ms (dB re full scale, of the mean square).
            A film without a sound track is silent throughout.
        strict: refuse a film with damage; else only what comes before it is looked at.
    """

    min_s: Annotated[float, Gt(0)] = 2.0
    max_level: Annotated[float, Ge(0), Le(1)] = 0.1
    min_black: Annotated[float, Gt(0), Le(1)] = 0.98
    max_change: Annotated[float, Ge(0), Le(1)] = 0.001
    floor_db: Annotated[float, Ge(-100), Le(0)] = -50.0
    strict: bool = True

    def seeing(self, kinds: Sequence[Kind]) -> View | None:
        """Which frames must be seen for these kinds."""
        return View(size_px=WORKING_PX) if "black" in kinds or "frozen" in kinds else None

    def hearing(self, kinds: Sequence[Kind]) -> Hearing | None:
        """Which sound must be heard for these kinds."""
        return Hearing() if "silent" in kinds else None

    def finding(self, video: Video, kinds: Sequence[Kind]) -> Attending[Found]:
        """The passages of each kind, and when the film is over, for who is sent what `seeing` and `hearing` say."""
        over_s, found = video.duration_s, dict[Kind, list[Passage]]()
        sound = Silences(self.floor_db)
        black = BlackFrames(max_level=self.max_level, min_share=self.min_black)
        frozen, times = FrozenFrames(max_change=self.max_change), [np.zeros(0)]
        while (sent := (yield)) is not None:
            if isinstance(sent, Heard):
                sound.add(sent)
                continue
            black.add(sent.pixels)
            frozen.add(sent.pixels)
            times.append(sent.times_s)
        if self.seeing(kinds) is not None:
            times_s = np.concatenate(times)
            over_s = float(end_s(video, times_s.tolist()))
            found["black"] = passages(black.found, times_s, over_s, min_s=self.min_s)
            found["frozen"] = still_passages(frozen.since, times_s, over_s, min_s=self.min_s)
        if "silent" in kinds:
            found["silent"] = sound.found(over_s, min_s=self.min_s)
        return {kind: found[kind] for kind in kinds}, over_s


@dataclass
class Silences:
    """The silent stretches of a sound track that comes piece by piece; gaps in it are silent, too.

    Args:
        floor_db: silent is what has every channel at or below it. end_s: when what was heard so far is over.
        is_broken: whether it is damaged; what comes after that is not listened to.
    """

    floor_db: float
    end_s: float = 0.0
    is_broken: bool = False
    _quiet: QuietSound | None = None
    _first_s: float = 0.0
    _found: list[Passage] = field(default_factory=list)

    def add(self, heard: Heard) -> None:
        """Listen to what comes next."""
        self.is_broken = self.is_broken or bool(heard.damage)
        if self.is_broken or not heard.samples.shape[1]:
            return
        time_s = float(heard.time_s)
        if self._quiet is None or time_s > self.end_s:
            self._end()
            self._found.append((self.end_s, time_s))
            self._quiet, self._first_s = QuietSound(rate_hz=heard.rate_hz, floor_db=self.floor_db), time_s
        self._quiet.add(heard.samples)
        self.end_s = heard.end / heard.rate_hz

    def found(self, over_s: float, *, min_s: float) -> list[Passage]:
        """Those of at least `min_s` seconds, in a film that is over at `over_s`, once no more comes."""
        if self._quiet is None:
            return [] if self.is_broken else [(0.0, over_s)]
        self._end()
        if self.is_broken:
            over_s = min(over_s, self.end_s)
        is_silent = self._found[-1][1] == self.end_s
        beyond = [(self.end_s, over_s)] if over_s - self.end_s > (0 if is_silent else _REST_S) else []
        within = [(start, min(end, over_s)) for start, end in joined(self._found, beyond)]
        return [(start, end) for start, end in within if end - start >= min_s]

    def _end(self) -> None:
        """Judge what was heard since the last gap."""
        if self._quiet is not None:
            found = self._quiet.found()
            times_s = self._first_s + np.arange(len(found)) * self._quiet.hop_s
            self._found += passages(found, times_s, self.end_s, min_s=0.0)


@dataclass(frozen=True, kw_only=True)
class CutPassages(ClipSettings, PassageSettings, WatchFirst[Found], Split[Video]):
    """Cut black, frozen or silent passages out of a film: what is left are clips with the key `KEY@START-END`.

    A film without such passages stays itself; one that is nothing else is dropped. With `cut: copy` clips begin and
    end at the key frames nearest to that.

    Args:
        kinds: which passages are cut out.

    Reference:
        FFmpeg's filters blackdetect and freezedetect; silence as in `clean.audio.SplitOnSilence`.
    """

    extra: ClassVar[str | None] = "video"

    version: ClassVar[int] = 3

    on: str = "video"
    kinds: Annotated[tuple[Kind, ...], Len(1)] = ("black", "frozen")

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        video = sample.parts.get(self.on)
        if not isinstance(video, Video):
            return [sample]
        return self.after(sample, seen(self, video))

    def view(self, video: Video) -> View | None:  # noqa: ARG002  every film alike
        return self.seeing(self.kinds)

    def hears(self, video: Video) -> Hearing | None:  # noqa: ARG002  every film alike
        return self.hearing(self.kinds)

    def watch(self, video: Video) -> Attending[Found]:
        return self.finding(video, self.kinds)

    def after(self, sample: Sample, found: Found) -> Sequence[Sample] | Drop:
        passages_of, over_s = found
        left = between(joined(*passages_of.values()), over_s)
        return self.clips(sample, self.on, [(exact(start), exact(end)) for start, end in left], strict=self.strict)


@dataclass(frozen=True, kw_only=True)
class KeepEventful(PassageSettings, WatchFirst[Found], Filter[Video]):
    """Drop films too much of which is black, frozen or silent, in passages of at least `min_s` seconds.

    Args:
        max_black: the greatest share of the film's length. max_frozen, max_silent: the same; None is not looked at.

    Reference:
        FFmpeg's filters blackdetect and freezedetect; silence as in `clean.audio.SplitOnSilence`.
    """

    extra: ClassVar[str | None] = "video"

    version: ClassVar[int] = 3

    on: str = "video"
    max_black: Annotated[float, Ge(0), Le(1)] | None = 0.5
    max_frozen: Annotated[float, Ge(0), Le(1)] | None = 0.5
    max_silent: Annotated[float, Ge(0), Le(1)] | None = None

    def keep(self, video: Video) -> Literal[True] | Drop:
        return self.after(video, seen(self, video))

    def view(self, video: Video) -> View | None:  # noqa: ARG002  every film alike
        return self.seeing(tuple(self._limits()))

    def hears(self, video: Video) -> Hearing | None:  # noqa: ARG002  every film alike
        return self.hearing(tuple(self._limits()))

    def watch(self, video: Video) -> Attending[Found]:
        return self.finding(video, tuple(self._limits()))

    def after(self, video: Video, found: Found) -> Literal[True] | Drop:  # noqa: ARG002  its length is found
        passages_of, over_s = found
        for kind, limit in self._limits().items():
            if sum(end - start for start, end in passages_of[kind]) > limit * over_s:
                return Drop(f"too_{kind}")
        return True

    def _limits(self) -> dict[Kind, float]:
        limits: dict[Kind, float | None] = {
            "black": self.max_black,
            "frozen": self.max_frozen,
            "silent": self.max_silent,
        }
        return {kind: limit for kind, limit in limits.items() if limit is not None}
