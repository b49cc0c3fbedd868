"""Which formats the codecs that are installed here can deal with: each is tried on a few samples of its own."""

from __future__ import annotations

import io

import numpy as np

PICTURES = {"JPEG": ".jpg", "PNG": ".png", "WebP": ".webp", "AVIF": ".avif", "TIFF": ".tiff"}
SOUNDS = {
    "WAV": ("WAV", "PCM_16"),
    "FLAC": ("FLAC", "PCM_16"),
    "Vorbis": ("OGG", "VORBIS"),
    "Opus": ("OGG", "OPUS"),
    "MP3": ("MP3", "MPEG_LAYER_III"),
}
FILM_CODECS = {
    "H.264": "h264",
    "HEVC": "hevc",
    "AV1": "libdav1d",
    "VP9": "vp9",
    "VP8": "vp8",
    "MPEG-4": "mpeg4",
    "MPEG-2": "mpeg2video",
    "Theora": "theora",
    "ProRes": "prores",
    "RealVideo": "rv40",
    "DV": "dvvideo",
    "AAC": "aac",
    "AC-3": "ac3",
    "DTS": "dca",
    "Monkey's Audio": "ape",
    "Musepack": "mpc7",
    "TAK": "tak",
    "DSD": "dsd_lsbf",
}


def picture_formats() -> dict[str, bool]:
    """Whether a small picture in each format is read again. Raises ImportError without the packages for it."""
    pixels = np.full((16, 16, 3), 128, np.uint8)
    return {name: _survives(pixels, suffix) for name, suffix in PICTURES.items()}


def _survives(pixels: np.ndarray, suffix: str) -> bool:
    import cv2

    try:
        done, data = cv2.imencode(suffix, pixels)
        return bool(done) and cv2.imdecode(data, cv2.IMREAD_COLOR) is not None
    except cv2.error:
        return False


def sound_formats() -> dict[str, bool]:
    """Whether a tenth of a second in each format is read again. Raises ImportError without the packages for it."""
    import soundfile

    silence = np.zeros(4800, np.float32)
    found = {}
    for name, (container, subtype) in SOUNDS.items():
        file = io.BytesIO()
        try:
            soundfile.write(file, silence, 48_000, format=container, subtype=subtype)
            file.seek(0)
            found[name] = len(soundfile.read(file)[0]) > 0
        except (RuntimeError, ValueError):  # libsndfile's errors are RuntimeErrors
            found[name] = False
    return found


def film_codecs() -> dict[str, bool]:
    """Whether FFmpeg's build here has a decoder for each codec. Raises ImportError without the packages for it."""
    import av

    def is_there(name: str) -> bool:
        try:
            av.codec.Codec(name, "r")
        except (ValueError, av.error.FFmpegError):  # UnknownCodecError is a ValueError
            return False
        return True

    return {name: is_there(codec) for name, codec in FILM_CODECS.items()}
