"""Selections: which samples, in which split, with which weight, and why not. One Delta table each, replaced whole."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import pyarrow as pa

from mmdata.core.fingerprint import keys_digest
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store.files import Files
from mmdata.store.layout import LOG, SELECTIONS, DataFile, checked_selection
from mmdata.store.log import Log, Logged, from_logged
from mmdata.store.parquet import read_rows, write_rows
from mmdata.store.tables import logged

DEALT = b"mmdata.dealt"  # in the schema's metadata: the fingerprint of how samples were dealt to splits, as JSON
EMPTY = b"mmdata.empty"  # in the schema's metadata: why splits of it are empty, JSON by split
SCHEMA = pa.schema(
    [
        pa.field("key", pa.string(), nullable=False),
        pa.field("split", pa.string()),
        pa.field("weight", pa.float64(), nullable=False),
        pa.field("reason", pa.string()),  # null: it is selected
        pa.field("cluster", pa.int64()),  # equal where samples are alike; null: like no other, or not looked for
        pa.field(
            "since", pa.int64()
        ),  # number of the selection that saw it first; null where splits hang on no history
    ]
)


class SelectionLog(Log):
    """The log of one selection."""

    def __init__(self, files: Files, name: str) -> None:
        super().__init__(files, f"{SELECTIONS}/{checked_selection(name)}")


def write(files: Files, name: str, rows: pa.Table, *, fp: str) -> None:
    """Put a selection in place of the one of that name, if there is one.

    Args:
        files: the store's.
        name: of the selection.
        rows: as SCHEMA says, a row a sample, in the store's order.
        fp: fingerprint of what decided it.

    Raises:
        StoreError: the name can't be one.
        SchemaMismatch: the rows are of another form.
        CommitConflict: others write the same selection again and again.
    """
    log = SelectionLog(files, name)
    if rows.schema != SCHEMA:
        raise SchemaMismatch(f"a selection has the columns {SCHEMA.names}, given were {rows.schema}")
    keys = keys_digest(rows["key"].to_pylist())
    path, size, digest = write_rows(files, f"{SELECTIONS}/{name}", f"{fp}-{keys}", rows)
    values = {"shard": name, "fp": fp, "keys": keys, "digest": digest}
    made = Logged(path.rpartition("/")[2], size, rows.num_rows, values)

    def decide(live: Mapping[str, Logged]) -> tuple[Sequence[Logged], Sequence[Logged]]:
        before = [entry for entry in live.values() if entry.name != made.name]
        return ([] if made.name in live else [made]), before

    columns = [pa.field(field.name, field.type) for field in SCHEMA]  # Delta's columns are all nullable
    log.commit(decide, pa.schema([*columns, *(pa.field(each, pa.string()) for each in logged(log.family))]))


def pins(files: Files) -> list[DataFile]:
    """The live files of all selections, for a snapshot to name."""
    found = []
    for name in names(files):
        log = SelectionLog(files, name)
        log.refresh()
        found += [from_logged(log.family, entry) for entry in log.live().values()]
    return found


def without(files: Files, pin: DataFile, keep: Callable[[str], bool]) -> DataFile:
    """A selection's file of the same rows but those whose keys are not to be kept; it is in no log."""
    rows = read_rows(files, pin.path)
    rows = rows.filter(pa.array([keep(key) for key in rows.column("key").to_pylist()], pa.bool_()))
    keys = keys_digest(rows["key"].to_pylist())
    path, size, digest = write_rows(files, pin.family, f"{pin.fp}-{keys}", rows)
    return replace(pin, path=path, keys=keys, rows=rows.num_rows, size_bytes=size, digest=digest)


def read(files: Files, name: str) -> pa.Table:
    """A selection's rows, as SCHEMA says; `reason` is null where the sample is selected.

    Raises:
        StoreError: there is no such selection; says which there are.
    """
    log = SelectionLog(files, name)
    log.refresh()
    live = list(log.live().values())
    if not live:
        there = ", ".join(names(files)) or "none"
        raise StoreError(f"no selection {name!r} in {files.url!r}; there are: {there}")
    return pa.concat_tables([whole(read_rows(files, f"{SELECTIONS}/{name}/{entry.name}")) for entry in live])


def whole(rows: pa.Table) -> pa.Table:
    """Rows as SCHEMA says: columns that older files lack are null."""
    for field in SCHEMA:
        if field.name not in rows.column_names:
            rows = rows.append_column(field, pa.nulls(rows.num_rows, field.type))
    return rows.select(SCHEMA.names)


def fp_of(files: Files, name: str) -> str:
    """The fingerprint of what decided a selection; "" when there is none of that name."""
    log = SelectionLog(files, name)
    log.refresh()
    return next((entry.values["fp"] for entry in log.live().values()), "")


def names(files: Files) -> list[str]:
    """The names of all selections, sorted."""
    return [name for name in files.folders(SELECTIONS) if files.exists(f"{SELECTIONS}/{name}/{LOG}")]
