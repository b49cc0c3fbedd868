"""A place that holds files: a local folder, or any that fsspec knows. What is read is what was listed, or an error."""

from __future__ import annotations

import dataclasses
import fnmatch
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from io import RawIOBase
from typing import Any, BinaryIO, Literal, Protocol, Self, cast

import xxhash

from mmdata.core.ports import Member, Source
from mmdata.core.sample import Blob, Pointer
from mmdata.errors import Unreadable
from mmdata.source.listing import Found, Listing, changed
from mmdata.source.names import escapes, unquoted

Check = Literal["stat", "content"]
WINDOW_BYTES = 32_000_000  # smaller members are read at once


class Place(Protocol):
    """What sources need of a folder. Paths are relative to it, and never lead out."""

    def __hash__(self) -> int: ...

    def holds(self) -> Literal["file", "folder"] | None:
        """What stands at the location itself."""

    def relative(self, path: str) -> str | None:
        """An absolute path of the system as one relative to this folder; None where it lies elsewhere."""

    def walk(self, name: str) -> Listing:
        """Every file below; `name` begins the faults' keys."""

    def stat(self, path: str) -> Found:
        """One file; with its problem when there is none."""

    def finder(self) -> Callable[[str], Found]:
        """What tells of many files by path, as `stat` does of one."""

    def open(self, path: str) -> BinaryIO:
        """A file for reading with seeks. Raises Unreadable."""

    def load(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> bytes:
        """`size` bytes from `offset` on, which are the `whole` file or a range of it.

        Raises:
            Unreadable: they can't be had, or the file is not the one that had this signature ("" asks for none).
        """

    def window(self, path: str, *, offset: int, size: int, whole: bool, signature: str) -> RawIOBase | None:
        """The same as a file that is read piece by piece; None where pieces cost as much as all of it."""


def place(location: str, *, follow_links: bool = False, storage_options: Mapping[str, str] | None = None) -> Place:
    """The place of a path or URL; nothing is touched yet."""
    from mmdata.source.local import LocalPlace
    from mmdata.source.remote import RemotePlace

    location = location.removeprefix("file://")
    if "://" in location or "::" in location:
        return RemotePlace(location, tuple(sorted((storage_options or {}).items())))
    return LocalPlace(os.path.expanduser(location), follow_links)


def storage_field() -> Any:
    """The field `storage_options` of a source: credentials, which a pipeline file can't hold and nothing shows."""
    return field(default_factory=dict, repr=False, compare=False, metadata={"secret": True})


def with_options(source: Source, storage_options: Mapping[str, str]) -> Source:
    """A source that reaches its place with these options, where it takes any; what it has already wins."""
    own = getattr(source, "storage_options", None)
    if own is None or not storage_options:
        return source
    return cast(Source, dataclasses.replace(cast(Any, source), storage_options={**storage_options, **own}))


@dataclass(frozen=True, kw_only=True)
class Location:
    """A location that names one file, or files of a folder: all that its kind of source reads, or those of a glob.

    Args:
        folder: where they lie. pattern: a file's name, a glob of relative paths, or "" for all. is_one: whether it
            names one file.
    """

    folder: str
    pattern: str = ""
    is_one: bool = False

    @classmethod
    def of(cls, location: str, extensions: Sequence[str]) -> Self:
        """Told from the spelling alone: a file has one of the extensions, a glob has `*`, `?` or `[`.

        >>> Location.of("data/a-*.tar", ("tar",)).pattern, Location.of("data/a.tar", ("tar",)).is_one
        ('a-*.tar', True)
        """
        folder, _, last = location.rstrip("/").rpartition("/")
        is_glob = any(sign in last for sign in "*?[")
        is_one = not is_glob and last.lower().endswith(tuple(f".{kind}" for kind in extensions))
        if not is_glob and not is_one:
            return cls(folder=location)
        return cls(folder=folder or ("/" if location.startswith("/") else "."), pattern=last, is_one=is_one)

    @property
    def usual_name(self) -> str:
        """What a source of it is called: the file without its extension, or the folder."""
        return self.pattern.rpartition(".")[0] if self.is_one else self.folder

    def fits(self, path: str) -> bool:
        """Whether the location means a file of the folder."""
        return not self.pattern or fnmatch.fnmatchcase(path, self.pattern)


def blob(where: Place, member: Member) -> Blob:
    """A member's bytes, to be read when asked."""
    pointer = Pointer.parse(member.pointer)
    name = unquoted(pointer.uri).rpartition("/")[2]
    about = where, pointer, member.size, member.signature
    large = member.size >= WINDOW_BYTES and not member.signature.startswith("xxh3:")  # a digest is of all bytes
    return Blob(pointer, member.size, partial(load, *about), name, open=partial(window, *about) if large else None)


def window(where: Place, pointer: Pointer, size: int, signature: str) -> BinaryIO | None:
    """The bytes that a member promised, as a file. Raises as `load` does, also while it is read."""
    path, whole = unquoted(pointer.uri), pointer.length is None
    if escapes(path):
        return None  # for `load` to refuse
    found = where.window(path, offset=pointer.offset, size=size, whole=whole, signature=signature)
    return cast("BinaryIO | None", found)


def load(where: Place, pointer: Pointer, size: int, signature: str) -> bytes:
    """The bytes that a member promised.

    Raises:
        Unreadable: they are gone, forbidden, outside of the place, or others than when they were listed.
    """
    path = unquoted(pointer.uri)
    if escapes(path):
        raise Unreadable(f"{path!r} leads out of the source's folder: it is not read")
    digest = signature if signature.startswith("xxh3:") else ""
    whole = pointer.length is None
    data = where.load(path, offset=pointer.offset, size=size, whole=whole, signature="" if digest else signature)
    if digest and content_signature(data) != digest:
        raise Unreadable(changed(path, "its content is another"))
    return data


def content_signature(data: bytes) -> str:
    """The signature of bytes that have been read."""
    return f"xxh3:{xxhash.xxh3_128_hexdigest(data)}"
