"""Delta Lake as a commit log, and only that: which files are live, and how that changes, all or nothing.

Commits are never rebased: of two writers who decided on the same state one always fails, even where Delta Lake sees no
conflict (it takes two blind appends of one shard); it then looks at the new state and decides again.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import replace

import pyarrow as pa
from deltalake import DeltaTable
from deltalake import Field as DeltaField
from deltalake import Schema as DeltaSchema
from deltalake.exceptions import CommitFailedError, DeltaError

from mmdata.errors import CommitConflict, SchemaMismatch
from mmdata.store import delta
from mmdata.store.files import Files
from mmdata.store.layout import DataFile, folder
from mmdata.store.live import Live, Logged, ShardFiles, form, from_logged, to_logged
from mmdata.store.tables import logged

log = logging.getLogger(__name__)

__all__ = ["FamilyLog", "Live", "Log", "Logged", "Txn", "from_logged", "to_logged"]

ATTEMPTS = 60
CHECKPOINT_EVERY = 100  # commits: so many a reader has to read one by one
CHECKPOINT_SHARE = 0.1  # of the live files changed: a checkpoint lists all of them, seconds where there are 100,000
CHECKPOINT_SURELY = 1000  # commits
_SETTINGS = {
    "delta.enableExpiredLogCleanup": "false",  # or snapshots and time travel rot
    "delta.checkpointInterval": str(CHECKPOINT_EVERY),
    "delta.dataSkippingNumIndexedCols": "0",  # nobody prunes by statistics; the log stays small
}
Txn = tuple[str, int]
Decision = tuple[Sequence[Logged], Sequence[Logged]]
Decide = Callable[[Live], Decision]


class Log:
    """The Delta table of one family. It is made by the first commit."""

    def __init__(self, files: Files, family: str) -> None:
        self.family = family
        self._files = files
        self._folder = folder(family)
        self._nothing = Live(form(logged(family)).empty_table())
        self._state: delta.State | None = None

    def refresh(self) -> int:
        """Read what was committed since; returns the version, -1 where nothing ever was."""
        self._state = delta.newest(self._files, self._folder, logged(self.family), self._state)
        return -1 if self._state is None else self._state.version

    def live(self) -> Live:
        """The live files by name, as of the last refresh."""
        return self._nothing if self._state is None else self._state.live

    def transaction(self, app: str) -> int:
        """The newest version of an application's transactions, as of the last refresh; -1 where there is none."""
        return -1 if self._state is None else self._state.transactions.get(app, -1)

    def commit(
        self, decide: Decide, schema: pa.Schema | None, *, txn: Txn | None = None, is_fresh: bool = False
    ) -> bool:
        """Add and remove files in one transaction.

        Args:
            decide: given the live files, what to add and what to remove; called again when another writer was first.
                It raises CommitConflict when its change makes no sense any more.
            schema: the table's, of `delta_schema`; None when nothing is added.
            txn: an application's name and version; does nothing when that version is committed already.
            is_fresh: whether the log was refreshed just now. If not so, the commit fails, and is decided anew.

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
            if attempt or not is_fresh:
                self.refresh()
            if txn is not None and self.transaction(txn[0]) >= txn[1]:
                return False
            try:
                self._prepare(schema)
                adds, removes = decide(self.live())  # on the state that the commit builds on
                if not adds and not removes:
                    return False
                self._append(adds, removes, txn)
            except (CommitFailedError, FileExistsError) as error:
                reason = error
            else:
                return True
        raise CommitConflict(f"{self._uri}: other writers were first {ATTEMPTS} times: {reason}") from reason

    @property
    def _uri(self) -> str:
        return self._files.uri(self._folder)

    def _append(self, adds: Sequence[Logged], removes: Sequence[Logged], txn: Txn | None) -> None:
        if self._state is None:
            raise CommitConflict(f"{self._uri}: there is no table to remove files from")
        self._state = delta.append(self._files, self._folder, self._state, adds, removes, txn)
        if self._state.version % CHECKPOINT_EVERY == 0 and self._is_long(self._state):
            self._checkpoint()

    def _is_long(self, state: delta.State) -> bool:
        """Whether what a checkpoint would sum up is worth its cost."""
        n_commits = state.version - state.summed_up
        return n_commits >= CHECKPOINT_SURELY or state.n_changes >= CHECKPOINT_SHARE * len(state.live)

    def _checkpoint(self) -> None:
        """Sum up the log, so that readers needn't read every commit. The commit stands, also where that fails."""
        try:
            with self._files.told():
                table = DeltaTable(self._uri, storage_options=self._files.delta_options)
                table.create_checkpoint()
        except (DeltaError, OSError) as error:
            log.warning("table=%s no checkpoint was made: %s", self._uri, error)
        else:
            if self._state is not None:
                self._state = replace(self._state, summed_up=table.version(), n_changes=0)

    def _prepare(self, schema: pa.Schema | None) -> None:
        """Make the table, or widen it, so that it has the schema's columns."""
        if schema is None:
            return
        with self._files.told():
            if self._state is None:
                self._create(schema)
                self.refresh()
            if self._state is not None and (fresh := self._fresh(self._state, schema)):
                DeltaTable(self._uri, storage_options=self._files.delta_options).alter.add_columns(fresh)
                self.refresh()

    def _create(self, schema: pa.Schema) -> None:
        options = self._files.delta_options
        try:
            DeltaTable.create(
                self._uri,
                schema=schema,
                partition_by=list(logged(self.family)),
                mode="ignore",
                configuration=_SETTINGS,
                storage_options=options,
            )
        except DeltaError:
            if not DeltaTable.is_deltatable(self._uri, options):
                raise  # it is there when another writer made it at the same moment

    def check(self, schema: pa.Schema) -> None:
        """Raise SchemaMismatch when a commit with this schema would."""
        if self._state is not None:
            self._fresh(self._state, schema)

    def _fresh(self, state: delta.State, schema: pa.Schema) -> list[DeltaField]:
        """The schema's columns that the table lacks."""
        have = {column.name: column for column in DeltaSchema.from_json(state.columns).fields}
        columns = DeltaSchema.from_arrow(schema).fields
        for column in columns:
            if column.name in have and have[column.name].type != column.type:
                raise SchemaMismatch(
                    f"{self.family!r} has column {column.name!r} as {have[column.name].type}, not as {column.type}: "
                    "write it to a family of another name (`into:`)"
                )
        return [column for column in columns if column.name not in have]


class FamilyLog(Log):
    """The log of a family of data files: samples, drops, rejects or a feature."""

    def __init__(self, files: Files, family: str) -> None:
        super().__init__(files, family)
        self._listed: tuple[Live | None, list[DataFile]] = (None, [])

    def files(self, shards: Collection[str] | None = None) -> list[DataFile]:
        """The live files of all shards or some, by shard, as of the last refresh."""
        live = self.live()
        if shards is not None:
            found = [from_logged(self.family, entry) for entry in live.of_shards(shards)]
            return sorted(found, key=lambda file: (file.shard, file.name))
        if live is not self._listed[0]:
            found = [from_logged(self.family, entry) for entry in live.values()]
            self._listed = live, sorted(found, key=lambda file: (file.shard, file.name))
        return list(self._listed[1])

    def by_shard(self) -> ShardFiles:
        """The live files by shard, as of the last refresh, of which objects are made when they are looked at."""
        return ShardFiles(self.family, self.live())

    def change(
        self, add: Sequence[DataFile], remove: Sequence[DataFile], schema: pa.Schema | None, *, txn: Txn | None = None
    ) -> set[str]:
        """Commit files that come and go, deciding at first on the state of the last refresh.

        Returns:
            The paths of the files that were added; what was there already is left out.

        Raises:
            As `commit` and `decide`.
        """
        names: set[str] = set()

        def decide(live: Live) -> Decision:
            adds, removes = self.decide(live, add, remove)
            names.clear()
            names.update(entry.name for entry in adds)
            return adds, removes

        is_new = self.commit(decide, schema if add else None, txn=txn, is_fresh=True)
        return {file.path for file in add if file.name in names} if is_new else set()

    def decide(
        self, live: Live, add: Sequence[DataFile], remove: Sequence[DataFile]
    ) -> tuple[list[Logged], list[Logged]]:
        """What is still to be done of a change.

        Raises:
            CommitConflict: a file to be replaced is gone, or a shard would come to have two samples files.
        """
        there = {file.name: live[file.name] for file in remove if file.name in live}
        beside = (from_logged(self.family, entry) for entry in live.of_shards(file.shard for file in add))
        staying = [file for file in beside if file.name not in there]
        present = {file.stands_for for file in staying}
        adds = [file for file in add if file.stands_for not in present]
        gone = sorted({file.name for file in remove} - there.keys())
        if adds and gone:
            raise CommitConflict(f"{self.family}: another run has already replaced {gone[0]}; run again to plan anew")
        if self.family == "samples":
            _one_a_shard(adds, staying)
        return [to_logged(file) for file in adds], [there[name] for name in sorted(there)]


def _one_a_shard(adds: Sequence[DataFile], staying: Sequence[DataFile]) -> None:
    held = {file.shard: file for file in staying}
    for file in adds:
        if other := held.get(file.shard):
            raise CommitConflict(f"shard {file.shard} is there already, as {other.name}: replace that, or plan anew")
        held[file.shard] = file
