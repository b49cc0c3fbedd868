"""Samples from WebDataset's tar files."""

from __future__ import annotations

import posixpath
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from typing import Any, BinaryIO

from mmdata.codec.sniff import extension, modality_of_name
from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.core.sample import Pointer, Sample
from mmdata.errors import ConfigError, Unreadable
from mmdata.source import metadata
from mmdata.source.listing import Found
from mmdata.source.names import checked_name, escapes, is_dropping, key_text, quoted
from mmdata.source.place import Check, Location, Place, blob, content_signature, place, storage_field
from mmdata.source.tarindex import BrokenTar, TarMember, members

_COMPRESSED = (".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".tar.zst")


@dataclass(frozen=True)
class Tars:
    """The members of tar files, by WebDataset's convention: those in a row whose names agree up to the first dot.

    What follows the dot names the part: "jpg" is the image, "wav" the audio, "txt" the text, "seg.png" the part seg;
    "json" is the sample's metadata and "cls" its label. Only headers and metadata are read. A key is
    NAME/path-of-the-tar/member, without the tar's part when the location is one tar. What `mmdata export` wrote says
    its metadata and key itself: NAME/path.

    A tar that breaks off gives the samples before the break; the one at the break, which may lack members, is a fault.
    Links, devices and names that lead out are faults, and never followed.

    Args:
        root: a tar, a folder of tars, or a glob of them; or a URL of these.
        name: the first part of every key; the folder's name (or the tar's) when it is empty.
        check: "stat": a tar's samples have changed when its mtime has; "content": those whose bytes are others, for
            which every scan reads every byte.
        storage_options: credentials and endpoint of object storage; not in a pipeline file.
    """

    root: str
    _: KW_ONLY
    name: str = ""
    check: Check = "stat"
    storage_options: Mapping[str, str] = storage_field()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name, self._location.usual_name))

    @property
    def _location(self) -> Location:
        return Location.of(self.root, ("tar",))

    def scan(self) -> Scan:
        """Index every tar.

        Raises:
            ConfigError: there is no such tar or folder, or no sample in it.
        """
        where, tars, unmatched, faults = self._tars()
        index = _Index(self, where, unmatched=unmatched, faults=faults)
        for tar in tars:
            index.add(tar, "" if self._location.is_one else f"{key_text(tar.path.removesuffix('.tar'))}/")
        if not index.entries and not index.faults:
            raise ConfigError(f"source {self.name}", [f"no media in {len(tars)} tars of {self.root!r}"])
        return index.done()

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples; a member is read when its blob is asked for its bytes."""
        where = place(self._location.folder, storage_options=self.storage_options)
        for entry in entries:
            yield Sample(entry.key, {member.part: blob(where, member) for member in entry.members}, entry.meta)

    def _tars(self) -> tuple[Place, list[Found], list[str], list[Fault]]:
        location = self._location
        where = place(location.folder, storage_options=self.storage_options)
        if where.holds() != "folder":
            raise ConfigError(f"source {self.name}", [f"root: there is no folder {location.folder!r}"])
        if location.is_one:
            tar = where.stat(location.pattern)
            if tar.problem:
                hint = "; braces are not expanded: write a glob, as in train-*.tar" if ".." in location.pattern else ""
                raise ConfigError(f"source {self.name}", [f"root: {tar.problem[1]}{hint}"])
            return where, [tar], [], []
        listing = where.walk(self.name)
        fits = [file for file in listing.files if location.fits(file.path)]
        tars = [file for file in fits if file.path.endswith(".tar")]
        packed = [file for file in fits if file.path.lower().endswith(_COMPRESSED)]
        faults = [self._fault(file, "", "compressed", f"{file.path}: unpack it to a .tar first") for file in packed]
        if not tars and not faults:
            kinds = Counter(f".{extension(file.path)}" for file in listing.files).most_common(8)
            found = ", ".join(f"{count} {kind}" for kind, count in kinds) or "no file at all"
            raise ConfigError(
                f"source {self.name}", [f"no {location.pattern or '*.tar'} in {location.folder!r}; found {found}"]
            )
        taken = {file.path for file in (*tars, *packed)}
        unmatched = [file.path for file in listing.files if file.path not in taken]
        return where, tars, [*listing.ignored, *unmatched], [*listing.faults, *faults]

    def _fault(self, tar: Found, stem: str, kind: str, error: str) -> Fault:
        return Fault(f"{self.name}/{stem or key_text(tar.path)}", kind, error, quoted(tar.path))


@dataclass
class _Group:
    """The members in a row that share a key."""

    key: str
    parts: dict[str, tuple[TarMember, ...]] = field(default_factory=dict)
    meta: dict[str, Any] = field(default_factory=dict)
    problem: tuple[str, str] | None = None
    names: list[str] = field(default_factory=list)
    path: str = ""  # of its key, where its metadata says so


class _Index:
    """The index of several tars in the making."""

    def __init__(self, source: Tars, where: Place, *, unmatched: list[str], faults: list[Fault]) -> None:
        self.source, self.where = source, where
        self.entries: dict[str, Entry] = {}
        self.faults = {fault.key: fault for fault in faults}
        self.unmatched = [quoted(path) for path in unmatched]

    def done(self) -> Scan:
        return Scan(
            [self.entries[key] for key in sorted(self.entries)],
            [self.faults[key] for key in sorted(self.faults)],
            sorted(self.unmatched),
        )

    def add(self, tar: Found, prefix: str) -> None:
        """Index one tar; `prefix` begins the keys after the source's name."""
        try:
            if tar.problem:
                raise Unreadable(tar.problem[1])
            with self.where.open(tar.path) as opened:
                self._members(tar, prefix, opened)
        except (Unreadable, OSError) as error:
            self._fault(prefix.rstrip("/"), tar, "unreadable", str(error))

    def _members(self, tar: Found, prefix: str, opened: BinaryIO) -> None:
        group: _Group | None = None
        try:
            for member in members(opened):
                stem, suffix = _divided(member.name)
                if group is None or stem != group.key:
                    self._close(tar, prefix, group, opened)
                    group = _Group(stem)
                self._place(tar, group, member, suffix, opened)
        except BrokenTar as error:
            key = prefix + (group.key if group else "")
            self._fault(key.rstrip("/"), tar, "truncated", f"{tar.path}: {error}")
        else:
            self._close(tar, prefix, group, opened)

    def _place(self, tar: Found, group: _Group, member: TarMember, suffix: str, opened: BinaryIO) -> None:
        """Give a member its place in its group, or say why it has none."""
        shown = f"{tar.path}: {member.name!r}"
        if member.kind == "folder":
            return
        if escapes(member.name):
            group.problem = group.problem or ("outside", f"{shown} leads out of the archive")
        elif member.kind != "file":
            group.problem = group.problem or (f"tar_{member.kind}", f"{shown} is a {member.kind}: it is not followed")
        elif suffix in ("json", "cls"):
            self._metadata(group, member, suffix, opened, shown)
        elif (part := _part(suffix)) and not is_dropping(posixpath.basename(member.name)):
            group.parts[part] = (*group.parts.get(part, ()), member)
        else:
            self.unmatched.append(f"{quoted(tar.path)}#{quoted(member.name)}")
        group.names.append(member.name)

    def _metadata(self, group: _Group, member: TarMember, suffix: str, opened: BinaryIO, shown: str) -> None:
        try:
            if member.size > metadata.MAX_BYTES:
                raise metadata.BadMetadata(f"{member.size} bytes, at most {metadata.MAX_BYTES} are read")
            opened.seek(member.offset)
            data = opened.read(member.size)
            if suffix == "cls":
                group.meta["label"] = data.decode().strip()
            else:
                found = metadata.parse(data)
                if found.get("mmdata") == 1 and isinstance(meta := found.get("meta"), dict):
                    group.path, found = key_text(str(found.get("path") or "")), meta
                group.meta = {**found, **group.meta}
        except (metadata.BadMetadata, UnicodeDecodeError) as error:
            group.problem = group.problem or ("bad_metadata", f"{shown}: {error}")

    def _close(self, tar: Found, prefix: str, group: _Group | None, opened: BinaryIO) -> None:
        """Make a finished group an entry or a fault."""
        if group is None:
            return
        stem = group.path or prefix + group.key
        key = f"{self.source.name}/{stem}"
        for part, found in group.parts.items():
            if len(found) > 1:
                names = " and ".join(repr(member.name) for member in found)
                group.problem = group.problem or ("collision", f"{tar.path}: {names} would all be its {part}")
        if group.problem:
            self._fault(stem, tar, *group.problem)
        elif key in self.entries or (key in self.faults and group.parts):
            self.entries.pop(key, None)
            self._fault(stem, tar, "collision", f"{tar.path}: another sample has the key {key!r} too; neither is taken")
        elif group.parts:
            found_members = [self._member(tar, part, group.parts[part][0], opened) for part in sorted(group.parts)]
            self.entries[key] = Entry(key, tuple(found_members), group.meta)
        else:
            self.unmatched += [f"{quoted(tar.path)}#{quoted(name)}" for name in group.names if _part_or_meta(name)]

    def _member(self, tar: Found, part: str, member: TarMember, opened: BinaryIO) -> Member:
        signature = tar.signature
        if self.source.check == "content":
            opened.seek(member.offset)
            signature = content_signature(opened.read(member.size))
        return Member(part, str(Pointer(quoted(tar.path), member.offset, member.size)), member.size, signature)

    def _fault(self, stem: str, tar: Found, kind: str, error: str) -> None:
        fault = self.source._fault(tar, stem, kind, error)
        self.faults.setdefault(fault.key, fault)


def _divided(name: str) -> tuple[str, str]:
    """A member's key and what follows its first dot, in lower case: ("a/0001", "seg.png")."""
    path = posixpath.normpath(name)
    folder, slash, base = path.rpartition("/")
    stem, _, suffix = base.partition(".")
    return key_text(f"{folder}{slash}{stem}"), suffix.lower()


def _part(suffix: str) -> str | None:
    """The part that a suffix names; None when it is no medium's.

    >>> _part("jpg"), _part("seg.png"), _part("npy")
    ('image', 'seg', None)
    """
    modality = modality_of_name(f"x.{suffix}")
    return (suffix.rpartition(".")[0].replace(".", "_") or modality) if modality else None


def _part_or_meta(name: str) -> bool:
    return _divided(name)[1] in ("json", "cls")
