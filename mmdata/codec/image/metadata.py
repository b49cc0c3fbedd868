"""What a picture's file tells besides the picture, cut out of its bytes: place, camera, time, edits, comments."""

from __future__ import annotations

import re
import struct
import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import ClassVar

from mmdata.codec.image.decode import DecodeImage
from mmdata.codec.image.encode import exif, png_bytes
from mmdata.codec.image.headers import png_chunks, read_header
from mmdata.codec.image.profiles import riff_chunks
from mmdata.codec.limits import read_within
from mmdata.codec.sniff import HEAD_BYTES, media_type
from mmdata.core.sample import Blob
from mmdata.core.step import Map
from mmdata.errors import DecodeError

_MOST_BYTES = 512 << 20
# what decides a pixel, its colour, its size in print or its time; all other chunks go
_PNG_KEPT = frozenset(
    b"IHDR PLTE IDAT IEND tRNS gAMA cHRM sRGB iCCP cICP sBIT bKGD hIST pHYs sPLT acTL fcTL fdAT".split()
)
_WEBP_KEPT = frozenset({b"VP8 ", b"VP8L", b"VP8X", b"ALPH", b"ANIM", b"ANMF", b"ICCP"})
_GIF_KEPT = (b"NETSCAPE2.0", b"ANIMEXTS1.0", b"ICCRGBG1012")
# in a JPEG's scans: a marker that is neither a stuffed byte nor a restart nor fill
_MARKER = re.compile(rb"\xff[^\x00\xd0-\xd7\xff]")
_WEBP_EXIF, _WEBP_XMP = 0x08, 0x04


@dataclass(frozen=True, kw_only=True)
class StripMetadata(Map[Blob, Blob]):
    """Cut EXIF (with GPS), XMP, IPTC, comments, previews and whatever follows the picture out of its file.

    No pixel is decoded or changed in JPEG, PNG, WebP and GIF; colour profiles stay, as does EXIF's orientation, alone.
    TIFF, AVIF, JPEG 2000 and PNM become PNG, of what `DecodeImage` gives. Put it before the decoder: what is stored as
    `auto` are then the bytes that it leaves.

    Raises:
        DecodeError: it is no picture that is read here, or too damaged to tell what is what.

    Reference:
        JPEG (ITU-T T.81, annex B), PNG (W3C, third edition), WebP's container, GIF89a: the parts that decide no pixel.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"

    def map(self, blob: Blob) -> Blob:
        data = read_within(blob, _MOST_BYTES)
        kind = media_type(data[:HEAD_BYTES])
        if kind == "image/bmp":  # which has no place for any
            return blob
        strip = _STRIPPERS.get(kind)
        if strip is None:
            return Blob.of(png_bytes(DecodeImage().map(blob)), name=blob.name)
        header = read_header(data, kind)
        try:
            bare = strip(data, 1 if header is None else header.orientation)
        except (struct.error, IndexError):
            raise DecodeError(f"its {kind} breaks off where its metadata are looked for") from None
        return blob if bare == data else Blob.of(bare, name=blob.name)


def _jpeg(data: bytes, orientation: int) -> bytes:
    kept = [data[:2]]
    turn = b"Exif\0\0" + exif(orientation)
    note = struct.pack(">BBH", 0xFF, 0xE1, len(turn) + 2) + turn
    pending = orientation != 1
    for marker, first, end in _jpeg_segments(data):
        if pending and marker != 0xE0:  # JFIF's own segment comes first
            kept.append(note)
            pending = False
        profile = marker == 0xE2 and data.startswith(b"ICC_PROFILE\0", first + 4)
        adobe = marker == 0xEE and data.startswith(b"Adobe", first + 4)
        plain = marker == 0xE0 and data.startswith(b"JFIF\0", first + 4)
        if profile or adobe or plain or not (0xE0 <= marker <= 0xEF or marker == 0xFE):
            kept.append(data[first:end])
    return b"".join(kept)


def _jpeg_segments(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Marker, first byte and end of each segment after the first marker, scans whole; the last is EOI, or what is cut.

    What follows EOI is left out: previews, films, a camera maker's own.
    """
    at = 2
    while at < len(data):
        if data[at] != 0xFF:
            raise DecodeError("it is damaged: a JPEG's segment does not begin with a marker")
        while data[at + 1] == 0xFF:
            at += 1
        marker = data[at + 1]
        if marker == 0xD9:
            yield marker, at, at + 2
            return
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:
            scan = _MARKER.search(data, end)
            end = scan.start() if scan else len(data)
        yield marker, at, min(end, len(data))
        at = end


def _png(data: bytes, orientation: int) -> bytes:
    kept = [data[:8]]
    for kind, first, end in png_chunks(data):
        if kind in _PNG_KEPT:
            kept.append(data[first:end])
        if kind == b"IHDR" and orientation != 1:
            body = b"eXIf" + exif(orientation)
            kept.append(struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body)))
    return b"".join(kept)


def _webp(data: bytes, orientation: int) -> bytes:
    kept = [(kind, body) for kind, body in riff_chunks(data) if kind in _WEBP_KEPT]
    turn = [(b"EXIF", exif(orientation))] if orientation != 1 else []
    chunks = [(kind, _bare_flags(body, bool(turn)) if kind == b"VP8X" else body) for kind, body in kept] + turn
    packed = [struct.pack("<4sI", kind, len(body)) + body + b"\0" * (len(body) & 1) for kind, body in chunks]
    whole = b"WEBP" + b"".join(packed)
    return struct.pack("<4sI", b"RIFF", len(whole)) + whole


def _bare_flags(body: bytes, turned: bool) -> bytes:
    return bytes([body[0] & ~(_WEBP_EXIF | _WEBP_XMP) | (_WEBP_EXIF if turned else 0)]) + body[1:]


def _gif(data: bytes, _: int) -> bytes:
    return b"".join(data[first:end] for keep, first, end in gif_blocks(data) if keep != "note")


def gif_blocks(data: bytes) -> Iterator[tuple[str, int, int]]:
    """The blocks of a GIF as what they are, first byte and end: "head", "frame", "control", "note" and "end".

    Raises:
        DecodeError: it is cut short, or a block is none.
    """
    at = 13 + (3 << (data[10] & 7) + 1 if data[10] & 0x80 else 0)
    yield "head", 0, at
    while data[at] != 0x3B:
        first = at
        if data[at] == 0x2C:
            flags = data[at + 9]
            at = _after_blocks(data, at + 11 + (3 << (flags & 7) + 1 if flags & 0x80 else 0))
            yield "frame", first, at
        elif data[at] == 0x21:
            label = data[at + 1]
            at = _after_blocks(data, at + 2)
            keep = label == 0xF9 or (label == 0xFF and data[first + 3 : first + 14] in _GIF_KEPT)
            yield ("control" if keep else "note"), first, at
        else:
            raise DecodeError(f"it is damaged: a GIF's block at byte {at:,} is none")
    yield "end", at, at + 1


def _after_blocks(data: bytes, at: int) -> int:
    """Where the chain of sub-blocks ends that begins there."""
    while data[at]:
        at += 1 + data[at]
    return at + 1


_STRIPPERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "image/jpeg": _jpeg,
    "image/png": _png,
    "image/webp": _webp,
    "image/gif": _gif,
}
