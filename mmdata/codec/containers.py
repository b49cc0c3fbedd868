"""Containers of sound and film: what FFmpeg finds wrong with them, and whether their bytes are all there."""

from __future__ import annotations

import io
import struct
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, BinaryIO

from mmdata.codec.sniff import after_id3
from mmdata.errors import DecodeError, MissingExtra

_LOW_KBPS = (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160)
_KBPS = {  # by MPEG-1 or not, and layer as it is coded: Layer III is 1, Layer II 2
    (True, 1): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (True, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (False, 1): _LOW_KBPS,
    (False, 2): _LOW_KBPS,
}
Sliced = Any  # bytes, or a `FileBytes`: what has a length and slices
_PIECE_BYTES = 1 << 20
_UNKNOWN_SIZES = (0, 0xFFFFFFFF)  # what a writer that could not seek back leaves


class FileBytes:
    """A file's bytes as slices, each read when it is asked for."""

    def __init__(self, file: BinaryIO) -> None:
        self._file, self._size = file, file.seek(0, io.SEEK_END)

    def __len__(self) -> int:
        return self._size

    def __getitem__(self, where: slice) -> bytes:
        first, last, _ = where.indices(self._size)
        self._file.seek(first)
        return self._file.read(max(0, last - first))


@contextmanager
def ffmpeg_errors() -> Iterator[None]:
    """Turn what PyAV raises on bad bytes into `DecodeError`, and keep FFmpeg off standard error.

    Raises:
        MissingExtra: there is no PyAV: the extra "audio" alone reads what libsndfile knows.
    """
    try:
        import av
    except ModuleNotFoundError:
        raise MissingExtra("codec", ["FFmpeg is needed to read this: pip install 'mmdata[video]'"]) from None

    av.logging.set_level(None)
    try:
        yield
    except (av.FFmpegError, ValueError, OverflowError, EOFError, MemoryError) as error:
        raise DecodeError(f"FFmpeg can't decode it: {getattr(error, 'strerror', None) or error}") from None


def cut_short(data: Sliced, media_type: str) -> str | None:
    """What of a file is missing, by the sizes that its format gives; None when nothing is, or it can't be told."""
    reader = _READERS.get(media_type)
    if reader is None:
        return None
    try:
        return reader(data)
    except (struct.error, IndexError):
        return "its headers break off"


def _unpacked(form: str, data: Sliced, at: int) -> tuple[Any, ...]:
    return struct.unpack(form, data[at : at + struct.calcsize(form)])


def _last(word: bytes, data: Sliced) -> int:
    """Where a word stands last; it begins with 0 where it is not there."""
    end = len(data)
    while end > 0:
        first = max(0, end - _PIECE_BYTES)
        piece: bytes = data[first : end + len(word) - 1]
        if word in piece:
            return first + piece.rfind(word)
        end = first
    return 0


def _lacking(kind: str, size: int, there: int) -> str | None:
    return f"{kind} of {size:,} bytes has {there:,}" if size > there else None


def _riff(data: Sliced) -> str | None:
    """RIFF's chunks up to the data: WAV's samples, or AVI's list of frames."""
    wide, at = 0, 12
    while at + 8 <= len(data):
        kind, size = _unpacked("<4sI", data, at)
        if kind == b"ds64":
            (wide,) = _unpacked("<Q", data, at + 16)
        if kind == b"data" or (kind == b"LIST" and data[at + 8 : at + 12] == b"movi"):
            size = wide if size == 0xFFFFFFFF and wide else size
            return None if size in _UNKNOWN_SIZES else _lacking(f"its {kind.decode()} chunk", size, len(data) - at - 8)
        at += 8 + size + (size & 1)
    return "it has no data chunk"


def _w64(data: bytes) -> str | None:
    """Wave64's chunks, whose names are of 16 bytes and whose sizes count their heads."""
    at = 40
    while at + 24 <= len(data):
        (size,) = _unpacked("<Q", data, at + 16)
        if data[at : at + 4] == b"data":
            return None if size <= 24 else _lacking("its data chunk", size, len(data) - at)
        if size < 24:
            return "a chunk is smaller than its head"
        at += -(-size // 8) * 8
    return "it has no data chunk"


def _aiff(data: Sliced) -> str | None:
    at = 12
    while at + 8 <= len(data):
        kind, size = _unpacked(">4sI", data, at)
        if kind == b"SSND":
            return _lacking("its SSND chunk", size, len(data) - at - 8)
        at += 8 + size + (size & 1)
    return "it has no SSND chunk"


def _form(data: Sliced) -> str | None:
    """A file that is one IFF chunk: of 32 bits of length, or of 64 (FRM8, as DSDIFF has it)."""
    is_long = data[:4] == b"FRM8"
    (size,) = _unpacked(">Q" if is_long else ">I", data, 4)
    return _lacking("its form", size, len(data) - (12 if is_long else 8))


def _dsf(data: Sliced) -> str | None:
    (size,) = _unpacked("<Q", data, 12)
    return _lacking("its file", size, len(data))


def _au(data: Sliced) -> str | None:
    first, size = _unpacked(">II", data, 4)
    if first > len(data):
        return _lacking("its header", first, len(data))
    return None if size in _UNKNOWN_SIZES else _lacking("its data", size, len(data) - first)


def _caf(data: Sliced) -> str | None:
    at = 8
    while at + 12 <= len(data):
        kind, size = _unpacked(">4sq", data, at)
        if kind == b"data":
            return None if size == -1 else _lacking("its data chunk", size, len(data) - at - 12)
        if size < 0:
            return "a chunk has a negative size"
        at += 12 + size
    return "it has no data chunk"


def _ogg(data: Sliced) -> str | None:
    """Whether the last page is whole and is marked as the last of its stream (RFC 3533, section 6)."""
    at = _last(b"OggS", data)
    n_segments = data[at + 26 : at + 27][0]
    end = at + 27 + n_segments + sum(data[at + 27 : at + 27 + n_segments])
    if len(data) < end:
        return _lacking("its last page", end - at, len(data) - at)
    return None if data[at + 5 : at + 6][0] & 4 else "its last page is not marked as the end"


def _mpeg_audio(data: bytes) -> str | None:
    """MPEG audio frames (ISO/IEC 11172-3, 2.4.1.3, and 13818-3), one after the other to the end or to a closing tag."""
    at = after_id3(data)
    while at < len(data) and not data[at]:
        at += 1  # padding after the tag
    if at == len(data):
        return "it has no frame"
    kind = data[at + 1] & 0xFE, data[at + 2] & 0x0C
    while at < len(data):
        size = _mpeg_frame_bytes(data[at : at + 4])
        if size is None or (data[at + 1] & 0xFE, data[at + 2] & 0x0C) != kind:
            closed = data.startswith((b"TAG", b"APETAGEX", b"LYRICSBEGIN", b"ID3"), at) or not data[at:].strip(b"\0")
            return None if closed else f"at byte {at:,} of {len(data):,} no frame begins"
        if at + size > len(data):
            return _lacking("its last frame", size, len(data) - at)
        at += size
    return None


def _mpeg_frame_bytes(header: bytes) -> int | None:
    """The length of the frame that a header begins; None when it begins none, or is of free bit rate."""
    if len(header) < 4 or header[0] != 0xFF or header[1] & 0xE0 != 0xE0:
        return None
    version, layer = header[1] >> 3 & 3, header[1] >> 1 & 3  # 3 is MPEG-1, 2 MPEG-2, 0 MPEG-2.5; 1 is Layer III, 2 II
    rates, index, rate = _KBPS.get((version == 3, layer)), header[2] >> 4, header[2] >> 2 & 3
    if rates is None or version == 1 or index in (0, 15) or rate == 3:
        return None
    rate_hz = (44100, 48000, 32000)[rate] >> {3: 0, 2: 1, 0: 2}[version]
    n_samples = 576 if layer == 1 and version != 3 else 1152
    return n_samples // 8 * 1000 * rates[index - 1] // rate_hz + (header[2] >> 1 & 1)


def _iso_media(data: Sliced) -> str | None:
    """ISO base media's top-level boxes (ISO/IEC 14496-12, 4.2): each whole, and a `moov` or fragments among them."""
    at, kinds = 0, set()
    while at + 8 <= len(data):
        size, kind = _unpacked(">I4s", data, at)
        if size == 1:
            (size,) = _unpacked(">Q", data, at + 8)
        elif size == 0:
            size = len(data) - at
        if size < 8:
            return f"its box at byte {at:,} has a size of {size}"
        if size > len(data) - at:
            return _lacking(f"its {kind.decode('ascii', 'backslashreplace')} box", size, len(data) - at)
        kinds.add(kind)
        at += size
    return None if b"moov" in kinds else "it has no moov box, which says where its frames lie"


def _matroska(data: Sliced) -> str | None:
    """EBML's head and Segment (RFC 8794): whether the Segment is as long as it says."""
    at = 4
    size, at = _ebml_size(data, at)
    at += size or 0
    if data[at : at + 4] != b"\x18\x53\x80\x67":
        return "it has no Segment"
    size, at = _ebml_size(data, at + 4)
    return None if size is None else _lacking("its Segment", size, len(data) - at)


def _ebml_size(data: Sliced, at: int) -> tuple[int | None, int]:
    """A variable-length size and where it ends; None when it is the reserved word for unknown."""
    length = 9 - data[at : at + 1][0].bit_length()
    if length > 8:
        return 0, at + 1
    value = int.from_bytes(data[at : at + length], "big") & ((1 << 7 * length) - 1)
    return (None if value == (1 << 7 * length) - 1 else value), at + length


_READERS: Mapping[str, Callable[[bytes], str | None]] = {
    "audio/wav": _riff,
    "audio/aiff": _aiff,
    "audio/basic": _au,
    "audio/x-8svx": _form,
    "audio/x-caf": _caf,
    "audio/x-dff": _form,
    "audio/x-dsf": _dsf,
    "audio/x-w64": _w64,
    "audio/mpeg": _mpeg_audio,
    "audio/ogg": _ogg,
    "video/ogg": _ogg,
    "video/x-msvideo": _riff,
    **dict.fromkeys(("audio/mp4", "video/mp4", "video/quicktime", "video/3gpp"), _iso_media),
    **dict.fromkeys(("audio/webm", "audio/x-matroska", "video/webm", "video/x-matroska"), _matroska),
}
