"""Bytes to pictures, by OpenCV."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from types import ModuleType
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt

from mmdata.codec.image.headers import READERS, Header, png_chunks, read_header, unturned_tiff
from mmdata.codec.image.profiles import Profile, profile_of
from mmdata.codec.limits import MAX_EXPANSION, MIB, expands_within, read_within, within
from mmdata.codec.sniff import HEAD_BYTES, holds, media_type
from mmdata.core.sample import UNMOVED, Blob, Image
from mmdata.core.step import Map
from mmdata.errors import DecodeError

_MAX_PIXELS = 100_000_000
_MAX_BYTES = 512 * MIB
_COLOURS = {"white": (255, 255, 255), "black": (0, 0, 0)}


@dataclass(frozen=True, kw_only=True)
class DecodeImage(Map[Blob, Image]):
    """Decode a picture to uint8 [height, width, 3] in RGB, also from palette, grey, CMYK and 16 bit.

    JPEG, PNG, WebP, GIF (its first frame), BMP, TIFF (its first page), AVIF, JPEG 2000 and PNM are read; SVG and
    HEIC are not. EXIF's orientation is passed on in `Image.orientation`, not applied: `clean.image.FixOrientation`
    does that. Grey with alpha in TIFF and JPEG 2000 is read without its alpha, which OpenCV does not give.
    A colour profile (ICC) that says other than sRGB is applied, also of CMYK; without one, CMYK is made RGB
    by OpenCV's plain formula.

    Args:
        max_px: scale down, never up, so that the longer side has at most this many pixels: JPEG decodes at 1/2, 1/4
            or 1/8 where that is as good, and averaging (INTER_AREA) does the rest. The space map says so.
        max_pixels: refuse a picture whose header promises more: its bytes may be few.
        max_bytes: refuse larger files.
        max_expansion: refuse a picture that takes so many times its file's bytes in memory, from 64 MiB on.
        grey: give one channel, uint8 [height, width, 1], by BT.601's luma.
        background: what shows through where the picture is transparent: "white", "black" or (red, green, blue).
        colors: "srgb" applies the colour profile; "stored" leaves the numbers as the file has them.
        strict: refuse a JPEG that is cut short; else what is missing of it is grey.

    Raises:
        DecodeError: the bytes are no picture that is read here, are cut short or damaged, or pass a limit. PNG's own
            checksums tell all damage; in the other formats a changed byte that still decodes can't be told.

    Reference:
        Each format's own standard; OpenCV decodes. Orientation by EXIF 2.32 (CIPA DC-008), colour profiles by
        ICC.1:2022.
    """

    extra: ClassVar[str | None] = "image"

    on: str | None = "image"
    max_px: Annotated[int, Gt(0)] | None = None
    max_pixels: Annotated[int, Gt(0)] = _MAX_PIXELS
    max_bytes: Annotated[int, Gt(0)] = _MAX_BYTES
    max_expansion: Annotated[float, Gt(0)] = MAX_EXPANSION
    grey: bool = False
    background: Literal["white", "black"] | tuple[int, int, int] = "white"
    colors: Literal["srgb", "stored"] = "srgb"
    strict: bool = True

    def map(self, blob: Blob) -> Image:
        data = read_within(blob, self.max_bytes)
        kind = media_type(data[:HEAD_BYTES])
        header = read_header(data, kind)
        if header is None:
            raise DecodeError(_unread(data, blob.name, kind))
        if kind == "image/tiff" and header.orientation != 1:
            data = unturned_tiff(data)
        n_pixels = header.width * header.height
        within("pixels", n_pixels, "max_pixels", self.max_pixels)
        expands_within(3 * n_pixels, data, self.max_expansion)
        whole = True
        found = profile_of(data, kind)
        profile = found if self.colors == "srgb" else None
        pixels = self._decoded(data, kind, header, profile)
        if pixels is None and not self.strict and kind == "image/jpeg":
            whole, pixels = False, self._decoded(data + b"\xff\xd9", kind, header, profile)
        if pixels is None:
            raise DecodeError(f"it is cut short or damaged: OpenCV can't decode this {kind}")
        if kind != "image/jpeg" and pixels.shape[1::-1] != (header.width, header.height):
            got = "x".join(map(str, pixels.shape[1::-1]))
            raise DecodeError(f"its header promises {header.width}x{header.height} pixels, and it holds {got}")
        usual = whole and found is profile and not self.grey and len(data) <= _MAX_BYTES and n_pixels <= _MAX_PIXELS
        usual = usual and (self.max_expansion <= MAX_EXPANSION or 3 * n_pixels <= MAX_EXPANSION * len(data))
        return self._scaled(pixels, header, blob, usual and not (header.alpha and self.background != "white"))

    def _decoded(self, data: bytes, kind: str, header: Header, profile: Profile | None) -> np.ndarray | None:
        """The picture flattened to RGB or grey, shrunk by the codec where it can; None when it can't be decoded."""
        cv2 = opencv()
        if profile is not None:
            inks = profile.inks_to_srgb(data) if profile.mode == "CMYK" else None
            pixels = self._stored(data, kind, header, profile) if inks is None else inks
            return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if self.grey and pixels is not None else pixels
        return self._stored(data, kind, header, None)

    def _stored(self, data: bytes, kind: str, header: Header, profile: Profile | None) -> np.ndarray | None:
        """The same by OpenCV; in RGB where there is a profile."""
        cv2 = opencv()
        if header.alpha:
            stored = _opencv_pixels(_essential(data, kind), cv2.IMREAD_UNCHANGED)
            if stored is None and kind == "image/jp2":
                stored = _opencv_pixels(data, cv2.IMREAD_COLOR_BGR)
            pixels = None if stored is None else _flattened(stored, header, self._colour(), profile)
            grey = self.grey and profile is None and pixels is not None
            return cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY) if grey else pixels
        flags = cv2.IMREAD_GRAYSCALE if self.grey and profile is None else cv2.IMREAD_COLOR_RGB
        if kind == "image/jpeg":
            flags |= self._shrink(cv2, header)
        pixels = _opencv_pixels(_essential(data, kind), flags | cv2.IMREAD_IGNORE_ORIENTATION)
        return pixels if pixels is None or profile is None else profile.to_srgb(pixels)

    def _colour(self) -> tuple[int, int, int]:
        red, green, blue = _COLOURS[self.background] if isinstance(self.background, str) else self.background
        return red, green, blue

    def _shrink(self, cv2: ModuleType, header: Header) -> int:
        """The flag for a scaled decode that leaves nothing to average, or at least a factor of two.

        Averaging by less blurs what the codec has averaged already, and far from evenly.
        """
        longest = max(header.width, header.height)
        by = [n for n in (2, 4, 8) if self.max_px and (longest == n * self.max_px or longest >= 2 * n * self.max_px)]
        flags = {
            2: cv2.IMREAD_REDUCED_GRAYSCALE_2,
            4: cv2.IMREAD_REDUCED_GRAYSCALE_4,
            8: cv2.IMREAD_REDUCED_GRAYSCALE_8,
        }
        return flags[by[-1]] if by else 0

    def _scaled(self, pixels: np.ndarray, header: Header, blob: Blob, usual: bool) -> Image:
        cv2 = opencv()
        size = header.width, header.height
        target = size if self.max_px is None else fitted(*size, self.max_px)
        if pixels.shape[1::-1] != target:
            pixels = cv2.resize(pixels, target, interpolation=cv2.INTER_AREA)
        if pixels.ndim == 2:
            pixels = pixels[:, :, None]
        if target == size:
            return Image(pixels, header.orientation, UNMOVED, blob if usual else None)
        return Image(pixels, header.orientation, UNMOVED.resized(from_size=size, to_size=target))


def fitted(width: int, height: int, max_px: int) -> tuple[int, int]:
    """The size of a picture scaled down to a longest side of at most `max_px`, never up, no side below 1.

    >>> fitted(640, 480, 320), fitted(64, 48, 320), fitted(10000, 3, 100)
    ((320, 240), (64, 48), (100, 1))
    """
    longest = max(width, height)
    if longest <= max_px:
        return width, height
    return max(1, round(width * max_px / longest)), max(1, round(height * max_px / longest))


@cache
def opencv() -> ModuleType:
    """OpenCV, with its log silenced: what goes wrong in a decoder is told by a `DecodeError`."""
    import cv2

    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    return cv2


def _opencv_pixels(data: bytes, flags: int) -> np.ndarray | None:
    cv2 = opencv()
    try:
        pixels: np.ndarray | None = cv2.imdecode(np.frombuffer(data, np.uint8), flags)
    except cv2.error as error:
        raise DecodeError(f"OpenCV refuses it: {error.err or error}") from None
    return pixels


def _flattened(
    stored: np.ndarray, header: Header, colour: tuple[int, int, int], profile: Profile | None = None
) -> np.ndarray:
    """RGB of a picture as it is stored (BGRA, BGR or grey, 8 or 16 bit), laid over a colour."""
    cv2 = opencv()
    clear = None if header.clear_grey is None else stored == header.clear_grey
    if stored.dtype == np.uint16:
        stored = (stored >> 8).astype(np.uint8)
    if stored.ndim == 2:
        pixels: np.ndarray = cv2.cvtColor(stored, cv2.COLOR_GRAY2RGB)
        pixels = pixels if profile is None else profile.to_srgb(pixels)
        if clear is not None:
            pixels[clear] = colour
        return pixels
    if stored.shape[2] == 4:
        if profile is not None:
            rgb = profile.to_srgb(cv2.cvtColor(stored, cv2.COLOR_BGRA2RGB))
            stored = np.dstack([rgb[..., ::-1], stored[..., 3]])
        return _over(stored, colour, premultiplied=header.premultiplied)
    rgb = stored[:, :, ::-1].copy()
    return rgb if profile is None else profile.to_srgb(rgb)


def _over(bgra: np.ndarray, colour: tuple[int, int, int], *, premultiplied: bool) -> np.ndarray:
    """Lay a picture over a colour: c a + b (1 - a), each rounded product to the nearest level."""
    cv2 = opencv()
    rgb: np.ndarray = cv2.cvtColor(bgra, cv2.COLOR_BGRA2RGB)
    alpha = np.ascontiguousarray(bgra[:, :, 3])
    if cv2.minMaxLoc(alpha)[0] == 255:
        return rgb
    alpha = cv2.cvtColor(alpha, cv2.COLOR_GRAY2RGB)
    if colour == (255, 255, 255) and not premultiplied:
        lit: np.ndarray = cv2.bitwise_not(cv2.multiply(cv2.bitwise_not(rgb), alpha, scale=1 / 255))
        return lit
    own = rgb if premultiplied else cv2.multiply(rgb, alpha, scale=1 / 255)
    behind = cv2.multiply(cv2.bitwise_not(alpha), np.full_like(alpha, colour), scale=1 / 255)
    mixed: np.ndarray = cv2.add(own, behind)
    return mixed


def _essential(data: bytes, kind: str) -> bytes:
    """A PNG without what decides no pixel: libpng warns on standard error of colour profiles that it dislikes."""
    if kind != "image/png":
        return data
    chunks = [(first, end, kind[0:1].isupper() or kind == b"tRNS") for kind, first, end in png_chunks(data)]
    if all(needed for *_, needed in chunks):
        return data
    view = memoryview(data)
    return b"".join([data[:8], *(view[first:end] for first, end, needed in chunks if needed)])


def _unread(data: bytes, name: str, kind: str) -> str:
    if kind == "image/svg+xml":
        return "it holds image/svg+xml, a drawing without pixels: render it first, to PNG for instance"
    if kind.startswith("image/"):
        readable = ", ".join(sorted(name.removeprefix("image/") for name in READERS))
        return f"it holds {kind}, which is not decoded here; {readable} are"
    return f"no picture: {holds(data, name)}"
