"""Parts as a page can show them: small pictures, short sounds, a few stills of a film, the beginning of a text."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from mmdata.codec.decoders import decode
from mmdata.codec.image import DecodeImage
from mmdata.codec.image.encode import webp_bytes
from mmdata.codec.mp3 import RATES_HZ, mp3_bytes
from mmdata.codec.sniff import extension
from mmdata.codec.video.passing import decoded
from mmdata.core.packages import missing_package
from mmdata.core.sample import Audio, Blob, Captions, Frames, Image, Text, Video
from mmdata.core.watch import View
from mmdata.errors import ConfigError, DataError
from mmdata.kernels.audio import mono, resample
from mmdata.kernels.image import shrink
from mmdata.report.facts.parts import kind_shown
from mmdata.store.read import StoredBlob

SHORT_FILM_S = 30.0  # all of such a film's time is looked at; of a longer one only what the codec stored whole
STILL_PX, MOST_STILLS = 128, 8
BINS = 400
MIB = 1 << 20


@dataclass(frozen=True)
class Still:
    """A small picture.

    Args:
        data: WebP. width, height: of it, in pixels. time_s: of a film's still.
        about: the size of what it stands for, and the like.
    """

    data: bytes
    width: int
    height: int
    about: str = ""
    time_s: float | None = None

    @property
    def uri(self) -> str:
        return f"data:image/webp;base64,{base64.b64encode(self.data).decode()}"


Films = dict[str, list[Still]]


@dataclass(frozen=True)
class Preview:
    """What is shown of a part.

    Args:
        name, kind: the part's; the kind also where no step looked into its bytes. about: its extent, in a few words.
        stills: of a picture one, of a film several. sound: MP3. sound_s: its length, that of the whole is in `about`.
        envelope: float32 [bin, 2], least and greatest level of the whole sound. duration_s: of sound and film.
        text: the beginning of a text; `cut` when there is more. cues: captions as start, end (seconds) and text.
        fault: why it can't be shown; "" where it can.
    """

    name: str
    kind: str
    about: str = ""
    stills: Sequence[Still] = ()
    sound: bytes = b""
    sound_s: float = 0.0
    envelope: np.ndarray | None = None
    duration_s: float | None = None
    text: str = ""
    cut: bool = False
    cues: Sequence[tuple[float, float, str]] = ()
    fault: str = ""

    @property
    def sound_uri(self) -> str:
        return f"data:audio/mpeg;base64,{base64.b64encode(self.sound).decode()}"


@dataclass(frozen=True)
class Size:
    """How large previews are.

    Args:
        px: longer side of a picture. quality: of WebP. n_stills: of a film. still_px: longer side of each.
        sound_s: of a sound, from its beginning; 0 is none. rate_hz: at most. characters: of a text.
        max_bytes: parts that are larger are not read.
    """

    px: int = 176
    quality: int = 62
    n_stills: int = 6
    still_px: int = 128
    sound_s: float = 5.0
    rate_hz: int = 16000
    characters: int = 400
    max_bytes: int = 64 * MIB


def previews(blobs: Mapping[str, StoredBlob], size: Size, films: Films | None = None) -> list[Preview]:
    """A preview of each of a stored sample's parts; what can't be shown says why.

    Args:
        blobs: the parts by name.
        size: of the previews.
        films: keeps the stills of films, as they take longest; the next call with it does not decode them again.
    """
    return [preview(name, blob, size, films) for name, blob in blobs.items()]


def preview(name: str, blob: StoredBlob, size: Size, films: Films | None = None) -> Preview:
    """A part in small; arguments as of `previews`."""
    shown = Preview(name, kind_shown(blob.kind, extension(blob.name)), f"{blob.size:,} bytes")
    if blob.size > size.max_bytes:
        return replace(shown, fault=f"not shown, as it has more than {size.max_bytes // MIB} MiB")
    try:
        return _shown(shown, blob, size, {} if films is None else films)
    except ImportError as error:
        why = missing_package(error) or f"a package is missing: {error}"
        return replace(shown, fault=f"not shown: {why}")
    except (DataError, ConfigError, OSError, ValueError) as error:
        return replace(shown, fault=f"{type(error).__name__}: {error}"[:300])


def _shown(shown: Preview, blob: StoredBlob, size: Size, films: Films) -> Preview:
    if shown.kind == "image":
        return _picture(shown, blob, size)
    kinds: Mapping[str, type] = {"audio": Audio, "video": Video, "captions": Captions, "frames": Frames, "text": Text}
    if shown.kind not in kinds:
        return shown
    part = decode(blob, kinds[shown.kind])
    if isinstance(part, Audio):
        return _sound(shown, part, size)
    if isinstance(part, Video):
        return _film(shown, part, size, films)
    if isinstance(part, Frames):
        return _stills(shown, part, size)
    if isinstance(part, Captions):
        cues = tuple((cue.start_ms / 1000, cue.end_ms / 1000, cue.text[: size.characters]) for cue in part.cues)
        said = "\n".join(f"{start:g}\u2013{end:g} s  {' '.join(text.split())}" for start, end, text in cues[:50])
        return replace(_text(shown, said, size), about=f"{len(cues)} captions", cues=cues)
    return _text(shown, part.text if isinstance(part, Text) else "", size)


def _text(shown: Preview, text: str, size: Size) -> Preview:
    cut = len(text) > size.characters
    return replace(shown, text=text[: size.characters], cut=cut, about=f"{len(text):,} characters")


def _picture(shown: Preview, blob: Blob, size: Size) -> Preview:
    part = DecodeImage(max_px=2 * size.px).map(blob)
    image = part if isinstance(part, Image) else None
    if image is None:
        raise DataError("it is no single picture")
    still = small(image, size.px, size.quality)
    return replace(shown, stills=(still,))


def small(image: Image, px: int, quality: int, *, time_s: float | None = None) -> Still:
    """A picture whose longer side has at most so many pixels, turned as EXIF says."""
    pixels = shrink(_turned(image.pixels, image.orientation), px)
    height, width = image.pixels.shape[:2]
    made = Image(np.ascontiguousarray(pixels))
    return Still(webp_bytes(made, quality), made.width, made.height, f"{width} x {height}", time_s)


def _turned(pixels: np.ndarray, orientation: int) -> np.ndarray:
    """Pixels upright, by EXIF's number."""
    if orientation in (5, 6, 7, 8):
        pixels = pixels.transpose(1, 0, 2)
    if orientation in (2, 3, 6, 7):
        pixels = pixels[:, ::-1]
    if orientation in (3, 4, 7, 8):
        pixels = pixels[::-1]
    return pixels


def _sound(shown: Preview, audio: Audio, size: Size) -> Preview:
    wave = mono(audio.samples) if audio.samples.ndim == 2 else audio.samples
    duration_s = len(wave) / audio.rate_hz
    about = f"{duration_s:.2f} s, {audio.rate_hz} Hz, {audio.samples.shape[0]} channels".replace("1 channels", "mono")
    found = replace(shown, about=about, duration_s=duration_s, envelope=envelope(wave))
    if not len(wave) or not size.sound_s:
        return found
    heard = np.asarray(wave[: int(size.sound_s * audio.rate_hz)], np.float32)
    rate_hz = max(rate for rate in RATES_HZ if rate <= max(size.rate_hz, RATES_HZ[0]))
    if audio.rate_hz > rate_hz or audio.rate_hz not in RATES_HZ:
        heard = resample(heard[None], from_hz=audio.rate_hz, to_hz=rate_hz)[0]
    else:
        rate_hz = audio.rate_hz
    return replace(found, sound=mp3_bytes(heard, rate_hz), sound_s=len(heard) / rate_hz)


def envelope(wave: np.ndarray, bins: int = BINS) -> np.ndarray:
    """Least and greatest level in stretches of equal length: float32 [bin, 2]; fewer bins where there is less."""
    n = min(bins, len(wave))
    if not n:
        return np.zeros((0, 2), np.float32)
    starts = np.arange(n) * len(wave) // n
    low, high = np.minimum.reduceat(wave, starts), np.maximum.reduceat(wave, starts)
    return np.stack([low, high], axis=1).astype(np.float32)


def _film(shown: Preview, video: Video, size: Size, films: Films) -> Preview:
    about = f"{video.duration_s:.2f} s, {video.width} x {video.height}, {video.fps:.4g} frames/s, {video.codec}"
    found = replace(shown, about=about, duration_s=video.duration_s)
    if size.n_stills == 1:
        return replace(found, stills=_first(video, size))
    place = str(video.blob.pointer)
    if place not in films:
        films[place] = _watched(video, size)
    return replace(found, stills=_evenly(films[place], size.n_stills))


def _first(video: Video, size: Size) -> list[Still]:
    """The first picture, without decoding the rest."""
    for _, frames in decoded(video, [View(size_px=size.still_px, keys_only=True)], strict=False, chunk_bytes=1):
        return _small_frames(frames, size, range(1))
    return []


def _watched(video: Video, size: Size) -> list[Still]:
    """Stills of all of a film, evenly; of a long one of what the codec stored whole."""
    is_short = 0 < video.duration_s <= SHORT_FILM_S
    fps = MOST_STILLS / video.duration_s if is_short else None
    view = View(fps=fps, size_px=STILL_PX, keys_only=fps is None)
    stills: list[Still] = []
    for _, frames in decoded(video, [view], strict=False):
        stills += _small_frames(frames, replace(size, still_px=STILL_PX), range(len(frames.times_s)))
        if len(stills) > 8 * MOST_STILLS and fps is None:
            stills = stills[::2]
    return _evenly(stills, MOST_STILLS)


def _stills(shown: Preview, frames: Frames, size: Size) -> Preview:
    n = len(frames.times_s)
    rows = np.unique(np.linspace(0, n - 1, min(n, size.n_stills)).round().astype(int)).tolist() if n else []
    height, width = frames.pixels.shape[1:3]
    return replace(shown, about=f"{n} frames, {width} x {height}", stills=_small_frames(frames, size, rows))


def _small_frames(frames: Frames, size: Size, rows: Sequence[int]) -> list[Still]:
    return [
        small(Image(frames.pixels[row]), size.still_px, size.quality, time_s=float(frames.times_s[row])) for row in rows
    ]


def _evenly(stills: Sequence[Still], n: int) -> list[Still]:
    if len(stills) <= n:
        return list(stills)
    return [stills[int(at)] for at in np.linspace(0, len(stills) - 1, n).round()]
