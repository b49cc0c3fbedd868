"""Where a part's seconds and pixels came from: spans, time maps and space maps.

A step that cuts, trims or stretches time, or that resizes, crops or flips a picture, leaves a map behind, so that
captions, words and boxes given on the source's clock and grid stay true. Time is exact: `fractions.Fraction`, as one
sample at 44,100 Hz has no finite decimal form (the reasoning is lhotse's, the code is not).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Any, Self

import numpy as np

Seconds = Fraction | int | float


def exact(seconds: Seconds) -> Fraction:
    """Seconds as a fraction; a float is taken to the nearest nanosecond, as nobody means 0.1 to 55 binary digits."""
    if isinstance(seconds, float):
        return Fraction(round(seconds * 1_000_000_000), 1_000_000_000)
    return Fraction(seconds)


@dataclass(frozen=True, order=True)
class Span:
    """A half-open stretch of time, [start_s, end_s)."""

    start_s: Fraction
    end_s: Fraction

    @classmethod
    def of(cls, start_s: Seconds, end_s: Seconds) -> Self:
        """A span from any numbers. Raises ValueError when it would end before it starts."""
        span = cls(exact(start_s), exact(end_s))
        if span.end_s < span.start_s:
            raise ValueError(f"a span can't end at {float(end_s)} s before it starts at {float(start_s)} s")
        return span

    @property
    def length_s(self) -> Fraction:
        return self.end_s - self.start_s


@dataclass(frozen=True)
class Segment:
    """Output time [start_s, start_s + length_s) plays the source from source_s on, at `speed` times its pace."""

    start_s: Fraction
    length_s: Fraction
    source_s: Fraction
    speed: Fraction = Fraction(1)

    @property
    def end_s(self) -> Fraction:
        return self.start_s + self.length_s

    @property
    def source_end_s(self) -> Fraction:
        return self.source_s + self.length_s * self.speed


@dataclass(frozen=True)
class TimeMap:
    """Which source time each moment of a part shows: segments in order of output time, without gaps.

    >>> whole = TimeMap.identity(10)
    >>> trimmed = whole.cut(2, 8)              # what TrimSilence does
    >>> faster = trimmed.stretched(2)          # twice the speed: 3 s long now
    >>> float(faster.to_source(1)), float(faster.from_source(4))
    (4.0, 1.0)
    """

    segments: tuple[Segment, ...] = ()

    @classmethod
    def identity(cls, length_s: Seconds) -> Self:
        return cls((Segment(Fraction(0), exact(length_s), Fraction(0)),))

    @property
    def length_s(self) -> Fraction:
        return self.segments[-1].end_s if self.segments else Fraction(0)

    @property
    def is_identity(self) -> bool:
        """Whether no moment was moved: a shortened end alone moves none."""
        return all(part.source_s == part.start_s and part.speed == 1 for part in self.segments)

    def cut(self, start_s: Seconds, end_s: Seconds) -> Self:
        """The map of the output between two moments of this one's output; moments outside are ignored."""
        start, end = max(exact(start_s), Fraction(0)), min(exact(end_s), self.length_s)
        kept = []
        for part in self.segments:
            low, high = max(part.start_s, start), min(part.end_s, end)
            if low < high:
                source = part.source_s + (low - part.start_s) * part.speed
                kept.append(Segment(low - start, high - low, source, part.speed))
        return type(self)(tuple(kept))

    def stretched(self, speed: Seconds) -> Self:
        """The map after playing at `speed` times the pace. Raises ValueError unless speed is positive."""
        factor = exact(speed)
        if factor <= 0:
            raise ValueError(f"speed must be positive, not {float(factor)}")
        return type(self)(
            tuple(Segment(p.start_s / factor, p.length_s / factor, p.source_s, p.speed * factor) for p in self.segments)
        )

    def followed_by(self, other: TimeMap) -> Self:
        """This output, then the other's: what joining two clips does."""
        shift = self.length_s
        moved = (Segment(p.start_s + shift, p.length_s, p.source_s, p.speed) for p in other.segments)
        return type(self)((*self.segments, *moved))

    def to_source(self, at_s: Seconds) -> Fraction | None:
        """The source time shown at an output moment; None past either end. The very end belongs to the last segment."""
        at = exact(at_s)
        for part in self.segments:
            if part.start_s <= at < part.end_s or (at == part.end_s and part is self.segments[-1]):
                return part.source_s + (at - part.start_s) * part.speed
        return None

    def times_to_source(self, times_s: np.ndarray) -> np.ndarray:
        """The source times shown at many output moments, float64 [time], not exactly; NaN past either end."""
        source_s = np.full(len(times_s), np.nan)
        for part in self.segments:
            inside = (times_s >= float(part.start_s)) & (times_s <= float(part.end_s))
            source_s[inside] = float(part.source_s) + (times_s[inside] - float(part.start_s)) * float(part.speed)
        return source_s

    def from_source(self, at_s: Seconds) -> Fraction | None:
        """The first output moment that shows a source time; None when it was cut away."""
        at = exact(at_s)
        for part in self.segments:
            if part.source_s <= at <= part.source_end_s:
                return part.start_s + (at - part.source_s) / part.speed
        return None

    def spans_from_source(self, span: Span) -> Iterator[Span]:
        """What is left of a source span (a word, a caption) on the output clock: none, one, or several pieces."""
        for part in self.segments:
            low, high = max(span.start_s, part.source_s), min(span.end_s, part.source_end_s)
            if low < high:
                start = part.start_s + (low - part.source_s) / part.speed
                yield Span(start, start + (high - low) / part.speed)

    def spans_to_source(self, span: Span) -> Iterator[Span]:
        """What of the source plays during a span of the output: none, one, or several pieces."""
        for part in self.segments:
            low, high = max(span.start_s, part.start_s), min(span.end_s, part.end_s)
            if low < high:
                start = part.source_s + (low - part.start_s) * part.speed
                yield Span(start, start + (high - low) * part.speed)

    def to_json(self) -> list[list[str]]:
        """Lists of exact fractions as text: ["1/3", ...], start, length, source and speed of each segment."""
        return [[str(p.start_s), str(p.length_s), str(p.source_s), str(p.speed)] for p in self.segments]

    @classmethod
    def from_json(cls, value: list[list[str]]) -> Self:
        return cls(tuple(Segment(*(Fraction(number) for number in row)) for row in value))


@dataclass(frozen=True)
class SpaceMap:
    """Which source pixel each pixel of a picture shows: a 3x3 homography from output (x, y, 1) to source, row by row.

    Coordinates are those of pixel edges: the top left pixel spans 0 to 1, so that resizing scales about the corner.

    >>> SpaceMap().resized(from_size=(640, 480), to_size=(320, 240)).to_source(np.array([[10.0, 10.0]]))
    array([[20., 20.]])
    """

    matrix: tuple[float, ...] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    @property
    def is_identity(self) -> bool:
        return self.matrix == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)

    def after(self, step: np.ndarray) -> Self:
        """The map once a step has run whose own map, new output to old output, is `step` (float64 [3, 3])."""
        whole = np.array(self.matrix).reshape(3, 3) @ step
        return type(self)(tuple(float(value) for value in whole.ravel()))

    def resized(self, *, from_size: tuple[int, int], to_size: tuple[int, int]) -> Self:
        """After a resize; sizes are (width, height) in pixels."""
        scales = (from_size[0] / to_size[0], from_size[1] / to_size[1], 1.0) * 3
        return type(self)(tuple(value * scale for value, scale in zip(self.matrix, scales, strict=True)))

    def cropped(self, *, left: int, top: int) -> Self:
        """After a crop whose top left corner is at (left, top)."""
        return self.after(np.array([[1.0, 0.0, left], [0.0, 1.0, top], [0.0, 0.0, 1.0]]))

    def flipped(self, *, width: int) -> Self:
        """After a left-right mirroring of a picture of that width."""
        return self.after(np.array([[-1.0, 0.0, width], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]))

    def to_source(self, points: np.ndarray) -> np.ndarray:
        """Points (float64 [point, xy]) of the picture, on the source's grid."""
        return _project(np.array(self.matrix).reshape(3, 3), points)

    def from_source(self, points: np.ndarray) -> np.ndarray:
        """Points (float64 [point, xy]) of the source, on the picture's grid; those cropped away lie outside it."""
        return _project(np.linalg.inv(np.array(self.matrix).reshape(3, 3)), points)

    def to_json(self) -> list[float]:
        return list(self.matrix)

    @classmethod
    def from_json(cls, value: list[Any]) -> Self:
        return cls(tuple(float(number) for number in value))


def _project(matrix: np.ndarray, points: np.ndarray) -> np.ndarray:
    flat = np.concatenate([points, np.ones((len(points), 1))], axis=1) @ matrix.T
    projected: np.ndarray = flat[:, :2] / flat[:, 2:]
    return projected
