"""When frames are shown: each with its time, as far as the film is sound."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Any

from mmdata.codec.tracks import packets_of
from mmdata.codec.video.opening import average_rate, duration_s, start_s
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.frame import VideoFrame
    from av.video.stream import VideoStream

_LENIENCY_FRAMES = 2  # edit lists and a container's rounding of its length
_LENIENCY_S = Fraction(1, 10)  # a packet of sound, whose length not every container has
Timed = tuple[Fraction, bool, "VideoFrame"]


class BrokenOff(DecodeError):
    """A film is sound up to a time, and no further.

    Args:
        why: the message. at_s: the first second that could not be had.
    """

    def __init__(self, why: str, at_s: float) -> None:
        super().__init__(why)
        self.at_s = at_s

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (str(self), self.at_s)


@dataclass
class Showing:
    """A track's frames in the order they are shown, each with its time and whether the codec stored it whole.

    Args:
        strict: stop where a frame is damaged, where times run back by more than a second, or where the track ends
            before the container says, and no sound lasts until then.
        keys_only: decode no frame but those that the codec stored whole.
        end_s: when the last frame ends, once all were shown. n_frames: how many the decoder gave out.
    """

    container: InputContainer
    stream: VideoStream
    strict: bool = True
    keys_only: bool = False
    end_s: Fraction = Fraction(0)
    n_frames: int = 0
    _coded: tuple[int, Fraction, Fraction] | None = None

    def __iter__(self) -> Iterator[Timed]:
        """Times are seconds from the container's start.

        Raises:
            BrokenOff: damage, with all frames before it given out. DecodeError: there is none to give out.
        """
        start, step = start_s(self.container, self.stream), 1 / Fraction(average_rate(self.stream) or 25)
        last_s: Fraction | None = None
        for frame in self._frames(start):
            self.n_frames += 1
            if self.strict and frame.is_corrupt:
                at_s = float(self.end_s) if last_s is not None else 0.0
                raise BrokenOff(f"a frame near {frame.time or at_s:.2f} s is damaged", at_s)
            tick_s = frame.time_base or Fraction(0)
            unknown = last_s is not None and frame.pts is None
            time_s = self.end_s if unknown else (frame.pts or 0) * tick_s - start
            if self.strict and last_s is not None and time_s < last_s - 1:
                told = f"its clock runs back from {float(last_s):.2f} to {float(time_s):.2f} s"
                raise BrokenOff(f"{told}, as where files were joined", float(self.end_s))
            if last_s is not None and time_s <= last_s:
                continue  # a clock that stands still or runs back shows nothing new
            last_s, self.end_s = time_s, time_s + step
            yield time_s, bool(frame.key_frame), frame
        if last_s is None:
            raise DecodeError("no frame of it could be decoded")
        self._see_whether_all(step)

    def _see_whether_all(self, step: Fraction) -> None:
        promised_s = duration_s(self.container, self.stream) or Fraction(0)
        is_short = self.strict and self.end_s < promised_s - _LENIENCY_FRAMES * step - Fraction(1, 20)
        if is_short and not sound_lasts(self.container, self.stream, promised_s):
            told = f"it is cut short: it ends at {self.sound_s:.2f} s of {float(promised_s):.2f}"
            raise BrokenOff(told, self.sound_s)

    @property
    def sound_s(self) -> float:
        """Up to when no frame lacks; one that is shown later may have come already."""
        if self._coded is None:
            return float(self.end_s)
        ticks, tick_s, start = self._coded  # whatever packet comes next is decoded later, and shown later still
        return float(max(Fraction(0), min(self.end_s, ticks * tick_s - start)))

    def _frames(self, start: Fraction) -> Iterator[VideoFrame]:
        """What the decoder gives out."""
        import av

        reached_s = Fraction(0)
        if self.keys_only:
            self.stream.codec_context.skip_frame = "NONKEY"
        packets = packets_of(self.container, self.stream)
        while True:
            try:
                packet = next(packets, None)
                if packet is None:
                    break
                lasts = packet.duration or 0
                if self.keys_only and packet.pts is not None and packet.time_base is not None:
                    reached_s = max(reached_s, (packet.pts + lasts) * packet.time_base - start)
                if packet.dts is not None and packet.time_base is not None:
                    self._coded = packet.dts + lasts, packet.time_base, start
                if self.keys_only and packet.size and not packet.is_keyframe:
                    continue
                yield from packet.decode()
            except (av.FFmpegError, ValueError) as error:
                if self.strict:
                    why = f"it breaks off at {self.sound_s:.2f} s: FFmpeg can't decode it"
                    raise BrokenOff(f"{why}: {getattr(error, 'strerror', None) or error}", self.sound_s) from None
                if not isinstance(error, av.InvalidDataError):
                    break
        if self.keys_only:
            self.end_s = max(self.end_s, reached_s)


def sound_lasts(container: InputContainer, stream: VideoStream, promised_s: Fraction) -> bool:
    """Whether it is the sound that is so long: of many formats the longest track's length is all that is known.

    Nothing is decoded, but the container's packets are read once more, and it is left at its end.
    """
    import av

    tracks = list(container.streams.audio)
    if stream.duration is not None or not tracks:
        return False
    start = start_s(container, stream)
    try:
        container.seek(0, backward=True, any_frame=True, stream=tracks[0])
        return any(
            (packet.pts + (packet.duration or 0)) * packet.time_base - start >= promised_s - _LENIENCY_S
            for packet in packets_of(container, *tracks)
            if packet.size and packet.pts is not None and packet.time_base is not None
        )
    except (av.FFmpegError, ValueError):
        return False
