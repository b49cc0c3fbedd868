"""Looking: what the source holds, how it is divided, and what the store lacks of it."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mmdata.core.pipeline import Compiled, Pipeline
from mmdata.core.ports import Entry, Scan, Source
from mmdata.core.rng import rng_for
from mmdata.engine.check import check, compile_for
from mmdata.engine.division import Division, amend, entries_of
from mmdata.engine.options import RunOptions
from mmdata.engine.todo import FilesOf, Todo, add_replays, by_shard, work_left
from mmdata.errors import CommitConflict, ConfigError, SchemaMismatch, StoreError
from mmdata.store.layout import DROPS, REJECTS, SAMPLES
from mmdata.store.store import Store
from mmdata.store.view import ShardView

log = logging.getLogger(__name__)

PLAN_ATTEMPTS = 5


@dataclass(frozen=True)
class Look:
    """What was found, before any work.

    Args:
        source: where samples come from. store: None where there is none, and none was to be made.
        compiled: the pipeline, for the parts that the source has. division: the source's shards.
        files: live files by family and shard. views: joined shards by id, where samples are there.
        todo: what the store lacks. limited: whether only a part of the source was looked at.
    """

    source: Source
    store: Store | None
    compiled: Compiled
    division: Division
    files: Mapping[str, FilesOf]
    views: Mapping[str, ShardView]
    todo: Todo
    limited: bool

    @property
    def leavers(self) -> set[str]:
        """Shards of this source with samples in the store that are not in its division (any more)."""
        if self.limited:
            return set()
        stored = {view.shard for view in self.views.values() if view.source == self.source.name}
        return stored - self.division.shards.keys()

    @property
    def is_joined(self) -> bool:
        """Whether readers find each family beside the samples: a recipe says so."""
        return all(name in view.features for name in self.compiled.recipe for view in self.views.values() if view.rows)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do at all."""
        return self.todo.is_empty and not self.leavers and self.is_joined


def look(pipeline: Pipeline, store_url: str, options: RunOptions, *, commit: bool) -> Look:
    """Scan the source, amend its division, and find what is left to do.

    Args:
        pipeline: what is wanted.
        store_url: where the store is, or is to be.
        options: how it is to be run.
        commit: whether to make the store and record the division; otherwise nothing is written.

    Raises:
        ConfigError: before anything is written.
        CommitConflict: other runs kept changing the plan of this source.
        SchemaMismatch: a newer mmdata made the store.
    """
    source = pipeline.source
    if source is None:
        raise ConfigError(options.where, ["source: missing; say where samples come from, or give --source"])
    check(pipeline, where=options.where)  # faults that need no look at the source
    if options.look_at_source:
        scan = source.scan()
        store, compiled, division = _divide(pipeline, source, scan, store_url, options, commit=commit)
    else:
        scan, store = Scan(()), Store.open(store_url)
        division = Division(keep=store.plan(source.name).shards)
        compiled = _compile(pipeline, division, options)
    names = [SAMPLES, DROPS, REJECTS, *(family.name for family in compiled.families)]
    files: Mapping[str, FilesOf] = {name: by_shard(store.files(name)) if store is not None else {} for name in names}
    views = {view.shard: view for view in store.view().shards} if store is not None else {}
    todo = work_left(compiled, division, source.name, files, views, families=options.families)
    if options.replay:
        add_replays(todo, compiled, division, source.name, files, views)
    if not options.look_at_source and any(job.samples for job in todo.jobs):
        stale = "the stored samples were made by other ingest steps, or not all are made; `mmdata run` makes them"
        raise ConfigError(options.where, [stale])
    todo.unmatched = list(scan.unmatched)
    return Look(source, store, compiled, division, files, views, todo, limited=options.limit is not None)


def _divide(
    pipeline: Pipeline, source: Source, scan: Scan, store_url: str, options: RunOptions, *, commit: bool
) -> tuple[Store | None, Compiled, Division]:
    """The store, and the division of what was found, which is recorded once the pipeline is known to fit it."""
    store = _open(store_url)
    found = entries_of(scan)
    for _ in range(PLAN_ATTEMPTS):
        planned = store.plan(source.name) if store is not None else None
        shards: Mapping[str, Sequence[Entry]] = planned.shards if planned is not None else {}
        division = amend(shards, limited(found, shards, options.limit), options.settings)
        compiled = _compile(pipeline, division, options)
        if not commit:
            return store, compiled, division
        if store is None or planned is None:
            store = Store.create(store_url)
            planned = store.plan(source.name)
            if planned.shards:  # another run made the store and divided this source since
                continue
        if division.add or division.removed:
            try:
                store.commit_plan(source.name, planned.version, add=division.add, remove=list(division.removed))
            except CommitConflict:
                log.info("plan=%s another run divided this source first; looking again", source.name)
                continue
        return store, compiled, division
    raise CommitConflict(f"{PLAN_ATTEMPTS} times another run changed the plan of {source.name!r}; run again")


def _open(store_url: str) -> Store | None:
    try:
        return Store.open(store_url)
    except SchemaMismatch:
        raise
    except StoreError:
        return None


def _compile(pipeline: Pipeline, division: Division, options: RunOptions) -> Compiled:
    entries = (entry for shard in division.shards.values() for entry in shard)
    return compile_for(pipeline, entries, where=options.where)


def limited(found: Sequence[Entry], planned: Mapping[str, Sequence[Entry]], limit: int | None) -> Sequence[Entry]:
    """A sample of the entries, by a hash of their keys, and what is planned already; None limits nothing."""
    if limit is None or len(found) <= limit:
        return found
    known = {entry.key for entries in planned.values() for entry in entries}
    ranked = sorted(found, key=lambda entry: rng_for(0, "limit", entry.key).random())
    chosen = {entry.key for entry in ranked[:limit]} | known
    return [entry for entry in found if entry.key in chosen]
