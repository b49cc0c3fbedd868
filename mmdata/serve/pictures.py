"""Small pictures of what is stored: thumbnails, posters of films, waveforms, features as maps of colour."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from threading import BoundedSemaphore, Lock

import numpy as np

from mmdata.codec.decoders import decode
from mmdata.codec.image import DecodeImage
from mmdata.codec.image.encode import jpeg_bytes, png_bytes
from mmdata.codec.video import decoded
from mmdata.codec.wav import write_wav
from mmdata.core.sample import Audio, Blob, Frames, Image, Part, Video
from mmdata.core.watch import View
from mmdata.errors import DataError
from mmdata.kernels.image.sizes import shrink

SIDE_PX = 320
QUALITY = 82
KEEP_BYTES = 64 << 20
MOST_BYTES = 256 << 20  # larger media are not decoded for a small picture
HEARD_S = 30.0
# a few colours of matplotlib's viridis (CC0), between which others lie
_COLOURS = np.array([[68, 1, 84], [59, 82, 139], [33, 145, 140], [94, 201, 98], [253, 231, 37]], np.float64)


class Kept:
    """Bytes that were made, the newest of them, up to a bound."""

    def __init__(self, most_bytes: int = KEEP_BYTES, *, at_once: int = 2) -> None:
        self._most, self._bytes = most_bytes, 0
        self._lock, self._making = Lock(), BoundedSemaphore(at_once)
        self._made: OrderedDict[str, bytes] = OrderedDict()

    def get(self, name: str, make: Callable[[], bytes]) -> bytes:
        """What has that name, made where it is not there."""
        with self._lock:
            if name in self._made:
                self._made.move_to_end(name)
                return self._made[name]
        with self._making:
            data = make()
        with self._lock:
            if name not in self._made and len(data) <= self._most:
                self._made[name] = data
                self._bytes += len(data)
                while self._bytes > self._most:
                    self._bytes -= len(self._made.popitem(last=False)[1])
        return data


def thumbnail(blob: Blob, kind: str) -> bytes:
    """A JPEG of a picture, a film's first frame, or the first of stored frames; EXIF says how it is to be turned.

    Raises:
        DataError: it can't be decoded, or is too large for that.
    """
    if blob.size > MOST_BYTES:
        raise DataError(f"{blob.size:,} bytes are too many for a small picture")
    if kind == "image":
        return jpeg_bytes(DecodeImage(max_px=SIDE_PX).map(blob), QUALITY)
    part = decode(blob, Video if kind == "video" else Frames)
    return jpeg_bytes(still(part), QUALITY)


def still(part: Part) -> Image:
    """A small picture of a part that is one, or has one. Raises DataError where it has none."""
    if isinstance(part, Image):
        return replace(part, pixels=shrink(part.pixels, SIDE_PX), origin=None)
    if isinstance(part, Video):
        first = next(decoded(part, [View(size_px=SIDE_PX, keys_only=True)], strict=False, chunk_bytes=1), None)
        part = first[1] if first is not None else part
    if isinstance(part, Frames) and len(part.pixels):
        return Image(shrink(np.ascontiguousarray(part.pixels[0]), SIDE_PX))
    raise DataError("it has no picture")


def heard(sound: Audio) -> bytes:
    """The beginning of a sound as WAV of 16 bits."""
    samples = sound.samples[:2, : round(HEARD_S * sound.rate_hz)]
    return write_wav((np.nan_to_num(samples).clip(-1, 1) * 32767).round().astype(np.int16), sound.rate_hz)


def heat_map(array: np.ndarray, *, time_first: bool = True) -> bytes:
    """A PNG of an array of two axes, time from left to right, the least dark and the most bright.

    Args:
        array: [time, value]; of more axes, the last ones are taken together.
        time_first: whether the first axis goes from left to right.
    """
    flat = np.nan_to_num(array.reshape(array.shape[0], -1).astype(np.float64), posinf=0.0, neginf=0.0)
    flat = _fewer(_fewer(flat.clip(-1e300, 1e300), 640).T, 256).T  # sums of larger numbers are infinite
    low, high = (float(bound) for bound in np.quantile(flat, [0.01, 0.99]))
    level = ((flat - low) / (high - low or 1)).clip(0, 1)
    place = level * (len(_COLOURS) - 1)
    below = np.minimum(place.astype(np.int64), len(_COLOURS) - 2)
    part = (place - below)[..., None]
    pixels = (_COLOURS[below] * (1 - part) + _COLOURS[below + 1] * part).round().astype(np.uint8)
    turned = pixels.transpose(1, 0, 2)[::-1] if time_first else pixels
    return png_bytes(Image(np.ascontiguousarray(_larger(turned))))


def _fewer(rows: np.ndarray, most: int) -> np.ndarray:
    """At most so many rows, by averages of equal runs."""
    if len(rows) <= most:
        return rows
    bounds = np.linspace(0, len(rows), most + 1).astype(np.int64)[:-1]
    lengths = np.diff([*bounds, len(rows)])
    return np.asarray(np.add.reduceat(rows, bounds, axis=0) / lengths[:, None])


def _larger(pixels: np.ndarray) -> np.ndarray:
    """So that a few values can be seen."""
    rows, columns = max(1, 96 // pixels.shape[0]), max(1, 320 // pixels.shape[1])
    return pixels.repeat(rows, axis=0).repeat(columns, axis=1)


def strip(array: np.ndarray) -> bytes:
    """Stored pictures, uint8 [picture, height, width, channel] or one of them, side by side as a PNG."""
    stack = array if array.ndim == 4 else array[None]
    shown = stack[np.linspace(0, len(stack) - 1, min(8, len(stack))).astype(np.int64)]
    return png_bytes(Image(shrink(np.concatenate(list(shown), axis=1), 1280)))


def is_picture(array: np.ndarray) -> bool:
    """Whether an array's values are pixels: uint8 of three or four axes, the last of 1 or 3 channels."""
    return array.dtype == np.uint8 and array.ndim in (3, 4) and array.shape[-1] in (1, 3) and array.size > 0
