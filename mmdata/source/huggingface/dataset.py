"""Samples from a dataset of Hugging Face."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field, replace
from functools import partial
from itertools import repeat
from typing import Any, ClassVar

from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.core.sample import Blob, Pointer, Sample
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.huggingface import resolve as hub
from mmdata.source.huggingface.columns import ELSEWHERE, Sizes, sizes
from mmdata.source.huggingface.features import (
    Features,
    features_of,
    features_of_schema,
    is_metadata,
    named,
    usual_label,
    usual_parts,
)
from mmdata.source.huggingface.resolve import DataFile, Resolved, resolve
from mmdata.source.listing import changed
from mmdata.source.metadata import plain
from mmdata.source.names import checked_name, escapes, key_text, quoted, unquoted
from mmdata.source.place import Place, blob, place
from mmdata.source.rows.arrow import ArrowStream
from mmdata.source.rows.cells import cell_bytes
from mmdata.source.rows.form import NoTable, Row, Rows
from mmdata.source.rows.open import rows_of
from mmdata.source.rows.parquet import Parquet


@dataclass(frozen=True)
class HuggingFace:
    """A dataset of Hugging Face: on the hub, a folder, or one that was saved (`save_to_disk`).

    Its files are read in place, a row group at a time: nothing is downloaded whole, nor decoded by `datasets`, and
    none of its code is run. Columns of Image, Audio and Video are parts, with the bytes that they hold, and so is text
    in a column that is called so (text, caption, transcript...). The other columns are metadata, classes by their
    names; lists of media, and bytes, are left out. A key is NAME/SPLIT/ROW, rows counted from 000000000 in each split.

    Args:
        path: a folder, or OWNER/NAME (or hf://datasets/OWNER/NAME) on the hub: what `load_dataset` reads, save scripts.
        name: the first part of every key; the folder's or dataset's name, and the configuration's, when it is empty.
        config: which configuration, where there are several. split: which; None is all.
        revision: a branch, a tag or a commit of the hub. What is read is the commit that it stood for when it was
            listed; name a commit, or every later one makes all samples anew.
        parts: by part's name, its column; None is what the columns' types say.
        key: the column that names samples within their split; None numbers them.
        label: the column that is metadata `label`; None is the only one of classes, or one that is called label.
        meta: the columns that are metadata; None is all that can be.
    """

    extra: ClassVar[str] = "huggingface"

    path: str
    _: KW_ONLY
    name: str = ""
    config: str | None = None
    split: str | None = None
    revision: str | None = None
    parts: Mapping[str, str] | None = None
    key: str | None = None
    label: str | None = None
    meta: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        path = self.path.partition("@")[0] if self.path.startswith(hub.HUB) else self.path
        usual = path.rstrip("/").rpartition("/")[2] + (f"-{self.config}" if self.config else "")
        object.__setattr__(self, "name", checked_name(self.name, usual))

    def scan(self) -> Scan:
        """List every row: metadata and counts are read, media and texts are not, save in row groups with empty cells.

        Raises:
            ConfigError: there is no such dataset, split or column, or the hub can't be reached.
        """
        found = resolve(self.path, config=self.config, revision=self.revision)
        if self.split is not None and self.split not in found.splits:
            raise ConfigError(f"source {self.name}", [f"no split {self.split!r}; it has {', '.join(found.splits)}"])
        listing = _Listing(self, found)
        if found.folder is not None:
            listing.add_folder()
        for file in found.files:
            if self.split in (None, file.split):
                listing.add(file)
        if not listing.entries and not listing.faults:
            raise ConfigError(f"source {self.name}", [f"{self.path}: holds no rows"])
        entries, faults = listing.entries, listing.faults
        return Scan([entries[key] for key in sorted(entries)], [faults[key] for key in sorted(faults)])

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples, with the bytes of their cells."""
        reader = _Reader(self)
        columns: dict[str, set[str]] = {}
        for member in (member for entry in entries for member in entry.members):
            pointer = Pointer.parse(member.pointer)
            columns.setdefault(pointer.uri, set()).add(unquoted(pointer.column or ""))
        for entry in entries:
            yield Sample(entry.key, {m.part: reader.blob(m, columns) for m in entry.members}, entry.meta)


@dataclass
class _Listing:
    """The listing of a dataset in the making."""

    source: HuggingFace
    found: Resolved
    entries: dict[str, Entry] = field(default_factory=dict)
    faults: dict[str, Fault] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)  # rows of each split so far

    def add(self, file: DataFile) -> None:
        """List one file."""
        begins = self.counts.get(file.split, 0)
        try:
            rows = _opened(self.found.where, file)
            features, parts = self._roles(rows)
            wanted = self._wanted(features, parts)
            of_cells = sizes(rows, list(parts.values())) if not isinstance(rows, _Lines) else repeat({})
            listed = rows.rows(None if file.form == "lines" else wanted)
            for row, cells in zip(listed, of_cells, strict=False):
                self.counts[file.split] = begins + row.number + 1
                self._row(file, begins + row.number, row, cells, features, parts)
        except (NoTable, Unreadable) as error:
            self._fault(f"{file.split}/{key_text(file.path)}", "bad_table", f"{file.path}: {error}", quoted(file.path))

    def _roles(self, rows: Rows) -> tuple[Features, Mapping[str, str]]:
        schema = getattr(rows, "schema", None) or getattr(getattr(rows, "file", None), "schema_arrow", None)
        if schema is None:
            names = rows.columns() or sorted({name for row in rows.rows(None) for name in row.values})
            features: Features = self.found.features or {name: {"_type": "Value", "dtype": "string"} for name in names}
        else:
            shown = features_of_schema(schema)
            told = features_of(schema.metadata) or self.found.features or {}
            features = {name: told.get(name, shown[name]) for name in shown}
        parts = usual_parts(features) if self.source.parts is None else self.source.parts
        asked = [*parts.values(), *filter(None, (self.source.key, self.source.label)), *(self.source.meta or ())]
        if lacking := [name for name in dict.fromkeys(asked) if name not in features]:
            raise ConfigError(f"source {self.source.name}", [_no_column(name, features) for name in lacking])
        if not parts:
            says = f"no column is a medium, or is called as texts are; say which under parts: {', '.join(features)}"
            raise ConfigError(f"source {self.source.name}", [says])
        return features, parts

    def _wanted(self, features: Features, parts: Mapping[str, str]) -> set[str]:
        """The columns to be read: never those of parts."""
        usual = [name for name, feature in features.items() if is_metadata(feature) and name not in parts.values()]
        names = usual if self.source.meta is None else self.source.meta
        return {*names, *filter(None, (self.source.key, self.source.label or usual_label(features)))}

    def _row(
        self, file: DataFile, number: int, row: Row, cells: Sizes, features: Features, parts: Mapping[str, str]
    ) -> None:
        at, stem = quoted(file.path), f"{file.split}/{number:09d}"
        pointer = str(Pointer(at, row=row.number, column=quoted(next(iter(parts.values())))))
        if row.fault:
            return self._fault(stem, "bad_row", f"{file.path}: {row.fault}", pointer)
        values = {name: plain(named(value, features[name])) for name, value in row.values.items() if name in features}
        members = []
        for part, column in sorted(parts.items()):
            size = cells.get(column) if cells else _length(row.values.get(column))
            if size == ELSEWHERE:
                says = f"{file.path} row {row.number}: {column} holds a path and no bytes; to_parquet writes them in"
                return self._fault(stem, "bad_value", says, pointer)
            if size is not None:
                cell = str(Pointer(at, row=row.number, column=quoted(column)))
                members.append(Member(part, cell, size, file.signature))
        return self._entry(file.split, stem, values, members, features, pointer, set(parts.values()))

    def _entry(
        self,
        split: str,
        stem: str,
        values: Mapping[str, Any],
        members: Sequence[Member],
        features: Features,
        pointer: str,
        apart: set[str],
    ) -> None:
        """Make an entry of a row, or a fault."""
        source = self.source
        if source.key is not None:
            value = values.get(source.key)
            sound = isinstance(value, str | int) and not isinstance(value, bool)
            row, stem = stem, f"{split}/{key_text(str(value).strip('/'))}"
            if not sound or stem.endswith("/"):
                return self._fault(row, "no_key", f"{pointer}: {source.key} names no sample", pointer)
        key = f"{source.name}/{stem}"
        if not members:
            return self._fault(stem, "empty_row", f"{pointer}: it has no value in any part's column", pointer)
        if key in self.entries or key in self.faults:
            says = f"several rows have the key {key!r}: none of them is taken"
            if (before := self.entries.pop(key, None)) is not None:
                self._fault(stem, "collision", says, before.members[0].pointer)
            return self._fault(stem, "collision", says, pointer)
        label = source.label or usual_label(features)
        names = [name for name in features if name not in apart] if source.meta is None else source.meta
        meta = {
            name: values[name] for name in names if name not in (label, source.key) and values.get(name) is not None
        }
        meta |= {"label": values[label]} if label and values.get(label) is not None else {}
        self.entries[key] = Entry(key, tuple(members), {**meta, "split": split})
        return None

    def add_folder(self) -> None:
        """List a dataset of loose files, as `datasets` finds and labels them."""
        builder, where = self.found.folder, self.found.where
        find = where.finder()
        for split in self.found.splits:
            if self.source.split not in (None, split):
                continue
            rows = builder.as_streaming_dataset(split).decode(False)
            features = rows.features.to_dict()
            parts = usual_parts(features) if self.source.parts is None else self.source.parts
            for number, values in enumerate(rows):
                self._files(split, number, values, features, parts, find)

    def _files(
        self, split: str, number: int, row: Mapping[str, Any], features: Features, parts: Mapping[str, str], find: Any
    ) -> None:
        members, stem = [], f"{split}/{number:09d}"
        for part, column in sorted(parts.items()):
            value = row.get(column)
            path = hub.file_path(str(value["path"]), self.found.root) if isinstance(value, Mapping) else None
            if path is None:
                continue
            file = find(path)
            if file.problem:
                return self._fault(stem, file.problem[0], file.problem[1], quoted(path))
            members.append(Member(part, quoted(path), file.size, self.found.commit or file.signature))
        known = {name: plain(named(value, features[name])) for name, value in row.items() if name not in parts.values()}
        pointer = members[0].pointer if members else ""
        return self._entry(split, stem, known, members, features, pointer, set(parts.values()))

    def _fault(self, stem: str, kind: str, error: str, pointer: str) -> None:
        key = f"{self.source.name}/{stem}"
        count, free = 1, key
        while free in self.faults:
            count += 1
            free = f"{key}#{count}"
        self.faults[free] = Fault(free, kind, error, pointer)


class _Reader:
    """Reads cells, each file opened once and compared with what was listed."""

    def __init__(self, source: HuggingFace) -> None:
        self._source = source
        self._opened: dict[str, Rows] = {}

    def blob(self, member: Member, columns: Mapping[str, set[str]]) -> Blob:
        """A member's bytes; those of a loose file are read when they are asked for."""
        pointer = Pointer.parse(member.pointer)
        if pointer.row is None or pointer.column is None:
            is_commits = member.signature.startswith("commit:")  # whose files never change
            return blob(self._place(member), replace(member, signature="") if is_commits else member)
        try:
            data = self._cell(pointer, member, columns.get(pointer.uri, set()))
        except NoTable as error:
            return Blob(pointer, member.size, partial(_raise, f"{unquoted(pointer.uri)}: {error}"), "")
        except Unreadable as error:
            return Blob(pointer, member.size, partial(_raise, str(error)), "")
        found = Blob(pointer, len(data), lambda: data, "")
        found.data()
        return found

    def _place(self, member: Member) -> Place:
        if member.signature.startswith("commit:"):
            return place(hub.root_of(self._source.path, member.signature.removeprefix("commit:")))
        return place(self._source.path)

    def _cell(self, pointer: Pointer, member: Member, columns: set[str]) -> bytes:
        path, row, column = unquoted(pointer.uri), pointer.row or 0, unquoted(pointer.column or "")
        if escapes(path):
            raise Unreadable(f"{path!r} leads out of the dataset: it is not read")
        if path not in self._opened:
            where = self._place(member)
            _verify(where, path, member.signature)
            self._opened[path] = _opened(where, DataFile("", path, _form(path), member.signature))
        cells = self._opened[path].cells([(row, name) for name in sorted(columns | {column})])
        data = cell_bytes(cells.get((row, column)), inline=True)
        if data is None:
            raise Unreadable(changed(path, f"row {row} has no {column}"))
        return data


class _Lines:
    """JSON Lines or CSV, by content."""

    def __init__(self, where: Place, path: str) -> None:
        self._rows = rows_of(where, path)
        self.columns, self.rows, self.cells = self._rows.columns, self._rows.rows, self._rows.cells


def _opened(where: Place, file: DataFile) -> Rows:
    if file.form == "parquet":
        return Parquet(where, file.path)
    return ArrowStream(where, file.path) if file.form == "arrow" else _Lines(where, file.path)


def _form(path: str) -> str:
    return path.rpartition(".")[2] if path.endswith((".parquet", ".arrow")) else "lines"


def _verify(where: Place, path: str, signature: str) -> None:
    """Refuse a file that is not the one that was listed; a commit's files never change."""
    kind, _, value = signature.partition(":")
    if kind == "fingerprint":
        folder, slash, _ = path.rpartition("/")
        with where.open(f"{folder}{slash}state.json") as state:
            now = f'"_fingerprint": "{value}"'.encode() in state.read(1 << 20)
        if not now:
            raise Unreadable(changed(path, "the dataset was saved anew"))
    elif kind != "commit":
        file = where.stat(path)
        if file.problem:
            raise Unreadable(file.problem[1])
        if file.signature != signature:
            raise Unreadable(changed(path, "it was written to"))


def _length(value: object) -> int | None:
    data = cell_bytes(value, inline=True)
    return None if data is None else len(data)


def _no_column(name: str, features: Features) -> str:
    close = difflib.get_close_matches(name, list(features), 1)
    guess = f", did you mean {close[0]!r}?" if close else ";"
    return f"no column {name!r}{guess} it has {', '.join(features)}"


def _raise(error: str) -> bytes:
    raise Unreadable(error)
