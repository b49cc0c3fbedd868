"""Files of every format that is read here, made of one picture, one sound and one film."""

from __future__ import annotations

import io
from typing import cast

import numpy as np
import pytest

from mmdata.codec.image.decode import opencv
from mmdata.testing.films import moving_shapes
from mmdata.testing.media import mp4_bytes
from mmdata.testing.pictures import picture
from mmdata.testing.sounds import tone

Made = dict[str, bytes]


@pytest.fixture(scope="session")
def pictures() -> Made:
    """The same picture, 64 x 48, by extension."""
    cv2 = opencv()
    bgr = picture(64, 48).pixels[..., ::-1]
    names = ("jpg", "png", "webp", "gif", "bmp", "tiff", "avif", "jp2", "ppm")
    return {name: bytes(cv2.imencode(f".{name}", bgr)[1]) for name in names}


@pytest.fixture(scope="session")
def sounds() -> Made:
    """The same tone, half a second of stereo at 16 kHz, by extension."""
    import soundfile

    made = {}
    for name, form, subtype in (
        ("wav", "WAV", "PCM_16"),
        ("24.wav", "WAV", "PCM_24"),
        ("float.wav", "WAV", "FLOAT"),
        ("flac", "FLAC", "PCM_16"),
        ("ogg", "OGG", "VORBIS"),
        ("opus", "OGG", "OPUS"),
        ("mp3", "MP3", "MPEG_LAYER_III"),
        ("aiff", "AIFF", "PCM_16"),
        ("au", "AU", "PCM_16"),
        ("caf", "CAF", "PCM_16"),
        ("rf64", "RF64", "PCM_16"),
    ):
        file = io.BytesIO()
        soundfile.write(file, tone(0.5, channels=2).samples.T, 16000, format=form, subtype=subtype)
        made[name] = file.getvalue()
    return {
        **made,
        "m4a": audio_file("mp4", "aac"),
        "webm": audio_file("webm", "libopus"),
        "aac": audio_file("adts", "aac"),
        "wv": audio_file("wv", "wavpack"),
        "tta": audio_file("tta", "tta"),
        "w64": audio_file("w64", "pcm_s16le"),
        "ac3": audio_file("ac3", "ac3", 48000),
        "eac3": audio_file("eac3", "eac3", 48000),
        "alac.m4a": audio_file("ipod", "alac"),
    }


@pytest.fixture(scope="session")
def films() -> Made:
    """48 frames at 24 fps, 64 x 48; every pixel of frame i has the level 5 i."""
    made = {
        "mkv": film_file("matroska", "ffv1", "bgr0"),
        "webm": film_file("webm", "libvpx-vp9"),
        "avi": film_file("avi", "mpeg4"),
        "mov": film_file("mov", "libx264"),
        "ts": film_file("mpegts", "libx264"),
        "mpg": film_file("mpeg", "mpeg2video"),
        "flv": film_file("flv", "flv1"),
    }
    return {**made, "mp4": film_file("mp4", "libx264"), "sound.mp4": sounding_film()}


@pytest.fixture(scope="session")
def turned_films() -> dict[int, bytes]:
    """The same film as an MP4, its top left quarter black, by the angle that it is to be turned."""
    return {turn_deg: film_file("mp4", "libx264", turn_deg=turn_deg) for turn_deg in (90, 180, -90)}


def film_file(form: str, codec: str, pix_fmt: str = "yuv420p", *, turn_deg: int = 0, **settings: str) -> bytes:
    """A film of grey levels; a corner stays black when it is to be turned (counter-clockwise, as FFmpeg says it)."""
    import av
    from av.video.stream import VideoStream

    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = cast(VideoStream, container.add_stream(codec, rate=24, options=settings))
        stream.width, stream.height, stream.pix_fmt = 64, 48, pix_fmt
        stream.codec_context.thread_count = 1
        if turn_deg:
            stream.set_display_rotation(turn_deg)
        for at in range(48):
            pixels = np.full((48, 64, 3), 5 * at, np.uint8)
            if turn_deg:
                pixels[:24, :32] = 0
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            frame.pts = at
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def audio_file(form: str, codec: str, rate_hz: int = 16000) -> bytes:
    """Half a second of a stereo tone, by FFmpeg."""
    import av
    from av.audio.stream import AudioStream

    file = io.BytesIO()
    with av.open(file, "w", format=form, options={"fflags": "+bitexact"}) as container:
        stream = cast(AudioStream, container.add_stream(codec, rate=rate_hz, layout="stereo"))
        frame = av.AudioFrame.from_ndarray(
            tone(0.5, rate_hz=rate_hz, channels=2).samples, format="fltp", layout="stereo"
        )
        frame.rate, frame.pts = rate_hz, 0
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return file.getvalue()


def sounding_film() -> bytes:
    """A film of moving shapes with a tone: H.264 and AAC."""
    return mp4_bytes(moving_shapes(radius_px=20)[0], audio=tone(1.0))
