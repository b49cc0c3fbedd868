"""Stored bytes as a browser may have them: in ranges, under a type that it can't make a document of."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mmdata.codec.sniff import HEAD_BYTES, media_type

Read = Callable[[int, int], bytes]  # the bytes from an offset on, so many

BLOCK = 1 << 20
MEDIA_POLICY = "default-src 'none'; sandbox"
# what a browser shows as a picture, plays, or reads as a track; all else is a file to be saved
SHOWN = {
    "image/png", "image/jpeg", "image/gif", "image/webp", "image/avif", "image/bmp", "image/x-icon",
    "audio/wav", "audio/flac", "audio/ogg", "audio/mpeg", "audio/mp4", "audio/aac", "audio/webm",
    "video/mp4", "video/webm", "video/ogg", "video/quicktime", "video/x-matroska", "video/3gpp",
}  # fmt: skip
_ONE_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})")
_CAPTIONS = "text/vtt"


@dataclass(frozen=True)
class Held:
    """Bytes that can be read in ranges.

    Args:
        read: reads some. size: how many there are. identity: equal for equal bytes. name: for who saves them.
    """

    read: Read
    size: int
    identity: str
    name: str

    @property
    def etag(self) -> str:
        return f'"{blake2b(self.identity.encode(), digest_size=12).hexdigest()}"'

    @property
    def kind(self) -> str:
        """The media type, told by the bytes alone."""
        head = self.read(0, min(HEAD_BYTES, self.size)) if self.size else b""
        return _CAPTIONS if head.removeprefix(b"\xef\xbb\xbf").startswith(b"WEBVTT") else media_type(head)


def answer(request: Request, held: Held) -> Response:
    """The whole, or the one range that was asked for; several at once are answered by the whole (RFC 9110, 14.2)."""
    kind = held.kind
    is_shown = kind in SHOWN or kind == _CAPTIONS
    headers = {
        "Accept-Ranges": "bytes",
        "ETag": held.etag,
        "Cache-Control": "private, no-cache",
        "Content-Security-Policy": MEDIA_POLICY,
        "Content-Disposition": _disposition("inline" if is_shown else "attachment", held.name),
    }
    media = kind if is_shown else "application/octet-stream"
    if _is_known(request.headers.get("if-none-match", ""), held.etag):
        return Response(status_code=304, headers=headers)
    first, last = 0, held.size - 1
    given = request.headers.get("range", "") if request.headers.get("if-range", held.etag) == held.etag else ""
    asked = _range(given, held.size)
    if asked is not None:
        first, last = asked
        if first > last:
            return Response(status_code=416, headers=headers | {"Content-Range": f"bytes */{held.size}"})
        headers["Content-Range"] = f"bytes {first}-{last}/{held.size}"
    headers["Content-Length"] = str(last - first + 1)
    status = 206 if asked is not None else 200
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=media)
    return StreamingResponse(_blocks(held, first, last + 1), status, headers, media)


def _range(given: str, size: int) -> tuple[int, int] | None:
    """First and last byte that a Range asks for; None where it is not one range of bytes, first > last where none is.

    >>> _range("bytes=2-", 10), _range("bytes=-3", 10), _range("bytes=4-99", 10), _range("bytes=0-1,4-5", 10)
    ((2, 9), (7, 9), (4, 9), None)
    """
    found = _ONE_RANGE.fullmatch(given.strip())
    if found is None or not (found[1] or found[2]):
        return None
    if not found[1]:
        return (max(0, size - int(found[2])), size - 1) if int(found[2]) and size else (1, 0)
    first = int(found[1])
    last = min(int(found[2]), size - 1) if found[2] else size - 1
    if found[2] and int(found[2]) < first:
        return None  # no range at all: it is passed over
    return (first, last) if first < size else (1, 0)


def _is_known(given: str, etag: str) -> bool:
    return given.strip() == "*" or etag in (each.strip().removeprefix("W/") for each in given.split(","))


def _blocks(held: Held, first: int, end: int) -> Iterator[bytes]:
    for start in range(first, end, BLOCK):
        yield held.read(start, min(BLOCK, end - start))


def _disposition(how: str, name: str) -> str:
    """RFC 6266, with the name in RFC 5987's form, in which nothing of it can end the header."""
    last = name.rstrip("/").rpartition("/")[2] or "part"
    return f"{how}; filename*=UTF-8''{quote(last, safe='')}"
