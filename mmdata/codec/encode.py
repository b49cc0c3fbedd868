"""Parts to bytes, as a pipeline's `store:` names the way: `{image: "jpeg:95", speech: flac}`.

| encoding | of | what is stored |
|---|---|---|
| auto | any | an untouched part's own bytes; a changed one losslessly: png, wav, txt, vtt, ffv1 |
| copy | any | its own bytes; a changed part is refused |
| reference | any | nothing: the pointer to the source stands for it (the engine sees to that) |
| png, jpeg:Q, webp:Q | image | Q from 1 to 100 |
| wav, wav:16, flac, flac:24 | audio | wav is 32-bit float, flac is 16 bit |
| ffv1, h264:CRF | frames | lossless in Matroska, lossy in MP4; CRF from 0 (best) to 51 |
| txt | text | UTF-8 |
| vtt | captions | WebVTT |

Every encoder is deterministic: the same part gives the same bytes, on one version of the libraries.
"""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

import numpy as np

from mmdata.codec.captions import vtt_bytes
from mmdata.codec.decoders import decode
from mmdata.codec.frames import ffv1_bytes, h264_bytes
from mmdata.codec.image.encode import jpeg_bytes, jpeg_pixels, png_bytes, webp_bytes
from mmdata.codec.limits import HARMLESS_BYTES
from mmdata.codec.sniff import HEAD_BYTES, UNKNOWN, extension, media_type, modality_of_name
from mmdata.codec.wav import write_wav
from mmdata.core.ports import Encoded
from mmdata.core.sample import UNMOVED, Audio, Blob, Captions, Frames, Image, Part, Text, Video
from mmdata.errors import ConfigError, DataError

_EXTENSIONS: Mapping[str, str] = {
    "application/x-empty": "bin", "application/octet-stream": "bin", "application/json": "json",
    "audio/aac": "aac", "audio/ac3": "ac3", "audio/aiff": "aiff", "audio/amr": "amr", "audio/basic": "au",
    "audio/eac3": "eac3", "audio/flac": "flac", "audio/mp4": "m4a", "audio/mpeg": "mp3", "audio/ogg": "ogg",
    "audio/qcelp": "qcp", "audio/vnd.dts": "dts", "audio/vnd.rn-realmedia": "ra", "audio/wav": "wav",
    "audio/webm": "webm", "audio/x-ape": "ape", "audio/x-caf": "caf", "audio/x-dff": "dff", "audio/x-dsf": "dsf",
    "audio/x-matroska": "mka", "audio/x-musepack": "mpc", "audio/x-musepack8": "mpc", "audio/x-nist": "sph",
    "audio/x-tak": "tak", "audio/x-tta": "tta", "audio/x-voc": "voc", "audio/x-w64": "w64", "audio/x-wavpack": "wv",
    "image/avif": "avif", "image/bmp": "bmp", "image/gif": "gif",
    "image/heic": "heic", "image/jp2": "jp2", "image/jpeg": "jpg", "image/jxl": "jxl", "image/png": "png",
    "image/svg+xml": "svg", "image/tiff": "tif", "image/webp": "webp", "image/x-portable-anymap": "pnm",
    "text/html": "html", "text/plain": "txt", "video/3gpp": "3gp", "video/mp2t": "ts", "video/mp4": "mp4",
    "video/mpeg": "mpg", "video/ogg": "ogv", "video/quicktime": "mov", "video/webm": "webm", "video/x-flv": "flv",
    "video/mxf": "mxf", "video/vnd.rn-realmedia": "rm", "video/x-dv": "dv", "video/x-ivf": "ivf",
    "video/x-matroska": "mkv", "video/x-ms-asf": "wmv", "video/x-msvideo": "avi", "video/x-nut": "nut",
    "video/x-wtv": "wtv", "video/x-yuv4mpeg": "y4m",
}  # fmt: skip
_OWN = ("auto", "copy")  # encodings that keep a part's own bytes
_ALIASES = {
    "jpg": "jpeg",
    "text": "txt",
    "webvtt": "vtt",
    "srt": "vtt",
    "wave": "wav",
    "mp4": "h264",
    "x264": "h264",
    "mkv": "ffv1",
    "keep": "copy",
}


@dataclass(frozen=True)
class _Coder:
    """How one kind of part is written.

    Args:
        takes: the kind. extension: of the bytes. qualities: what may follow the colon.
        usual: the quality when none is given; None where one must be. lossless_at: qualities that lose nothing.
        write: bytes of (part, quality).
        read: what decoding gives, of (part, quality, bytes), where that is known without doing it.
        extra: of mmdata, that writing and reading need.
    """

    takes: type[Part]
    extension: str
    write: Callable[[Any, int], bytes]
    qualities: range | tuple[int, ...] = ()
    usual: int | None = 0
    lossless_at: tuple[int, ...] = ()
    read: Callable[[Any, int, Blob], Part] | None = None
    extra: str = ""


def encode(part: Part, encoding: str) -> Encoded:
    """A part as bytes, with the part that the default decoder gives for them.

    A time or space map is not in the bytes: `as_read` begins a clock and a grid of its own, as a reader of the bytes
    would. Its `origin` are the bytes.

    Raises:
        ConfigError: there is no such encoding, or it is for another kind of part, or is `reference`.
        DataError: this part can't be written so: "copy" of a changed part, a NaN in sound, a picture too large...
    """
    if isinstance(part, Blob):
        return _own_bytes(part, part, encoding)
    origin = getattr(part, "origin", None)
    if encoding in _OWN and origin is not None:
        return _own_bytes(part, origin, encoding)
    if encoding == "copy":
        raise DataError(
            f"`copy` keeps own bytes, and this {_kind(part)} was changed: store it as `auto` or in a format"
        )
    name, quality = _parsed(_lossless(part) if encoding == "auto" else encoding)
    coder = _CODERS[name]
    if not isinstance(part, coder.takes):
        raise ConfigError("store", [f"`{encoding}` is for {coder.takes.__name__} parts, not {type(part).__name__}"])
    blob = Blob.of(coder.write(part, quality))
    if coder.read is None:
        return Encoded(blob, coder.extension, decode(blob, coder.takes))
    return Encoded(blob, coder.extension, coder.read(part, quality, blob))


def encoding_fault(encoding: str) -> str | None:
    """What is wrong with an encoding's name, with a guess; None when nothing is.

    >>> encoding_fault("jpg:90")
    "no encoding 'jpg:90', did you mean 'jpeg:90'?"
    >>> encoding_fault("jpeg:900")
    "'jpeg:900': the quality must be from 1 to 100"
    """
    try:
        _parsed(encoding)
    except ConfigError as error:
        return error.faults[0]
    return None


def encodes(encoding: str) -> type[Part] | None:
    """The kind of part that an encoding is for; None for those that are for any. Raises ConfigError for none such."""
    coder = _CODERS.get(_parsed(encoding)[0])
    return None if coder is None else coder.takes


def extra_of(encoding: str) -> str:
    """The extra of mmdata that an encoding needs; "" for none. Raises ConfigError for no such encoding."""
    coder = _CODERS.get(_parsed(encoding)[0])
    return "" if coder is None else coder.extra


def is_lossy(encoding: str) -> bool:
    """Whether reading may give other values than were written; rounding to 16 bits counts. Raises ConfigError."""
    name, quality = _parsed(encoding)
    return name in _CODERS and quality not in _CODERS[name].lossless_at


def _parsed(encoding: str) -> tuple[str, int]:
    """The name and the quality of an encoding; raises ConfigError with one fault."""
    name, colon, given = encoding.partition(":")
    if encoding in (*_OWN, "reference"):
        return encoding, 0
    coder = _CODERS.get(name)
    if coder is None:
        guess = _ALIASES.get(name) or next(iter(get_close_matches(name, [*_CODERS, *_OWN, "reference"], 1)), None)
        hint = f", did you mean {guess + colon + given!r}?" if guess else f"; there are {', '.join(sorted(_CODERS))}"
        raise ConfigError("store", [f"no encoding {encoding!r}{hint}"])
    if not colon and coder.usual is not None:
        return name, coder.usual
    if not coder.qualities:
        raise ConfigError("store", [f"{encoding!r}: {name} takes no quality"])
    if not given.isascii() or not given.isdigit() or int(given) not in coder.qualities:
        low, high = min(coder.qualities), max(coder.qualities)
        span = f"from {low} to {high}" if len(coder.qualities) > 2 else " or ".join(map(str, coder.qualities))
        raise ConfigError("store", [f"{encoding!r}: the quality must be {span}"])
    return name, int(given)


def _own_bytes(part: Part, blob: Blob, encoding: str) -> Encoded:
    if encoding not in _OWN:
        _parsed(encoding)
        raise ConfigError("store", [f"`{encoding}` needs a decoded part: put its decoder in `ingest`"])
    return Encoded(
        blob,
        "txt" if isinstance(part, Text | Captions) else _extension_of(blob),
        _as_said(part) if isinstance(part, Video) else part,
    )


def _extension_of(blob: Blob) -> str:
    """What bytes are called by: their kind, or, where no mark tells it, the name that they came under."""
    kind = media_type(blob.data()[:HEAD_BYTES])
    if kind == UNKNOWN and modality_of_name(blob.name) in ("audio", "video"):
        return extension(blob.name)
    return _EXTENSIONS.get(kind, "bin")


def _as_said(video: Video) -> Video:
    """A film as its bytes say that it is: of a clip, they say when its last frame ends, and at which rate they come."""
    if video.time_map is None:
        return video
    try:
        said = decode(video.blob, Video)
    except DataError:
        return video
    return replace(said, time_map=video.time_map) if isinstance(said, Video) else video


def _kind(part: Part) -> str:
    return type(part).__name__.lower()


def _lossless(part: Part) -> str:
    for kind, encoding in ((Image, "png"), (Audio, "wav"), (Text, "txt"), (Captions, "vtt"), (Frames, "ffv1")):
        if isinstance(part, kind):
            return encoding
    raise DataError(f"a changed {_kind(part)} can't be stored yet; leave it out of `store`")


def _png_read(image: Image, _: int, blob: Blob) -> Image:
    pixels = image.pixels if image.pixels.shape[2] == 3 else np.repeat(image.pixels, 3, axis=2)
    return Image(np.ascontiguousarray(pixels), image.orientation, UNMOVED, blob)


def _jpeg_read(image: Image, _: int, blob: Blob) -> Part:
    """As the default decoder has it, which need not look at bytes that were made here; its limits hold all the same."""
    if image.width * image.height * 3 > HARMLESS_BYTES:
        return decode(blob, Image)
    return Image(jpeg_pixels(blob.data()), image.orientation, UNMOVED, blob)


def _float32(audio: Audio) -> np.ndarray:
    """Samples that can be stored: float32, and every one a number."""
    samples = audio.samples
    if samples.dtype != np.float32 or samples.ndim != 2 or not samples.shape[0]:
        raise DataError(f"sound must be float32 [channel, time] to be stored, not {samples.dtype} {samples.shape}")
    if samples.size and not (np.isfinite(samples.min()) and np.isfinite(samples.max())):
        raise DataError("sound that holds a NaN or an infinity can't be stored")
    return samples


def _quantised(audio: Audio, bits: int) -> np.ndarray:
    """Samples as whole levels, int32 [channel, time]: the nearest (ties to even), clipped at full scale."""
    scale = 1 << (bits - 1)
    levels = np.rint(_float32(audio).astype(np.float64) * scale)
    return np.clip(levels, -scale, scale - 1).astype(np.int32)


def _wav_bytes(audio: Audio, bits: int) -> bytes:
    if bits == 16:
        return write_wav(_quantised(audio, 16).astype(np.int16), audio.rate_hz)
    return write_wav(_float32(audio), audio.rate_hz)


def _flac_bytes(audio: Audio, bits: int) -> bytes:
    import soundfile

    levels = _quantised(audio, bits)
    if not levels.size:
        raise DataError("sound without samples can't be stored as FLAC: drop it, or store it as wav")
    stored = levels.astype(np.int16) if bits == 16 else levels << 8  # libsndfile takes 24 bits from the top of 32
    file = io.BytesIO()
    try:
        soundfile.write(file, stored.T, audio.rate_hz, format="FLAC", subtype=f"PCM_{bits}")
    except soundfile.LibsndfileError as error:
        raise DataError(f"FLAC can't hold {len(stored)} channels at {audio.rate_hz} Hz: {error}") from None
    return file.getvalue()


def _pcm_read(audio: Audio, bits: int, blob: Blob) -> Audio:
    if bits == 32:
        return Audio(np.ascontiguousarray(audio.samples), audio.rate_hz, origin=blob)
    samples = _quantised(audio, bits).astype(np.float32) / np.float32(1 << (bits - 1))
    return Audio(samples, audio.rate_hz, origin=blob)


_CODERS: Mapping[str, _Coder] = {
    "png": _Coder(Image, "png", lambda part, _: png_bytes(part), lossless_at=(0,), read=_png_read, extra="image"),
    "jpeg": _Coder(Image, "jpg", jpeg_bytes, range(1, 101), usual=None, read=_jpeg_read, extra="image"),
    "webp": _Coder(Image, "webp", webp_bytes, range(1, 101), usual=None, extra="image"),
    "wav": _Coder(Audio, "wav", _wav_bytes, (16, 32), usual=32, lossless_at=(32,), read=_pcm_read),
    "flac": _Coder(Audio, "flac", _flac_bytes, (16, 24), usual=16, read=_pcm_read, extra="audio"),
    "ffv1": _Coder(
        Frames, "mkv", lambda part, _: ffv1_bytes(part), lossless_at=(0,), read=lambda part, *_: part, extra="video"
    ),
    "h264": _Coder(Frames, "mp4", h264_bytes, range(52), usual=None, extra="video"),
    "txt": _Coder(Text, "txt", lambda part, _: part.text.encode(), lossless_at=(0,)),
    "vtt": _Coder(Captions, "vtt", lambda part, _: vtt_bytes(part), lossless_at=(0,)),
}
