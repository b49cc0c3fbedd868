"""The headers of a tar file, read without its data. Links, devices and names that lead out are told, never followed.

POSIX.1-2001 (ustar and pax) and GNU long names, as Python's `tarfile` reads them, which the tests compare with; but an
archive that breaks off, or ends without its mark, is an error here, and nothing is believed that lies past its end.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

BLOCK = 512
MAX_HEADER_BYTES = 1 << 20  # of a long name or a pax header: a path is 4 KB at most

Kind = Literal["file", "folder", "link", "device", "sparse", "other"]
_KINDS: dict[bytes, Kind] = {
    b"0": "file", b"\0": "file", b"7": "file", b"1": "link", b"2": "link", b"3": "device", b"4": "device",
    b"5": "folder", b"6": "device", b"S": "sparse",
}  # fmt: skip
_WITHOUT_DATA = (b"1", b"2", b"3", b"4", b"5", b"6")
_RECORD = re.compile(rb"(\d{1,20}) ([^=]+)=")


class BrokenTar(ValueError):
    """The archive can't be read past a point; the message says at which byte and why."""


@dataclass(frozen=True, slots=True)
class TarMember:
    """One member: its name as written, and where its `size` bytes begin."""

    name: str
    kind: Kind
    offset: int
    size: int


def members(opened: BinaryIO) -> Iterator[TarMember]:
    """The members of an archive in order.

    Raises:
        BrokenTar: after the last sound member, when the archive goes on unsoundly or ends too soon.
    """
    end = opened.seek(0, 2)
    at = 0
    shared: dict[str, str] = {}  # pax records for all members that follow
    own: dict[str, str] = {}  # and those for the next one
    while True:
        header = _read(opened, at, BLOCK, end)
        if not header.strip(b"\0"):
            return
        _check(header, at)
        kind, size = header[156:157], _number(header[124:136], at)
        if kind in b"xgLK":
            body = _read(opened, at + BLOCK, _limited(size, at), end)
            if kind == b"g":
                shared.update(_records(body, at))
            elif kind == b"x":
                own.update(_records(body, at))
            elif kind == b"L":
                own["path"] = _text(body)
            at += BLOCK + _padded(size)
            continue
        said = {**shared, **own}
        own = {}
        member, at = _member(opened, header, said, at, end)
        yield member


def _member(opened: BinaryIO, header: bytes, said: dict[str, str], at: int, end: int) -> tuple[TarMember, int]:
    """The member of a header, and where the next header begins."""
    flag = header[156:157]
    size = _size(said["size"], at) if "size" in said else _number(header[124:136], at)
    name = said.get("path") or _name(header)
    kind = "sparse" if any(record.startswith("GNU.sparse") for record in said) else _KINDS.get(flag, "other")
    if flag == b"\0" and name.endswith("/"):
        kind = "folder"  # as archives older than POSIX write it
    offset = at + BLOCK
    if flag == b"S":
        offset = _past_sparse_maps(opened, header, offset, end)
    stored = 0 if flag in _WITHOUT_DATA else size
    if offset + stored > end:
        raise BrokenTar(f"it breaks off at byte {end}, in {name!r}, of whose {size} bytes {end - offset} are there")
    return TarMember(name, kind, offset, size), offset + _padded(stored)


def _read(opened: BinaryIO, at: int, size: int, end: int) -> bytes:
    if at == end:
        raise BrokenTar(f"it ends at byte {at} without the mark of an archive's end: the rest may be missing")
    opened.seek(at)
    data = opened.read(size)
    if len(data) < size:
        raise BrokenTar(f"it breaks off at byte {end}, in a header")
    return data


def _check(header: bytes, at: int) -> None:
    """Compare a header with its checksum: the sum of its bytes, those of the sum itself taken as spaces."""
    total = 256 + sum(header[:148]) + sum(header[156:])
    given = _number(header[148:156], at)
    if given != total and given != total - 256 * sum(byte > 127 for byte in header[:148] + header[156:]):
        raise BrokenTar(f"byte {at} begins no header: its checksum is wrong")


def _number(field: bytes, at: int) -> int:
    """An octal number, or GNU's binary one for what is too large."""
    try:
        if field[0] == 0x80:
            return int.from_bytes(field[1:], "big")
        return int(field.partition(b"\0")[0].strip() or b"0", 8)
    except ValueError:
        raise BrokenTar(f"the header at byte {at} holds {field!r} for a number") from None


def _size(text: str, at: int) -> int:
    if not re.fullmatch(r"\d{1,19}", text, re.ASCII):
        raise BrokenTar(f"the header at byte {at} says a size of {text[:40]!r}")
    return int(text)


def _limited(size: int, at: int) -> int:
    if size > MAX_HEADER_BYTES:
        raise BrokenTar(f"the header at byte {at} is {size} bytes long, at most {MAX_HEADER_BYTES} are read")
    return size


def _padded(size: int) -> int:
    return -(-size // BLOCK) * BLOCK


def _name(header: bytes) -> str:
    name, prefix = _text(header[:100]), _text(header[345:500])
    return f"{prefix}/{name}" if prefix and header[257:263] == b"ustar\0" else name


def _text(field: bytes) -> str:
    return field.partition(b"\0")[0].decode("utf-8", "surrogateescape")


def _records(body: bytes, at: int) -> dict[str, str]:
    """Pax records: `LENGTH NAME=VALUE` and a line's end, whose length counts all of it."""
    records, position = {}, 0
    while position < len(body) and body[position]:
        match = _RECORD.match(body, position)
        length = int(match[1]) if match else 0
        if match is None or not match.end() < position + length <= len(body):
            raise BrokenTar(f"the pax header at byte {at} is damaged")
        value = body[match.end() : position + length - 1]
        records[match[2].decode("utf-8", "surrogateescape")] = value.decode("utf-8", "surrogateescape")
        position += length
    return records


def _past_sparse_maps(opened: BinaryIO, header: bytes, offset: int, end: int) -> int:
    more = header[482]
    while more:
        more = _read(opened, offset, BLOCK, end)[504]
        offset += BLOCK
    return offset
