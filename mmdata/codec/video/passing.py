"""One decoding of a film, for as many views of it as are wanted."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.codec.video import tally
from mmdata.codec.video.hearing import heard
from mmdata.codec.video.opening import opened, picture_track
from mmdata.codec.video.scaling import PlanesOf, Scaler, fitted
from mmdata.codec.video.showing import BrokenOff, Showing, Timed
from mmdata.core.sample import Frames, Video
from mmdata.core.spans import exact
from mmdata.core.watch import Found, Hearing, View, WatchFirst, ended
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

CHUNK_BYTES = 16_000_000
CHUNK_FRAMES = 64


def decoded(
    video: Video,
    views: Sequence[View],
    *,
    strict: bool = True,
    chunk_bytes: int = CHUNK_BYTES,
) -> Generator[tuple[View, Frames], None, float]:
    """Decode a film once, and give the frames that each view wants, in chunks, each view's in order of time.

    Views that differ in `fps` alone share the conversion and scaling of the frames that both want. Where all views
    want key frames only, no others are decoded.

    Args:
        video: the film.
        views: what is wanted; equal ones are one.
        strict: whether to stop at damage. Else damaged frames are shown as FFmpeg mends them, packets that can't be
            decoded are passed over, and a film may end early.
        chunk_bytes: pixels of a chunk, at most (one frame may be larger).

    Yields:
        a view, and frames of it: uint8 [time, height, width, channel], three channels of RGB or one of grey, turned
        and with square pixels, as a player shows them. They are new arrays each time.

    Returns:
        the second at which the film ends.

    Raises:
        BrokenOff: at damage, once all frames before it were given. DecodeError: there is nothing to decode.
    """
    with showing(video, strict=strict, keys_only=all(view.keys_only for view in views)) as shown:
        rolls = _rolls(video, views, shown.stream.time_base or Fraction(0), chunk_bytes)
        broken: BrokenOff | None = None
        try:
            for timed in shown:
                for roll in rolls:
                    yield from roll.took(roll.rows.at(*timed))
        except BrokenOff as error:
            broken = error
        for roll in rolls:
            yield from roll.took(roll.rows.until(shown.end_s), last=True)
        if broken is not None:
            raise broken
        return float(shown.end_s)


def seen(step: WatchFirst[Found], video: Video) -> Found:
    """What a step that watches a film first finds in it, with passes of its own over its sound and its pictures.

    Raises:
        BrokenOff: the film breaks off, and the step is strict. DecodeError: there is nothing to decode, or the step is
            strict, and the sound is damaged.
    """
    watching, view, hearing = step.watch(video), step.view(video), step.hears(video)
    next(watching)
    if hearing is not None:
        _sound(step, watching, video, hearing)
    try:
        for _, frames in decoded(video, [view]) if view is not None else ():
            watching.send(frames)
    except BrokenOff:
        if step.strict:
            raise
    return ended(watching)


def _sound(step: WatchFirst[Any], watching: Any, video: Video, hearing: Hearing) -> None:
    """Send a step the sound that it wants."""
    with closing(heard(video, hearing.track)) as pieces:
        for piece in pieces:
            if piece.damage and step.strict:
                raise DecodeError(piece.damage)
            watching.send(piece)


def _rolls(video: Video, views: Sequence[View], tick_s: Fraction, chunk_bytes: int) -> list[_Roll]:
    """The views' chunks; views of one size and colour share a scaler."""
    planes, scalers, rolls = PlanesOf(), dict[tuple[tuple[int, int], bool, bool, bool], Scaler](), []
    for view in dict.fromkeys(views):
        size = fitted(video, view.size_px)
        kind = size, view.grey, view.sampled and size != (video.width, video.height), view.by_planes
        if kind not in scalers:
            shared = planes if view.by_planes else None
            scalers[kind] = Scaler(size, video.rotation_deg, grey=kind[1], sampled=kind[2], planes=shared)
        rows = Every(view.keys_only) if view.fps is None else Grid(exact(view.fps), tick_s)
        rolls.append(_Roll(view, scalers[kind], size, chunk_bytes, rows))
    return rolls


@contextmanager
def showing(video: Video, *, strict: bool, keys_only: bool = False) -> Iterator[Showing]:
    """A film's frames in the order they are shown; what was decoded is counted at the end."""
    with opened(video) as container:
        shown = Showing(container, picture_track(container), strict, keys_only)
        try:
            yield shown
        finally:
            tally.count(video.blob, shown.n_frames)


@dataclass
class Every:
    """Rows of every frame, or of each that the codec stored whole."""

    keys_only: bool = False

    def at(self, time_s: Fraction, is_key: bool, frame: VideoFrame) -> Iterator[Timed]:
        if is_key or not self.keys_only:
            yield time_s, is_key, frame

    def until(self, end_s: Fraction) -> Iterator[Timed]:  # noqa: ARG002  a grid needs to know
        yield from ()


@dataclass
class Grid:
    """Rows of a grid: the frame shown at each time k / fps, and whether a key frame was shown since the last one.

    Times were rounded to the container's ticks (Matroska's are whole milliseconds), so half a tick early is in time.
    """

    fps: Fraction
    tick_s: Fraction
    k: int = 0
    is_key: bool = False
    frame: VideoFrame | None = None
    due_s: Fraction = field(init=False)

    def __post_init__(self) -> None:
        self.due_s = self.tick_s / 2  # the row k is complete once another frame is shown later than that

    def at(self, time_s: Fraction, is_key: bool, frame: VideoFrame) -> Iterator[Timed]:
        """The rows that are complete now that another frame is shown."""
        yield from self.until(time_s)
        self.frame, self.is_key = frame, self.is_key or is_key

    def until(self, end_s: Fraction) -> Iterator[Timed]:
        """The rows before a time."""
        while self.frame is not None and self.due_s < end_s:
            yield self.k / self.fps, self.is_key, self.frame
            self.k, self.is_key = self.k + 1, False
            self.due_s = self.k / self.fps + self.tick_s / 2


@dataclass
class _Roll:
    """A view's chunk as it grows."""

    view: View
    scaler: Scaler
    size: tuple[int, int]
    chunk_bytes: int
    rows: Every | Grid
    times_s: list[float] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    pixels: np.ndarray | None = None

    def took(self, rows: Iterable[Timed], *, last: bool = False) -> Iterator[tuple[View, Frames]]:
        """Take frames; gives each chunk that is full, and the last one as it is."""
        for time_s, is_key, frame in rows:
            if self.pixels is None:
                self.pixels = self._room()
            self.pixels[len(self.times_s)] = self.scaler(frame)
            self.times_s.append(float(time_s))
            self.keys.append(is_key)
            if len(self.times_s) == len(self.pixels):
                yield self.view, self._cut()
        if last and self.times_s:
            yield self.view, self._cut()

    def _room(self) -> np.ndarray:
        width, height = self.size
        n_channels = self.scaler.n_channels
        n_frames = max(1, min(CHUNK_FRAMES, self.chunk_bytes // (width * height * n_channels)))
        return np.empty((n_frames, height, width, n_channels), np.uint8)

    def _cut(self) -> Frames:
        """The chunk; another begins."""
        n = len(self.times_s)
        pixels = np.empty(0, np.uint8) if self.pixels is None else self.pixels[:n]
        frames = Frames(pixels, np.array(self.times_s), np.array(self.keys, bool))
        self.pixels, self.times_s, self.keys = None, [], []
        return frames
