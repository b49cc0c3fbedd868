"""New data files of one shard out of those of others: for what is merged, or loses samples, without its source.

What comes out has the very bytes that `ShardWriter` and `FeatureWriter` would have written for these rows in one go:
the same row groups, and a tar whose members are copied as they are. Memory is bounded by a row group and by what
`HELD_BYTES` keeps of the files that are read in turns; media are copied from file to file.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.core.fingerprint import keys_digest
from mmdata.errors import StoreError
from mmdata.store import read
from mmdata.store.files import Files, HashedFile, place
from mmdata.store.layout import DROPS, MEDIA, REJECTS, SAMPLES, DataFile, Media, folder, stem
from mmdata.store.parquet import TableFile, write_rows
from mmdata.store.tables import FILES, feature_schema, specs_of
from mmdata.store.tarblocks import END, Blocks, blocks
from mmdata.store.view import ShardView

HELD_BYTES = 64 << 20
OPEN_TARS = 100
_AHEAD = {"source", "engine"}  # who rejects entries before the first sample is carried through the steps
_CARRIED = "collision"  # what the engine rejects among the others

Rank = Callable[[str], int]
Keep = Callable[[str], bool]


def shard_of(made: Iterable[DataFile]) -> ShardView:
    """The files of one shard as a view of it: what a worker made and nobody has committed yet.

    Raises:
        StoreError: there is no samples file among them, or there are two.
    """
    by_family = {file.family: file for file in made}
    samples = by_family.pop(SAMPLES, None)
    if samples is None:
        raise StoreError(f"no samples file is among {sorted(by_family) or 'no files'}: there is no shard to make")
    drops, rejects = by_family.pop(DROPS, None), by_family.pop(REJECTS, None)
    return ShardView(samples.shard, samples.source, samples.rows, samples, by_family, drops, rejects)


def merged(
    files: Files,
    parts: Sequence[ShardView],
    *,
    shard: str,
    rank: Rank | None = None,
    keep: Keep | None = None,
) -> list[DataFile]:
    """Write the files of one shard from those of others. They have their final names and wait to be committed.

    Args:
        files: the store's.
        parts: whose rows; of one source, and made by the same steps: their fingerprints are equal, family by family.
        shard: the id of the shard to be.
        rank: the place of a key's entry among the new shard's entries; also asked for keys of split children, drops
            and rejects. Rows of equal rank stay in order. None leaves all parts as they follow each other.
        keep: whether a key's rows, drops and rejects are to be kept; None keeps all.

    Returns:
        The samples file, with its tar, then features by name, drops and rejects.

    Raises:
        StoreError: the parts don't belong together, or a key is in two of them. Nothing has a name then.
        Incomplete, SchemaMismatch: a file is gone, or damaged.
    """
    families = _families(parts)
    order = _Order(files, parts, rank or (lambda _: 0), keep or (lambda _: True))
    digest = keys_digest(order.keys)
    name = stem(shard, parts[0].samples.fp, digest)
    made = [_samples(files, parts, order, shard, digest)]
    for family in families:
        made += [_feature(files, [part.features.get(family) for part in parts], order, shard, digest)]
    for family, beside in ((DROPS, [part.drops for part in parts]), (REJECTS, [part.rejects for part in parts])):
        rows = _side_rows(files, family, [file for file in beside if file is not None], order)
        if rows is not None:
            path, size, own = write_rows(files, folder(family), name, rows)
            source = parts[0].source
            made.append(DataFile(family, path, shard, parts[0].samples.fp, digest, rows.num_rows, size, own, source))
    return made


def _families(parts: Sequence[ShardView]) -> list[str]:
    """The feature families that all parts have."""
    if not parts:
        raise StoreError("there is no shard to make files of")
    first = parts[0].samples
    if other := next((p.samples for p in parts if (p.samples.fp, p.source) != (first.fp, parts[0].source)), None):
        raise StoreError(f"{other.path} and {first.path} were made by other steps or from other sources: no one shard")
    names = sorted({family for part in parts for family in part.features})
    for family in names:
        found = {part.features[family].fp if family in part.features else "" for part in parts if part.rows}
        found |= {part.features[family].fp for part in parts if family in part.features}
        if len(found) > 1:
            raise StoreError(f"feature {family!r} is not the same in all {len(parts)} shards: make it up to date first")
    return names


class _Order:
    """Which rows of which parts follow each other.

    Attributes:
        keys: of the rows to be, in order.
        runs: (part, first row, rows) in order: stretches that follow each other in one part.
    """

    def __init__(self, files: Files, parts: Sequence[ShardView], rank: Rank, keep: Keep) -> None:
        self._rank, self._keep = rank, keep
        found: list[tuple[int, int, int, str]] = []
        for at, part in enumerate(parts):
            for row, key in enumerate(read.keys(files, part.samples)):
                if keep(key):
                    found.append((rank(key), at, row, key))
        found.sort(key=lambda each: each[:3])
        self.keys = [key for *_, key in found]
        if len(set(self.keys)) < len(self.keys):
            double = next(key for at, key in enumerate(sorted(self.keys)[1:]) if key == sorted(self.keys)[at])
            raise StoreError(f"{double!r} is in two of the shards {', '.join(part.shard for part in parts)}")
        self.runs: list[tuple[int, int, int]] = []
        for _, at, row, _ in found:
            last = self.runs[-1] if self.runs else (-1, 0, 0)
            if last[0] == at and last[1] + last[2] == row:
                self.runs[-1] = (at, last[1], last[2] + 1)
            else:
                self.runs.append((at, row, 1))

    def beside(self, family: str, rows: pa.Table) -> list[int]:
        """The rows of drops or rejects that stay, in order: entries that never became samples come first."""
        keys = rows.column("key").to_pylist()
        late = [True] * len(keys)
        if family == REJECTS:
            told = zip(rows.column("step").to_pylist(), rows.column("kind").to_pylist(), strict=True)
            late = [step not in _AHEAD or kind == _CARRIED for step, kind in told]
        kept = [at for at, key in enumerate(keys) if self._keep(key)]
        return sorted(kept, key=lambda at: (late[at], self._rank(keys[at])))


class _Reader:
    """Rows of several files by their place, of which row groups of no more than `HELD_BYTES` are held."""

    def __init__(self, files: Files, sources: Sequence[DataFile | None]) -> None:
        self._files, self._sources = files, sources
        self._starts: dict[int, np.ndarray] = {}
        self._held: OrderedDict[tuple[int, int], pa.Table] = OrderedDict()
        self._held_bytes = 0

    def rows(self, at: int, first: int, count: int) -> Iterator[pa.Table]:
        """The rows [first, first + count) of a file, a row group or less at a time; they share no memory with it."""
        while count:
            starts = self._extent(at)
            group = int(np.searchsorted(starts, first, side="right")) - 1
            table = self._group(at, group)
            offset = first - int(starts[group])
            n = min(count, table.num_rows - offset)
            yield table if n == table.num_rows else table.take(pa.array(np.arange(offset, offset + n)))
            first, count = first + n, count - n

    def _extent(self, at: int) -> np.ndarray:
        if at not in self._starts:
            with self._open(at) as opened:
                about = opened.metadata
                sizes = [about.row_group(group).num_rows for group in range(about.num_row_groups)]
            self._starts[at] = np.cumsum([0, *sizes[:-1]])
        return self._starts[at]

    def _open(self, at: int) -> AbstractContextManager[Any]:
        file = self._sources[at]
        if file is None:
            raise StoreError("a shard with rows lacks a file")
        return read.opened(self._files, file)

    def _group(self, at: int, group: int) -> pa.Table:
        if (at, group) in self._held:
            self._held.move_to_end((at, group))
            return self._held[at, group]
        with self._open(at) as opened:
            table = opened.read_row_group(group, use_threads=False)
        self._held[at, group] = table
        self._held_bytes += table.nbytes
        while self._held_bytes > HELD_BYTES and len(self._held) > 1:
            _, dropped = self._held.popitem(last=False)
            self._held_bytes -= dropped.nbytes
        return table


def _samples(files: Files, parts: Sequence[ShardView], order: _Order, shard: str, digest: str) -> DataFile:
    first = parts[0].samples
    name = stem(shard, first.fp, digest)
    reader = _Reader(files, [part.samples for part in parts])
    table = TableFile(files, f"{name}.parquet", FILES[SAMPLES])
    tar = HashedFile(files.scratch(f"{name}.tar"))
    try:
        with _Tars(files, [part.samples for part in parts]) as tars:
            for at, begin, count in order.runs:
                row = begin
                for rows in reader.rows(at, begin, count):
                    members = tars.at(at)
                    shift = members.copy(row, rows.num_rows, tar)
                    table.append(_shifted(rows, shift), members.sizes(row, rows.num_rows))
                    row += rows.num_rows
        media = None
        if order.keys:
            tar.write(END)
            media = Media(place(files, tar, MEDIA, name, "tar"), tar.size_bytes, tar.digest)
        path, size, own = table.close(SAMPLES, name)
    finally:  # does nothing to files that have their names
        tar.discard()
        table.abort()
    return DataFile(SAMPLES, path, shard, first.fp, digest, len(order.keys), size, own, first.source, media)


class _Tars:
    """The tars of several samples files, of which no more than `OPEN_TARS` are open."""

    def __init__(self, files: Files, sources: Sequence[DataFile]) -> None:
        self._files, self._sources = files, sources
        self._open: OrderedDict[int, tuple[Blocks, ExitStack]] = OrderedDict()

    def __enter__(self) -> _Tars:
        return self

    def __exit__(self, *error: object) -> None:
        for _, exits in self._open.values():
            exits.close()

    def at(self, index: int) -> Blocks:
        """The tar of a file, open until others take its place."""
        if index not in self._open:
            exits = ExitStack()
            self._open[index] = exits.enter_context(_blocks(self._files, self._sources[index])), exits
            while len(self._open) > OPEN_TARS:
                self._open.popitem(last=False)[1][1].close()
        self._open.move_to_end(index)
        return self._open[index][0]


def _blocks(files: Files, file: DataFile) -> AbstractContextManager[Blocks]:
    if file.media is None:
        raise StoreError(f"{file.path} has {file.rows} rows, but the log lists no tar for it")
    parts = read.open_rows(files, file, ["parts"]).column("parts").combine_chunks()
    stored = pc.is_valid(pc.struct_field(parts.flatten(), "offset"))
    total = np.concatenate([[0], np.cumsum(stored.to_numpy(zero_copy_only=False))])
    ends = np.cumsum(pc.list_value_length(parts).to_numpy())
    counts = np.diff(np.concatenate([[0], total[ends]]))
    return blocks(files, file.media.path, counts)


def _shifted(rows: pa.Table, shift: int) -> pa.Table:
    """Rows of samples whose tar members now lie so many bytes further on."""
    schema = FILES[SAMPLES]
    lists = rows.column("parts").combine_chunks()
    ends = pc.cumulative_sum(pc.list_value_length(lists))
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), ends.cast(pa.int32())])
    inner = lists.flatten()
    fields = list(schema.field("parts").type.value_type)
    columns = [pc.struct_field(inner, field.name) for field in fields]
    moved = [
        pc.add(column, shift) if field.name == "offset" else column
        for field, column in zip(fields, columns, strict=True)
    ]
    made = pa.StructArray.from_arrays(moved, fields=fields)
    lists = pa.ListArray.from_arrays(offsets, made, type=schema.field("parts").type)
    made_of = {"digests": pa.nulls(rows.num_rows, schema.field("digests").type)}  # older files have none
    made_of |= {name: rows.column(name).cast(schema.field(name).type) for name in rows.column_names if name != "parts"}
    made_of["parts"] = lists
    return pa.Table.from_arrays([made_of[name] for name in schema.names], schema=schema)


def _feature(files: Files, sources: Sequence[DataFile | None], order: _Order, shard: str, digest: str) -> DataFile:
    known = next(file for file in sources if file is not None)
    specs = read.file_specs(files, known)
    schema = feature_schema(known.family, specs)
    name = stem(shard, known.fp, digest)
    reader = _Reader(files, sources)
    table = TableFile(files, f"{known.family}-{name}.parquet", schema)
    try:
        for at, first, count in order.runs:
            for rows in reader.rows(at, first, count):
                if specs_of(rows.schema) != specs:
                    raise StoreError(f"feature {known.family!r} has several forms in the shards that are to be one")
                fixed = 16 + sum(spec.item_bytes or 0 for spec in specs.values() if not spec.varying)
                sizes = np.full(rows.num_rows, fixed, np.int64)
                for column in (column for column, spec in specs.items() if spec.varying):
                    sizes += pc.fill_null(pc.binary_length(rows.column(column)), 0).to_numpy()
                table.append(rows.select(schema.names).cast(schema), sizes)
        path, size, own = table.close(folder(known.family), name)
    finally:
        table.abort()
    return DataFile(known.family, path, shard, known.fp, digest, len(order.keys), size, own)


def _side_rows(files: Files, family: str, sources: Sequence[DataFile], order: _Order) -> pa.Table | None:
    """The drops or rejects that stay; None where there are none."""
    if not sources:
        return None
    rows = pa.concat_tables([read.open_rows(files, file) for file in sources]).cast(FILES[family])
    kept = order.beside(family, rows)
    return rows.take(pa.array(kept, pa.int64())) if kept else None
