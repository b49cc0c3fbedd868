"""What bytes are, told from the bytes alone. Names are hints for listings and messages, never for decoding."""

from __future__ import annotations

import codecs
import re
from collections.abc import Mapping
from typing import Literal

Modality = Literal["image", "audio", "video", "text"]

HEAD_BYTES = 4096  # what a caller need read of a file: the headers that are looked at lie within

UNKNOWN = "application/octet-stream"
EMPTY = "application/x-empty"

# (offset, bytes, media type), most telling first
_MAGIC = (
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\0", "image/tiff"),
    (b"MM\0*", "image/tiff"),
    (b"II+\0", "image/tiff"),
    (b"MM\0+", "image/tiff"),
    (b"\0\0\0\x0cjP  \r\n\x87\n", "image/jp2"),
    (b"\xff\x4f\xff\x51", "image/jp2"),
    (b"\0\0\0\x0cJXL \r\n\x87\n", "image/jxl"),
    (b"\xff\x0a", "image/jxl"),
    (b"\0\0\x01\0", "image/x-icon"),
    (b"\x76\x2f\x31\x01", "image/x-exr"),
    (b"#?RADIANCE", "image/vnd.radiance"),
    (b"8BPS\0", "image/vnd.adobe.photoshop"),
    (b"fLaC", "audio/flac"),
    (b"ID3", "audio/mpeg"),
    (b".snd", "audio/basic"),
    (b"#!AMR", "audio/amr"),
    (b"wvpk", "audio/x-wavpack"),
    (b"TTA1", "audio/x-tta"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "audio/x-w64"),
    (b"caff\0\x01", "audio/x-caf"),
    (b"MThd", "audio/midi"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"\x1f\x8b", "application/gzip"),
    (b"BZh", "application/x-bzip2"),
    (b"\xfd7zXZ\0", "application/x-xz"),
    (b"\x28\xb5\x2f\xfd", "application/zstd"),
    (b"PK\x03\x04", "application/zip"),
    (b"PAR1", "application/vnd.apache.parquet"),
    (b"%PDF-", "application/pdf"),
)
_BY_FIRST_BYTE: dict[int, list[tuple[bytes, str]]] = {}  # every file of a run is looked at: most tests are not made
for _magic, _kind in _MAGIC:
    _BY_FIRST_BYTE.setdefault(_magic[0], []).append((_magic, _kind))
_RIFF = {b"WAVE": "audio/wav", b"WEBP": "image/webp", b"AVI ": "video/x-msvideo"}
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"M4P ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
_NETPBM = re.compile(rb"P[1-7]\s")
_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{"\]])')
_PROLOG = r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE\s+(?!svg|html)[^\[>]*(?:\[.*?\]\s*)?>\s*)*"
_SVG = re.compile(_PROLOG + r"<(?:!DOCTYPE\s+svg|(?:\w+:)?svg[\s/>])", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(_PROLOG + r"<(?:!DOCTYPE\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL)
_CONTROLS = re.compile("[\0-\x07\x0e-\x1a\x1c-\x1f]")  # those that no text has: not tabs, line ends, escapes

_NAMED: Mapping[Modality, str] = {
    "image": "jpg jpeg jpe jfif png webp gif bmp dib tif tiff avif heic heif jp2 jxl pnm ppm pgm pbm svg ico",
    "audio": "wav wave flac ogg oga opus mp3 m4a m4b aac aif aiff aifc au snd amr caf wma w64 rf64 wv tta ac3 eac3 ec3",
    "video": "mp4 m4v mov mkv webm avi mpg mpeg ts m2ts mts ogv flv wmv 3gp",
    "text": "txt text caption md",
}
_EXTENSIONS: Mapping[str, Modality] = {name: kind for kind, names in _NAMED.items() for name in names.split()}


def media_type(head: bytes) -> str:
    """The media type of bytes from their beginning, `HEAD_BYTES` of it or all there are.

    Returns:
        "image/png", "audio/ogg", "video/mp4", "text/plain", "application/json"...; "application/x-empty" for none,
        "application/octet-stream" for what is not known. The containers that hold sound or film (mp4, matroska, ogg)
        are told apart by the tracks that the head names.

    >>> media_type(b"Hello world"), media_type(b'{"a": 1}'), media_type(b"")
    ('text/plain', 'application/json', 'application/x-empty')
    """
    head = head[:HEAD_BYTES]
    if not head:
        return EMPTY
    for magic, kind in _BY_FIRST_BYTE.get(head[0], ()):
        if head.startswith(magic):
            return kind
    if head.startswith(b"ustar", 257):
        return "application/x-tar"
    return _container(head) or _bare_stream(head) or _textual(head) or UNKNOWN


def modality(media_type: str) -> Modality | None:
    """The modality that a media type belongs to; None for archives, documents and unknown bytes.

    >>> modality("video/webm"), modality("application/gzip")
    ('video', None)
    """
    kind = media_type.partition("/")[0]
    return kind if kind in ("image", "audio", "video", "text") else None  # type: ignore[return-value]


def modality_of_name(name: str) -> Modality | None:
    """The modality that a file's extension promises; None without one that is known.

    >>> modality_of_name("a/B.JPG"), modality_of_name("README"), modality_of_name(".png")
    ('image', None, None)
    """
    return _EXTENSIONS.get(extension(name))


def extension(name: str) -> str:
    """The extension of a path's last part, in lower case and without its dot; "" for none, and for a hidden file.

    >>> extension("a.b/c.TAR.GZ"), extension(".hidden")
    ('gz', '')
    """
    base = name.rpartition("/")[2]
    stem, _, last = base.rpartition(".")
    return last.lower() if stem.strip(".") else ""


def holds(data: bytes, name: str = "") -> str:
    """What bytes are, in words that end an error message; with the name when that says otherwise.

    >>> holds(b"Hello world, and all who live in it", "a.jpg")
    'it is named .jpg but holds text ("Hello world, and all who...")'
    >>> holds(b"")
    'it is empty'
    """
    head = data[:HEAD_BYTES]
    kind = media_type(head)
    if kind == EMPTY:
        return "it is empty"
    what = _in_words(head, kind)
    promised = modality_of_name(name)
    if promised is not None and promised != modality(kind):
        return f"it is named .{extension(name)} but holds {what}"
    return f"it holds {what}"


def _in_words(head: bytes, kind: str) -> str:
    if kind in ("text/plain", "application/json", "text/html") and not head.startswith((b"\xff\xfe", b"\xfe\xff")):
        begin = " ".join(head.decode("utf-8", "replace").split())
        label = {"text/plain": "text", "application/json": "JSON", "text/html": "HTML"}[kind]
        return f'{label} ("{begin[:24].rstrip()}...")' if len(begin) > 24 else f'{label} ("{begin}")'
    if kind == UNKNOWN:
        return f"bytes of no known kind ({head[:8].hex(' ')})"
    return kind


def _container(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM" and head[8:12] in (b"AIFF", b"AIFC"):
        return "audio/aiff"
    if head[4:8] == b"ftyp" or head[4:8] in (b"moov", b"mdat", b"wide"):
        return _iso_media(head)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        name = "webm" if b"webm" in head[:64] else "x-matroska"
        return f"{'audio' if b'A_' in head and b'V_' not in head else 'video'}/{name}"
    if head.startswith(b"OggS"):
        return "video/ogg" if b"\x80theora" in head else "audio/ogg"
    return None


def _iso_media(head: bytes) -> str:
    """ISO base media files (mp4, mov, avif...) by their brands; mp4 without a brand for sound by its tracks."""
    if head[4:8] != b"ftyp":
        return "video/quicktime"
    size = min(int.from_bytes(head[:4], "big"), len(head))
    for brand in (head[at : at + 4] for at in (8, *range(16, size, 4))):
        if brand in _BRANDS:
            return _BRANDS[brand]
        if brand.startswith(b"3gp"):
            return "video/3gpp"
    return "audio/mp4" if b"soun" in head and b"vide" not in head else "video/mp4"


def _bare_stream(head: bytes) -> str | None:
    """Formats whose marks are short, so that more than the mark must fit."""
    if len(head) >= 4 and head[0] == 0xFF and head[1] & 0xE0 == 0xE0:
        version, layer, bit_rate, rate = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
        if layer == 0 and head[1] & 0xF6 == 0xF0:
            return "audio/aac"
        if version != 1 and layer in (1, 2) and bit_rate != 15 and rate != 3:  # Layer I begins as UTF-16's mark does
            return "audio/mpeg"
    if head[:2] == b"\x0b\x77" and len(head) > 6 and head[4] >> 6 != 3:  # 48, 44.1 or 32 kHz
        version = head[5] >> 3
        return "audio/ac3" if version <= 8 else "audio/eac3" if 10 < version <= 16 else None
    if head[:1] == b"\x47" and len(head) > 376 and head[188] == head[376] == 0x47:
        return "video/mp2t"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "image/bmp"
    return "image/x-portable-anymap" if _NETPBM.match(head) else None


def _textual(head: bytes) -> str | None:
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):
        return "text/plain"
    try:
        text = codecs.getincrementaldecoder("utf-8-sig")().decode(head)  # a character cut at the end is no fault
    except UnicodeDecodeError:
        return None
    if _CONTROLS.search(text):
        return None
    if text.lstrip().startswith("<"):
        if _SVG.match(text):
            return "image/svg+xml"
        return "text/html" if _HTML.match(text) else "text/plain"
    return "application/json" if _JSON.match(text) else "text/plain"
