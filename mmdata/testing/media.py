"""Whole files as bytes, the same bytes every time."""

from __future__ import annotations

import io
from collections.abc import Mapping
from fractions import Fraction
from types import MappingProxyType
from typing import TYPE_CHECKING, cast

import numpy as np

from mmdata.core.sample import Audio, Frames, Image

if TYPE_CHECKING:
    from av import AudioFrame
    from av.video.stream import VideoStream


def jpeg_bytes(image: Image, *, quality: int = 95) -> bytes:
    """A baseline JPEG."""
    import cv2

    return _encoded(image, ".jpg", [cv2.IMWRITE_JPEG_QUALITY, quality])


def png_bytes(image: Image) -> bytes:
    """A PNG, 8 bit, RGB or grey."""
    return _encoded(image, ".png", [])


def _encoded(image: Image, extension: str, settings: list[int]) -> bytes:
    import cv2

    pixels = image.pixels if image.pixels.shape[2] == 1 else image.pixels[..., ::-1]  # OpenCV's order is BGR
    done, data = cv2.imencode(extension, pixels, settings)
    if not done:
        raise ValueError(f"OpenCV can't write {image.pixels.shape} as {extension}")
    return data.tobytes()


def wav_bytes(audio: Audio, *, subtype: str = "PCM_16") -> bytes:
    """A WAV file; `subtype` is soundfile's: PCM_16, PCM_24, FLOAT."""
    return _written(audio, "WAV", subtype)


def flac_bytes(audio: Audio, *, subtype: str = "PCM_16") -> bytes:
    """A FLAC file, 16 or 24 bits a sample."""
    return _written(audio, "FLAC", subtype)


def _written(audio: Audio, container: str, subtype: str) -> bytes:
    import soundfile

    file = io.BytesIO()
    soundfile.write(file, audio.samples.T, audio.rate_hz, format=container, subtype=subtype)
    return file.getvalue()


def ogg_bytes(audio: Audio, *, kbps: int = 32) -> bytes:
    """An Ogg Opus file; the rate must be one of Opus: 8, 12, 16, 24 or 48 kHz."""
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="ogg", options={"fflags": "+bitexact"}) as container:
        settings = {"flags": "+bitexact", "b": f"{kbps}k", "compression_level": "2"}
        sound = container.add_stream("libopus", rate=audio.rate_hz, layout=_layout(audio), options=settings)
        container.mux(sound.encode(_heard(audio)))
        container.mux(sound.encode(None))
    return file.getvalue()


def mp4_bytes(frames: Frames, fps: int = 8, audio: Audio | None = None, *, crf: int = 18, **settings: str) -> bytes:
    """An MP4 of H.264 pictures (width and height even) and, with `audio`, an AAC sound track, both from time 0.

    A frame that `is_key` says is key is written as one. `settings` are of the encoder; without mbtree="0", x264 decides
    by memory that it never wrote, and a film in some dozens has other bytes the next time.
    """
    import av

    file = io.BytesIO()
    with av.open(file, "w", format="mp4", options={"fflags": "+bitexact"}) as container:
        encoder = {"crf": str(crf), "flags": "+bitexact", "threads": "1", **settings}
        film = container.add_stream("libx264", rate=fps, options=encoder)
        film.height, film.width = frames.pixels.shape[1:3]
        film.pix_fmt = "yuv420p"
        sound = container.add_stream("aac", rate=audio.rate_hz, layout=_layout(audio)) if audio is not None else None
        for index, pixels in enumerate(frames.pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = index, Fraction(1, fps)
            if frames.is_key[index]:
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
        if audio is not None and sound is not None:
            container.mux(sound.encode(_heard(audio)))
            container.mux(sound.encode(None))
    return file.getvalue()


def _heard(audio: Audio) -> AudioFrame:
    """The whole sound as one frame for an encoder."""
    from av import AudioFrame

    frame = AudioFrame.from_ndarray(np.ascontiguousarray(audio.samples), format="fltp", layout=_layout(audio))
    frame.rate, frame.pts, frame.time_base = audio.rate_hz, 0, Fraction(1, audio.rate_hz)
    return frame


def _layout(audio: Audio) -> str:
    return "mono" if len(audio.samples) == 1 else "stereo"


def film_bytes(
    frames: Frames,
    *,
    form: str = "mp4",
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    written_as: Mapping[str, str] = MappingProxyType({}),
    **settings: str,
) -> bytes:
    """A film without sound in any container and codec of FFmpeg, each frame at its own time, to the millisecond.

    Args:
        frames: a frame that `is_key` says is key is written as one.
        form: FFmpeg's name of the container.
        codec: its name of the encoder.
        pix_fmt: of what that is given.
        written_as: options of the container, such as {"movflags": "frag_keyframe+empty_moov"}.
        settings: of the encoder.
    """
    import av

    file = io.BytesIO()
    options = {"fflags": "+bitexact", **written_as}
    with av.open(file, "w", format=form, options=options) as container:
        encoder = {"flags": "+bitexact", "threads": "1", **settings}
        film = cast("VideoStream", container.add_stream(codec, rate=25, options=encoder))
        film.height, film.width = frames.pixels.shape[1:3]
        film.pix_fmt, film.codec_context.time_base = pix_fmt, Fraction(1, 1000)
        for index, pixels in enumerate(frames.pixels):
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(pixels), format="rgb24")
            frame.pts, frame.time_base = round(1000 * float(frames.times_s[index])), Fraction(1, 1000)
            if frames.is_key[index]:
                frame.pict_type = av.video.frame.PictureType.I
            container.mux(film.encode(frame))
        container.mux(film.encode(None))
    return file.getvalue()
