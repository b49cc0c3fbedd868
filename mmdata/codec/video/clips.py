"""A few frames out of a film: chosen by time, sought, and no others decoded than lie between a key frame and them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from fractions import Fraction
from math import ceil
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt

from mmdata.codec.limits import MIB, within
from mmdata.codec.tracks import packets_of
from mmdata.codec.video import tally
from mmdata.codec.video.opening import TIMED, average_rate, kind_of, opened, picture_track, start_s
from mmdata.codec.video.scaling import Scaler, fitted
from mmdata.codec.video.showing import Timed, sound_lasts
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Video
from mmdata.core.spans import exact
from mmdata.core.step import Drop, RandomMap
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.video.frame import VideoFrame

_WORTH_A_SEEK_S = 2  # to decode less than that costs no more than to seek
_MARGINS_S = (0, 1, 8)  # before the time that is sought: an index may lead to a key frame that is shown too late
_SOUGHT = (*TIMED, "video/x-msvideo")  # elsewhere, whoever begins in the middle may have to guess times
_LENIENCY_FRAMES = 2  # as `codec.video.DecodeFrames` has it


@dataclass(frozen=True, kw_only=True)
class DecodeClip(RandomMap[Video, Frames]):
    """Decode some frames of a film to uint8 [time, height, width, 3] in RGB, each as `DecodeFrames` gives it.

    The film is sought by its key frames, so that a clip of an hour's film costs no more than one of a minute's.

    With `fps`, the frames are neighbours on the grid k / fps. Without it they are spread over the stretch: one from
    each of `n_frames` equal parts of it (as in temporal segment networks, Wang et al. 2016, section 3.1).

    Args:
        n_frames: how many. fps: frames a second of the grid; None spreads them.
        at: "random", the "start" or the "middle": of the stretch, with a grid; of each part of it, without.
        start_s, end_s: the stretch of the film that is drawn from; None is its end.
        size_px: scale down, never up, so that the longer side has at most this many pixels.
        short: what becomes of a stretch that has fewer frames on the grid: "keep" gives those, "repeat" begins anew
            until there are `n_frames`, "drop" drops the sample. A stretch that begins after the film's end is dropped.
        max_bytes: refuse films whose frames would take more memory.
        strict: refuse a film when frames are damaged, or when it ends before its container says that it does.

    Raises:
        DecodeError: the frames can't be decoded, the film is cut short, or passes a limit.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    into: str | None = "frames"
    n_frames: Annotated[int, Gt(0)] = 16
    fps: Annotated[float, Gt(0)] | None = None
    at: Literal["random", "start", "middle"] = "random"
    start_s: Annotated[float, Ge(0)] = 0.0
    end_s: Annotated[float, Gt(0)] | None = None
    size_px: Annotated[int, Gt(0)] | None = None
    short: Literal["keep", "repeat", "drop"] = "repeat"
    max_bytes: Annotated[int, Gt(0)] = 2048 * MIB
    strict: bool = True

    def __post_init__(self) -> None:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError(f"end_s must be after start_s: {self.end_s} <= {self.start_s}")

    def map(self, video: Video, rng: np.random.Generator) -> Frames | Drop:
        within("bytes of frames at this size", self.n_bytes(video), "max_bytes", self.max_bytes)
        with ExitStack() as containers:
            reader = _Reader(video, containers, strict=self.strict)
            times_s = self._times(exact(video.duration_s) or reader.scanned_s(), rng)
            if not times_s or (self.short == "drop" and len(times_s) < self.n_frames):
                return Drop("too_short")
            width, height = fitted(video, self.size_px)
            to_rgb = Scaler((width, height), video.rotation_deg)
            pixels = np.empty((len(times_s), height, width, 3), np.uint8)
            keys = []
            for row, (is_key, frame) in zip(pixels, reader.at(times_s), strict=True):
                row[:] = to_rgb(frame)
                keys.append(is_key)
            tally.count(video.blob, reader.n_frames)
        rows = np.arange(len(times_s) if self.short == "keep" else self.n_frames) % len(times_s)
        frames = Frames(pixels, np.array([float(time_s) for time_s in times_s]), np.array(keys, bool))
        return frames if len(rows) == len(times_s) else frames.rows(rows)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """What it promises of its frames."""
        return spec if self.short == "keep" and self.fps is not None else spec.fixed(time=self.n_frames)

    def n_bytes(self, video: Video) -> int:
        """How much memory a film's frames take at most."""
        width, height = fitted(video, self.size_px)
        return self.n_frames * width * height * 3

    def _times(self, duration_s: Fraction, rng: np.random.Generator) -> list[Fraction]:
        """When the frames are shown, ascending; fewer than `n_frames` where the grid has fewer."""
        start = exact(self.start_s)
        end = duration_s if self.end_s is None else min(duration_s, exact(self.end_s))
        if start >= end:
            return []
        if self.fps is None:
            each = (end - start) / self.n_frames
            within_each = {"start": np.zeros(self.n_frames), "middle": np.full(self.n_frames, 0.5)}
            shares = rng.random(self.n_frames) if self.at == "random" else within_each[self.at]
            return [start + each * (number + Fraction(share)) for number, share in enumerate(shares.tolist())]
        fps = exact(self.fps)
        first, last = ceil(start * fps), ceil(end * fps)
        spare = max(0, last - first - self.n_frames)
        first += int(rng.integers(0, spare + 1)) if self.at == "random" else spare // 2 if self.at == "middle" else 0
        return [Fraction(k) / fps for k in range(first, min(last, first + self.n_frames))]


class _Reader:
    """The frames of a film that are shown at given times, for as long as its containers are open."""

    def __init__(self, video: Video, containers: ExitStack, *, strict: bool) -> None:
        self._video, self._containers, self._strict = video, containers, strict
        self._seeks, self.n_frames = kind_of(video) in _SOUGHT, 0
        self._restart()

    def _restart(self) -> None:
        """Begin at the film's first frame, by a container of its own: not every format can seek there."""
        self._container = self._containers.enter_context(opened(self._video))
        self._stream = picture_track(self._container)
        self._tick_s = self._stream.time_base or Fraction(0)
        self._step_s = 1 / Fraction(average_rate(self._stream) or 25)
        self._start_s = start_s(self._container, self._stream)
        self._shown: Timed | None = None
        self._frames = self._decoded()
        self._next = next(self._frames, None)
        if self._next is None:
            raise DecodeError("no frame of it could be decoded")

    def scanned_s(self) -> Fraction:
        """How long the picture track is, by its packets, where the container does not say."""
        with opened(self._video) as container:
            stream = picture_track(container)
            ends = (packet.pts for packet in packets_of(container, stream) if packet.pts is not None)
            return max(Fraction(0), max(ends, default=0) * self._tick_s - self._start_s + self._step_s)

    def at(self, times_s: Sequence[Fraction]) -> Iterator[tuple[bool, VideoFrame]]:
        """For each of ascending times the frame shown then, and whether one stored whole was shown since the last."""
        for time_s in times_s:
            now_s = self._shown[0] if self._shown else Fraction(0)
            if self._seeks and time_s - now_s > _WORTH_A_SEEK_S:
                self._seek(time_s, now_s)
            is_key = False
            while self._next is not None and (self._shown is None or self._next[0] - self._tick_s / 2 <= time_s):
                self._shown, self._next = self._next, next(self._frames, None)
                is_key = is_key or self._shown[1]
            if self._shown is None:
                raise DecodeError("no frame of it could be decoded")
            end_s = self._shown[0] + self._step_s
            if (
                self._strict
                and self._next is None
                and time_s > end_s + _LENIENCY_FRAMES * self._step_s + Fraction(1, 20)
            ):
                if not sound_lasts(self._container, self._stream, exact(self._video.duration_s)):
                    raise DecodeError(f"it is cut short: it ends at {float(end_s):.2f} s, before {float(time_s):.2f}")
                self._strict = False  # the rest shows its last frame
            yield is_key, self._shown[2]

    def _seek(self, time_s: Fraction, now_s: Fraction) -> None:
        """Go to the last key frame that is shown no later; to the film's start where the index leads to none."""
        for margin_s in _MARGINS_S:
            goal_s = time_s - margin_s
            if goal_s <= now_s or not self._tick_s:
                break
            self._container.seek(int((goal_s + self._start_s) / self._tick_s), stream=self._stream)
            frames = self._decoded(after_seek=True)
            first = next(frames, None)
            if first is not None and first[0] - self._tick_s / 2 <= time_s:
                self._shown, self._next, self._frames = None, first, frames
                self._seeks = first[0] > now_s  # a film of one key frame is read through once
                return
        self._seeks = False
        self._restart()

    def _decoded(self, *, after_seek: bool = False) -> Iterator[Timed]:
        """Frames with the time each is shown at, from the container's start, and whether it was stored whole.

        After seeking, from the first key frame on: what comes before it may lack what it is made from.
        """
        last: Timed | None = None
        packets = packets_of(self._container, self._stream)
        for frame in (frame for packet in packets for frame in packet.decode()):
            self.n_frames += 1
            if after_seek and last is None and (not frame.key_frame or frame.pts is None):
                continue
            if self._strict and frame.is_corrupt:
                raise DecodeError(f"a frame near {frame.time or 0:.2f} s is damaged")
            tick_s = frame.time_base or Fraction(0)
            unknown = last is not None and frame.pts is None
            time_s = last[0] + self._step_s if last and unknown else (frame.pts or 0) * tick_s - self._start_s
            if self._strict and last and time_s < last[0] - 1:
                raise DecodeError(f"its clock runs back at {float(last[0]):.2f} s, as where files were joined")
            if last is None or time_s > last[0]:
                last = (time_s, bool(frame.key_frame), frame)
                yield last
