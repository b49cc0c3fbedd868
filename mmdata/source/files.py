"""Samples from the files of a folder or bucket."""

from __future__ import annotations

import fnmatch
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from typing import Any, Literal

import xxhash

from mmdata.codec.sniff import extension
from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.core.sample import Sample
from mmdata.errors import ConfigError, Unreadable
from mmdata.source import metadata
from mmdata.source.listing import Found
from mmdata.source.names import checked_name, quoted
from mmdata.source.pairs import STEM, Group, Paired, alternatives, by_patterns, by_stem
from mmdata.source.place import Check, Place, blob, place, storage_field


@dataclass(frozen=True)
class Files:
    """The media files below a folder. A key is NAME/folders/stem.

    Without `parts`, files that share folder and stem make one sample, whose parts are named by their extensions:
    image, audio, video, text. With `parts`, a pattern says which file is which: {image: "{stem}.png", speech:
    "{stem}_desc_fr.ogg"}. In a pattern `{stem}` stands for the file's stem in any folder below the one that the pattern
    names ("pictures/{stem}.png" pairs with "texts/{stem}.txt"), `*` for anything but a slash. The extension fits in any
    case: "{stem}.jpg" takes a.JPG, too. The first part decides which samples there are; the others may be absent.

    Two files for one part of a sample are a collision: neither is taken, both are named. Stems that differ in case are
    different samples; those that differ in Unicode's ways to write a letter (NFC, NFD) are the same.

    Links are followed while they stay inside the folder. One that leads out of it is a fault unless `follow_links`; a
    folder that only links lead to is listed once; one that leads to a folder that it lies in is a fault.

    Args:
        root: a path, or any URL that fsspec knows.
        name: the first part of every key; the root's last folder when it is empty.
        parts: by part's name a pattern, or several of which any will do. None pairs by stem.
        label: metadata `label` from the folder that the file lies in ("parent"), or from the first below the root
            ("top"); files in the root itself have none.
        sidecar: whether STEM.json beside the files is the sample's metadata.
        include, exclude: only files whose relative path fits one of `include` and none of `exclude`; `*` in them
            stands for anything, slashes too. What they leave out is reported as unmatched.
        check: what tells that a file has changed: "stat" is size and mtime (or etag), "content" a digest, for which
            every scan reads every byte.
        follow_links: whether links may lead out of the root.
        storage_options: credentials and endpoint of object storage; not in a pipeline file.
    """

    root: str
    _: KW_ONLY
    name: str = ""
    parts: Mapping[str, str | tuple[str, ...]] | None = None
    label: Literal["parent", "top"] | None = None
    sidecar: bool = True
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    check: Check = "stat"
    follow_links: bool = False
    storage_options: Mapping[str, str] = storage_field()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name, self.root))
        for part, texts in (self.parts or {}).items():
            for text in alternatives(texts):
                if text.count(STEM) != 1:
                    raise ValueError(f"parts.{part}: a pattern has {STEM} once, as in '{STEM}.png', not {text!r}")
        if self.parts is not None and not self.parts:
            raise ValueError("parts: names no part; leave it out to pair files by stem")

    def scan(self) -> Scan:
        """List the folder and pair its files.

        Raises:
            ConfigError: there is no such folder, or nothing in it is a sample.
        """
        where = self._place()
        if where.holds() != "folder":
            raise ConfigError(f"source {self.name}", [self._no_folder(where)])
        listing = where.walk(self.name)
        files = [file for file in listing.files if self._wanted(file.path)]
        left = (
            [file.path for file in listing.files if not self._wanted(file.path)] if self.include + self.exclude else []
        )
        paired = self._paired(files)
        outcomes = [self._outcome(where, stem, group) for stem, group in paired.groups.items()]
        faults = [*listing.faults, *(item for item in outcomes if isinstance(item, Fault))]
        faults += [self._fault(file.path, *file.problem, file) for file in paired.unmatched if file.problem]
        entries = [item for item in outcomes if isinstance(item, Entry)]
        if not entries and not faults:
            raise ConfigError(f"source {self.name}", [self._nothing(files)])
        unmatched = [*listing.ignored, *left, *(file.path for file in paired.unmatched if not file.problem)]
        return Scan(
            sorted(entries, key=lambda entry: entry.key),
            sorted(faults, key=lambda fault: (fault.key, fault.kind)),
            sorted(quoted(path) for path in unmatched),
        )

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples; a file is opened when its blob is asked for its bytes."""
        where = self._place()
        for entry in entries:
            yield Sample(entry.key, {member.part: blob(where, member) for member in entry.members}, entry.meta)

    def _place(self) -> Place:
        return place(self.root, follow_links=self.follow_links, storage_options=self.storage_options)

    def _paired(self, files: Iterable[Found]) -> Paired:
        if self.parts is None:
            return by_stem(files, sidecar=self.sidecar)
        return by_patterns(files, self.parts, sidecar=self.sidecar)

    def _wanted(self, path: str) -> bool:
        if self.include and not _any(self.include).match(path):
            return False
        return not (self.exclude and _any(self.exclude).match(path))

    def _outcome(self, where: Place, stem: str, group: Group) -> Entry | Fault:
        """A sample, or the first thing that keeps its files from being one."""
        files = [*group.sidecars[:1], *(file for found in group.parts.values() for file in found)]
        for file in files:
            if file.problem:
                return self._fault(stem, *file.problem, file)
        for part, found in group.parts.items():
            if len(found) > 1:
                names = " and ".join(repr(file.path) for file in found)
                return self._fault(stem, "collision", f"{names} would all be its {part}; keep one", found[1])
        try:
            meta = self._meta(where, stem, group)
        except metadata.BadMetadata as error:
            return self._fault(stem, "bad_metadata", f"{group.sidecars[0].path}: {error}", group.sidecars[0])
        except Unreadable as error:
            return self._fault(stem, "unreadable", str(error), group.sidecars[0])
        try:
            members = tuple(self._member(where, part, group.parts[part][0]) for part in sorted(group.parts))
        except Unreadable as error:
            return self._fault(stem, "unreadable", str(error), files[-1])
        return Entry(f"{self.name}/{stem}", members, meta)

    def _member(self, where: Place, part: str, file: Found) -> Member:
        signature = file.signature if self.check == "stat" else digest_of(where, file)
        return Member(part, quoted(file.path), file.size, signature)

    def _meta(self, where: Place, stem: str, group: Group) -> dict[str, Any]:
        meta: dict[str, Any] = {}
        if group.sidecars:
            file = group.sidecars[0]
            if file.size > metadata.MAX_BYTES:
                raise metadata.BadMetadata(f"{file.size} bytes of metadata, at most {metadata.MAX_BYTES} are read")
            meta = metadata.parse(where.load(file.path, offset=0, size=file.size, whole=True, signature=file.signature))
        folders = stem.split("/")[:-1]
        if self.label and folders:
            meta["label"] = folders[-1 if self.label == "parent" else 0]
        return meta

    def _fault(self, stem: str, kind: str, error: str, file: Found) -> Fault:
        return Fault(f"{self.name}/{stem}", kind, error, quoted(file.path))

    def _no_folder(self, where: Place) -> str:
        if where.holds() == "file":
            return (
                f"root: {self.root!r} is a file; a table is read by source.table.Table, a tar by source.webdataset.Tars"
            )
        return f"root: there is no folder {self.root!r}"

    def _nothing(self, files: Sequence[Found]) -> str:
        kinds = Counter(f".{kind}" if (kind := extension(file.path)) else "no extension" for file in files)
        found = ", ".join(f"{count} {kind}" for kind, count in kinds.most_common(8)) or "no file at all"
        if self.parts is None:
            return f"nothing in {self.root!r} has the extension of a picture, sound, film or text; found {found}"
        part, texts = next(iter(self.parts.items()))
        return f"nothing in {self.root!r} fits {part}: {' or '.join(alternatives(texts))}; found {found}"


def digest_of(where: Place, file: Found) -> str:
    """The signature of a file's content, read a piece at a time. Raises Unreadable."""
    state = xxhash.xxh3_128()
    with where.open(file.path) as opened:
        while chunk := opened.read(1 << 20):
            state.update(chunk)
    return f"xxh3:{state.hexdigest()}"


def _any(patterns: tuple[str, ...]) -> re.Pattern[str]:
    return re.compile("|".join(fnmatch.translate(pattern) for pattern in patterns))
