"""Whether captions can be read, in numbers and as a filter."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Captions
from mmdata.core.step import Drop, Extract, Filter
from mmdata.kernels.captions import reading_speed, shown_at_once


@dataclass(frozen=True, kw_only=True)
class CaptionQuality(Extract[Captions]):
    """What captions are like: scalars, to choose by instead of dropping.

    `.n_cues`, their number (int32); `.characters`, in all of them, a line break counting as one (int32); `.shown_s`,
    for how long any is shown; `.speed`, characters a second of all that are shown, `.top_speed` of the fastest;
    `.overlap`, the share of the time in which more than one is shown. float32 but for the counts; 0 where there are no
    captions.

    Reference:
        Plain counts; characters a second are the measure of Netflix's Timed Text Style Guide.
    """

    on: str = "captions"
    into: str = "captions.quality"

    def spec(self) -> Mapping[str, ArraySpec]:
        counts = dict.fromkeys(("n_cues", "characters"), ArraySpec(dtype="int32"))
        return {**counts, **dict.fromkeys(("shown_s", "speed", "top_speed", "overlap"), ArraySpec())}

    def extract(self, captions: Captions) -> Mapping[str, np.ndarray]:
        lengths, starts, ends = _numbers(captions)
        shown_ms, overlap_ms = shown_at_once(starts, ends) if lengths.size else (0, 0)
        on_screen_ms = int((ends - starts).sum())
        numbers = {
            "shown_s": shown_ms / 1000,
            "speed": float(lengths.sum() / on_screen_ms * 1000) if on_screen_ms else 0.0,
            "top_speed": float(reading_speed(lengths, starts, ends).max(initial=0)),
            "overlap": overlap_ms / shown_ms if shown_ms else 0.0,
        }
        counts = {"n_cues": lengths.size, "characters": lengths.sum()}
        return {
            **{name: np.asarray(value, np.int32) for name, value in counts.items()},
            **{name: np.asarray(value, np.float32) for name, value in numbers.items()},
        }


@dataclass(frozen=True, kw_only=True)
class KeepReadable(Filter[Captions]):
    """Keep samples whose captions can be read: slow enough, and one after the other.

    Args:
        max_speed: characters a second; what was never said in the time that it is shown has more.
        max_fast: the share of captions that may be faster.
        max_overlap: the share of the time in which more than one may be shown.

    Reference:
        Netflix's Timed Text Style Guide, English: at most 20 characters a second, 17 for children. The bounds are of
        mmdata.
    """

    on: str = "captions"
    max_speed: Annotated[float, Gt(0)] = 30.0
    max_fast: Annotated[float, Ge(0), Le(1)] = 0.05
    max_overlap: Annotated[float, Ge(0), Le(1)] = 0.1

    def keep(self, captions: Captions) -> Literal[True] | Drop:
        lengths, starts, ends = _numbers(captions)
        if not lengths.size:
            return Drop("no_captions")
        if (reading_speed(lengths, starts, ends) > self.max_speed).mean() > self.max_fast:
            return Drop("too_fast_to_read")
        shown_ms, overlap_ms = shown_at_once(starts, ends)
        return Drop("captions_overlap") if overlap_ms > self.max_overlap * shown_ms else True


def _numbers(captions: Captions) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Characters, starts and ends of the captions, int64 [cue], milliseconds."""
    rows = [(len(cue.text), cue.start_ms, cue.end_ms) for cue in captions.cues]
    table = np.array(rows, np.int64).reshape(len(rows), 3)
    return table[:, 0], table[:, 1], table[:, 2]
