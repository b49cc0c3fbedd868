"""Which decoder gives which kind of part. Importing this loads neither OpenCV, FFmpeg nor libsndfile."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, cast

from mmdata.codec.audio import DecodeAudio
from mmdata.codec.captions import DecodeCaptions
from mmdata.codec.frames import read_frames
from mmdata.codec.image import DecodeImage
from mmdata.codec.text import DecodeText
from mmdata.codec.video import DecodeFrames, OpenVideo
from mmdata.core.sample import Audio, Blob, Captions, Frames, Image, Part, Text, Video
from mmdata.core.step import Map, Step, address

DECODERS: Mapping[type, type[Step]] = MappingProxyType(
    {Text: DecodeText, Captions: DecodeCaptions, Image: DecodeImage, Audio: DecodeAudio, Video: OpenVideo}
)
_USUAL: Mapping[type, Map[Any, Any]] = {
    Text: DecodeText(),
    Captions: DecodeCaptions(),
    Image: DecodeImage(),
    Audio: DecodeAudio(),
    Video: OpenVideo(),
}


def decoder_name(kind: type) -> str:
    """The step that decodes blobs to parts of a kind, as statistics call it."""
    return address(DECODERS.get(kind, DecodeFrames))


def decode(blob: Blob, kind: type) -> Part:
    """A blob as a part of that kind (`Image`, `Frames`...), by the decoder's default settings; a `Blob` stays one.

    Raises:
        DecodeError: its bytes are none. Unreadable: they can't be had.
        TypeError: parts of that kind are not decoded from bytes.
    """
    if kind is Blob:
        return blob
    if kind is Frames:
        return read_frames(blob)
    if kind not in _USUAL:
        raise TypeError(
            f"no decoder gives {kind.__name__}; {', '.join(sorted(t.__name__ for t in _USUAL))} are decoded"
        )
    return cast(Part, _USUAL[kind].map(blob))
