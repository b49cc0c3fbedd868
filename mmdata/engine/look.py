"""Looking: what the source holds, how it is divided, and what the store lacks of it."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, replace

from mmdata.core.pipeline import Compiled, Pipeline
from mmdata.core.ports import Entry, Source
from mmdata.core.rng import rng_for
from mmdata.engine.check import check, compile_for
from mmdata.engine.compact import finish
from mmdata.engine.division import Division, amend, entries_of, with_heirs
from mmdata.engine.options import RunOptions
from mmdata.engine.todo import FilesOf, Todo, add_replays, work_left
from mmdata.errors import CommitConflict, ConfigError, SchemaMismatch, StoreError
from mmdata.store.forgotten import Blocked
from mmdata.store.layout import DROPS, REJECTS, SAMPLES
from mmdata.store.store import Store, StoredPlan
from mmdata.store.view import StoreView

log = logging.getLogger(__name__)

PLAN_ATTEMPTS = 5
PATHS_TRIED = 64  # of a new source, in those that are there


@dataclass(frozen=True)
class Look:
    """What was found, before any work.

    Args:
        pipeline: what is wanted.
        source: where samples come from. store: None where there is none, and none was to be made.
        compiled: the pipeline, for the parts that the source has. division: the source's shards.
        files: live files by family and shard. view: joined shards, where samples are there.
        todo: what the store lacks. leavers: shards with files in the store that are not in the division (any more).
        n_blocked: how many keys were forgotten by then, and so left out.
    """

    pipeline: Pipeline
    source: Source
    store: Store | None
    compiled: Compiled
    division: Division
    files: Mapping[str, FilesOf]
    view: StoreView
    todo: Todo
    leavers: frozenset[str]
    n_blocked: int = 0

    @property
    def is_joined(self) -> bool:
        """Whether readers find each family beside the samples: a recipe says so."""
        return not any(self.view.n_lacking(name) for name in self.compiled.recipe)

    @property
    def is_done(self) -> bool:
        """Whether there is nothing to do at all."""
        return self.todo.is_empty and not self.leavers and self.is_joined


@dataclass(frozen=True)
class Scanned:
    """What a source holds, but for what is to be left out.

    Args:
        entries: in order of key. unmatched: files that belong to no sample.
        forgotten: how many entries were left out as `mmdata forget` blocked them. n_blocked: how many keys it blocked.
    """

    entries: Sequence[Entry] = ()
    unmatched: Sequence[str] = ()
    forgotten: int = 0
    n_blocked: int = 0


def _scanned(
    source: Source, store: Store | None, planned: Mapping[str, Sequence[Entry]], options: RunOptions
) -> Scanned:
    blocked = store.forgotten() if store is not None else Blocked()
    scan = source.scan()
    found = entries_of(scan)
    left = [entry for entry in found if entry.key not in blocked] if blocked else found
    entries = left if options.sieve is None else options.sieve(left, planned)
    return Scanned(entries, scan.unmatched, len(found) - len(left), len(blocked))


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
    for _ in range(PLAN_ATTEMPTS):
        found, is_current = _look(pipeline, store_url, options, commit=commit)
        if is_current or not commit:
            break
    return found


def _look(pipeline: Pipeline, store_url: str, options: RunOptions, *, commit: bool) -> tuple[Look, bool]:
    """What was found, and whether the recorded division is still the one that the files were compared with."""
    source = pipeline.source
    if source is None:
        raise ConfigError(options.where, ["source: missing; say where samples come from, or give --source"])
    check(pipeline, where=options.where)  # faults that need no look at the source
    if options.look_at_source:
        store, compiled, division, scan = _divide(pipeline, source, store_url, options, commit=commit)
    else:
        store = Store.open(store_url, storage_options=options.storage_options)
        if commit:
            finish(store, source.name)
        scan = Scanned(n_blocked=len(store.forgotten()))
        division = Division(keep=store.plan(source.name).shards)
        compiled = _compile(pipeline, division, options)
    _warn_of_a_copy(source, division, store)
    files = _files(store)
    stored = _Stored(files)
    recorded = store.plan(source.name) if store is not None else StoredPlan()
    is_current = division.shards.keys() == recorded.shards.keys()
    division = with_heirs(division, recorded, stored)
    view = store.view() if store is not None else StoreView()
    todo = work_left(compiled, division, source.name, files, view.by_id, families=options.families)
    if options.replay:
        add_replays(todo, compiled, division, files, view.by_id, _failed(store))
    if commit and not options.look_at_source and any(lack.samples for lack in todo.jobs.lacks):
        stale = "the stored samples were made by other ingest steps, or not all are made; `mmdata run` makes them"
        raise ConfigError(options.where, [stale])
    todo.unmatched, todo.forgotten = list(scan.unmatched), scan.forgotten
    leavers = {shard for shard in division.removed if shard in stored} - division.shards.keys()
    gone = frozenset(leavers if options.limit is None else ())
    found = Look(pipeline, source, store, compiled, division, files, view, todo, gone, scan.n_blocked)
    return found, is_current


def _failed(store: Store | None) -> dict[str, set[str]]:
    """Families with failed rows, by shard."""
    found: dict[str, set[str]] = {}
    for view in store.view().shards if store is not None else ():
        if failed := set(store.missing([view]).column("family").to_pylist()) if store is not None else None:
            found[view.shard] = failed
    return found


def _warn_of_a_copy(source: Source, division: Division, store: Store | None) -> None:
    """Say so when a new source has the paths of one that is there already: most likely the corpus was moved.

    A few of its paths are looked for: the other source may have a thousand million.
    """
    if store is None or division.keep or division.removed:
        return
    paths = [entry.key.partition("/")[2] for entries in division.add.values() for entry in entries]
    some = paths[:: -(-len(paths) // PATHS_TRIED)] if paths else []
    for other in sorted({*store.view().sources} - {source.name}):
        if len(store.plan(other).holders(f"{other}/{path}" for path in some)) > len(some) / 2:
            log.warning(
                "source %r has the same paths as source %r of this store, and is stored beside it; "
                "if it is the same corpus, give the source the setting name: %s",
                source.name, other, other,
            )  # fmt: skip


def _files(store: Store | None) -> dict[str, FilesOf]:
    """Live files by family and shard; a family that the store does not have has none."""
    found: dict[str, FilesOf] = defaultdict(dict)
    for name in [SAMPLES, DROPS, REJECTS, *(store.feature_families() if store is not None else [])]:
        found[name] = store.files_by_shard(name) if store is not None else {}
    return found


class _Stored(Container[str]):
    """The shards with files of any family. Asked for few, it need not know all."""

    def __init__(self, files: Mapping[str, FilesOf]) -> None:
        self._files = files

    def __contains__(self, shard: object) -> bool:
        return any(shard in files for files in self._files.values())


def _divide(
    pipeline: Pipeline, source: Source, store_url: str, options: RunOptions, *, commit: bool
) -> tuple[Store | None, Compiled, Division, Scanned]:
    """The store, and the division of what was found, which is recorded once the pipeline is known to fit it.

    The plan is read before the source: where another run's look came between, it is seen as a conflict, and what that
    run found is not undone.
    """
    store = _open(store_url, options.storage_options)
    if commit and store is not None:
        finish(store, source.name)
    for _ in range(PLAN_ATTEMPTS):
        planned = store.plan(source.name) if store is not None else None
        shards: Mapping[str, Sequence[Entry]] = planned.shards if planned is not None else {}
        scan = _scanned(source, store, shards, options)
        division = amend(shards, limited(scan.entries, shards, options.limit), options.settings)
        compiled = _compile(pipeline, division, options)
        if not commit:
            return store, compiled, division, scan
        if store is None or planned is None:
            store = Store.create(store_url, storage_options=options.storage_options)
            planned = store.plan(source.name)
            if planned.shards:  # another run made the store and divided this source since
                continue
        if division.add or division.removed:
            try:
                division = _recorded(store, source.name, planned.version, division)
            except CommitConflict:
                log.info("plan=%s another run divided this source first; looking again", source.name)
                continue
        return store, compiled, division, scan
    raise CommitConflict(f"{PLAN_ATTEMPTS} times another run changed the plan of {source.name!r}; run again")


def _recorded(store: Store, source: str, version: int, division: Division) -> Division:
    """The same division, recorded: its entries are the store's from now on, and need not be held.

    Raises:
        CommitConflict: another run divided this source since.
    """
    heirs = {shard: heir for heir, replaced in division.replaces.items() for shard in replaced}
    store.commit_plan(source, version, add=division.add, remove=list(division.removed), heirs=heirs)
    known = store.plan(source).shards
    return replace(division, add={shard: known.get(shard, entries) for shard, entries in division.add.items()})


def _open(store_url: str, storage_options: Mapping[str, str]) -> Store | None:
    try:
        return Store.open(store_url, storage_options=storage_options)
    except SchemaMismatch:
        raise
    except StoreError:
        return None


def _compile(pipeline: Pipeline, division: Division, options: RunOptions) -> Compiled:
    parts = set(division.parts)
    if options.sieve is not None:  # a source that is followed may have parts that are still to come
        parts |= set(getattr(pipeline.source, "parts", None) or ())
    return compile_for(pipeline, parts, where=options.where)


def limited(found: Sequence[Entry], planned: Mapping[str, Sequence[Entry]], limit: int | None) -> Sequence[Entry]:
    """A sample of the entries, by a hash of their keys, and what is planned already; None limits nothing."""
    if limit is None or len(found) <= limit:
        return found
    known = {entry.key for entries in planned.values() for entry in entries}
    ranked = sorted(found, key=lambda entry: rng_for(0, "limit", entry.key).random())
    chosen = {entry.key for entry in ranked[:limit]} | known
    return [entry for entry in found if entry.key in chosen]
