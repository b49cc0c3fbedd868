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
    (b".snd", "audio/basic"),
    (b"#!AMR", "audio/amr"),
    (b"wvpk", "audio/x-wavpack"),
    (b"TTA1", "audio/x-tta"),
    (b"Creative Voice File\x1a", "audio/x-voc"),
    (b"NIST_1A\n", "audio/x-nist"),
    (b"DSD \x1c\0\0\0", "audio/x-dsf"),
    (b"FRM8\0\0\0\0", "audio/x-dff"),
    (b"\x7f\xfe\x80\x01", "audio/vnd.dts"),
    (b"\xfe\x7f\x01\x80", "audio/vnd.dts"),
    (b"\x1f\xff\xe8\0", "audio/vnd.dts"),
    (b"\xff\x1f\0\xe8", "audio/vnd.dts"),
    (b"DTSHDHDR", "audio/vnd.dts.hd"),
    (b".ra\xfd", "audio/x-pn-realaudio"),
    (b"EA3\x01", "audio/x-oma"),
    (b"ea3\x03", "audio/x-oma"),
    (b"TWIN97012000", "audio/x-twinvq"),
    (b"riff\x2e\x91\xcf\x11\xa5\xd6\x28\xdb\x04\xc1\0\0", "audio/x-w64"),
    (b"caff\0\x01", "audio/x-caf"),
    (b"MThd", "audio/midi"),
    (b"FLV\x01", "video/x-flv"),
    (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "video/x-ms-asf"),
    (b"\0\0\x01\xba", "video/mpeg"),
    (b"\0\0\x01\xb3", "video/mpeg"),
    (b"\0\0\x01\xb0", "video/x-m4v"),
    (b"\x06\x0e\x2b\x34\x02\x05\x01\x01\x0d\x01\x02\x01\x01\x02", "video/mxf"),
    (b"nut/multimedia container\0", "video/x-nut"),
    (b"\0\0\0\0\x01\xbc\0\0", "video/x-gxf"),
    (b"\xb7\xd8\0\x20\x37\x49\xda\x11\xa6\x4e\0\x07\xe9\x5e\xad\x8d", "video/x-wtv"),
    (b"DKIF\0\0", "video/x-ivf"),
    (b"YUV4MPEG2 ", "video/x-yuv4mpeg"),
    (b"\x1f\x07\0\x3f", "video/x-dv"),
    (b"\x1f\x07\0\xbf", "video/x-dv"),
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
# marks that text may begin with, so that they count only where what follows is none
_LETTERED = (
    (re.compile(rb"MAC .[\x0e-\x13]", re.DOTALL), "audio/x-ape"),  # with its version, 3.60 to 5.11
    (re.compile(rb"MP\+[\x07\x17\x27\x37\x47]"), "audio/x-musepack"),
    (re.compile(rb"MPCK"), "audio/x-musepack8"),
    (re.compile(rb"tBaK"), "audio/x-tak"),
    (re.compile(rb"ajkg[\x01-\x03]"), "audio/x-shorten"),
    (re.compile(rb"qoaf"), "audio/x-qoa"),
    (re.compile(rb"NSV[fs]"), "video/x-nsv"),
)
_RIFF = {
    b"WAVE": "audio/wav", b"QLCM": "audio/qcelp", b"XWMA": "audio/x-xwma",
    b"WEBP": "image/webp", b"AVI ": "video/x-msvideo",
}  # fmt: skip
_FORM = {
    b"AIFF": "audio/aiff", b"AIFC": "audio/aiff",
    b"8SVX": "audio/x-8svx", b"16SV": "audio/x-8svx", b"MAUD": "audio/x-8svx",
}  # fmt: skip
_ATOMS = (b"moov", b"mdat", b"wide", b"free", b"skip", b"pnot")
# a bare H.264 or HEVC stream: a start code, and the parameters or the delimiter that a decoder needs first
_AVC = re.compile(rb"\0?\0\0\x01(?:[\x27\x47\x67]|\x09[\x10\x30\x50\x70\x90\xb0\xd0\xf0]\0)")
_HEVC = re.compile(rb"\0?\0\0\x01(?:\x40\x01\x0c|\x46\x01)")
_BARE: Mapping[str, str] = {"video/h264": "H.264", "video/h265": "HEVC", "video/x-m4v": "MPEG-4"}
_OGG_PICTURES = re.compile(rb"\x80theora|\x01video\0|OVP80|BBCD")
_BRANDS = {
    b"avif": "image/avif", b"avis": "image/avif", b"heic": "image/heic", b"heix": "image/heic", b"mif1": "image/heic",
    b"M4A ": "audio/mp4", b"M4B ": "audio/mp4", b"M4P ": "audio/mp4", b"qt  ": "video/quicktime",
}  # fmt: skip
_PACKETS = ((0, 188), (4, 192), (0, 204))  # where a transport stream's marks begin, and how far they are apart
_BMP_HEADER_BYTES = (12, 16, 40, 52, 56, 64, 108, 124)
_ID3 = re.compile(rb"ID3[\x02-\x04]")
_NETPBM = re.compile(rb"P[1-7]\s")
_JSON = re.compile(r'\s*(\{\s*["}]|\[\s*[\[{"\]])')
_PROLOG = r"\s*(?:<\?.*?\?>\s*|<!--.*?-->\s*|<!DOCTYPE\s+(?!svg|html)[^\[>]*(?:\[.*?\]\s*)?>\s*)*"
_SVG = re.compile(_PROLOG + r"<(?:!DOCTYPE\s+svg|(?:\w+:)?svg[\s/>])", re.IGNORECASE | re.DOTALL)
_HTML = re.compile(_PROLOG + r"<(?:!DOCTYPE\s+html|html|head|body)[\s>]", re.IGNORECASE | re.DOTALL)
_CONTROLS = re.compile("[\0-\x07\x0e-\x1a\x1c-\x1f]")  # those that no text has: not tabs, line ends, escapes

_NAMED: Mapping[Modality, str] = {
    "image": "jpg jpeg jpe jfif png webp gif bmp dib tif tiff avif heic heif jp2 jxl pnm ppm pgm pbm svg ico",
    "audio": "wav wave flac ogg oga opus mp3 m4a m4b aac aif aiff aifc au snd amr caf wma w64 rf64 wv tta ac3 eac3 ec3"
    " ape mpc tak shn dts dtshd dsf dff ra oma aa3 voc sph nist 8svx qcp vqf qoa mka weba spx mp2 awb mlp thd adx brstm"
    " hca",
    "video": "mp4 m4v mov mkv webm avi mpg mpeg ts m2ts mts ogv flv wmv 3gp"
    " 3g2 f4v vob m2v mxf nut gxf wtv ivf y4m rm rmvb dv nsv asf ogm",
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
    return _container(head) or _bare_stream(head) or _textual(head) or _lettered(head) or UNKNOWN


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
    if kind in _BARE:
        return f"a bare {_BARE[kind]} stream, which does not say when a frame is shown"
    if kind == UNKNOWN:
        return f"bytes of no known kind ({head[:8].hex(' ')})"
    return kind


def _container(head: bytes) -> str | None:
    if head[:4] in (b"RIFF", b"RF64"):
        return _RIFF.get(head[8:12])
    if head[:4] == b"FORM":
        return _FORM.get(head[8:12])
    if head[4:8] == b"ftyp" or (head[4:8] in _ATOMS and _textual(head) is None):
        return _iso_media(head)
    if head.startswith(b"\x1a\x45\xdf\xa3"):
        name = "webm" if b"webm" in head[:64] else "x-matroska"
        return f"{'audio' if b'A_' in head and b'V_' not in head else 'video'}/{name}"
    if head.startswith(b"OggS"):
        return "video/ogg" if _OGG_PICTURES.search(head) else "audio/ogg"
    if head.startswith(b".RMF\0"):
        heard = b"audio/x-pn-" in head and b"video/x-pn-" not in head
        return f"{'audio' if heard else 'video'}/vnd.rn-realmedia"
    return _tagged(head) if _ID3.match(head) else None


def _tagged(head: bytes) -> str:
    """What follows an ID3 tag, where the head holds it and it is sound; else MP3, which mostly does."""
    after = head[after_id3(head) :]
    kind = media_type(after) if after and not after.startswith(b"ID3") else UNKNOWN
    return kind if modality(kind) == "audio" else "audio/mpeg"


def after_id3(data: bytes) -> int:
    """Where an ID3v2 tag (id3.org, v2.4, section 3.1) that bytes begin with is over; 0 without one."""
    if not _ID3.match(data[:4]) or len(data) < 10:
        return 0
    size = data[6] << 21 | data[7] << 14 | data[8] << 7 | data[9]
    return 10 + size + (10 if data[5] & 0x10 else 0)


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
    if head[4:7] == b"\xf8\x72\x6f" and head[7:8] in (b"\xba", b"\xbb"):
        return "audio/x-truehd" if head[7] == 0xBA else "audio/x-mlp"
    if _AVC.match(head) or _HEVC.match(head):
        return "video/h264" if _AVC.match(head) else "video/h265"
    if head[:2] == b"BM" and int.from_bytes(head[14:18], "little") in _BMP_HEADER_BYTES:
        return "image/bmp"
    return "image/x-portable-anymap" if _NETPBM.match(head) else None


def _lettered(head: bytes) -> str | None:
    if any(head[at::size][:3] == b"GGG" for at, size in _PACKETS):
        return "video/mp2t"
    return next((kind for mark, kind in _LETTERED if mark.match(head)), None)


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
