"""A store's rows as columns, read file by file, so that a damaged one costs its own rows and no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.core.arrays import ArraySpec
from mmdata.errors import DataError, StoreError
from mmdata.store import read
from mmdata.store.damage import mending
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile, folder
from mmdata.store.store import Store
from mmdata.store.tables import FILES, error_column, is_scalar
from mmdata.store.view import ShardView

COLUMNS = ("key", "parent", "label", "parts", "digests")
T = TypeVar("T")


@dataclass(frozen=True)
class Fault:
    """Something that could not be read: where it is, and what is wrong with it."""

    where: str
    what: str


@dataclass(frozen=True)
class Column:
    """A feature column.

    Args:
        name, family: its own, and that of its family. spec: what it promises.
        n_rows: rows of the shards that have it. n_failed: of these, rows whose feature failed.
    """

    name: str
    family: str
    spec: ArraySpec
    n_rows: int
    n_failed: int


@dataclass(frozen=True)
class StoreRows:
    """What all rows of a store say of themselves.

    Args:
        shards: those whose samples could be read. samples: their rows, `COLUMNS` and `source`.
        scalars: numbers and truth values by feature column, float64 [sample]; NaN where there is none.
        columns: all feature columns, by name. faults: what could not be read. n_lost: rows that lay there.
    """

    shards: Sequence[ShardView]
    samples: pa.Table
    scalars: Mapping[str, np.ndarray]
    columns: Mapping[str, Column]
    faults: Sequence[Fault] = ()
    n_lost: int = 0

    def __len__(self) -> int:
        return int(self.samples.num_rows)

    @property
    def keys(self) -> pa.ChunkedArray:
        return self.samples["key"]

    @cached_property
    def starts(self) -> np.ndarray:
        """The row with which each shard begins: int64 [shard]."""
        return np.cumsum([0, *(shard.rows for shard in self.shards)])[:-1]

    def place(self, row: int) -> tuple[ShardView, int]:
        """The shard of a row, and its row there."""
        at = int(np.searchsorted(self.starts, row, side="right")) - 1
        while row - int(self.starts[at]) >= self.shards[at].rows:  # shards without rows share their start
            at -= 1
        return self.shards[at], row - int(self.starts[at])

    def rows_of(self, keys: Sequence[str]) -> np.ndarray:
        """Where keys stand: int64 [key]; -1 for those that are not there."""
        found = pc.index_in(pa.array(keys, pa.string()), value_set=self.keys.combine_chunks())
        return np.asarray(pc.fill_null(found, -1).to_numpy(zero_copy_only=False), np.int64)


def read_rows(store: Store) -> StoreRows:
    """Read what all facts begin with: keys, labels, parts, digests and every scalar, but no media and no arrays."""
    files, faults, n_lost = Files.at(store.url, store.storage_options), list[Fault](), 0
    kept, tables = list[ShardView](), [_empty()]
    for shard in store.view().shards:
        table = tried(faults, shard.samples.path, partial(_samples, files, shard))
        if table is None or table.num_rows != shard.rows:
            n_lost += shard.rows
        else:
            kept.append(shard)
            tables.append(table)
    scalars, columns = _features(store, files, kept, faults)
    return StoreRows(tuple(kept), pa.concat_tables(tables), scalars, columns, tuple(faults), n_lost)


def tried(faults: list[Fault], where: str, work: Callable[[], T]) -> T | None:
    """What some work gives; None, and a fault more, where the store's files don't allow it."""
    try:
        return work()
    except (StoreError, DataError, pa.ArrowException, OSError, ValueError, KeyError, TypeError) as error:
        faults.append(Fault(where, f"{type(error).__name__}: {error}"))
        return None


def beside(store: Store, family: str, faults: list[Fault]) -> pa.Table:
    """All drops or all rejects, as `Store.drops` and `Store.rejects` give them, but for those of damaged files."""
    files = Files.at(store.url, store.storage_options)
    tables = [read.beside(files, family, [])]
    for shard in store.view().shards:
        file = shard.drops if family == DROPS else shard.rejects
        if file is not None:
            found = tried(faults, file.path, partial(read.beside, files, family, [file]))
            tables += [] if found is None else [found]
    return pa.concat_tables(tables)


def drops(store: Store, faults: list[Fault]) -> pa.Table:
    """The samples that steps decided against: key, step, reason, pointer, source."""
    return beside(store, DROPS, faults)


def rejects(store: Store, faults: list[Fault]) -> pa.Table:
    """The samples that failed: key, step, kind, error, traceback, pointer, source."""
    return beside(store, REJECTS, faults)


def _empty() -> pa.Table:
    fields = [FILES[SAMPLES].field(name) for name in COLUMNS]
    return pa.schema([*fields, pa.field("source", pa.string())]).empty_table()


def _samples(files: Files, shard: ShardView) -> pa.Table:
    table = _some(files, shard.samples, COLUMNS)
    for name in COLUMNS:
        if name not in table.column_names:  # files of before there were digests
            field = FILES[SAMPLES].field(name)
            table = table.append_column(field, pa.nulls(table.num_rows, field.type))
    table = table.append_column("source", pa.array([shard.source] * table.num_rows, pa.string()))
    return table.select([*COLUMNS, "source"]).cast(_empty().schema)


def _some(files: Files, file: DataFile, names: Sequence[str]) -> pa.Table:
    """Those of some columns that a file has."""
    with read.opened(files, file) as found:
        there = set(found.schema_arrow.names)
        table: pa.Table = found.read(columns=[name for name in names if name in there], use_threads=False)
        return table


def _features(
    store: Store, files: Files, shards: Sequence[ShardView], faults: list[Fault]
) -> tuple[dict[str, np.ndarray], dict[str, Column]]:
    """All scalars, and what is known of every column."""
    families = _families(store, faults)
    scalars: dict[str, np.ndarray] = {}
    columns: dict[str, Column] = {}
    for family, specs in families.items():
        read_here = [name for name, spec in specs.items() if is_scalar(spec) and spec.dtype != "uint64"]
        pieces: dict[str, list[np.ndarray]] = {name: [] for name in read_here}
        n_rows = n_failed = 0
        for shard, table in _of_family(files, shards, family, [*read_here, error_column(family)], faults):
            n_rows += shard.rows if table is not None else 0
            n_failed += _n_failed(table, family)
            for name in read_here:
                pieces[name].append(_numbers(table, name, shard.rows))
        scalars |= {name: np.concatenate([np.zeros(0), *found]) for name, found in pieces.items()}
        columns |= {name: Column(name, family, spec, n_rows, n_failed) for name, spec in specs.items()}
    return scalars, dict(sorted(columns.items()))


def _families(store: Store, faults: list[Fault]) -> dict[str, dict[str, ArraySpec]]:
    """The columns of each family."""
    damaged = tried(faults, store.url, lambda: store.damaged) or {}
    faults += [Fault(folder(family), f"{fault}; {mending(store.url)}") for family, fault in damaged.items()]
    found: dict[str, dict[str, ArraySpec]] = {}
    for column, spec in store.families.items():
        found.setdefault(store.family_of(column), {})[column] = spec
    return found


def _of_family(
    files: Files, shards: Sequence[ShardView], family: str, names: Sequence[str], faults: list[Fault]
) -> Iterator[tuple[ShardView, pa.Table | None]]:
    """Each shard with some columns of a family; None where it has none that could be read."""
    for shard in shards:
        file = shard.features.get(family)
        if file is None:
            yield shard, None
            continue
        table = tried(faults, file.path, partial(_some, files, file, names))
        yield shard, table if table is not None and table.num_rows == shard.rows else None


def _n_failed(table: pa.Table | None, family: str) -> int:
    name = error_column(family)
    if table is None or name not in table.column_names:
        return 0
    return int(table.num_rows - table[name].null_count)


def _numbers(table: pa.Table | None, name: str, rows: int) -> np.ndarray:
    """A scalar column as float64 [row], NaN where there is none, or where it is no number."""
    if table is None or name not in table.column_names or pa.types.is_binary(table[name].type):
        return np.full(rows, np.nan)
    found = table[name].cast(pa.float64(), safe=False).combine_chunks()  # whole numbers past 2**53 are rounded
    return np.asarray(found.to_numpy(zero_copy_only=False), np.float64)
