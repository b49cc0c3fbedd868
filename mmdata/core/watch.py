"""Films that are watched, and heard: frames and sound come in pieces, from one decoding that all watchers share.

class Brightness(Watch):
    def view(self, video):
        return View(fps=1, size_px=64)

    def watch(self, video):
        levels = []
        while (frames := (yield)) is not None:
            levels.append(frames.pixels.mean(axis=(1, 2, 3)))
        return np.concatenate(levels).astype(np.float32)

Features are `Watch`; a step of ingest that looks at a film before it keeps, changes or cuts it is a `WatchFirst`. One
that also, or only, listens says by `hears` to which sound track, and is sent pieces of it before the frames.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Generator, Iterable, Mapping
from dataclasses import dataclass
from fractions import Fraction
from math import inf
from typing import Any, Generic, TypeVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Sample, Video
from mmdata.core.step import Arrays, Feature

Found = TypeVar("Found")
Watching = Generator[None, Frames | None, Arrays]
DECODED_S = "decoded_s"


@dataclass(frozen=True)
class Hearing:
    """Which sound of a film is wanted.

    Args:
        track: which of several sound tracks, from 0.
    """

    track: int = 0

    def __post_init__(self) -> None:
        if self.track < 0:
            raise ValueError(f"track must be at least 0, not {self.track}")


@dataclass(frozen=True)
class Heard:
    """A piece of a sound track, laid on the film's clock. Not to be written to.

    Args:
        samples: float32 [channel, time], full scale is -1 to 1. There may be none: so is the first piece of each track,
            which says what channels it has.
        rate_hz: of the track; it never changes.
        first: the number of the first of these samples; it is heard at first / rate_hz of the film. What lies between
            the end of the piece before and this is a gap, and silence.
        damage: why the track can't be decoded here, in words; "" where it can. Then there are no samples.
    """

    samples: np.ndarray
    rate_hz: int
    first: int
    damage: str = ""

    @property
    def time_s(self) -> Fraction:
        """When it begins, on the film's clock."""
        return Fraction(self.first, self.rate_hz)

    @property
    def end(self) -> int:
        """The number of the first sample after it."""
        return self.first + len(self.samples.T)


Seeing = Generator[None, Frames | None, Found]
Attending = Generator[None, Frames | Heard | None, Found]  # of whoever hears


@dataclass(frozen=True)
class View:
    """Which frames of a film are wanted, and how.

    Args:
        fps: frames a second, on the grid k / fps from 0, each the one that is shown at that time; None is every frame,
            at its own time.
        size_px: scaled down, never up, so that the longer side has at most this many pixels; None is full size.
        grey: one channel, the film's luma at full range, in place of RGB.
        sampled: when it is scaled down, take what lies at each pixel's middle (bilinearly) in place of the average of
            what it covers: quicker, and what detectors of cuts compare.
        keys_only: only the frames that the codec stored whole. Where nobody wants others, no others are decoded.
        by_planes: whether pictures of at most half the size are averaged plane by plane, then converted (OpenCV, in the
            film's own matrix), which is quicker; libswscale otherwise does both at once.
    """

    fps: float | None = None
    size_px: int | None = None
    grey: bool = False
    sampled: bool = False
    keys_only: bool = False
    by_planes: bool = True

    def __post_init__(self) -> None:
        if self.fps is not None and not 0 < self.fps < inf:
            raise ValueError(f"fps must be greater than 0, and finite, not {self.fps}")
        if self.size_px is not None and self.size_px < 1:
            raise ValueError(f"size_px must be at least 1, not {self.size_px}")
        if self.keys_only and self.fps is not None:
            raise ValueError("frames that the codec stored whole lie on no grid: give keys_only or fps, not both")


class Watches(ABC, Generic[Found]):
    """Whatever watches films."""

    strict: bool

    @abstractmethod
    def view(self, video: Video, /) -> View | None:
        """Which frames it wants to see; None is no frame at all."""

    def hears(self, video: Video, /) -> Hearing | None:  # noqa: ARG002  most watch in silence
        """Which sound it wants to hear; None is none."""
        return None

    @abstractmethod
    def watch(self, video: Video, /) -> Seeing[Found]:
        """A generator that is sent frames, chunk by chunk in order of time, then None; it returns what it found.

        A chunk has one frame at least, and is not written to by anybody; how many frames it has may not matter. What
        it keeps of frames must be copies, small ones: views keep a whole chunk in memory.

        Whoever hears is an `Attending`, and is sent `Heard` first: the track in order, and nothing where the film has
        no such track. One that is not strict is told of damage by a piece of its own.
        """

    def complete(self, found: Found, decoded_s: float) -> Found:  # noqa: ARG002  most need not know
        """What `watch` returned, with how far the film could be decoded, where that is asked for."""
        return found


class WatchFirst(Watches[Found]):
    """A map, filter or split that watches a film before it does its work; the film itself may be what it works on.

    All of a pipeline that watch the same film share one decoding, features too, for as long as no step in between
    changes the film: whoever comes later has seen it already when its turn comes, and is not asked where the sample is
    dropped before. So do all that hear the same track. Pictures are decoded when the turn comes of a step that sees
    them, and sound when it comes of one that hears. A film that breaks off is an error where the step is `strict`;
    otherwise `watch` is sent what comes before, and all that can be decoded of a sound track.
    """

    on: str | None

    @property
    def film(self) -> str | None:
        """The part that it watches."""
        return self.on

    def film_of(self, sample: Sample) -> Video | None:
        """The film of a sample that it watches; None where it has nothing to watch."""
        part = sample.parts.get(self.film or "")
        return part if isinstance(part, Video) else None

    @property
    def shares(self) -> bool:
        """Whether it can do with frames that are shown to others; otherwise it is called as any other step is."""
        return True

    @abstractmethod
    def after(self, value: Any, found: Found, /) -> Any:
        """What `map`, `keep` or `split` returns for its value, given what `watch` found."""


@dataclass(frozen=True, kw_only=True)
class Watch(Watches[Arrays], Feature[Video]):
    """Computes arrays of a promised form while a film is decoded, without ever holding all of its frames.

    Args:
        strict: whether a film with damage, or one that breaks off, is a missing feature. Else the feature is of what
            comes before, and a further column, "decoded_s", says up to which second that is.
    """

    takes = Video

    on: str | None = "video"
    strict: bool = True

    @abstractmethod
    def view(self, video: Video, /) -> View | None:
        """Which frames it wants to see; None for one that only hears."""

    def columns(self) -> dict[str, ArraySpec]:
        columns = super().columns()
        return columns if self.strict else {**columns, f"{self.into}.{DECODED_S}": ArraySpec(dtype="float64")}

    def complete(self, arrays: Arrays, decoded_s: float) -> Arrays:
        if self.strict:
            return arrays
        named = arrays if isinstance(arrays, Mapping) else {"": arrays}
        return {**named, DECODED_S: np.asarray(decoded_s, np.float64)}


def watched(watching: Seeing[Found] | Attending[Found], pieces: Iterable[Any]) -> Found:
    """What a watcher returns once it was sent these frames, or pieces of sound, and no more."""
    next(watching)
    for piece in pieces:
        watching.send(piece)
    return ended(watching)


def ended(watching: Seeing[Found] | Attending[Found]) -> Found:
    """Tell a watcher that nothing more comes, and take what it returns.

    Raises:
        TypeError: it goes on.
    """
    try:
        watching.send(None)
    except StopIteration as returned:
        found: Found = returned.value
        return found
    raise TypeError("a watcher must return what it found once it is sent None")
