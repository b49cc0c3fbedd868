"""Change when frames are shown, at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.timeline import on_grid, step_s

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class ChangeFrameRate(RandomMap[Frames, Frames]):
    """Show more or fewer frames a second: those that are shown at the times of another grid, from the first one on.

    Read at one rate, the film plays slower or faster. The times of frames say when in the source each is shown.

    Args:
        min_factor: of the frames' own mean rate: 0.5 leaves out every other frame.
        max_factor: 2 shows each twice; factors are uniform by their logarithm.
        p: the share of films that are changed.

    Reference:
        Plain sampling.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    min_factor: Annotated[float, Gt(0), Le(16)] = 0.5
    max_factor: Annotated[float, Gt(0), Le(16)] = 2.0
    p: Share = 1.0

    def __post_init__(self) -> None:
        in_order("min_factor", self.min_factor, "max_factor", self.max_factor)

    def map(self, frames: Frames, rng: np.random.Generator) -> Frames | Drop:
        if rng.random() >= self.p:
            return frames
        factor = float(np.exp(rng.uniform(np.log(self.min_factor), np.log(self.max_factor))))
        own_s = step_s(frames.times_s)
        if own_s <= 0 or factor == 1:
            return frames
        rows, times_s = on_grid(frames.times_s, fps=factor / own_s)
        chosen = frames.rows(rows)
        return Frames(chosen.pixels, times_s, chosen.is_key, frames.space_map)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its frames, after that of those it takes."""
        return without_time(spec)


@dataclass(frozen=True, kw_only=True)
class CropTime(RandomMap[Frames, Frames]):
    """Keep a stretch of neighbouring frames, at a random place.

    Args:
        min_s: the least length, in seconds; it is uniform between the two.
        max_s: the greatest.
        n_frames: so many frames instead, whatever time they take.
        short: what becomes of films that have less: "keep" them whole, or "drop" them.

    Reference:
        Plain cuts.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    min_s: Annotated[float, Gt(0)] = 2.0
    max_s: Annotated[float, Gt(0)] = 2.0
    n_frames: Annotated[int, Gt(0)] | None = None
    short: Literal["keep", "drop"] = "keep"

    def __post_init__(self) -> None:
        in_order("min_s", self.min_s, "max_s", self.max_s)

    def map(self, frames: Frames, rng: np.random.Generator) -> Frames | Drop:
        length_s, place = rng.uniform(self.min_s, self.max_s), rng.random()
        n = len(frames.times_s)
        if n and self.n_frames is None:
            passed = np.abs(frames.times_s - frames.times_s[0])
            ends = np.append(passed[1:], passed[-1] + step_s(frames.times_s))
            lasts = np.searchsorted(ends, passed + length_s - 1e-6) + 1  # the frame that is shown when the time is up
            starts = np.flatnonzero(lasts <= n)
        else:
            lasts = np.arange(n) + (self.n_frames or 1)
            starts = np.flatnonzero(lasts <= n)
        if not starts.size:
            return Drop("too_short") if self.short == "drop" else frames
        first = int(starts[int(place * starts.size)])
        last = int(lasts[first])
        return frames if (first, last) == (0, n) else frames.rows(slice(first, last))

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its frames, after that of those it takes."""
        if self.n_frames is not None and self.short == "drop":
            return spec.fixed(time=self.n_frames)
        return without_time(spec)


@dataclass(frozen=True, kw_only=True)
class ReverseFrames(RandomMap[Frames, Frames]):
    """Show frames backwards. Their times fall then: each still says when in the source it is shown.

    Args:
        p: the share of films that are reversed.

    Reference:
        Plain order.
    """

    extra: ClassVar[str | None] = "video"
    keeps_form: ClassVar[bool] = True

    on: str = "frames"
    p: Share = 0.5

    def map(self, frames: Frames, rng: np.random.Generator) -> Frames | Drop:
        return frames if rng.random() >= self.p else frames.rows(slice(None, None, -1))


def without_time(spec: ArraySpec) -> ArraySpec:
    """A promise of frames, of whatever number."""
    kept = {dim: size for dim, size in spec.sizes.items() if dim != "time"}
    return ArraySpec(dims=spec.dims, sizes=kept, dtype=spec.dtype)


def in_order(low: str, least: float, high: str, most: float) -> None:
    """Raise ValueError where a greatest value lies below the least."""
    if most < least:
        raise ValueError(f"{high} ({most}) is below {low} ({least})")
