"""Moving pictures in picture files: GIF, PNG, WebP."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.codec.image.decode import opencv
from mmdata.codec.image.headers import png_chunks, read_header
from mmdata.codec.image.metadata import gif_blocks
from mmdata.codec.image.profiles import riff_chunks
from mmdata.codec.limits import read_within, within
from mmdata.codec.sniff import HEAD_BYTES, media_type
from mmdata.core.sample import Blob, Sample
from mmdata.core.step import Drop, Split
from mmdata.errors import DecodeError

_MOST_BYTES = 512 << 20


@dataclass(frozen=True, kw_only=True)
class SplitAnimation(Split[Sample]):
    """Cut an animated picture into its frames, each a sample with a PNG; without it, the first frame is the picture.

    Put it before the decoder. Frames are drawn in full, as a viewer shows them, with their transparency. A child's key
    ends in "@" and the frame's number, and its metadata say `frame` and `time_s`, when it is shown. A picture that does
    not move passes as it is.

    Args:
        on: the part that is the picture, as its file's bytes.
        every: one frame of so many is taken, the first one first.
        max_frames: refuse animations of more frames.
        max_pixels: refuse animations of more pixels, those of all frames together.

    Raises:
        DecodeError: it passes a limit, or can't be decoded.

    Reference:
        GIF89a, PNG (W3C, third edition), WebP's container; frames as OpenCV composes them.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    every: Annotated[int, Gt(0)] = 1
    max_frames: Annotated[int, Gt(0)] = 10_000
    max_pixels: Annotated[int, Gt(0)] = 200_000_000

    def split(self, sample: Sample) -> Sequence[Sample] | Drop:
        part = sample.parts.get(self.on)
        blob = part if isinstance(part, Blob) else getattr(part, "origin", None)
        if not isinstance(blob, Blob):
            return [sample]
        data = read_within(blob, _MOST_BYTES)
        kind = media_type(data[:HEAD_BYTES])
        n_frames = count_frames(data, kind)
        if n_frames < 2:
            return [sample]
        header = read_header(data, kind)
        if header is not None:
            within("frames", n_frames, "max_frames", self.max_frames)
            within("pixels", n_frames * header.width * header.height, "max_pixels", self.max_pixels)
        frames, starts_s = _drawn(data, kind)
        digits = len(str(len(frames) - 1))
        return [
            sample.with_meta(frame=index, time_s=starts_s[index]).child(
                f"{index:0{digits}d}", **{self.on: Blob.of(_png(frames[index]))}
            )
            for index in range(0, len(frames), self.every)
        ]


def count_frames(data: bytes, kind: str) -> int:
    """How many frames a picture's file says it has; 1 for those that do not move, and for what is not known.

    Raises:
        DecodeError: it is cut short.
    """
    try:
        if kind == "image/gif":
            return sum(what == "frame" for what, *_ in gif_blocks(data))
        if kind == "image/webp":
            return max(1, sum(name == b"ANMF" for name, _ in riff_chunks(data)))
        if kind == "image/png":
            counts = (data[first + 8 : first + 12] for name, first, _ in png_chunks(data) if name == b"acTL")
            return int.from_bytes(next(counts, b"\1"), "big")
    except (struct.error, IndexError):
        raise DecodeError(f"it is cut short: {kind} whose frames can't be counted") from None
    return 1


def _drawn(data: bytes, kind: str) -> tuple[Sequence[np.ndarray], list[float]]:
    """All frames, uint8 [row, column, channel] in OpenCV's order, and when each begins, in seconds."""
    cv2 = opencv()
    try:
        done, animation = cv2.imdecodeanimation(np.frombuffer(data, np.uint8))
    except cv2.error as error:
        raise DecodeError(f"OpenCV refuses it: {error.err or error}") from None
    if not done or not len(animation.frames):
        raise DecodeError(f"it is cut short or damaged: OpenCV can't decode this animated {kind}")
    ends_ms = np.cumsum(animation.durations)
    return animation.frames, [0.0, *(ends_ms[:-1] / 1000).tolist()]


def _png(pixels: np.ndarray) -> bytes:
    done, data = opencv().imencode(".png", pixels)
    if not done:
        raise DecodeError(f"OpenCV can't write a frame of {pixels.shape} as PNG")
    return bytes(data)
