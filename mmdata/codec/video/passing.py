"""One decoding of a film, for as many views of it as are wanted."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from fractions import Fraction
from typing import TYPE_CHECKING

import numpy as np

from mmdata.codec.containers import ffmpeg_errors, open_container
from mmdata.codec.video import tally
from mmdata.codec.video.opening import kind_of, picture_track
from mmdata.codec.video.scaling import Scaler, fitted
from mmdata.codec.video.showing import BrokenOff, Showing, Timed
from mmdata.core.sample import Frames, Video
from mmdata.core.spans import exact
from mmdata.core.watch import View

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

CHUNK_BYTES = 16_000_000
CHUNK_FRAMES = 64


def decoded(
    video: Video, views: Sequence[View], *, strict: bool = True, chunk_bytes: int = CHUNK_BYTES
) -> Iterator[tuple[View, Frames]]:
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

    Raises:
        BrokenOff: at damage, once all frames before it were given. DecodeError: there is nothing to decode.
    """
    with showing(video, strict=strict, keys_only=all(view.keys_only for view in views)) as shown:
        scalers: dict[tuple[tuple[int, int], bool], Scaler] = {}
        tick_s = shown.stream.time_base or Fraction(0)
        rolls = []
        for view in dict.fromkeys(views):
            size = fitted(video, view.size_px)
            scaler = scalers.setdefault((size, view.grey), Scaler(size, video.rotation_deg, grey=view.grey))
            rolls.append(_Roll(view, scaler, size, chunk_bytes, rows_of(view, tick_s)))
        broken: BrokenOff | None = None
        try:
            for timed in shown:
                for roll in rolls:
                    for row in roll.rows.at(*timed):
                        if roll.add(row):
                            yield roll.view, roll.cut()
        except BrokenOff as error:
            broken = error
        for roll in rolls:
            for row in roll.rows.until(shown.end_s):
                if roll.add(row):
                    yield roll.view, roll.cut()
            if roll.times_s:
                yield roll.view, roll.cut()
        if broken is not None:
            raise broken


@contextmanager
def showing(video: Video, *, strict: bool, keys_only: bool = False) -> Iterator[Showing]:
    """A film's frames in the order they are shown; what was decoded is counted at the end."""
    data = video.blob.data()
    with ffmpeg_errors(), open_container(data, kind_of(data, video.blob.name)) as container:
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

    def at(self, time_s: Fraction, is_key: bool, frame: VideoFrame) -> Iterator[Timed]:
        """The rows that are complete now that another frame is shown."""
        yield from self.until(time_s)
        self.frame, self.is_key = frame, self.is_key or is_key

    def until(self, end_s: Fraction) -> Iterator[Timed]:
        """The rows before a time."""
        while self.frame is not None and Fraction(self.k) < (end_s - self.tick_s / 2) * self.fps:
            yield Fraction(self.k) / self.fps, self.is_key, self.frame
            self.k, self.is_key = self.k + 1, False


def rows_of(view: View, tick_s: Fraction) -> Every | Grid:
    return Every(view.keys_only) if view.fps is None else Grid(exact(view.fps), tick_s)


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

    def add(self, row: Timed) -> bool:
        """Add a frame; says whether the chunk is full."""
        time_s, is_key, frame = row
        if self.pixels is None:
            width, height = self.size
            n_channels = self.scaler.n_channels
            n_frames = max(1, min(CHUNK_FRAMES, self.chunk_bytes // (width * height * n_channels)))
            self.pixels = np.empty((n_frames, height, width, n_channels), np.uint8)
        self.pixels[len(self.times_s)] = self.scaler(frame)
        self.times_s.append(float(time_s))
        self.keys.append(is_key)
        return len(self.times_s) == len(self.pixels)

    def cut(self) -> Frames:
        """The chunk; another begins."""
        n = len(self.times_s)
        pixels = np.empty(0, np.uint8) if self.pixels is None else self.pixels[:n]
        frames = Frames(pixels, np.array(self.times_s), np.array(self.keys, bool))
        self.pixels, self.times_s, self.keys = None, [], []
        return frames
