"""The live files of a table: columns of those of the last checkpoint, and what has come and gone since.

At 100,000 files an object each would take seconds and hundreds of megabytes; a commit changes a few dozen.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import pyarrow as pa
import pyarrow.compute as pc

from mmdata.store.layout import DataFile, Media, folder
from mmdata.store.tables import logged

FOLD_ABOVE = 1000  # changes, and more where there are many files: they are scanned through at each commit


@dataclass(frozen=True)
class Logged:
    """A live file, as the log has it: name within the folder, extent, and the table's logged values ("" for none)."""

    name: str
    size_bytes: int
    rows: int
    values: Mapping[str, str] = field(default_factory=dict)


def form(columns: Sequence[str]) -> pa.Schema:
    """A row a file: its name, size_bytes and rows, and the logged values."""
    values = [(column, pa.string()) for column in columns]
    return pa.schema([("name", pa.string()), ("size_bytes", pa.int64()), ("rows", pa.int64()), *values])


class Columns:
    """Rows of `form`, to be looked at one by one.

    Args:
        files: a table.
    """

    def __init__(self, files: pa.Table) -> None:
        self.logged = files.column_names[3:]
        self.arrays = [column.combine_chunks() for column in files.columns]


def logged_at(files: Columns, row: int) -> Logged:
    """One row as an object."""
    name, size, count, *values = [array[row].as_py() for array in files.arrays]
    return Logged(name, size, count, dict(zip(files.logged, values, strict=True)))


class _Base:
    """Files that stood together at some moment, and where to find one."""

    def __init__(self, files: pa.Table) -> None:
        self.files = files

    @cached_property
    def columns(self) -> Columns:
        return Columns(self.files)

    @cached_property
    def places(self) -> dict[str, int]:
        return {name: row for row, name in enumerate(self.files.column("name").to_pylist())}

    @cached_property
    def by_shard(self) -> dict[str, list[int]]:
        found: dict[str, list[int]] = {}
        for row, shard in enumerate(self.files.column("shard").to_pylist()):
            found.setdefault(shard, []).append(row)
        return found


class Live(Mapping[str, Logged]):
    """Live files by name, of one version of a table. Never changes; `changed` gives that of the next version.

    Args:
        files: rows of `form`.
    """

    def __init__(self, files: pa.Table) -> None:
        self._base = _Base(files)
        self._fresh: dict[str, Logged] = {}
        self._gone: frozenset[str] = frozenset()  # of the base; may name what is not in it

    def changed(self, adds: Iterable[Logged], removes: Iterable[str]) -> Live:
        """As it is after a commit: removals first."""
        fresh, gone = dict(self._fresh), set(removes)
        for name in gone:
            fresh.pop(name, None)
        for entry in adds:
            fresh[entry.name] = entry
            gone.add(entry.name)
        made = Live.__new__(Live)
        made._base, made._fresh, made._gone = self._base, fresh, self._gone | gone
        if len(made._gone) > FOLD_ABOVE + self._base.files.num_rows // 8:
            return Live(made.columns)
        return made

    @cached_property
    def columns(self) -> pa.Table:
        """All files, in no order, as rows of `form`."""
        kept = self._base.files
        if self._gone:
            names = pa.array(sorted(self._gone), pa.string())
            kept = kept.filter(pc.invert(pc.is_in(kept.column("name"), value_set=names)))
        if not self._fresh:
            return kept
        rows = [
            {"name": entry.name, "size_bytes": entry.size_bytes, "rows": entry.rows, **entry.values}
            for entry in self._fresh.values()
        ]
        return pa.concat_tables([kept, pa.Table.from_pylist(rows, schema=kept.schema)])

    def of_shards(self, shards: Iterable[str]) -> list[Logged]:
        """The files of some shards. Takes no longer where there are many others."""
        wanted = set(shards)
        rows = [row for shard in wanted for row in self._base.by_shard.get(shard, ())]
        kept = [entry for entry in (logged_at(self._base.columns, row) for row in rows) if entry.name not in self._gone]
        return [*kept, *(entry for entry in self._fresh.values() if entry.values.get("shard") in wanted)]

    def __getitem__(self, name: str) -> Logged:
        if name in self._fresh:
            return self._fresh[name]
        if name in self._gone:
            raise KeyError(name)
        return logged_at(self._base.columns, self._base.places[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self.columns.column("name").to_pylist())

    def __len__(self) -> int:
        return int(self.columns.num_rows)

    def values(self) -> list[Logged]:  # type: ignore[override]  # a list is all that is asked of it
        names = self.columns.column_names[3:]
        rows = zip(*(column.to_pylist() for column in self.columns.columns), strict=True)
        return [Logged(name, size, count, dict(zip(names, each, strict=True))) for name, size, count, *each in rows]

    def __contains__(self, name: object) -> bool:
        return name in self._fresh or (name not in self._gone and name in self._base.places)


class ShardFiles(Mapping[str, list[DataFile]]):
    """A family's live files by shard, each made when it is looked at.

    Args:
        family: its name. live: its files.
    """

    def __init__(self, family: str, live: Live) -> None:
        self._family, self._base = family, _Base(live.columns)

    def __getitem__(self, shard: str) -> list[DataFile]:
        entries = [logged_at(self._base.columns, row) for row in self._base.by_shard[shard]]
        return [from_logged(self._family, entry) for entry in sorted(entries, key=lambda entry: entry.name)]

    def __iter__(self) -> Iterator[str]:
        return iter(self._base.by_shard)

    def __len__(self) -> int:
        return len(self._base.by_shard)

    def __bool__(self) -> bool:
        return bool(self._base.files.num_rows)

    def __contains__(self, shard: object) -> bool:
        return shard in self._base.by_shard


def to_logged(file: DataFile) -> Logged:
    """A data file as the log lists it."""
    media = file.media or Media("", 0, "")
    known = {
        "source": file.source,
        "shard": file.shard,
        "fp": file.fp,
        "keys": file.keys,
        "digest": file.digest,
        "media": media.path.rpartition("/")[2],
        "media_bytes": str(media.size_bytes),
        "media_digest": media.digest,
    }
    values = {name: known[name] for name in logged(file.family)}
    return Logged(file.name, file.size_bytes, file.rows, values)


def from_logged(family: str, entry: Logged) -> DataFile:
    """The data file that a log's entry lists."""
    value = entry.values
    media = None
    if value.get("media"):
        media = Media(f"media/{value['media']}", int(value["media_bytes"]), value["media_digest"])
    return DataFile(
        family,
        f"{folder(family)}/{entry.name}",
        value["shard"],
        value["fp"],
        value["keys"],
        entry.rows,
        entry.size_bytes,
        value["digest"],
        value.get("source", ""),
        media,
    )
