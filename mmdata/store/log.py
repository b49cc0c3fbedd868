"""Delta Lake as a commit log, and only that: which files are live, and how that changes, all or nothing.

Commits are never rebased: of two writers who decided on the same state one always fails, even where Delta Lake sees no
conflict (it takes two blind appends of one shard); it then looks at the new state and decides again.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
from deltalake import CommitProperties, DeltaTable
from deltalake import Field as DeltaField
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError, TableNotFoundError
from deltalake.transaction import AddAction, RemoveAction, Transaction

from mmdata.errors import CommitConflict, SchemaMismatch
from mmdata.store.files import Files
from mmdata.store.layout import DataFile, Media, folder
from mmdata.store.tables import logged

ATTEMPTS = 60
_SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",  # or snapshots and time travel rot
    "delta.checkpointInterval": "100",
    "delta.dataSkippingNumIndexedCols": "0",  # nobody prunes by statistics; the log stays small
}
Txn = tuple[str, int]


@dataclass(frozen=True)
class Logged:
    """A live file, as the log has it: name within the folder, extent, and the table's logged values ("" for none)."""

    name: str
    size_bytes: int
    rows: int
    values: Mapping[str, str] = field(default_factory=dict)


Decision = tuple[Sequence[Logged], Sequence[Logged]]
Decide = Callable[[Mapping[str, Logged]], Decision]


class Log:
    """The Delta table of one family. It is made by the first commit."""

    def __init__(self, files: Files, family: str) -> None:
        self.family = family
        self._files = files
        self._uri = files.uri(folder(family))
        self._options = files.delta_options
        self._table: DeltaTable | None = None
        self._live: dict[str, Logged] | None = None

    def refresh(self) -> int:
        """Read what was committed since; returns the version, -1 where nothing ever was."""
        with self._files.told():
            return self._refresh()

    def _refresh(self) -> int:
        if self._table is None:
            try:
                self._table = DeltaTable(self._uri, storage_options=self._options)
            except TableNotFoundError:
                return -1
            self._live = None
            return self._table.version()
        before = self._table.version()
        self._table.update_incremental()
        if self._table.version() != before:
            self._live = None
        return self._table.version()

    def live(self) -> Mapping[str, Logged]:
        """The live files by name, as of the last refresh."""
        if self._table is None:
            return {}
        if self._live is None:
            self._live = {entry.name: entry for entry in _entries(self._table, logged(self.family))}
        return self._live

    def transaction(self, app: str) -> int:
        """The newest version of an application's transactions, as of the last refresh; -1 where there is none."""
        version = None if self._table is None else self._table.transaction_version(app)
        return -1 if version is None else version

    def commit(self, decide: Decide, schema: pa.Schema | None, *, txn: Txn | None = None) -> bool:
        """Add and remove files in one transaction.

        Args:
            decide: given the live files, what to add and what to remove; called again when another writer was first.
                It raises CommitConflict when its change makes no sense any more.
            schema: the table's, of `delta_schema`; None when nothing is added.
            txn: an application's name and version; does nothing when that version is committed already.

        Returns:
            Whether anything changed.

        Raises:
            CommitConflict: other writers were first, again and again.
            SchemaMismatch: the table has a column of another type.
            Unreachable: the place does not answer. Whether the commit was made is not known; doing it again is safe.
        """
        reason: Exception | None = None
        for attempt in range(ATTEMPTS):
            if attempt:
                time.sleep(random.uniform(0, min(0.5, 0.01 * 2**attempt)))
            self.refresh()
            if txn is not None and self.transaction(txn[0]) >= txn[1]:
                return False
            try:
                with self._files.told():
                    self._prepare(schema)
                    adds, removes = decide(self.live())  # on the state that the commit builds on
                    if not adds and not removes:
                        return False
                    self._write(adds, removes, txn)
            except CommitFailedError as error:
                reason = error
            else:
                self.refresh()
                return True
        raise CommitConflict(f"{self._uri}: other writers were first {ATTEMPTS} times: {reason}") from reason

    def _write(self, adds: Sequence[Logged], removes: Sequence[Logged], txn: Txn | None) -> None:
        if self._table is None:
            raise CommitConflict(f"{self._uri}: there is no table to remove files from")
        now_ms = int(time.time() * 1000)
        actions: list[AddAction | RemoveAction] = [_add(entry, now_ms) for entry in adds]
        actions += [_remove(entry, now_ms) for entry in removes]
        marks = [Transaction(*txn)] if txn else None
        self._table.create_write_transaction(
            actions,
            "append",
            self._table.schema(),
            list(logged(self.family)),
            commit_properties=CommitProperties(app_transactions=marks, max_commit_retries=0),
        )

    def _prepare(self, schema: pa.Schema | None) -> None:
        """Make the table, or widen it, so that it has the schema's columns."""
        if schema is None:
            return
        if self._table is None:
            self._create(schema)
            self.refresh()
        if self._table is not None and (fresh := self._fresh(self._table, schema)):
            self._table.alter.add_columns(fresh)
            self.refresh()

    def _create(self, schema: pa.Schema) -> None:
        try:
            DeltaTable.create(
                self._uri,
                schema=schema,
                partition_by=list(logged(self.family)),
                mode="ignore",
                configuration=_SETTINGS,
                storage_options=self._options,
            )
        except DeltaError:
            if not DeltaTable.is_deltatable(self._uri, self._options):
                raise  # it is there when another writer made it at the same moment

    def check(self, schema: pa.Schema) -> None:
        """Raise SchemaMismatch when a commit with this schema would."""
        if self._table is not None:
            self._fresh(self._table, schema)

    def _fresh(self, table: DeltaTable, schema: pa.Schema) -> list[DeltaField]:
        """The schema's columns that the table lacks."""
        have = {column.name: column for column in table.schema().fields}
        columns = DeltaSchema.from_arrow(schema).fields
        for column in columns:
            if column.name in have and have[column.name].type != column.type:
                raise SchemaMismatch(
                    f"{self.family!r} has column {column.name!r} as {have[column.name].type}, not as {column.type}: "
                    "write it to a family of another name (`into:`)"
                )
        return [column for column in columns if column.name not in have]


def _entries(table: DeltaTable, columns: Iterable[str]) -> Iterable[Logged]:
    rows = pa.table(table.get_add_actions(flatten=True))
    columns = tuple(columns)
    if lacking := [name for name in columns if f"partition.{name}" not in rows.column_names and rows.num_rows]:
        raise SchemaMismatch(f"{table.table_uri} lacks {lacking[0]!r}: another mmdata made it; make the store anew")
    values = [rows.column(f"partition.{name}").to_pylist() for name in columns]
    extent = [rows.column(name).to_pylist() for name in ("path", "size_bytes", "num_records")]
    for name, size, count, *each in zip(*extent, *values, strict=True):
        yield Logged(name, size, count or 0, {key: value or "" for key, value in zip(columns, each, strict=True)})


def _partition(entry: Logged) -> dict[str, str | None]:
    return {name: value or None for name, value in entry.values.items()}


def _add(entry: Logged, now_ms: int) -> AddAction:
    stats = json.dumps({"numRecords": entry.rows})
    return AddAction(entry.name, entry.size_bytes, _partition(entry), now_ms, True, stats)


def _remove(entry: Logged, now_ms: int) -> RemoveAction:
    return RemoveAction(entry.name, True, now_ms, entry.size_bytes, _partition(entry))


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


class FamilyLog(Log):
    """The log of a family of data files: samples, drops, rejects or a feature."""

    def __init__(self, files: Files, family: str) -> None:
        super().__init__(files, family)
        self._listed: tuple[Mapping[str, Logged] | None, list[DataFile]] = (None, [])

    def files(self) -> list[DataFile]:
        """The live files, by shard, as of the last refresh."""
        live = self.live()
        if live is not self._listed[0]:
            found = [from_logged(self.family, entry) for entry in live.values()]
            self._listed = live, sorted(found, key=lambda file: (file.shard, file.name))
        return list(self._listed[1])

    def change(
        self, add: Sequence[DataFile], remove: Sequence[DataFile], schema: pa.Schema | None, *, txn: Txn | None = None
    ) -> bool:
        """Commit files that come and go; what is so already is left out. Raises as `commit` and `decide` do."""
        return self.commit(lambda live: self.decide(live, add, remove), schema if add else None, txn=txn)

    def decide(
        self, live: Mapping[str, Logged], add: Sequence[DataFile], remove: Sequence[DataFile]
    ) -> tuple[list[Logged], list[Logged]]:
        """What is still to be done of a change.

        Raises:
            CommitConflict: a file to be replaced is gone, or a shard would come to have two samples files.
        """
        leaving = {file.name for file in remove}
        staying = [from_logged(self.family, entry) for name, entry in live.items() if name not in leaving]
        present = {file.stands_for for file in staying}
        adds = [file for file in add if file.stands_for not in present]
        gone = sorted(leaving - live.keys())
        if adds and gone:
            raise CommitConflict(f"{self.family}: another run has already replaced {gone[0]}; run again to plan anew")
        if self.family == "samples":
            _one_a_shard(adds, staying)
        return [to_logged(file) for file in adds], [live[name] for name in sorted(leaving & live.keys())]


def _one_a_shard(adds: Sequence[DataFile], staying: Sequence[DataFile]) -> None:
    held = {file.shard: file for file in staying}
    for file in adds:
        if other := held.get(file.shard):
            raise CommitConflict(f"shard {file.shard} is there already, as {other.name}: replace that, or plan anew")
        held[file.shard] = file
