"""What users read: keys, samples, arrays and tables, all from one picture of a store."""

from __future__ import annotations

import json
import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import islice

import numpy as np
import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Sample
from mmdata.errors import Incomplete, SchemaMismatch, StoreError
from mmdata.store import read, runs, selections
from mmdata.store.damage import damage
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, FEATURES, LOG, REJECTS, RUNS, SAMPLES, SELECTIONS, DataFile
from mmdata.store.log import FamilyLog, Log
from mmdata.store.parts import StoredParts
from mmdata.store.query import Rows, evaluate, query
from mmdata.store.runs import Recipe
from mmdata.store.snapshots import Snapshot
from mmdata.store.view import FileTable, ShardView, StoreView, join_tables

log = logging.getLogger(__name__)

MOST_TRIED = 100  # files of a family, before it is given up as damaged


class Reading:
    """The reading half of `Store`."""

    def __init__(self, files: Files, pinned: Snapshot | None = None) -> None:
        self._files = files
        self._pinned = pinned
        self._logs: dict[str, FamilyLog] = {}
        self._runs = Log(files, RUNS)
        self._picture: StoreView | None = None
        self._recipes: list[Recipe] = []
        self._specs: dict[tuple[str, str], dict[str, ArraySpec]] = {}
        self._promised: dict[str, dict[str, ArraySpec]] = {}
        self._unreadable: dict[str, str] = {}
        self._damaged: dict[str, str] | None = None
        self._places: dict[str, tuple[ShardView, int]] | None = None

    @property
    def url(self) -> str:
        return self._files.url

    @property
    def storage_options(self) -> dict[str, str]:
        return dict(self._files.options)

    @property
    def pinned(self) -> str | None:
        """The name of the snapshot that it was opened at; None for what is newest."""
        return None if self._pinned is None else self._pinned.name

    # ---- the picture

    def view(self) -> StoreView:
        """The newest picture of what belongs together; what is read from now on comes from it."""
        if self._pinned is not None:
            self._recipes, self._picture = list(self._pinned.recipes), self._pinned.view
            return self._picture
        samples = self._log(SAMPLES)
        while True:
            version = samples.refresh()
            others = {family: self._table(family) for family in [DROPS, REJECTS, *self._feature_names()]}
            self._runs.refresh()
            if samples.refresh() == version:  # or features that belonged to these samples may be gone by now
                break
        self._recipes = runs.recipes(self._runs)
        features = {family: files for family, files in others.items() if family not in (DROPS, REJECTS)}
        own = FileTable.live(SAMPLES, samples.live())
        self._picture = join_tables(own, features, self._recipes, drops=others[DROPS], rejects=others[REJECTS])
        self._places = None
        self._promised, self._unreadable, self._damaged = {}, {}, None
        return self._picture

    refresh = view

    def _forget(self) -> None:
        """Take a new picture when next something is read."""
        self._picture = None
        self._places = None

    @property
    def _now(self) -> StoreView:
        return self._picture if self._picture is not None else self.view()

    def _log(self, family: str) -> FamilyLog:
        if family not in self._logs:
            self._logs[family] = FamilyLog(self._files, family)
        return self._logs[family]

    def _table(self, family: str) -> FileTable:
        log = self._log(family)
        log.refresh()
        return FileTable.live(family, log.live())

    def _live(self, family: str, shards: Collection[str] | None = None) -> list[DataFile]:
        log = self._log(family)
        log.refresh()
        return log.files(shards)

    def _feature_names(self) -> list[str]:
        return [name for name in self._files.folders(FEATURES) if self._files.exists(f"{FEATURES}/{name}/{LOG}")]

    # ---- reading

    @property
    def families(self) -> Mapping[str, ArraySpec]:
        """The feature columns and what they promise: while a setting is being replaced, by the newest run.

        Those of `unreadable` are not among them.
        """
        return {column: spec for _, column, spec in self._columns()}

    @property
    def damaged(self) -> Mapping[str, str]:
        """What is wrong with the files, by family ("samples" and "drops", too): see `store.damage.damage`.

        Files of an object store are listed, and those that promise for their family are read. What is not seen here,
        `verify` finds.
        """
        if self._damaged is None:
            self._damaged = damage(self._files, self._now)
        return {**self._damaged, **self.unreadable}

    @property
    def unreadable(self) -> Mapping[str, str]:
        """The feature families of which no file can be read, and why; where one can, the others' shards alone fail."""
        list(self._columns())
        return dict(self._unreadable)

    def _columns(self) -> Iterator[tuple[str, str, ArraySpec]]:
        """Family, column and spec of every feature of a family that can be read."""
        view = self._now
        for family in view.families:
            if family not in self._promised:
                self._promised[family] = self._promises(view, family)
            for column, spec in self._promised[family].items():
                yield family, column, spec

    def _promises(self, view: StoreView, family: str) -> dict[str, ArraySpec]:
        """The columns of a family, as the newest of its files that can be read has them; none where none can."""
        faults: list[str] = []
        for file in _candidates(view, family, self._recipes):
            try:
                return self._file_specs(file)
            except StoreError as error:
                faults.append(str(error))
        self._unreadable[family] = f"none of its files can be read: {faults[0]}"
        log.warning("family=%s is left out: %s", family, self._unreadable[family])
        return {}

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
        there = f"there are {', '.join(self.families) or 'none'}"
        for family, fault in self._unreadable.items():
            there += f"; of {family!r} {fault}"
        raise StoreError(f"no feature {column!r} in {self.url!r}; {there}")

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
        """One sample; its parts are decoded when they are touched, see `StoredParts`.

        Raises:
            StoreError: there is none of that key.
        """
        shard, row = self._place(key)
        rows = read.open_rows(self._files, shard.samples, ["key", "parent", "meta", "parts"])
        found = rows.slice(row, 1).to_pylist()[0]
        parts = StoredParts(read.blobs(self._files, shard.samples, found))
        return Sample(key, parts, json.loads(found["meta"]), found["parent"])

    def shard_of(self, key: str) -> ShardView:
        """The shard that a sample lies in. Raises StoreError when there is none of that key."""
        return self._place(key)[0]

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
        """Key and arrays by column of each row of a feature file; rows whose feature failed are left out."""
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
        rows = self.rows()
        families = rows.families(columns, where)
        self.check_complete(families, incomplete=incomplete)
        return query(rows, columns, where)

    def evaluate(self, wanted: Mapping[str, str], *, incomplete: bool = False) -> pa.Table:
        """The values of expressions for every sample, by name, in the order of `keys()`.

        Args:
            wanted: expressions in DuckDB's SQL over the columns of `table`, arrays excepted. They see a number that is
                none (NaN) as null.
            incomplete: see nulls in shards that lack a family, instead of raising.

        Raises:
            Incomplete: shards lack a family that an expression speaks of. StoreError: one is wrong; says which.
        """
        rows = self.rows()
        spoken = sorted({name for text in wanted.values() for name in rows.named_in(text)})
        self.check_complete(rows.families(spoken, None), incomplete=incomplete)
        return evaluate(rows, wanted)

    def columns(self, column: str) -> Iterator[Mapping[str, pa.ChunkedArray]]:
        """A feature shard by shard, as `table` gives it; nothing of a shard that was gone by is kept.

        Raises:
            Incomplete: shards lack the feature. StoreError: there is none of that name.
        """
        self.check_complete([self.family_of(column)])
        return self.rows().by_shard(column)

    def rows(self, view: StoreView | None = None, *, keep_bytes: int = 0) -> Rows:
        """The columns of a picture, or of the newest that was taken, each read when asked for; see `Rows`."""
        shown = self._now if view is None else view
        return Rows(self._files, shown, list(self._columns()), self._file_specs, keep_bytes=keep_bytes)

    def selection(self, name: str) -> pa.Table:
        """A selection's rows: key, split, weight, reason (null where the sample is selected), cluster and since.

        Of a snapshot, the selection is as it was then; one that came later is read as it is now.

        Raises:
            StoreError: there is no such selection; says which there are.
        """
        family = f"{SELECTIONS}/{name}"
        pins = [pin for pin in (self._pinned.selections if self._pinned else ()) if pin.family == family]
        if not pins:
            return selections.read(self._files, name)
        return pa.concat_tables([selections.whole(read.open_rows(self._files, pin)) for pin in pins])

    def drops(self) -> pa.Table:
        """The samples that steps decided against: key, step, reason, pointer, source."""
        return self._beside(DROPS, [shard.drops for shard in self._now.shards])

    def rejects(self) -> pa.Table:
        """The samples that failed: key, step, kind, error, traceback, pointer, source."""
        return self._beside(REJECTS, [shard.rejects for shard in self._now.shards])

    def _beside(self, family: str, files: Sequence[DataFile | None]) -> pa.Table:
        return read.beside(self._files, family, [file for file in files if file is not None])

    def missing(self, shards: Sequence[ShardView] | None = None) -> pa.Table:
        """The features that failed, of some shards or of all: key, family, error."""
        return read.missing(self._files, self._now if shards is None else StoreView(tuple(shards)))


def _candidates(view: StoreView, family: str, recipes: Sequence[Recipe]) -> Iterator[DataFile]:
    """A family's files whose promises stand for it: one by the newest recipe, others like it, some of older ones."""
    files = view.by_fingerprint(family)
    fps = [recipe.features.get(family) for recipe in recipes]
    newest = files[next((fp for fp in fps if fp in files), next(iter(files)))]
    yield newest
    there = (shard.features[family] for shard in view.shards if family in shard.features)
    yield from islice((file for file in there if file.fp == newest.fp and file.path != newest.path), MOST_TRIED)
    yield from (file for file in files.values() if file.fp != newest.fp)
