"""The store: what users read, and what the coordinator of a run commits."""

from __future__ import annotations

import json
import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from typing import Any

import pyarrow as pa

from mmdata import __version__
from mmdata.core.ports import Entry
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store import fitted, plans, runs, selections, snapshots
from mmdata.store.commits import Change, apply
from mmdata.store.files import Files, missing_store, usable
from mmdata.store.forget import Forgotten, forget
from mmdata.store.forgotten import Blocked, blocked
from mmdata.store.layout import FORMAT, MARKER, MEDIA_INDEX, PLANS, SAMPLES, DataFile
from mmdata.store.log import Live, Log, Txn, from_logged
from mmdata.store.media import index
from mmdata.store.plans import StoredPlan
from mmdata.store.reading import Reading
from mmdata.store.runs import Recipe
from mmdata.store.snapshots import Snapshot
from mmdata.store.view import ShardView, StoreView

__all__ = ["Change", "DataFile", "Recipe", "ShardView", "Store", "StoreView", "StoredPlan"]


class Store(Reading):
    """A feature store: a folder, or any place that fsspec and deltalake both reach.

    What is read comes from one picture of the store, taken when first needed: a run that goes on meanwhile changes
    nothing in it. `refresh` takes a new one. Made by `Store.create` and `Store.open`.
    """

    def __init__(self, files: Files, pinned: Snapshot | None = None) -> None:
        super().__init__(files, pinned)
        self._plans = Log(files, PLANS)
        self._planned: dict[str, tuple[Live, StoredPlan]] = {}

    @classmethod
    def create(cls, url: str | os.PathLike[str], *, storage_options: Mapping[str, str] | None = None) -> Store:
        """A new store; the one that is there, when there is one."""
        files = usable(Files.at(url, storage_options))
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
        files = usable(Files.at(url, storage_options))
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

    # ---- snapshots

    def snapshot(self, name: str) -> Snapshot:
        """Pin the newest picture and all selections under a name. Raises StoreError when a snapshot has that name."""
        return snapshots.keep(self._files, self._picture_as(name))

    def frozen(self, name: str) -> Store:
        """The store as a snapshot of that name would show it from now on; `keep` makes it one.

        Raises:
            StoreError: the name can't be a snapshot's.
        """
        return Store(self._files, self._picture_as(name))

    def keep(self) -> None:
        """Pin what this frozen store shows. Raises StoreError when a snapshot has its name by now."""
        if self._pinned is None:
            raise StoreError(f"{self.url!r} is not frozen: `snapshot` pins its newest picture")
        snapshots.keep(self._files, self._pinned)

    def _picture_as(self, name: str) -> Snapshot:
        self._writable()
        view = self.view()
        return snapshots.of(name, view, self._recipes, selections.pins(self._files))

    def snapshots(self) -> list[str]:
        """The names of all snapshots."""
        return snapshots.names(self._files)

    # ---- forgetting

    def forget(self, *keys: str, dry_run: bool = False) -> Forgotten:
        """Remove samples for good: from every family, media, drops, rejects and selections, in snapshots too.

        What a split made of a sample goes with it. The files that held it are deleted at once, whoever reads them, and
        no run takes it up again: `forgotten/` records when and a salted hash of each key. Killed halfway, the same call
        finishes. A sample's copies elsewhere, such as its source, are not touched.

        Args:
            keys: of samples as the source has them, not of what a split made of them.
            dry_run: only say what would go.

        Raises:
            StoreError: there is and was no sample of a key, or a run is going on. Nothing was changed then.
        """
        self._writable()
        self._forget()
        return forget(self._files, keys, dry_run=dry_run)

    def forgotten(self) -> Blocked:
        """The keys that must not come back: `key in store.forgotten()` tells."""
        return blocked(self._files)

    # ---- writing, by the coordinator of a run

    def _writable(self) -> None:
        if self._pinned is not None:
            raise StoreError(f"this is snapshot {self._pinned.name!r} of {self.url!r}: open the store itself to write")

    def files(self, family: str, shards: Collection[str] | None = None) -> list[DataFile]:
        """The live files of a family, or of some shards, as the log lists them now, whether a recipe joins them or not.

        See `files_by_shard` where there are many.
        """
        return self._live(family, shards)

    def files_by_shard(self, family: str) -> Mapping[str, Sequence[DataFile]]:
        """The same by shard; objects are made of those that are looked at."""
        log = self._log(family)
        log.refresh()
        return log.by_shard()

    def shard_files(self, family: str, shard: str, *, fresh: bool = False) -> list[DataFile]:
        """The live files of a shard in a family, as the log lists them now or (not `fresh`) when last looked at."""
        log = self._log(family)
        if fresh:
            log.refresh()
        return [from_logged(family, entry) for entry in log.live().of_shards([shard])]

    def feature_families(self) -> list[str]:
        """The families that have a table, whether or not files of theirs are joined."""
        return self._feature_names()

    def commit(self, changes: Sequence[Change], *, txn: Txn | None = None) -> set[str]:
        """Commit files of any families so that readers see each shard whole at each moment.

        The order is the store's affair: drops, rejects and features come first, then samples, then what all others
        lose. A shard's samples are replaced in one transaction, and a feature's too, when samples stay. Doing it
        again changes nothing, also after a crash halfway.

        Args:
            changes: what comes and goes.
            txn: an application's name and version, higher than that of its commits before; what of this version is
                committed already is left out.

        Returns:
            The paths of the files that this added: another run may have added the others.

        Raises:
            CommitConflict: another run replaced the same files, or has the same shards.
            SchemaMismatch: a family has a column of another type.
        """
        self._writable()
        self._forget()
        return apply(changes, self._log, self._files, txn=txn)

    def plan(self, source: str) -> StoredPlan:
        """How a source is divided into shards, as recorded."""
        self._plans.refresh()
        live = self._plans.live()
        if source not in self._planned or self._planned[source][0] is not live:
            self._planned[source] = live, plans.read(self._files, self._plans, source)
        return self._planned[source][1]

    def commit_plan(
        self,
        source: str,
        version: int,
        *,
        add: Mapping[str, Sequence[Entry]],
        remove: Sequence[str] = (),
        heirs: Mapping[str, str] | None = None,
    ) -> int:
        """Record the next increment of a plan read at `version`; returns the new version.

        Args:
            source: whose plan.
            version: that of the plan as it was read.
            add: new shards, with their entries.
            remove: shards that leave.
            heirs: for some of these, which shard takes over their entries.

        Raises:
            CommitConflict: another run planned this source since: read its plan, and divide only the rest.
        """
        self._writable()
        return plans.commit(self._files, self._plans, source, version, add=add, remove=remove, heirs=heirs or {})

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
        self._forget()
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

    def n_running(self) -> int:
        """How many runs have started and not ended, as far as that can be told."""
        self._runs.refresh()
        return sum(1 for _ in runs.going_on(self._files, self._runs))

    def runs(self) -> pa.Table:
        """All runs, the oldest first; pipeline, recipe, counts and machine are JSON."""
        self._runs.refresh()
        return runs.table(self._files, self._runs)

    def fitted(self, family: str) -> dict[str, bytes]:
        """Vocabularies and tokenizers by which the newest run made a family, by the setting that named them."""
        self._runs.refresh()
        fps = (recipe.features.get(family) for recipe in runs.recipes(self._runs))
        fp = next((fp for fp in fps if fp is not None), None)
        return {} if fp is None else fitted.kept(self._files, family, fp)

    def write_index(self) -> None:
        """Write media/index.json: the live tar shards in the form of `wids`."""
        name = self.url.rstrip("/").rpartition("/")[2]
        self._files.replace(MEDIA_INDEX, index(self._live(SAMPLES), name=name))
