"""What came of a request: bytes in parts, and whether they are what was asked for."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

from mmdata.codec.sniff import HEAD_BYTES, UNKNOWN, Modality, holds, media_type, modality
from mmdata.source.urls.manners import NotFetched

DIGESTS = {32: "md5", 40: "sha1", 64: "sha256", 128: "sha512"}  # by the number of hex digits
_FITS: Mapping[Modality, frozenset[str]] = {
    "image": frozenset(("image",)),
    "audio": frozenset(("audio", "video")),  # the sound of a film
    "video": frozenset(("video", "image/gif", "image/webp")),
    "text": frozenset(("text", "application/json")),
}


@dataclass(frozen=True)
class Wanted:
    """One URL to be fetched.

    Args:
        url: http or https. expected: what it should be; None takes anything but an HTML page. digest: "sha256:HEX" and
            the like; "" where none is known.
    """

    url: str
    expected: Modality | None = None
    digest: str = ""


@dataclass
class Got:
    """The bytes of an answer so far.

    Args:
        validator: what tells that a later answer is of the same bytes: a strong ETag, or Last-Modified. type: as the
            server names it.
    """

    chunks: list[bytes] = field(default_factory=list)
    size: int = 0
    validator: str = ""
    type: str = ""

    def headers(self) -> dict[str, str]:
        """What asks for the rest; nothing when there is no beginning, or no way to tell that it belongs to it."""
        return {"Range": f"bytes={self.size}-", "If-Range": self.validator} if self.is_resumable else {}

    @property
    def is_resumable(self) -> bool:
        return bool(self.size and self.validator)

    def add(self, chunk: bytes) -> None:
        self.chunks.append(chunk)
        self.size += len(chunk)

    def clear(self) -> None:
        self.chunks, self.size, self.validator = [], 0, ""

    def learn(self, headers: Mapping[str, str]) -> None:
        """Take what the headers say of the bytes."""
        self.type = headers.get("Content-Type", "").partition(";")[0].strip().lower()
        etag = headers.get("ETag", "")
        packed = headers.get("Content-Encoding", "identity") != "identity"
        if packed or headers.get("Accept-Ranges", "").lower() == "none":
            self.validator = ""
        else:
            self.validator = etag if etag and not etag.startswith("W/") else headers.get("Last-Modified", "")


def check(wanted: Wanted, data: bytes, named: str) -> None:
    """Refuse bytes that are not what was asked for.

    Args:
        wanted: the URL and what is known of it.
        data: the whole answer.
        named: the type that the server gave.

    Raises:
        NotFetched: an HTML page in place of a picture, another digest.
    """
    found = media_type(data[:HEAD_BYTES])
    if not _fits(named if found == UNKNOWN else found, wanted.expected):
        expected = f"expected {wanted.expected}" if wanted.expected else "expected media"
        says = f", and the server calls it {named}" if named else ""
        raise NotFetched("wrong_type", f"{wanted.url}: {expected}; {holds(data)}{says}")
    algorithm, _, digest = wanted.digest.partition(":")
    if digest and hashlib.new(algorithm, data, usedforsecurity=False).hexdigest() != digest:
        raise NotFetched("wrong_digest", f"{wanted.url}: its {algorithm} is not that of the manifest, {digest}")


def _fits(found: str, expected: Modality | None) -> bool:
    """Whether a type may be what is expected; where nobody knows, the decoder will judge."""
    if expected is None:
        return found != "text/html"
    return found in ("", UNKNOWN) or not _FITS[expected].isdisjoint((found, modality(found)))


def wait_s(value: str | None) -> float | None:
    """The seconds of a Retry-After, which is a number or a date; None where it says nothing.

    >>> wait_s("120"), wait_s(None), wait_s("soon"), wait_s("Wed, 21 Oct 2015 07:28:00 GMT")
    (120.0, None, None, 0.0)
    """
    if not value:
        return None
    if value.strip().isdigit():
        return float(value)
    try:
        at = parsedate_to_datetime(value)
    except ValueError:
        return None
    return max(0.0, (at.replace(tzinfo=at.tzinfo or UTC) - datetime.now(UTC)).total_seconds())
