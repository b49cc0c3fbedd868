"""Looking into a film: what its container and its first frame say."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, BinaryIO, ClassVar

from annotated_types import Gt

from mmdata.codec.containers import FileBytes, cut_short, ffmpeg_errors
from mmdata.codec.demuxers import container_type, is_read, open_container
from mmdata.codec.limits import MIB, opened_within, within
from mmdata.codec.sniff import HEAD_BYTES, holds
from mmdata.codec.tracks import packets_of
from mmdata.core.sample import Blob, Video
from mmdata.core.step import Map
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.video.stream import VideoStream

_LENGTH = re.compile(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d{1,9})?)", re.ASCII)
# films that say of every frame when it is shown: MPEG program streams and AVI do not, and of others it was not tried
TIMED = (
    "video/3gpp",
    "video/mp2t",
    "video/mp4",
    "video/ogg",
    "video/quicktime",
    "video/webm",
    "video/x-flv",
    "video/x-matroska",
    "video/x-ms-asf",
)


@dataclass(frozen=True, kw_only=True)
class OpenVideo(Map[Blob, Video]):
    """Look into a film's container: size, length, rate and rotation of its picture track. One frame is decoded.

    MP4, MOV, 3GP, Matroska, WebM, AVI, MPEG (program and transport streams), Ogg, FLV, ASF, MXF, DV, NUT, IVF,
    YUV4MPEG, WTV, NSV and RealMedia are read, and others that FFmpeg knows by a firm mark (`codec.demuxers`). Bare
    H.264, HEVC and MPEG-4 streams are not: they do not say when a frame is shown.

    Args:
        max_s: refuse longer films. max_pixels: refuse larger pictures. max_frames: refuse more of them.
        max_bytes: refuse larger files. Those of a disk are read piece by piece, others are held in memory.
        strict: refuse files that lack bytes of the parts that their format gives sizes for.

    Raises:
        DecodeError: the bytes are no film, hold no picture track, are cut short, or pass a limit.

    Reference:
        FFmpeg, by PyAV. What is cut short is told by the sizes of ISO/IEC 14496-12 (MP4), EBML (RFC 8794), RIFF and
        others.
    """

    extra: ClassVar[str | None] = "video"
    version: ClassVar[int] = 2

    on: str | None = "video"
    max_s: Annotated[float, Gt(0)] = 4 * 3600.0
    max_pixels: Annotated[int, Gt(0)] = 40_000_000
    max_frames: Annotated[int, Gt(0)] = 2_000_000
    max_bytes: Annotated[int, Gt(0)] = 4096 * MIB
    strict: bool = True

    def map(self, blob: Blob) -> Video:
        with opened_within(blob, self.max_bytes) as file:
            kind = kind_in(file, blob.name)
            if self.strict and (fault := cut_short(FileBytes(file), kind)):
                raise DecodeError(f"it is cut short: {fault}; {_ends(file, kind)}")
            with ffmpeg_errors(), open_container(file, kind) as container:
                video = _probe(blob, container)
        within("seconds", video.duration_s, "max_s", self.max_s)
        within("pixels", video.width * video.height, "max_pixels", self.max_pixels)
        within("frames", video.n_frames or video.duration_s * video.fps, "max_frames", self.max_frames)
        return video


def _ends(file: BinaryIO, kind: str) -> str:
    """Up to where a film that is cut short has pictures, in words; nothing is decoded."""
    reached_s = Fraction(0)
    try:
        with ffmpeg_errors(), open_container(file, kind) as container:
            stream = picture_track(container)
            start = start_s(container, stream)
            for packet in packets_of(container, stream):
                if packet.size and packet.pts is not None and packet.time_base is not None:
                    reached_s = max(reached_s, packet.pts * packet.time_base - start)
    except DecodeError:
        if not reached_s:
            return "nothing of it can be decoded"
    return f"its pictures break off at {float(reached_s):.2f} s"


@contextmanager
def opened(video: Video) -> Iterator[InputContainer]:
    """A film's container; what FFmpeg can't do with it is a DecodeError."""
    name = video.blob.name
    with video.blob.opened() as file, ffmpeg_errors(), open_container(file, kind_in(file, name)) as container:
        yield container


def kind_of(video: Video) -> str:
    """The media type of a film's container."""
    with video.blob.opened() as file:
        return kind_in(file, video.blob.name)


def kind_in(file: BinaryIO, name: str) -> str:
    """The media type of a file's container, which is one of films. Raises DecodeError."""
    kind = container_type(file)
    if kind.startswith("audio/") or not is_read(kind):
        file.seek(0)
        raise DecodeError(f"no film that is decoded here: {holds(file.read(HEAD_BYTES), name)}")
    return kind


def picture_track(container: InputContainer) -> VideoStream:
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
    stream = picture_track(container)
    frame = next((frame for packet in packets_of(container, stream) for frame in packet.decode()), None)
    if frame is None:
        raise DecodeError("no frame of it could be decoded")
    rotation_deg = -round(frame.rotation / 90) * 90 % 360
    width, height = _as_shown(frame.width, frame.height, stream.sample_aspect_ratio)
    if rotation_deg % 180:
        width, height = height, width
    fps = float(average_rate(stream) or stream.guessed_rate or 25)
    lasts_s = duration_s(container, stream)
    return Video(
        blob,
        width=width,
        height=height,
        fps=fps,
        duration_s=float(lasts_s) if lasts_s is not None else (stream.frames or 0) / fps,
        n_frames=stream.frames or None,
        rotation_deg=rotation_deg,
        codec=stream.codec_context.name,
        has_audio=bool(container.streams.audio),
    )


def average_rate(stream: VideoStream) -> Fraction | None:
    """Frames a second on average, where that is known. Of DV, FFmpeg gives ticks a second."""
    return stream.guessed_rate if stream.container.format.name == "dv" else stream.average_rate


def start_s(container: InputContainer, stream: VideoStream) -> Fraction:
    """When the container's clock starts; exactly the track's first tick where that differs by rounding alone."""
    start = Fraction(container.start_time or 0, 1_000_000)
    own = Fraction(stream.start_time or 0) * (stream.time_base or Fraction(0))
    return own if abs(own - start) <= Fraction(1, 1_000_000) else start


def _as_shown(width: int, height: int, aspect: Fraction | None) -> tuple[int, int]:
    """The size with square pixels: anamorphic film is widened."""
    if aspect is None or not Fraction(1, 4) <= aspect <= 4:
        return width, height
    return max(1, round(width * aspect)), height


def duration_s(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """The picture track's length as the container gives it; an edit list can make the whole shorter than its track.

    Matroska's own length is that of the longest track; most that write it say each track's, too, in a tag.
    """
    whole = None if container.duration is None else Fraction(container.duration, 1_000_000)
    own = _tagged_s(container, stream)
    if stream.duration is not None and stream.time_base is not None:
        own = stream.duration * stream.time_base
    lengths = [length for length in (own, whole) if length is not None]
    return min(lengths, default=None)


def _tagged_s(container: InputContainer, stream: VideoStream) -> Fraction | None:
    """A track's length by its tag, if it begins with the film: else FFmpeg means its end, and mkvmerge its length."""
    found = _LENGTH.fullmatch(stream.metadata.get("DURATION", ""))
    if found is None or Fraction(stream.start_time or 0) * (stream.time_base or 0) > start_s(container, stream):
        return None
    hours, minutes, seconds = found.groups()
    return int(hours) * 3600 + int(minutes) * 60 + Fraction(seconds) or None
