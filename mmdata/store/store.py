"""The store: what users read, and what the coordinator of a run commits."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mmdata import __version__
from mmdata.core.arrays import ArraySpec
from mmdata.core.ports import Entry
from mmdata.core.sample import Sample
from mmdata.errors import Incomplete, SchemaMismatch, StoreError
from mmdata.store import plans, read, runs, snapshots
from mmdata.store.files import Files, missing_store
from mmdata.store.layout import (
    DROPS,
    FEATURES,
    FORMAT,
    LOG,
    MARKER,
    MEDIA_INDEX,
    PLANS,
    REJECTS,
    RUNS,
    SAMPLES,
    DataFile,
)  # fmt: skip
from mmdata.store.log import FamilyLog, Log, Txn
from mmdata.store.media import index
from mmdata.store.plans import StoredPlan
from mmdata.store.query import Rows, query
from mmdata.store.runs import Recipe
from mmdata.store.tables import delta_schema, error_column
from mmdata.store.view import ShardView, StoreView, join

__all__ = ["Change", "DataFile", "Recipe", "ShardView", "Store", "StoreView", "StoredPlan"]


@dataclass(frozen=True)
class Change:
    """Files of one family that come and go together.

    Args:
        family: "samples", "drops", "rejects", or a feature family.
        columns: what a feature family promises; may be left out, as its files say so too.
    """

    family: str
    columns: Mapping[str, ArraySpec] = field(default_factory=dict)
    add: Sequence[DataFile] = ()
    remove: Sequence[DataFile] = ()


class Store:
    """A feature store: a folder, or any place that fsspec and deltalake both reach.

    What is read comes from one picture of the store, taken when first needed: a run that goes on meanwhile changes
    nothing in it. `refresh` takes a new one. Made by `Store.create` and `Store.open`.
    """

    def __init__(self, files: Files, pinned: snapshots.Snapshot | None = None) -> None:
        self._files = files
        self._pinned = pinned
        self._logs: dict[str, FamilyLog] = {}
        self._runs, self._plans = Log(files, RUNS), Log(files, PLANS)
        self._picture: StoreView | None = None
        self._recipes: list[Recipe] = []
        self._specs: dict[tuple[str, str], dict[str, ArraySpec]] = {}
        self._places: dict[str, tuple[ShardView, int]] | None = None

    @classmethod
    def create(cls, url: str | os.PathLike[str], *, storage_options: Mapping[str, str] | None = None) -> Store:
        """A new store; the one that is there, when there is one."""
        files = Files.at(url, storage_options)
        if not files.exists(MARKER):
            with suppress(FileExistsError):  # another process may make it at the same moment
                files.create(MARKER, json.dumps({"format": FORMAT, "made_by": f"mmdata {__version__}"}).encode())
        return cls.open(url, storage_options=storage_options)

    @classmethod
    def open(
        cls,
        url: str | os.PathLike[str],
        *,
        snapshot: str | None = None,
        storage_options: Mapping[str, str] | None = None,
    ) -> Store:
        """The store at a place; with `snapshot`, as that pinned it.

        Raises:
            StoreError: there is no store, or no such snapshot.
            SchemaMismatch: a newer mmdata made it.
        """
        files = Files.at(url, storage_options)
        try:
            marker = json.loads(files.read(MARKER))
        except (FileNotFoundError, NotADirectoryError):
            raise missing_store(files) from None
        except ValueError as error:
            raise SchemaMismatch(f"{files.url}/{MARKER} is damaged: {error}") from error
        made = marker.get("format") if isinstance(marker, dict) else None
        if not isinstance(made, int) or made > FORMAT:
            raise SchemaMismatch(f"{files.url} has format {made}, this mmdata knows up to {FORMAT}: update mmdata")
        return cls(files, snapshots.read(files, snapshot) if snapshot is not None else None)

    @property
    def url(self) -> str:
        return self._files.url

    @property
    def storage_options(self) -> dict[str, str]:
        return dict(self._files.options)

    # ---- the picture

    def view(self) -> StoreView:
        """The newest picture of what belongs together; what is read from now on comes from it."""
        if self._pinned is not None:
            self._recipes, self._picture = list(self._pinned.recipes), self._pinned.view
            return self._picture
        samples = self._log(SAMPLES)
        while True:
            version = samples.refresh()
            others = {family: self._live(family) for family in [DROPS, REJECTS, *self._feature_names()]}
            self._runs.refresh()
            if samples.refresh() == version:  # or features that belonged to these samples may be gone by now
                break
        self._recipes = runs.recipes(self._runs)
        features = {family: files for family, files in others.items() if family not in (DROPS, REJECTS)}
        self._picture = join(samples.files(), features, self._recipes, drops=others[DROPS], rejects=others[REJECTS])
        self._places = None
        return self._picture

    refresh = view

    @property
    def _now(self) -> StoreView:
        return self._picture if self._picture is not None else self.view()

    def _log(self, family: str) -> FamilyLog:
        if family not in self._logs:
            self._logs[family] = FamilyLog(self._files, family)
        return self._logs[family]

    def _live(self, family: str) -> list[DataFile]:
        log = self._log(family)
        log.refresh()
        return log.files()

    def _feature_names(self) -> list[str]:
        return [name for name in self._files.folders(FEATURES) if self._files.exists(f"{FEATURES}/{name}/{LOG}")]

    # ---- reading

    @property
    def families(self) -> Mapping[str, ArraySpec]:
        """The feature columns and what they promise: while a setting is being replaced, by the newest run."""
        return {column: spec for _, column, spec in self._columns()}

    def _columns(self) -> Iterator[tuple[str, str, ArraySpec]]:
        """Family, column and spec of every feature."""
        view = self._now
        for family in view.families:
            for column, spec in self._file_specs(_newest(view, family, self._recipes)).items():
                yield family, column, spec

    def _file_specs(self, file: DataFile) -> dict[str, ArraySpec]:
        known = file.family, file.fp
        if known not in self._specs:
            self._specs[known] = read.file_specs(self._files, file)
        return self._specs[known]

    def family_of(self, column: str) -> str:
        """The family that a feature column belongs to. Raises StoreError when there is no such column."""
        for family, name, _ in self._columns():
            if name == column:
                return family
        raise StoreError(f"no feature {column!r} in {self.url!r}; there are {', '.join(self.families) or 'none'}")

    def __len__(self) -> int:
        return len(self._now)

    def keys(self) -> list[str]:
        """All keys, in order of source, shard and row."""
        return [key for shard in self._now.shards for key in self.keys_of(shard)]

    def keys_of(self, shard: ShardView) -> list[str]:
        """A shard's keys, in order of its rows."""
        return read.keys(self._files, shard.samples)

    def read_samples(self, shard: ShardView, *, fetch: read.Fetch | None = None) -> Iterator[Sample]:
        """A shard's samples in order of its rows, every part a `StoredBlob` that reads its bytes when asked.

        Args:
            shard: of this store's view.
            fetch: reads a part that was kept as a reference only; without it such a part raises Unreadable.
        """
        return read.samples(self._files, shard.samples, fetch)

    def sample(self, key: str) -> Sample:
        """One sample, every part a `StoredBlob`. Raises StoreError when there is none of that key."""
        shard, row = self._place(key)
        rows = read.open_rows(self._files, shard.samples, ["key", "parent", "meta", "parts"])
        return read.sample(self._files, shard.samples, rows.slice(row, 1).to_pylist()[0])

    def _place(self, key: str) -> tuple[ShardView, int]:
        if self._places is None:
            shards = self._now.shards
            self._places = {key: (shard, row) for shard in shards for row, key in enumerate(self.keys_of(shard))}
        if key not in self._places:
            raise StoreError(f"no sample {key!r} in {self.url!r}; `mmdata trace` tells of drops and rejects, too")
        return self._places[key]

    def arrays(
        self, column: str, keys: Sequence[str] | None = None, *, incomplete: bool = False
    ) -> list[np.ndarray | None]:
        """A feature's arrays, read-only; None where the feature failed.

        Args:
            column: the feature's.
            keys: whose, in that order; None is all, in the order of `keys()`.
            incomplete: give None for shards that lack the family, too.

        Raises:
            Incomplete: shards lack the family. StoreError: there is no such feature, or no such key.
        """
        family = self.family_of(column)
        if keys is None:
            self.check_complete([family], incomplete=incomplete)
            return [array for shard in self._now.shards for array in self.shard_arrays(shard, column)]
        places = [self._place(key) for key in keys]
        wanted = {shard.shard: shard for shard, _ in places}
        if not incomplete and (lacking := [shard for shard in wanted.values() if family not in shard.features]):
            raise self._incomplete(family, len(lacking))
        found = {name: self.shard_arrays(shard, column) for name, shard in wanted.items()}
        return [found[shard.shard][row] for shard, row in places]

    def shard_arrays(self, shard: ShardView, column: str) -> list[np.ndarray | None]:
        """A feature's arrays of one shard, by its file's own spec; all None where the shard lacks it."""
        file = shard.features.get(self.family_of(column))
        if file is None:
            return [None] * shard.rows
        spec = self._file_specs(file).get(column)
        if spec is None:
            raise SchemaMismatch(f"{file.path} has no column {column!r}: it is being replaced; finish that run first")
        return read.arrays(read.open_rows(self._files, file, read.needed(column, spec)), column, spec)

    def read_rows(self, file: DataFile) -> Iterator[tuple[str, dict[str, np.ndarray | None]]]:
        """Key and arrays of each row of a feature file, by column; rows whose feature failed are left out."""
        specs = self._file_specs(file)
        rows = read.open_rows(self._files, file)
        columns = [read.arrays(rows, column, spec) for column, spec in specs.items()]
        sound = rows[error_column(file.family)].is_null().to_pylist()
        for key, keep, *arrays in zip(rows["key"].to_pylist(), sound, *columns, strict=True):
            if keep and any(array is not None for array in arrays):
                yield key, dict(zip(specs, arrays, strict=True))

    def read_rows(self, file: DataFile) -> Iterator[tuple[str, dict[str, np.ndarray | None]]]:
        """Key and arrays by column of each sound row of a feature file; rows with a failed array are left out."""
        return read.feature_rows(self._files, file)

    def check_complete(self, families: Sequence[str], *, incomplete: bool = False) -> None:
        """Raise Incomplete when shards lack one of the families, unless that was asked for."""
        for family in families:
            lacking = self._now.lacking(family)
            if lacking and not incomplete:
                raise self._incomplete(family, len(lacking))

    def _incomplete(self, family: str, count: int) -> Incomplete:
        return Incomplete(
            f"{family!r} lacks {count} of {len(self._now.shards)} shards of {self.url!r}: "
            f"`mmdata features` (or `mmdata run`) on this store makes them"
        )

    def table(
        self, columns: Sequence[str] | None = None, *, where: str | None = None, incomplete: bool = False
    ) -> pa.Table:
        """Rows as an Arrow table, in the order of `keys()`.

        Args:
            columns: "key", "label", "source", "parent", "meta" (JSON), "meta.NAME", "text.PART" (or the part's name),
                and features: scalars natively, arrays of fixed axes as `fixed_shape_tensor`, others as bytes beside
                their lengths NAME#AXIS. None is key, label, source and every scalar feature.
            where: a condition in DuckDB's SQL over the same columns, arrays excepted.
            incomplete: give nulls for shards that lack a family, instead of raising.

        Raises:
            Incomplete: shards lack a family that was asked for. StoreError: no such column, or the condition is wrong.
        """
        rows = Rows(self._files, self._now, list(self._columns()), self._file_specs)
        families = rows.families(columns, where)
        self.check_complete(families, incomplete=incomplete)
        return query(rows, columns, where)

    def drops(self) -> pa.Table:
        """The samples that steps decided against: key, step, reason, pointer, source."""
        return self._beside(DROPS, [shard.drops for shard in self._now.shards])

    def rejects(self) -> pa.Table:
        """The samples that failed: key, step, kind, error, traceback, pointer, source."""
        return self._beside(REJECTS, [shard.rejects for shard in self._now.shards])

    def _beside(self, family: str, files: Sequence[DataFile | None]) -> pa.Table:
        return read.beside(self._files, family, [file for file in files if file is not None])

    def missing(self) -> pa.Table:
        """The features that failed: key, family, error."""
        return read.missing(self._files, self._now)

    # ---- snapshots

    def snapshot(self, name: str) -> snapshots.Snapshot:
        """Pin the newest picture under a name. Raises StoreError when there is a snapshot of that name."""
        view = self.view()
        return snapshots.make(self._files, name, view, self._recipes)

    def snapshots(self) -> list[str]:
        """The names of all snapshots."""
        return snapshots.names(self._files)

    # ---- writing, by the coordinator of a run

    def _writable(self) -> None:
        if self._pinned is not None:
            raise StoreError(f"this is snapshot {self._pinned.name!r} of {self.url!r}: open the store itself to write")

    def files(self, family: str) -> list[DataFile]:
        """The live files of a family as the log lists them now, whether a recipe joins them or not."""
        return self._live(family)

    def feature_families(self) -> list[str]:
        """The families that have a table, whether or not files of theirs are joined."""
        return self._feature_names()

    def commit(self, changes: Sequence[Change], *, txn: Txn | None = None) -> None:
        """Commit files of any families so that readers see each shard whole at each moment.

        The order is the store's affair: drops, rejects and features come first, then samples, then what all others
        lose. A shard's samples are replaced in one transaction, and a feature's too, when samples stay. Doing it
        again changes nothing, also after a crash halfway.

        Args:
            changes: what comes and goes.
            txn: an application's name and version, higher than that of its commits before; what of this version is
                committed already is left out.

        Raises:
            CommitConflict: another run replaced the same files, or has the same shards.
            SchemaMismatch: a family has a column of another type.
        """
        self._writable()
        changes = _merged(changes)
        beside = [change for change in changes if change.family != SAMPLES]
        core = [change for change in changes if change.family == SAMPLES]
        schemas = {change.family: self._schema(change) for change in changes}
        apart = any(change.remove for change in core)  # what is removed beside replaced samples must outlive them
        for change in changes:
            self._log(change.family).refresh()
            self._check(change, txn)
        for change in beside:
            remove = () if apart else change.remove
            self._log(change.family).change(change.add, remove, schemas[change.family], txn=_part(txn, "add"))
        for change in core:
            self._log(SAMPLES).change(change.add, change.remove, schemas[SAMPLES], txn=_part(txn, "add"))
        for change in beside if apart else ():
            self._log(change.family).change((), change.remove, None, txn=_part(txn, "remove"))
        self._picture = None

    def _check(self, change: Change, txn: Txn | None) -> None:
        """Find a conflict before anything is committed."""
        log, mark = self._log(change.family), _part(txn, "add")
        if mark is None or log.transaction(mark[0]) < mark[1]:
            log.decide(log.live(), change.add, change.remove)

    def _schema(self, change: Change) -> pa.Schema | None:
        if not change.add:
            return None
        columns = change.columns
        if not columns and change.family not in (SAMPLES, DROPS, REJECTS):
            columns = read.file_specs(self._files, change.add[0])
        return delta_schema(change.family, columns)

    def plan(self, source: str) -> StoredPlan:
        """How a source is divided into shards, as recorded."""
        self._plans.refresh()
        return plans.read(self._files, self._plans, source)

    def commit_plan(
        self, source: str, version: int, *, add: Mapping[str, Sequence[Entry]], remove: Sequence[str] = ()
    ) -> int:
        """Record the next increment of a plan read at `version`; returns the new version.

        Raises:
            CommitConflict: another run planned this source since: read its plan, and divide only the rest.
        """
        self._writable()
        return plans.commit(self._files, self._plans, source, version, add=add, remove=remove)

    def start_run(
        self,
        *,
        command: str,
        recipe: Recipe,
        pipeline: Mapping[str, Any] | None = None,
        machine: Mapping[str, Any] | None = None,
    ) -> str:
        """Record a run and its recipe, before any of its data is committed; returns the run's id."""
        self._writable()
        self._picture = None
        return runs.start(
            self._files,
            self._runs,
            command=command,
            recipe=recipe,
            pipeline=pipeline or {},
            code_version=__version__,
            machine=machine or {},
        )

    def finish_run(self, run: str, *, counts: Mapping[str, Any], seconds: float) -> None:
        """Record how a run ended, and bring the index of the tar shards up to date."""
        self._writable()
        runs.finish(self._files, self._runs, run, counts=counts, seconds=seconds)
        self.write_index()

    def runs(self) -> pa.Table:
        """All runs, the oldest first; pipeline, recipe, counts and machine are JSON."""
        self._runs.refresh()
        return runs.table(self._files, self._runs)

    def write_index(self) -> None:
        """Write media/index.json: the live tar shards in the form of `wids`."""
        name = self.url.rstrip("/").rpartition("/")[2]
        self._files.replace(MEDIA_INDEX, index(self._live(SAMPLES), name=name))


def _merged(changes: Sequence[Change]) -> list[Change]:
    """One change a family."""
    made: dict[str, Change] = {}
    for each in changes:
        had = made.get(each.family, Change(each.family))
        made[each.family] = Change(
            each.family, {**had.columns, **each.columns}, [*had.add, *each.add], [*had.remove, *each.remove]
        )
    return list(made.values())


def _part(txn: Txn | None, what: str) -> Txn | None:
    return None if txn is None else (f"{txn[0]}:{what}", txn[1])


def _newest(view: StoreView, family: str, recipes: Sequence[Recipe]) -> DataFile:
    """A file of the family whose fingerprint the newest recipe names."""
    files = {shard.features[family].fp: shard.features[family] for shard in view.shards if family in shard.features}
    for recipe in recipes:
        if recipe.features.get(family) in files:
            return files[recipe.features[family]]
    return next(iter(files.values()))
