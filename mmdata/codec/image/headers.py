"""What a picture's header says: read before a pixel is decoded, so that a bomb is refused by its size alone.

One function a format; each takes all bytes, and a header that breaks off raises `DecodeError`, whatever the bytes.
"""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from mmdata.errors import DecodeError

_NETPBM = re.compile(rb"P[1-6](?:\s|#[^\n]*\n)+(\d{1,10})(?:\s|#[^\n]*\n)+(\d{1,10})")
_JPEG_FRAMES = frozenset({*range(0xC0, 0xD0)} - {0xC4, 0xC8, 0xCC})
_TIFF_WIDTH, _TIFF_HEIGHT, _TIFF_BITS, _TIFF_TURN, _TIFF_SAMPLES, _TIFF_EXTRA = 256, 257, 258, 274, 277, 338


@dataclass(frozen=True)
class Header:
    """What is known of a picture before it is decoded.

    Args:
        width, height: pixels as they are stored, before orientation.
        orientation: EXIF's number, 1 to 8.
        alpha: whether some pixel may be see-through.
        premultiplied: whether the decoder gives colours that are already multiplied by alpha.
        clear_grey: the grey level, in 8 bits or 16 as stored, that a grey PNG calls see-through.
    """

    width: int
    height: int
    orientation: int = 1
    alpha: bool = False
    premultiplied: bool = False
    clear_grey: int | None = None


def read_header(data: bytes, media_type: str) -> Header | None:
    """The header of a picture; None when no picture of that type can be decoded here.

    Raises:
        DecodeError: the header is broken, or gives no size.
    """
    reader = READERS.get(media_type)
    if reader is None:
        return None
    try:
        header = reader(data)
    except (struct.error, IndexError):
        raise DecodeError(f"its {media_type} header breaks off") from None
    if header.width < 1 or header.height < 1:
        raise DecodeError(f"its {media_type} header gives a size of {header.width}x{header.height} pixels")
    return header


def _jpeg(data: bytes) -> Header:
    orientation, at = 1, 2
    while True:
        while data[at] == 0xFF and data[at + 1] == 0xFF:
            at += 1
        marker, size = struct.unpack_from(">xBH", data, at)
        if data[at] != 0xFF or marker in (0xD9, 0xDA):
            raise DecodeError("its JPEG header gives no size")
        if marker in _JPEG_FRAMES:
            height, width = struct.unpack_from(">HH", data, at + 5)
            return Header(width, height, orientation)
        if marker == 0xE1 and data.startswith(b"Exif\0\0", at + 4):
            orientation = exif_orientation(data[at + 10 : at + 2 + size])
        at += 2 + size


def exif_orientation(exif: bytes) -> int:
    """EXIF's orientation, 1 to 8; 1 when it is absent, broken or out of range. `exif` begins with its TIFF header."""
    try:
        value = _tiff_tags(exif).get(_TIFF_TURN, 1)
    except (struct.error, DecodeError):
        return 1
    return value if 1 <= value <= 8 else 1


def png_chunks(data: bytes) -> Iterator[tuple[bytes, int, int]]:
    """The chunks of a PNG, as kind, first byte and end of the whole chunk, up to IEND.

    Raises:
        DecodeError: the file is cut short, or a chunk's checksum is wrong.
    """
    at, view = 8, memoryview(data)
    while True:
        if at + 12 > len(data):
            raise DecodeError("it is cut short: a PNG that does not reach its IEND chunk")
        size, kind = struct.unpack_from(">I4s", data, at)
        end = at + 12 + size
        if end > len(data):
            raise DecodeError(f"it is cut short: its {_printable(kind)} chunk goes on for {end - len(data):,} bytes")
        if zlib.crc32(view[at + 4 : end - 4]) != int.from_bytes(view[end - 4 : end], "big"):
            raise DecodeError(f"it is damaged: the checksum of its {_printable(kind)} chunk at byte {at:,} is wrong")
        yield kind, at, end
        if kind == b"IEND":
            return
        at = end


def _printable(kind: bytes) -> str:
    return kind.decode("ascii", "backslashreplace")


def _png(data: bytes) -> Header:
    width, height, depth, color = struct.unpack_from(">IIBB", data, 16)
    if data[12:16] != b"IHDR":
        raise DecodeError("it is damaged: a PNG must begin with its IHDR chunk")
    orientation, alpha, clear = 1, color in (4, 6), None
    for kind, first, end in png_chunks(data):
        if kind == b"eXIf":
            orientation = exif_orientation(data[first + 8 : end - 4])
        elif kind == b"tRNS":
            alpha = True
            if color == 0:
                level = int.from_bytes(data[first + 8 : first + 10], "big")
                clear = level if depth == 16 else level * 255 // (2**depth - 1)
    return Header(width, height, orientation, alpha, clear_grey=clear)


def _gif(data: bytes) -> Header:
    width, height = struct.unpack_from("<HH", data, 6)
    return Header(width, height, alpha=True)  # only its frames tell; the decoder reads them


def _bmp(data: bytes) -> Header:
    if int.from_bytes(data[14:18], "little") == 12:
        return Header(*struct.unpack_from("<HH", data, 18))
    width, height = struct.unpack_from("<ii", data, 18)
    return Header(width, abs(height))


def _webp(data: bytes) -> Header:
    size = int.from_bytes(data[4:8], "little") + 8
    if size > len(data):
        raise DecodeError(f"it is cut short: a WebP of {size:,} bytes has {len(data):,}")
    kind = data[12:16]
    if kind == b"VP8X":
        width, height = (1 + int.from_bytes(data[at : at + 3], "little") for at in (24, 27))
        return Header(width, height, _webp_orientation(data) if data[20] & 0x08 else 1, alpha=bool(data[20] & 0x10))
    if kind == b"VP8L":
        bits = int.from_bytes(data[21:25], "little")
        return Header(1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF), alpha=bool(bits >> 28 & 1))
    width, height = struct.unpack_from("<HH", data, 26)
    return Header(width & 0x3FFF, height & 0x3FFF)


def _webp_orientation(data: bytes) -> int:
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"EXIF":
            return exif_orientation(data[at + 8 : at + 8 + size].removeprefix(b"Exif\0\0"))
        at += 8 + size + (size & 1)
    return 1


def _tiff(data: bytes) -> Header:
    tags = _tiff_tags(data)
    samples, bits = tags.get(_TIFF_SAMPLES, 1), tags.get(_TIFF_BITS, 1)
    turn = tags.get(_TIFF_TURN, 1)
    alpha = samples == 4 and tags.get(_TIFF_EXTRA, 0) in (1, 2)
    # libtiff's 8-bit reader multiplies by alpha; OpenCV reads deeper samples as they are stored
    return Header(
        tags.get(_TIFF_WIDTH, 0),
        tags.get(_TIFF_HEIGHT, 0),
        turn if 1 <= turn <= 8 else 1,
        alpha,
        premultiplied=bits == 8 or tags.get(_TIFF_EXTRA) == 1,
    )


def unturned_tiff(data: bytes) -> bytes:
    """A TIFF that says it is upright, with the same pixels: OpenCV turns TIFFs, whatever it is asked."""
    order = "<" if data[:2] == b"II" else ">"
    big = struct.unpack_from(order + "H", data, 2)[0] == 43
    (at,) = struct.unpack_from(order + ("Q" if big else "I"), data, 8 if big else 4)
    (count,) = struct.unpack_from(order + ("Q" if big else "H"), data, at)
    first, size, value = (at + 8, 20, 12) if big else (at + 2, 12, 8)
    for entry in range(first, first + size * count, size):
        tag, kind = struct.unpack_from(order + "HH", data, entry)
        if tag == _TIFF_TURN and kind in (3, 4):
            one = struct.pack(order + {3: "H", 4: "I"}[kind], 1)
            return data[: entry + value] + one + data[entry + value + len(one) :]
    return data


def _tiff_tags(data: bytes) -> dict[int, int]:
    """The first values of the first directory's numeric tags."""
    order = {b"II": "<", b"MM": ">"}.get(data[:2])
    if order is None:
        raise DecodeError("its TIFF header names no byte order")
    if struct.unpack_from(order + "H", data, 2)[0] == 43:
        return _big_tiff_tags(data, order)
    (at,) = struct.unpack_from(order + "I", data, 4)
    (count,) = struct.unpack_from(order + "H", data, at)
    tags = {}
    for entry in range(at + 2, at + 2 + 12 * count, 12):
        tag, kind, n, offset = struct.unpack_from(order + "HHII", data, entry)
        where = entry + 8 if n * {3: 2, 4: 4}.get(kind, 8) <= 4 else offset
        if kind in (3, 4) and n:
            (tags[tag],) = struct.unpack_from(order + {3: "H", 4: "I"}[kind], data, where)
    return tags


def _big_tiff_tags(data: bytes, order: str) -> dict[int, int]:
    (at,) = struct.unpack_from(order + "Q", data, 8)
    (count,) = struct.unpack_from(order + "Q", data, at)
    tags = {}
    for entry in range(at + 8, at + 8 + 20 * count, 20):
        tag, kind, n, offset = struct.unpack_from(order + "HHQQ", data, entry)
        letter, size = {3: ("H", 2), 4: ("I", 4), 16: ("Q", 8)}.get(kind, ("", 9))
        if letter and n:
            (tags[tag],) = struct.unpack_from(order + letter, data, entry + 12 if n * size <= 8 else offset)
    return tags


def _avif(data: bytes) -> Header:
    """The largest `ispe` (image spatial extents) box: a grid's tiles, thumbnails and alpha planes are no larger."""
    sizes = [struct.unpack_from(">II", data, at + 8) for at in _every(data, b"ispe")]
    if not sizes:
        raise DecodeError("its AVIF header gives no size")
    width, height = max(sizes, key=lambda size: size[0] * size[1])
    return Header(width, height, _avif_orientation(data), alpha=b":auxiliary:alpha\0" in data[:65536])


def _avif_orientation(data: bytes) -> int:
    """EXIF's number for the boxes `irot` (quarter turns counterclockwise), then `imir` (ISO/IEC 23008-12, 6.5)."""
    turns = next((data[at + 4] & 3 for at in _every(data, b"irot")), 0)
    axis = next((data[at + 4] & 1 for at in _every(data, b"imir")), None)
    if axis is None:
        return (1, 8, 3, 6)[turns]
    return ((4, 5, 2, 7), (2, 7, 4, 5))[axis][turns]  # 0 swaps top and bottom, 1 left and right


def _every(data: bytes, name: bytes) -> Iterator[int]:
    at = data.find(name, 0, 65536)
    while at >= 0:
        yield at
        at = data.find(name, at + 4, 65536)


def _jp2(data: bytes) -> Header:
    if data.startswith(b"\xff\x4f"):
        right, bottom, left, top = struct.unpack_from(">IIII", data, 8)
        return Header(right - left, bottom - top, alpha=data[40:42] == b"\0\x04")
    at = data.find(b"ihdr", 0, 4096)
    if at < 0:
        raise DecodeError("its JPEG 2000 header gives no size")
    height, width, n_channels = struct.unpack_from(">IIH", data, at + 4)
    return Header(width, height, alpha=n_channels == 4)


def _netpbm(data: bytes) -> Header:
    if found := _NETPBM.match(data[:4096]):
        return Header(int(found[1]), int(found[2]))
    raise DecodeError("its PNM header gives no size")


READERS: Mapping[str, Callable[[bytes], Header]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/gif": _gif,
    "image/bmp": _bmp,
    "image/webp": _webp,
    "image/tiff": _tiff,
    "image/avif": _avif,
    "image/jp2": _jp2,
    "image/x-portable-anymap": _netpbm,
}
