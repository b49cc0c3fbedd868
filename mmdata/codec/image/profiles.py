"""Colour profiles (ICC) that pictures carry, and what they make of the numbers: sRGB, by LittleCMS.

A profile that is broken, or of another colour space than the picture's, counts as none, as in browsers.
"""

from __future__ import annotations

import io
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

_MOST_BYTES = 8 << 20  # the largest in use, of printing presses, have 3 MB
_NEAR = 2  # levels by which a profile may differ from sRGB, in any colour, and still count as it
_MODES = {"RGB ": "RGB", "GRAY": "L", "CMYK": "CMYK"}
_TIFF_PROFILE = 34675


@dataclass(frozen=True, eq=False)
class Profile:
    """A profile that says other than sRGB.

    Args:
        mode: "RGB", "L" or "CMYK", Pillow's name of what it takes.
        transform: LittleCMS's, to sRGB: relative colorimetric, with black point compensation.
    """

    mode: str
    transform: Any

    def to_srgb(self, pixels: np.ndarray) -> np.ndarray:
        """RGB of RGB, or of grey in three channels that are alike: uint8 [row, column, 3].

        A profile of another colour space leaves the pixels as they are.
        """
        from PIL import Image

        if self.mode == "CMYK" or (self.mode == "L" and (pixels != pixels[..., :1]).any()):
            return pixels
        if self.mode == "L":  # level by level, and looked up: for whole pictures LittleCMS would round far more
            levels = Image.fromarray(np.arange(256, dtype=np.uint8)[None])
            seen: np.ndarray = np.asarray(self.transform.apply(levels))[0][pixels[..., 0]]
            return seen
        return np.array(self.transform.apply(Image.fromarray(np.ascontiguousarray(pixels))))

    def inks_to_srgb(self, data: bytes) -> np.ndarray | None:
        """RGB of a whole file of four inks, uint8 [row, column, 3]; None when it is none, or damaged."""
        from PIL import Image

        try:
            with Image.open(io.BytesIO(data)) as picture:
                return np.array(self.transform.apply(picture)) if picture.mode == "CMYK" else None
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            return None


def profile_of(data: bytes, media_type: str) -> Profile | None:
    """The profile that a picture carries; None when it has none, or one that says sRGB, or nothing of use."""
    finder = _FINDERS.get(media_type)
    try:
        found = b"" if finder is None else finder(data)
    except (struct.error, IndexError, zlib.error):
        return None
    return _read(found) if 128 < len(found) <= _MOST_BYTES else None


@lru_cache(maxsize=32)
def _read(profile: bytes) -> Profile | None:
    mode = _MODES.get(profile[16:20].decode("latin-1"))
    if mode is None:
        return None
    from PIL import ImageCms

    # without a cache of the last colour, a transform may be used by several threads
    flags = ImageCms.Flags.BLACKPOINTCOMPENSATION | ImageCms.Flags.NOCACHE
    flags |= ImageCms.Flags.NOOPTIMIZE if mode == "L" else ImageCms.Flags.NONE
    intent = ImageCms.Intent.RELATIVE_COLORIMETRIC
    srgb = ImageCms.createProfile("sRGB")
    try:
        given = ImageCms.ImageCmsProfile(io.BytesIO(profile))
        transform = ImageCms.buildTransform(given, srgb, mode, "RGB", intent, flags)
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    made = Profile(mode, transform)
    colors = _GREYS if mode == "L" else _COLORS
    if mode != "CMYK" and np.abs(made.to_srgb(colors).astype(int) - colors).max() <= _NEAR:
        return None
    return made


# colours all over the cube, and all greys: uint8 [row, column, 3]
_COLORS = np.stack(np.meshgrid(*[np.arange(0, 256, 15, dtype=np.uint8)] * 3), axis=-1).reshape(1, -1, 3)
_GREYS = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)


def _in_jpeg(data: bytes) -> bytes:
    parts: dict[int, bytes] = {}
    at = 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        marker, size = struct.unpack_from(">xBH", data, at)
        if data[at] != 0xFF or marker in (0xD9, 0xDA):
            break
        if marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", at + 4):
            parts[data[at + 16]] = data[at + 18 : at + 2 + size]
        at += 2 + size
    return b"".join(parts[number] for number in sorted(parts))


def _in_png(data: bytes) -> bytes:
    at = 8
    while True:
        size, kind = struct.unpack_from(">I4s", data, at)
        if kind == b"iCCP":
            packed = data[at + 8 : at + 8 + size].partition(b"\0")[2]
            return zlib.decompressobj().decompress(packed[1:], _MOST_BYTES)
        if kind in (b"IDAT", b"IEND"):
            return b""
        at += 12 + size


def _in_webp(data: bytes) -> bytes:
    return next((body for kind, body in riff_chunks(data) if kind == b"ICCP"), b"")


def riff_chunks(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """The chunks of a WebP file: kind and body, up to the size that its header names."""
    at, end = 12, min(len(data), int.from_bytes(data[4:8], "little") + 8)
    while at + 8 <= end:
        kind, size = struct.unpack_from("<4sI", data, at)
        yield kind, data[at + 8 : min(end, at + 8 + size)]
        at += 8 + size + (size & 1)


def _in_tiff(data: bytes) -> bytes:
    """Of the first directory; BigTIFF's is not looked for."""
    order = "<" if data[:2] == b"II" else ">"
    if struct.unpack_from(order + "H", data, 2)[0] != 42:
        return b""
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, _, length, offset = struct.unpack_from(order + "HHII", data, entry)
        if tag == _TIFF_PROFILE:
            return data[offset : offset + length]
    return b""


def _in_boxes(data: bytes) -> bytes:
    """AVIF and JPEG 2000: a box `colr` that holds a profile."""
    at = data.find(b"colr", 0, 65536)
    while at >= 4:
        end = at - 4 + int.from_bytes(data[at - 4 : at], "big")
        if data[at + 4 : at + 8] in (b"prof", b"rICC"):
            return data[at + 8 : end]
        if data[at + 4 : at + 5] == b"\x02":  # JPEG 2000's method 2, then precedence and approximation
            return data[at + 7 : end]
        at = data.find(b"colr", at + 4, 65536)
    return b""


_FINDERS: Mapping[str, Callable[[bytes], bytes]] = {
    "image/jpeg": _in_jpeg,
    "image/png": _in_png,
    "image/webp": _in_webp,
    "image/tiff": _in_tiff,
    "image/avif": _in_boxes,
    "image/jp2": _in_boxes,
}
