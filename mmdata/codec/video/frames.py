"""All frames of a film in one array."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from math import ceil
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.codec.limits import MIB, within
from mmdata.codec.video.passing import decoded
from mmdata.codec.video.scaling import fitted
from mmdata.core.sample import Frames, Video
from mmdata.core.spans import exact
from mmdata.core.step import Map
from mmdata.core.watch import Seeing, View, WatchFirst, watched
from mmdata.errors import DecodeError


@dataclass(frozen=True, kw_only=True)
class DecodeFrames(WatchFirst[Frames], Map[Video, Frames]):
    """Decode frames to uint8 [time, height, width, 3] in RGB, rotated as a player shows them.

    With `fps`, frames lie on the grid k / fps from 0 to the end of the film, each the one that is shown at that time
    (the first one also before its own time); `is_key` says that a frame stored whole has been shown since the last
    row. Without it, every frame comes at its own time. Scaling is part of the colour conversion (libswscale, area
    averaging), on one thread.

    Args:
        fps: frames a second of the grid; None is every frame.
        size_px: scale down, never up, so that the longer side has at most this many pixels.
        max_frames: refuse films that would give more.
        max_bytes: refuse films whose frames would take more memory.
        strict: refuse a film when frames are damaged, or when it ends before its container says that it does. Else
            damaged frames are as FFmpeg mends them, for which the film is decoded by itself.

    Raises:
        DecodeError: the film can't be decoded, is cut short, or passes a limit.

    Reference:
        FFmpeg, by PyAV: its decoders and libswscale. The grid of times is of mmdata.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    into: str | None = "frames"
    fps: Annotated[float, Gt(0)] | None = None
    size_px: Annotated[int, Gt(0)] | None = None
    max_frames: Annotated[int, Gt(0)] = 20_000
    max_bytes: Annotated[int, Gt(0)] = 2048 * MIB
    strict: bool = True

    @property
    def shares(self) -> bool:
        return self.strict

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=self.fps, size_px=self.size_px, by_planes=False)

    def watch(self, video: Video) -> Seeing[Frames]:
        stack = _Stack(fitted(video, self.size_px), self.max_frames, self.max_bytes)
        stack.expect(ceil(video.duration_s * (self.fps or video.fps)))
        while (frames := (yield)) is not None:
            stack.add(frames)
        return on_source(stack.frames(), video)

    def after(self, video: Video, frames: Frames) -> Frames:  # noqa: ARG002  they are what is wanted
        return frames

    def map(self, video: Video) -> Frames:
        chunks = decoded(video, [self.view(video)], strict=self.strict)
        return watched(self.watch(video), (frames for _, frames in chunks))


def on_source(frames: Frames, video: Video) -> Frames:
    """A film's frames at the times, and on the grid, of the film that it was cut from."""
    times_s, height, width = frames.times_s, *frames.pixels.shape[1:3]
    if video.time_map is not None:
        clock, end = video.time_map, video.time_map.length_s
        moved = (clock.to_source(min(max(exact(time_s), exact(0)), end)) for time_s in times_s.tolist())
        times_s = np.array([float(time_s or 0) for time_s in moved])
    shown = (video.width, video.height)
    space_map = frames.space_map.resized(from_size=shown, to_size=(width, height))
    return replace(frames, times_s=times_s, space_map=space_map if (width, height) != shown else frames.space_map)


@dataclass
class _Stack:
    """Frames as they come, in one array that grows within its limits."""

    size: tuple[int, int]
    max_frames: int
    max_bytes: int
    times_s: list[float] = field(default_factory=list)
    keys: list[bool] = field(default_factory=list)
    pixels: np.ndarray = field(init=False)

    def expect(self, n_frames: int) -> None:
        """Refuse what would pass a limit, and make room."""
        width, height = self.size
        within("frames at this rate", n_frames, "max_frames", self.max_frames)
        within("bytes of frames at this rate and size", n_frames * width * height * 3, "max_bytes", self.max_bytes)
        self.pixels = np.empty((n_frames, height, width, 3), np.uint8)

    def add(self, chunk: Frames) -> None:
        at, n = len(self.times_s), len(chunk.times_s)
        if at + n > len(self.pixels):
            kept = self.pixels
            self.expect(min(max(2 * at, at + n), max(self.max_frames, at + n)))
            self.pixels[:at] = kept[:at]
        self.pixels[at : at + n] = chunk.pixels
        self.times_s += chunk.times_s.tolist()
        self.keys += chunk.is_key.tolist()

    def frames(self) -> Frames:
        n = len(self.times_s)
        if n == 0:
            raise DecodeError("no frame of it could be decoded")
        pixels = self.pixels[:n] if 2 * n >= len(self.pixels) else self.pixels[:n].copy()
        return Frames(pixels, np.array(self.times_s), np.array(self.keys, bool))
