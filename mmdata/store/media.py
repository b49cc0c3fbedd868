"""Media as WebDataset shards: tars that are the same bytes for the same samples, and the index beside them.

A sample's members follow each other, `KEY.PART.EXTENSION` for each part and `KEY.json` for the rest. WebDataset takes
all up to the first dot of a name's last component as the key, so keys are percent-encoded where that would mislead it.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from typing import Protocol
from urllib.parse import unquote

from mmdata.store.layout import DataFile

_BLOCK = 512
# dots end a WebDataset key; the others are not safe in file names or in shells
_UNSAFE = re.compile("[%.\\\\\"'<>:|?*\x00-\x1f\x7f]")
_UNSAFE_IN_PART = re.compile("[%/\\\\\"'<>:|?*\x00-\x20\x7f]")
_LARGEST = 8**11 - 1  # eleven octal digits; a larger member says its size in a PAX header
_MODE = b"0000644\x000000000\x000000000\x00"
_NO_TIME = b"00000000000\x00"
# the name that a link has, the magic, owner and group without names, device numbers, the prefix, and padding
_AFTER_KIND = bytes(100) + b"ustar\x0000" + bytes(64) + b"0000000\x000000000\x00" + bytes(167)
_CONSTANT_SUM = sum(_MODE) + sum(_NO_TIME) + sum(_AFTER_KIND) + 8 * ord(" ")


class Sink(Protocol):
    """Where a tar is written to."""

    def write(self, data: bytes, /) -> int:
        """Append bytes."""


def _percent(found: re.Match[str]) -> str:
    return f"%{ord(found[0]):02X}"


def safe_key(key: str) -> str:
    """A key as a member's name: no two keys share one, and unpacking never leaves the folder.

    >>> safe_key("clips/a.b.mp4@1.5-2"), safe_key("../x")
    ('clips/a%2Eb%2Emp4@1%2E5-2', '%2E%2E/x')
    """
    if "//" in key or key.startswith("/") or key.endswith("/"):
        key = "%2F".join(_encode(piece) for piece in re.split("(?:(?<=/)|^)/|/$", key))
        return _hide_dunder(key)
    return _hide_dunder(_encode(key))


def _encode(text: str) -> str:
    return _UNSAFE.sub(_percent, text)


def _hide_dunder(name: str) -> str:
    """WebDataset skips members with a component of the form `__x__`."""
    return re.sub(r"(^|/)_(?=_[^/]*__($|/))", r"\1%5F", name) if "__" in name else name


def key_of(member: str) -> str:
    """The key that `safe_key` encoded."""
    return unquote(member, errors="surrogateescape")


def suffixes(parts: Iterable[tuple[str, str]]) -> list[str]:
    """`PART.EXTENSION` of each (part, extension): still distinct when WebDataset has taken them to lower case."""
    used: set[str] = {"json"}
    found = []
    for part, extension in parts:
        suffix = f"{_UNSAFE_IN_PART.sub(_percent, part)}.{_UNSAFE_IN_PART.sub(_percent, extension)}"
        if suffix.lower() in used:
            suffix = re.sub("[A-Z]", _percent, suffix)
        used.add(suffix.lower())
        found.append(suffix)
    return found


def header(name: bytes, size: int, kind: bytes = b"0") -> bytes:
    """A ustar header of 512 bytes: time 0, owner 0, mode 644. `name` has at most 100 bytes, `size` 11 octal digits."""
    length = b"%011o\x00" % size
    checksum = _CONSTANT_SUM + sum(name) + sum(length) + kind[0]
    return b"%s%s%s%s%06o\x00 %s%s" % (
        name.ljust(100, b"\x00"),
        _MODE,
        length,
        _NO_TIME,
        checksum,
        kind,
        _AFTER_KIND,
    )


def _pax(name: bytes, size: int) -> bytes:
    """An extended header for what ustar has no room for: long names, names that are not ASCII, 8 GiB and more."""
    records = _record(b"path", name)
    if size > _LARGEST:
        records += _record(b"size", b"%d" % size)
    return header(b"PaxHeaders/mmdata", len(records), b"x") + records + bytes(-len(records) % _BLOCK)


def _record(keyword: bytes, value: bytes) -> bytes:
    """`LENGTH KEYWORD=VALUE`, where LENGTH counts its own digits too (POSIX pax)."""
    rest = len(keyword) + len(value) + 3
    length = rest + len(str(rest))
    length = rest + len(str(length))
    return b"%d %s=%s\n" % (length, keyword, value)


class TarWriter:
    """Writes members to a sink, one after the other; closing it ends the archive but not the sink."""

    def __init__(self, sink: Sink) -> None:
        self._sink = sink
        self._at = 0

    def add(self, name: str, data: bytes) -> int:
        """Append a file; returns where its data starts, in bytes."""
        raw, size = name.encode(), len(data)
        head = b""
        if len(raw) > 100 or size > _LARGEST or not name.isascii():
            head = _pax(raw, size)
            raw = name.encode("ascii", "replace")[:100]
        head += header(raw, min(size, _LARGEST))
        self._sink.write(head)
        self._sink.write(data)
        if padding := -size % _BLOCK:
            self._sink.write(bytes(padding))
        start = self._at + len(head)
        self._at = start + size + padding
        return start

    def close(self) -> None:
        """End the archive: two empty blocks."""
        self._sink.write(bytes(2 * _BLOCK))


def index(files: Iterable[DataFile], *, name: str) -> bytes:
    """The list of live shards in the form of `wids`, in order of their names."""
    listed = sorted((file.media.path, file) for file in files if file.media is not None)
    shards = [
        {"url": path.rpartition("/")[2], "nsamples": file.rows, "filesize": file.media.size_bytes if file.media else 0}
        for path, file in listed
    ]
    value = {"__kind__": "wids-shard-index-v1", "wids_version": 1, "name": name, "shardlist": shards}
    return json.dumps(value, indent=1, sort_keys=True).encode()
