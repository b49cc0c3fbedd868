"""Decoded frames to film and back, with their times and key marks kept to the last digit in the container's comment."""

from __future__ import annotations

import io
import json
from fractions import Fraction
from typing import TYPE_CHECKING, cast

import numpy as np

from mmdata.codec.containers import ffmpeg_errors
from mmdata.codec.demuxers import container_type, open_container
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.core.sample import Blob, Frames
from mmdata.errors import DataError

if TYPE_CHECKING:
    from av.video.stream import VideoStream

_MAX_RATE = 500  # Matroska's clock ticks in milliseconds: two frames must not share a tick


def ffv1_bytes(frames: Frames) -> bytes:
    """FFV1 in Matroska, lossless in RGB. The same frames give the same bytes."""
    return _written(frames, "matroska", "ffv1", "bgr0", {"level": "3", "slicecrc": "1"})


def h264_bytes(frames: Frames, crf: int) -> bytes:
    """H.264 in MP4, lossy: 4:2:0 where both sides are even, 4:4:4 otherwise. The same frames give the same bytes."""
    even = frames.pixels.shape[1] % 2 == 0 and frames.pixels.shape[2] % 2 == 0
    # with mbtree, x264 decides by memory that it never wrote: the same frames gave other bytes, one time in ten
    settings = {"crf": str(crf), "preset": "veryfast", "mbtree": "0"}
    return _written(frames, "mp4", "libx264", "yuv420p" if even else "yuv444p", settings)


def read_frames(blob: Blob) -> Frames:
    """Every frame of a film, with the exact times and marks where `ffv1_bytes` or `h264_bytes` wrote it."""
    frames = DecodeFrames().map(OpenVideo().map(blob))
    data = blob.data()
    with ffmpeg_errors(), open_container(data, container_type(data)) as container:
        comment = next((text for name, text in container.metadata.items() if name.lower() == "comment"), "")
    try:
        marks = json.loads(comment)["mmdata"]
        times_s, is_key = (
            np.array(marks["times_s"], np.float64),
            np.array([key == "1" for key in marks["is_key"]], bool),
        )
    except (ValueError, KeyError, TypeError):
        return frames
    if times_s.shape != frames.times_s.shape or is_key.shape != times_s.shape:
        return frames
    return Frames(frames.pixels, times_s, is_key)


def _written(frames: Frames, form: str, codec: str, pix_fmt: str, settings: dict[str, str]) -> bytes:
    import av

    n_frames, height, width = frames.pixels.shape[:3]
    if frames.pixels.dtype != np.uint8 or frames.pixels.shape[3:] != (3,) or 0 in frames.pixels.shape:
        raise DataError(
            f"frames must be uint8 [time, height, width, 3], not {frames.pixels.dtype} {frames.pixels.shape}"
        )
    marks = {"times_s": frames.times_s.tolist(), "is_key": "".join("01"[bool(key)] for key in frames.is_key)}
    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        container.metadata["comment"] = json.dumps({"mmdata": marks})
        stream = cast("VideoStream", container.add_stream(codec, rate=_rate(frames.times_s), options=settings))
        _prepare(stream, width, height, pix_fmt)
        for at in range(n_frames):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(frames.pixels[at]), format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def _prepare(stream: VideoStream, width: int, height: int, pix_fmt: str) -> None:
    from av.codec.context import Flags

    stream.width, stream.height, stream.pix_fmt = width, height, pix_fmt
    stream.thread_type = "NONE"
    stream.codec_context.thread_count = 1
    stream.codec_context.flags |= Flags.bitexact


def _rate(times_s: np.ndarray) -> Fraction:
    """The mean rate of frames at those times, for players; exact times are in the comment."""
    span_s = float(times_s[-1] - times_s[0]) if len(times_s) > 1 else 0.0
    rate = (len(times_s) - 1) / span_s if span_s > 0 else 1.0
    return Fraction(min(max(rate, 1 / _MAX_RATE), _MAX_RATE)).limit_denominator(1001)
