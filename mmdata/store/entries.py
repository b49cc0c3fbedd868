"""The entries of planned shards: a Parquet row group each, read when they are iterated.

A plan of 10^9 entries is a table of its shards to the coordinator; a worker reads the entries of its own shard.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any, overload

import pyarrow as pa
import pyarrow.parquet as pq

from mmdata.core.ports import Entry
from mmdata.errors import StoreError
from mmdata.store.files import Files, HashedFile, place
from mmdata.store.layout import PLANS
from mmdata.store.parquet import parquet_file
from mmdata.store.tables import FILES, writer_settings

ENTRIES_A_FILE = 1 << 20  # 60 MB or so
SHARD_COLUMNS = ("op", "shard", "entries", "size_bytes", "parts", "first_key", "last_key", "file", "row_group", "heir")
ENTRY_COLUMNS = ("shard", "position", "key", "entry")
SHARDS = pa.schema([FILES[PLANS].field(name) for name in SHARD_COLUMNS])
ENTRIES = pa.schema([FILES[PLANS].field(name) for name in ENTRY_COLUMNS])


@dataclass(frozen=True)
class Extent:
    """What can be said of a shard's entries without reading them.

    Args:
        entries: how many. size_bytes: of all their members.
        parts: by part, how many entries have it, and the bytes of it.
        first_key, last_key: the least and the greatest; "" where there are none.
    """

    entries: int = 0
    size_bytes: int = 0
    parts: Mapping[str, tuple[int, int]] = field(default_factory=dict)
    first_key: str = ""
    last_key: str = ""


def extent(entries: Sequence[Entry]) -> Extent:
    """The extent of entries: of recorded ones as it was recorded, of others by counting."""
    if isinstance(entries, ShardEntries):
        return entries.extent
    parts: dict[str, tuple[int, int]] = {}
    for entry in entries:
        sizes: dict[str, int] = {}
        for member in entry.members:
            sizes[member.part] = sizes.get(member.part, 0) + member.size
        for part, size in sizes.items():
            had = parts.get(part, (0, 0))
            parts[part] = had[0] + 1, had[1] + size
    keys = [entry.key for entry in entries]
    size_bytes = sum(size for _, size in parts.values())
    return Extent(len(keys), size_bytes, parts, min(keys, default=""), max(keys, default=""))


def keys_of(entries: Sequence[Entry]) -> list[str]:
    """The keys of entries, in order; of recorded ones without reading the rest."""
    return entries.keys() if isinstance(entries, ShardEntries) else [entry.key for entry in entries]


class ShardEntries(Sequence[Entry]):
    """A recorded shard's entries: they are read from the store when they are looked at, and not kept.

    Their number and extent cost nothing. Pickled, it says where they are.

    Args:
        files: the store.
        rows: shards of the plan, of schema `SHARDS`.
        at: which row.
    """

    __slots__ = ("_at", "_files", "_rows")

    def __init__(self, files: Files, rows: pa.RecordBatch, at: int) -> None:
        self._files, self._rows, self._at = files, rows, at

    def __reduce__(self) -> tuple[Any, ...]:
        return _restored, (self._files.url, self._files.options, self._rows.slice(self._at, 1).to_pylist()[0])

    def _value(self, column: str) -> Any:
        return self._rows.column(column)[self._at].as_py()

    @property
    def extent(self) -> Extent:
        parts = {name: (count, size) for name, (count, size) in json.loads(self._value("parts")).items()}
        first, last = self._value("first_key") or "", self._value("last_key") or ""
        return Extent(len(self), self._value("size_bytes"), parts, first, last)

    def keys(self) -> list[str]:
        """The entries' keys, in order; cheaper than the entries."""
        return list(self._column("key")) if len(self) else []

    def _column(self, column: str) -> list[str]:
        return _read(self._files, self._value("file"), self._value("row_group"), column, len(self))

    def _loaded(self) -> tuple[Entry, ...]:
        return _loaded(self._files, self._value("file"), self._value("row_group"), len(self)) if len(self) else ()

    def __len__(self) -> int:
        count: int = self._value("entries")
        return count

    def __iter__(self) -> Iterator[Entry]:
        return iter(self._loaded())

    @overload
    def __getitem__(self, index: int) -> Entry: ...

    @overload
    def __getitem__(self, index: slice) -> Sequence[Entry]: ...

    def __getitem__(self, index: int | slice) -> Entry | Sequence[Entry]:
        return self._loaded()[index]

    def __eq__(self, other: object) -> bool:
        if isinstance(other, str) or not isinstance(other, Sequence):
            return NotImplemented
        return len(self) == len(other) and all(mine == theirs for mine, theirs in zip(self, other, strict=True))

    __hash__ = None  # type: ignore[assignment]  # equal to lists, which have none

    def __repr__(self) -> str:
        return f"<{len(self)} entries of shard {self._value('shard')}>"


def _restored(url: str, options: tuple[tuple[str, str], ...], row: Mapping[str, Any]) -> ShardEntries:
    return ShardEntries(Files(url, options), pa.RecordBatch.from_pylist([dict(row)], schema=SHARDS), 0)


@lru_cache(maxsize=2)  # a worker goes through its shard's entries several times
def _loaded(files: Files, name: str, group: int, count: int) -> tuple[Entry, ...]:
    return tuple(Entry.from_json(json.loads(text)) for text in _read(files, name, group, "entry", count))


def _read(files: Files, name: str, group: int, column: str, count: int) -> list[str]:
    """A column of one row group.

    Raises:
        StoreError: it can't be read, or does not hold what the plan says.
    """
    path = f"{PLANS}/{name}"
    try:
        with parquet_file(files, path) as file:
            values: list[str] = file.read_row_group(group, columns=[column], use_threads=False).column(0).to_pylist()
    except (OSError, pa.ArrowException, IndexError) as error:
        raise StoreError(f"{files.url}/{path}: the plan's entries can't be read: {error}") from error
    if len(values) != count:
        raise StoreError(f"{files.url}/{path}: row group {group} has {len(values)} entries, the plan says {count}")
    return values


@dataclass(frozen=True)
class Written:
    """A file of entries: its name within the folder, its bytes, its rows and its digest."""

    name: str
    size_bytes: int
    rows: int
    digest: str


def write_entries(
    files: Files, stem: str, shards: Mapping[str, Sequence[Entry]]
) -> tuple[list[Written], list[dict[str, Any]]]:
    """Write the entries of shards.

    Args:
        files: the store.
        stem: what the files' names begin with.
        shards: entries by shard; one without entries is in no file.

    Returns:
        The files, of about `ENTRIES_A_FILE` rows each, and for each shard in its order a row of `SHARDS`.
    """
    written: list[Written] = []
    places: dict[str, tuple[str, int]] = {}
    for batch in _batches(shards):
        made = _write(files, f"{stem}-{len(written):05d}", {shard: shards[shard] for shard in batch})
        places |= {shard: (made.name, group) for group, shard in enumerate(batch)}
        written.append(made)
    return written, [_row(shard, extent(entries), places.get(shard)) for shard, entries in shards.items()]


def _batches(shards: Mapping[str, Sequence[Entry]]) -> Iterator[list[str]]:
    """The shards with entries, as many at a time as make a file."""
    batch: list[str] = []
    room = ENTRIES_A_FILE
    for shard, entries in shards.items():
        if not len(entries):
            continue
        batch.append(shard)
        room -= len(entries)
        if room <= 0:
            yield batch
            batch, room = [], ENTRIES_A_FILE
    if batch:
        yield batch


def _row(shard: str, known: Extent, place: tuple[str, int] | None) -> dict[str, Any]:
    parts = json.dumps(dict(known.parts), sort_keys=True)
    name, group = place or (None, None)
    extents = {"entries": known.entries, "size_bytes": known.size_bytes, "parts": parts}
    keys = {"first_key": known.first_key, "last_key": known.last_key}
    return {"op": "add", "shard": shard, **extents, **keys, "file": name, "row_group": group, "heir": None}


def _write(files: Files, stem: str, shards: Mapping[str, Sequence[Entry]]) -> Written:
    """One file: a row group a shard."""
    file = HashedFile(files.scratch(stem))
    try:
        with pq.ParquetWriter(pa.PythonFile(file, mode="w"), ENTRIES, **writer_settings(ENTRIES)) as writer:
            for shard, entries in shards.items():
                texts = [json.dumps(entry.to_json()) for entry in entries]
                columns = [[shard] * len(texts), range(len(texts)), [entry.key for entry in entries], texts]
                arrays = [pa.array(column, each.type) for column, each in zip(columns, ENTRIES, strict=True)]
                writer.write_table(pa.Table.from_arrays(arrays, schema=ENTRIES), row_group_size=len(texts))
        path = place(files, file, PLANS, stem, "parquet")
    except BaseException:
        file.discard()
        raise
    return Written(path.rpartition("/")[2], file.size_bytes, sum(map(len, shards.values())), file.digest)
