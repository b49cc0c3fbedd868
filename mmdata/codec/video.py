"""Bytes to film, and film to frames, by FFmpeg."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.codec.containers import DEMUXERS, cut_short, ffmpeg_errors, open_container
from mmdata.codec.limits import MIB, read_within, within
from mmdata.codec.sniff import HEAD_BYTES, holds, media_type
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.spans import exact
from mmdata.core.step import Map
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LENIENCY_FRAMES = 2  # edit lists and a container's rounding of its length


@dataclass(frozen=True, kw_only=True)
class OpenVideo(Map[Blob, Video]):
    """Look into a film's container: size, length, rate and rotation of its picture track. One frame is decoded.

    MP4, MOV, 3GP, Matroska, WebM, AVI, MPEG (program and transport streams), Ogg, FLV and ASF are read.

    Args:
        max_s: refuse longer films. max_pixels: refuse larger pictures. max_frames: refuse more of them.
        max_bytes: refuse larger files; they are held in memory.
        strict: refuse files that lack bytes of the parts that their format gives sizes for.

    Raises:
        DecodeError: the bytes are no film, hold no picture track, are cut short, or pass a limit.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    max_s: Annotated[float, Gt(0)] = 4 * 3600.0
    max_pixels: Annotated[int, Gt(0)] = 40_000_000
    max_frames: Annotated[int, Gt(0)] = 2_000_000
    max_bytes: Annotated[int, Gt(0)] = 4096 * MIB
    strict: bool = True

    def map(self, blob: Blob) -> Video:
        data = read_within(blob, self.max_bytes)
        kind = _kind(data, blob.name)
        if self.strict and (fault := cut_short(data, kind)):
            raise DecodeError(f"it is cut short: {fault}")
        with ffmpeg_errors(), open_container(data, kind) as container:
            video = _probe(blob, container)
        within("seconds", video.duration_s, "max_s", self.max_s)
        within("pixels", video.width * video.height, "max_pixels", self.max_pixels)
        within("frames", video.n_frames or video.duration_s * video.fps, "max_frames", self.max_frames)
        return video


@dataclass(frozen=True, kw_only=True)
class DecodeFrames(Map[Video, Frames]):
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
        strict: refuse a film when frames are damaged, or when it ends before its container says that it does.

    Raises:
        DecodeError: the film can't be decoded, is cut short, or passes a limit.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    into: str | None = "frames"
    fps: Annotated[float, Gt(0)] | None = None
    size_px: Annotated[int, Gt(0)] | None = None
    max_frames: Annotated[int, Gt(0)] = 20_000
    max_bytes: Annotated[int, Gt(0)] = 2048 * MIB
    strict: bool = True

    def map(self, video: Video) -> Frames:
        size = _fitted(video, self.size_px)
        stack = _Stack(size, self.max_frames, self.max_bytes)
        stack.expect(ceil(video.duration_s * (self.fps or video.fps)))
        data = video.blob.data()
        with ffmpeg_errors(), open_container(data, _kind(data, video.blob.name)) as container:
            stream = _picture_track(container)
            shown = _shown(container, stream, self.strict)
            tick_s = stream.time_base or Fraction(0)
            every = _own_times(shown) if self.fps is None else _on_grid(shown, exact(self.fps), tick_s)
            to_rgb = _ToRgb(size, video.rotation_deg)
            for time_s, is_key, frame in every:
                stack.add(time_s, is_key, frame, to_rgb)
        return stack.frames()


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

    def add(self, time_s: Fraction, is_key: bool, frame: VideoFrame, to_rgb: _ToRgb) -> None:
        at = len(self.times_s)
        if at == len(self.pixels):
            kept = self.pixels
            self.expect(min(max(2 * at, at + 16), max(self.max_frames, at + 1)))
            self.pixels[:at] = kept
        self.pixels[at] = to_rgb(frame)
        self.times_s.append(float(time_s))
        self.keys.append(is_key)

    def frames(self) -> Frames:
        n = len(self.times_s)
        if n == 0:
            raise DecodeError("no frame of it could be decoded")
        pixels = self.pixels[:n] if 2 * n >= len(self.pixels) else self.pixels[:n].copy()
        return Frames(pixels, np.array(self.times_s), np.array(self.keys, bool))


Timed = tuple[Fraction, bool, "VideoFrame"]


def _shown(container: InputContainer, stream: VideoStream, strict: bool) -> Iterator[Timed]:
    """Each frame with the time it is shown at, seconds from the container's start, and whether it was stored whole.

    After the last, the same frame once more with the time at which it ends.
    """
    start, step = _start_s(container, stream), 1 / Fraction(stream.average_rate or 25)
    last: Timed | None = None
    for frame in container.decode(stream):
        if strict and frame.is_corrupt:
            raise DecodeError(f"a frame near {frame.time or 0:.2f} s is damaged")
        tick_s = frame.time_base or Fraction(0)
        time_s = last[0] + step if last and frame.pts is None else (frame.pts or 0) * tick_s - start
        if last is not None and time_s <= last[0]:
            continue  # a clock that stands still or runs back shows nothing new
        last = (time_s, bool(frame.key_frame), frame)
        yield last
    if last is None:
        raise DecodeError("no frame of it could be decoded")
    end_s = last[0] + step
    promised_s = _duration_s(container, stream) or Fraction(0)
    if strict and end_s < promised_s - _LENIENCY_FRAMES * step - Fraction(1, 20):
        raise DecodeError(f"it is cut short: it ends at {float(end_s):.2f} s of {float(promised_s):.2f}")
    yield (end_s, False, last[2])


def _own_times(shown: Iterable[Timed]) -> Iterator[Timed]:
    previous: Timed | None = None
    for timed in shown:
        if previous is not None:
            yield previous
        previous = timed


def _on_grid(shown: Iterable[Timed], fps: Fraction, tick_s: Fraction) -> Iterator[Timed]:
    """The frame shown at each time k / fps before the end, and whether a key frame was shown since the last one.

    Times were rounded to the container's ticks (Matroska's are whole milliseconds), so half a tick early is in time.
    """
    k, is_key, current = 0, False, None
    for time_s, key, frame in shown:
        while current is not None and Fraction(k) < (time_s - tick_s / 2) * fps:
            yield Fraction(k) / fps, is_key, current
            k, is_key = k + 1, False
        current, is_key = frame, is_key or key


class _ToRgb:
    """Scales, converts and turns frames to uint8 [height, width, 3]; libswscale's tables are made once for all."""

    def __init__(self, size: tuple[int, int], rotation_deg: int) -> None:
        from av.video.reformatter import VideoReformatter

        self.stored_size = size if rotation_deg % 180 == 0 else size[::-1]
        self.rotation_deg = rotation_deg
        self.reformatter = VideoReformatter()

    def __call__(self, frame: VideoFrame) -> np.ndarray:
        width, height = self.stored_size
        rgb = self.reformatter.reformat(frame, width, height, "rgb24", interpolation="AREA", threads=1)
        return np.rot90(rgb.to_ndarray(), -(self.rotation_deg // 90))


def _kind(data: bytes, name: str) -> str:
    kind = media_type(data[:HEAD_BYTES])
    if kind not in DEMUXERS or kind.startswith("audio/"):
        raise DecodeError(f"no film that is decoded here: {holds(data, name)}")
    return kind


def _picture_track(container: InputContainer) -> VideoStream:
    from av.stream import Disposition

    for stream in container.streams.video:
        if not stream.disposition & Disposition.attached_pic:
            if stream.codec_context is None:
                raise DecodeError("its picture track is of a kind that FFmpeg does not know")
            stream.thread_type = "NONE"
            stream.codec_context.thread_count = 1
            return stream
    raise DecodeError("it has no picture track")


def _probe(blob: Blob, container: InputContainer) -> Video:
    stream = _picture_track(container)
    frame = next(iter(container.decode(stream)), None)
    if frame is None:
        raise DecodeError("no frame of it could be decoded")
    rotation_deg = -round(frame.rotation / 90) * 90 % 360
    width, height = _as_shown(frame.width, frame.height, stream.sample_aspect_ratio)
    if rotation_deg % 180:
        width, height = height, width
    fps = float(stream.average_rate or stream.guessed_rate or 25)
    duration_s = _duration_s(container, stream)
    return Video(
        blob,
        width=width,
        height=height,
        fps=fps,
        duration_s=float(duration_s) if duration_s is not None else (stream.frames or 0) / fps,
        n_frames=stream.frames or None,
        rotation_deg=rotation_deg,
        codec=stream.codec_context.name,
        has_audio=bool(container.streams.audio),
    )


def _start_s(container: InputContainer, stream: VideoStream) -> Fraction:
    """When the container's clock starts; exactly the track's first tick where that differs by rounding alone."""
    start = Fraction(container.start_time or 0, 1_000_000)
    own = Fraction(stream.start_time or 0) * (stream.time_base or Fraction(0))
    return own if abs(own - start) <= Fraction(1, 1_000_000) else start


def _as_shown(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size with square pixels: anamorphic film is widened."""
    if aspect is None or not Fraction(1, 4) <= aspect <= 4:
        return width, height
    return max(1, round(width * aspect)), height


def _duration_s(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """The picture track's length as the container gives it; an edit list can make the whole shorter than its track."""
    whole = None if container.duration is None else Fraction(container.duration, 1_000_000)
    if stream.duration is None or stream.time_base is None:
        return whole
    own = stream.duration * stream.time_base
    return own if whole is None else min(own, whole)


def _fitted(video: Video, size_px: int | None) -> tuple[int, int]:
    longest = max(video.width, video.height)
    if size_px is None or longest <= size_px:
        return video.width, video.height
    return max(1, round(video.width * size_px / longest)), max(1, round(video.height * size_px / longest))
