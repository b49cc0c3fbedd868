"""Samples from the rows of tables."""

from __future__ import annotations

import difflib
import posixpath
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import KW_ONLY, dataclass
from functools import cached_property
from typing import Any

from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.core.sample import Pointer, Sample
from mmdata.errors import ConfigError, Unreadable
from mmdata.source.files import digest_of
from mmdata.source.listing import Found
from mmdata.source.metadata import BadMetadata, parse
from mmdata.source.names import checked_name, escapes, key_text, quoted, unquoted
from mmdata.source.place import Check, Location, Place, content_signature, place, storage_field
from mmdata.source.rows.cells import Cells, cell_bytes, part_blob, windows
from mmdata.source.rows.form import NoTable, Row, Rows
from mmdata.source.rows.open import rows_of

EXTENSIONS = ("jsonl", "ndjson", "json", "csv", "tsv", "parquet")


@dataclass(frozen=True)
class Table:
    """The rows of a JSON Lines, CSV or Parquet file, or of several; what a file is, its content says.

    A part's column holds either the part itself or a file's path. Bytes (Parquet), and Hugging Face's {bytes, path},
    are the part. Text is a path, relative to `root` or absolute and inside of it, save in the parts named by `inline`,
    whose text it is. An empty cell means that the sample has no such part; the columns that are no part become
    metadata.

    Rows that can't be read, repeat another's key, or name a file that is missing or lies outside of `root` are faults.
    A key is NAME/KEY, with the table's path between them when there are several.

    Args:
        path: a table, a folder of tables, or a glob of them; or a URL of these.
        name: the first part of every key; the table's (or the folder's) name when it is empty.
        parts: by part's name, its column.
        key: the column that names samples; None numbers them by row, from 000000000. A large Parquet file with the
            media inside is best read without, or sorted by it: samples are read in order of key.
        inline: parts whose column is the text itself rather than a path.
        label: the column that is metadata `label`.
        meta: the columns that are metadata; None is all the rest.
        metadata: a column that is all of the metadata, a JSON object or the text of one, as `mmdata export` writes it;
            no other column is, then, unless named as `label` or in `meta`.
        root: the folder that paths are relative to, and must not leave, nor lie outside of when they are
            absolute; the table's own when it is empty.
        check: what tells that a file has changed: "stat" is size and mtime, "content" a digest. Cells always go by
            content.
        follow_links: whether links may lead out of `root`.
        storage_options: credentials and endpoint of object storage; not in a pipeline file.
    """

    path: str
    _: KW_ONLY
    parts: Mapping[str, str]
    name: str = ""
    key: str | None = None
    inline: tuple[str, ...] = ("text",)
    label: str | None = None
    meta: tuple[str, ...] | None = None
    metadata: str | None = None
    root: str = ""
    check: Check = "stat"
    follow_links: bool = False
    storage_options: Mapping[str, str] = storage_field()

    def __post_init__(self) -> None:
        object.__setattr__(self, "name", checked_name(self.name, self.location.usual_name))
        if not self.parts:
            raise ValueError("parts: names no part; give each part's column, as in {image: file_name}")

    @property
    def location(self) -> Location:
        return Location.of(self.path, EXTENSIONS)

    def scan(self) -> Scan:
        """Read every row, and the state of every file that one names.

        Raises:
            ConfigError: there is no such table, it lacks a column that is asked for, or no row of it is a sample.
        """
        return TableListing(self).scan()

    def read(self, entries: Sequence[Entry]) -> Iterator[Sample]:
        """The entries' samples. Cells are read a window at a time, when the first blob of it is asked for."""
        files, tables = self._files(), self.where()
        opened: dict[str, Rows] = {}
        for window in windows(entries):
            cells = Cells(tables, opened, window)
            for entry in window:
                parts = {member.part: part_blob(files, cells, member) for member in entry.members}
                yield Sample(entry.key, parts, entry.meta)

    def _files(self) -> Place:
        folder = self.root or self.location.folder
        return place(folder, follow_links=self.follow_links, storage_options=self.storage_options)

    def where(self) -> Place:
        """The folder of the tables."""
        return place(self.location.folder, storage_options=self.storage_options)

    def tables(self) -> tuple[list[Found], list[str]]:
        location = self.location
        where = self.where()
        if where.holds() != "folder":
            raise ConfigError(f"source {self.name}", [f"path: there is no folder {location.folder!r}"])
        if location.is_one:
            table = where.stat(location.pattern)
            if table.problem:
                raise ConfigError(f"source {self.name}", [f"path: {table.problem[1]}"])
            return [table], []
        files = where.walk(self.name).files
        tables = [file for file in files if location.fits(file.path) and file.path.lower().endswith(EXTENSIONS)]
        if not tables:
            raise ConfigError(f"source {self.name}", [f"path: no table fits {self.path!r}: .{', .'.join(EXTENSIONS)}"])
        taken = {table.path for table in tables}
        return tables, [quoted(file.path) for file in files if file.path not in taken]


class TableListing:
    """The listing of several tables in the making; `member` says what a cell of a part is."""

    def __init__(self, source: Table) -> None:
        self.source = source
        self.tables = source.where()
        self.files = source._files()
        self.entries: dict[str, Entry] = {}
        self.taken: dict[str, tuple[str, int]] = {}  # keys, and the first row that had each
        self.faults: dict[str, Fault] = {}
        self.seen: set[str] = set()  # columns that any row has a value in
        self.n_rows = 0

    def scan(self) -> Scan:
        """List every table."""
        tables, unmatched = self.source.tables()
        for table in tables:
            self.add(table, "" if self.source.location.is_one else f"{key_text(table.path.rpartition('.')[0])}/")
        return self.done(unmatched)

    @cached_property
    def _find(self) -> Callable[[str], Found]:
        return self.files.finder()

    def add(self, table: Found, prefix: str) -> None:
        """List one table; `prefix` begins the keys after the source's name."""
        at = quoted(table.path)
        try:
            rows = rows_of(self.tables, table.path)
            columns = rows.columns()
            self._expect(table, columns)
            for row in rows.rows(self._wanted(rows, columns)):
                self.n_rows += 1
                self._row(f"{self.source.name}/{prefix}", at, row)
        except NoTable as error:
            if self.source.location.is_one and not self.n_rows:
                raise ConfigError(f"source {self.source.name}", [f"{table.path}: {error}"]) from None
            self._fault(f"{self.source.name}/{key_text(table.path)}", "bad_table", f"{table.path}: {error}", at)
        except Unreadable as error:
            self._fault(f"{self.source.name}/{key_text(table.path)}", "unreadable", str(error), at)

    def done(self, unmatched: Sequence[str]) -> Scan:
        if never := sorted(set(self._named()) - self.seen) if self.seen else []:
            raise ConfigError(
                f"source {self.source.name}", [self._no_column(name, sorted(self.seen)) for name in never]
            )
        if not self.entries and not self.faults:
            raise ConfigError(f"source {self.source.name}", [f"{self.source.path}: holds no rows"])
        entries, faults = self.entries, self.faults
        return Scan(
            [entries[key] for key in sorted(entries)], [faults[key] for key in sorted(faults)], sorted(unmatched)
        )

    def _named(self) -> list[str]:
        """The columns that the settings name."""
        source = self.source
        single = filter(None, (source.key, source.label, source.metadata))
        return [*source.parts.values(), *single, *(source.meta or ())]

    def _expect(self, table: Found, columns: tuple[str, ...] | None) -> None:
        if columns is None:
            return
        if lacking := [name for name in dict.fromkeys(self._named()) if name not in columns]:
            faults = [f"{table.path}: {self._no_column(name, columns)}" for name in lacking]
            raise ConfigError(f"source {self.source.name}", faults)
        self.seen.update(columns)

    def _no_column(self, name: str, columns: Sequence[str]) -> str:
        close = difflib.get_close_matches(name, columns, 1)
        guess = f", did you mean {close[0]!r}?" if close else ""
        return f"no column {name!r}{guess or ';'} it has {', '.join(columns)}"

    def _wanted(self, rows: Rows, columns: tuple[str, ...] | None) -> Collection[str] | None:
        """The columns to read: never bytes that are no part."""
        if self.source.meta is not None or self.source.metadata is not None:
            return set(self._named())
        media: frozenset[str] = getattr(rows, "media_columns", frozenset)()
        return None if columns is None else set(columns) - media | set(self._named())

    def _row(self, prefix: str, at: str, row: Row) -> None:
        """Make a row an entry or a fault."""
        key = f"{prefix}{row.number:09d}"
        try:
            if row.fault:
                raise BadRow("bad_row", f"{unquoted(at)}: {row.fault}")
            self.seen.update(row.values)
            if self.source.key is not None:
                key = prefix + _key(row, self.source.key)
            members, meta = self._members(at, row), self._meta(row)
        except BadRow as error:
            self._fault(key, error.kind, str(error), self._pointer(at, row.number))
            return
        if key not in self.taken:
            self.taken[key] = at, row.number
            self.entries[key] = Entry(key, members, meta)
            return
        says = f"several rows have the key {key!r}: none of them is taken"
        if self.entries.pop(key, None):
            self._fault(key, "collision", says, self._pointer(*self.taken[key]))
        self._fault(key, "collision", says, self._pointer(at, row.number))

    def _pointer(self, at: str, row: int) -> str:
        """Where a row is: at its key, or at its first part."""
        return _cell(at, row, self.source.key or next(iter(self.source.parts.values())))

    def _members(self, at: str, row: Row) -> tuple[Member, ...]:
        found = []
        for part, column in sorted(self.source.parts.items()):
            value = row.values.get(column)
            if value is not None:
                found.append(self.member(at, row, part, column, value))
        if not found:
            raise BadRow("empty_row", f"{unquoted(at)}: row {row.number} has no value in any part's column")
        return tuple(found)

    def member(self, at: str, row: Row, part: str, column: str, value: object) -> Member:
        data = cell_bytes(value, inline=part in self.source.inline)
        if data is not None:
            return Member(part, _cell(at, row.number, column), len(data), content_signature(data))
        path = value["path"] if isinstance(value, Mapping) and isinstance(value.get("path"), str) else value
        if not isinstance(path, str):
            raise BadRow("bad_value", f"{unquoted(at)}: row {row.number}: {column} holds no path, text or bytes")
        file = self._file(at, row, column, path, part)
        signature = file.signature if self.source.check == "stat" else digest_of(self.files, file)
        return Member(part, quoted(file.path), file.size, signature)

    def _file(self, at: str, row: Row, column: str, path: str, part: str) -> Found:
        """The file that a cell names."""
        shown = f"{unquoted(at)}: row {row.number}: {column} {path[:200]!r}"
        if "://" in path:
            raise BadRow("outside", f"{shown} is a URL: source.urls.Urls fetches those")
        path = posixpath.normpath((self.files.relative(path) or path) if path.startswith("/") else path)
        if escapes(path):
            root = self.source.root or self.source.location.folder
            raise BadRow("outside", f"{shown} lies outside of {root!r}; set root: to a folder that holds them all")
        file = self._find(path)
        if file.problem:
            hint = f"; where it is the text itself, say inline: [{part}]" if file.problem[0] == "missing" else ""
            raise BadRow(file.problem[0], f"{shown}: {file.problem[1].partition(': ')[2]}{hint}")
        return file

    def _meta(self, row: Row) -> dict[str, Any]:
        source = self.source
        apart = {*source.parts.values(), source.key, source.label}
        whole = {} if source.metadata is None else _whole(row, source.metadata)
        every = () if source.metadata is not None else (name for name in row.values if name not in apart)
        names = every if source.meta is None else source.meta
        meta = whole | {name: row.values[name] for name in names if row.values.get(name) is not None}
        if source.label is not None and row.values.get(source.label) is not None:
            meta["label"] = row.values[source.label]
        return meta

    def _fault(self, key: str, kind: str, error: str, pointer: str) -> None:
        count, free = 1, key
        while free in self.faults:
            count += 1
            free = f"{key}#{count}"
        self.faults[free] = Fault(free, kind, error, pointer)


class BadRow(ValueError):
    """A row that can't be a sample, and the kind of its fault."""

    def __init__(self, kind: str, error: str) -> None:
        super().__init__(error)
        self.kind = kind


def _cell(at: str, row: int, column: str) -> str:
    return str(Pointer(at, row=row, column=quoted(column)))


def _whole(row: Row, column: str) -> dict[str, Any]:
    """The metadata that a column holds."""
    value = row.values.get(column)
    if value is None or isinstance(value, Mapping):
        return dict(value or {})
    try:
        return parse(str(value).encode()) if isinstance(value, str) else parse(b"0")
    except BadMetadata as error:
        raise BadRow("bad_metadata", f"row {row.number}: {column}: {error}") from None


def _key(row: Row, column: str) -> str:
    value = row.values.get(column)
    if not isinstance(value, str | int) or isinstance(value, bool) or not str(value).strip("/"):
        raise BadRow("no_key", f"row {row.number}: {column} holds {value!r}, which names no sample")
    return key_text(str(value).strip("/"))
