"""Silence at the ends, and between what is worth hearing."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Audio, Sample
from mmdata.core.step import Drop, Map, Split
from mmdata.kernels.audio import levels_db


@dataclass(frozen=True, kw_only=True)
class TrimSilence(Map[Audio, Audio]):
    """Cut silence from both ends; drop a clip that is silent throughout.

    A 10 ms frame is silent when every channel is at or below `floor_db` (dB re full scale, of the mean square).

    Args:
        margin_s: silence that stays before the first and after the last sound, where there is so much.

    Reference:
        Of mmdata: mean squares of 10 ms frames.
    """

    on: str = "audio"
    floor_db: Annotated[float, Ge(-100), Le(0)] = -50.0
    margin_s: Annotated[float, Ge(0)] = 0.0

    def map(self, audio: Audio) -> Audio | Drop:
        hop = max(1, audio.rate_hz // 100)
        loud = np.flatnonzero(levels_db(audio.samples, hop=hop).max(axis=0) > self.floor_db)
        if not loud.size:
            return Drop("silent")
        margin = round(self.margin_s * audio.rate_hz)
        return audio.cut(int(loud[0]) * hop - margin, (int(loud[-1]) + 1) * hop + margin)  # keeps the time map


@dataclass(frozen=True, kw_only=True)
class SplitOnSilence(Split[Audio]):
    """Cut a clip into pieces where it is silent for long; drop one that is silent throughout.

    A 10 ms frame is silent when every channel is at or below `floor_db`. A piece has the key `KEY@START-END`, in
    seconds of the clip, a time map that says where it was, and all other parts of its sample. A clip of one piece that
    reaches from its beginning to its end stays itself.

    Args:
        floor_db: re full scale, of the mean square.
        min_silence_s: shorter pauses do not divide.
        min_piece_s: shorter pieces are left out; their length is that of the sound, without margins.
        max_piece_s: longer pieces are cut once more, at the quietest moment of their second half; None is no bound.
        margin_s: silence that is kept at both ends of a piece, where there is so much.

    Reference:
        Of mmdata: mean squares of 10 ms frames.
    """

    on: str = "audio"
    floor_db: Annotated[float, Ge(-100), Le(0)] = -50.0
    min_silence_s: Annotated[float, Gt(0)] = 0.5
    min_piece_s: Annotated[float, Ge(0)] = 0.1
    max_piece_s: Annotated[float, Gt(0)] | None = None
    margin_s: Annotated[float, Ge(0)] = 0.1

    def __post_init__(self) -> None:
        if self.max_piece_s is not None and self.max_piece_s < max(0.04, 2 * self.min_piece_s):
            least = max(0.04, 2 * self.min_piece_s)
            raise ValueError(
                f"max_piece_s must be at least 0.04 and twice min_piece_s: {least} s, not {self.max_piece_s}"
            )

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        audio = sample.parts.get(self.on)
        if not isinstance(audio, Audio):
            return [sample]
        hop = max(1, audio.rate_hz // 100)
        levels = levels_db(audio.samples, hop=hop).max(axis=0, initial=-100.0)
        least = max(1, round(self.min_silence_s * audio.rate_hz / hop))
        pieces = sounding(levels > self.floor_db, min_gap=least)
        pieces = [(a, b) for a, b in pieces if (b - a) * hop >= self.min_piece_s * audio.rate_hz]
        if self.max_piece_s is not None:
            longest = max(2, int(self.max_piece_s * audio.rate_hz / hop))
            pieces = [part for piece in pieces for part in halved(piece, levels, longest)]
        margin = round(self.margin_s * audio.rate_hz)
        return cut_out(sample, self.on, widened([(a * hop, b * hop) for a, b in pieces], margin, audio.n_samples))


def sounding(loud: np.ndarray, *, min_gap: int) -> list[tuple[int, int]]:
    """Stretches [first, last) of true frames; gaps of less than `min_gap` false ones do not divide them.

    >>> sounding(np.array([0, 1, 0, 1, 0, 0, 1, 0], bool), min_gap=2)
    [(1, 4), (6, 7)]
    """
    heard = np.flatnonzero(loud)
    if not heard.size:
        return []
    ends = np.flatnonzero(np.diff(heard) > min_gap)
    firsts, lasts = heard[np.concatenate([[0], ends + 1])], heard[np.concatenate([ends, [heard.size - 1]])] + 1
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def halved(piece: tuple[int, int], levels: np.ndarray, longest: int) -> list[tuple[int, int]]:
    """A piece in parts of at most `longest` frames, each cut at the quietest frame of what may be its second half."""
    first, last = piece
    parts = []
    while last - first > longest:
        middle = first + max(1, longest // 2)
        at = middle + int(levels[middle : first + longest].argmin())
        parts.append((first, at))
        first = at
    return [*parts, (first, last)]


def widened(pieces: Sequence[tuple[int, int]], margin: int, n_samples: int) -> list[tuple[int, int]]:
    """Pieces with a margin at both ends, up to the middle of what lies between them."""
    bounds = [(0, 0), *pieces, (n_samples, n_samples)]
    wide = []
    for before, (first, last), after in zip(bounds, pieces, bounds[2:], strict=False):
        low = 0 if before == (0, 0) else (before[1] + first) // 2
        high = n_samples if after == (n_samples, n_samples) else (last + after[0]) // 2
        wide.append((max(first - margin, low), min(last + margin, high)))
    return wide


def cut_out(sample: Sample, part: str, spans: Sequence[tuple[int, int]]) -> Sequence[Sample] | Drop:
    """Children of a sample, one for each stretch of samples of its sound; itself where that is all of it."""
    audio = sample.parts[part]
    if not isinstance(audio, Audio) or not spans:
        return Drop("silent")
    if len(spans) == 1 and spans[0][0] <= 0 and spans[0][1] >= audio.n_samples:
        return [sample]
    names = [f"{first / audio.rate_hz:.3f}-{min(last, audio.n_samples) / audio.rate_hz:.3f}" for first, last in spans]
    return [sample.child(name, **{part: audio.cut(*span)}) for name, span in zip(names, spans, strict=True)]
