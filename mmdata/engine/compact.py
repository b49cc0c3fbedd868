"""Merging small shards into full ones, without their source and without changing a key or a row.

The plan comes first, as everywhere, then the data: features, drops and rejects, the samples in one transaction, and
last what they replace. Killed between the two, the plan names a shard whose samples still lie in those that it
replaced. `finish` knows that by their entries, and merges them: every run does so before it looks at its source.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry
from mmdata.engine.division import samples_a_shard
from mmdata.errors import CommitConflict, Incomplete, SchemaMismatch, StoreError
from mmdata.store.entries import extent
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.plans import StoredPlan
from mmdata.store.pulse import give_way
from mmdata.store.rewrite import merged
from mmdata.store.shards import entry_of, shard_id
from mmdata.store.store import Change, Store
from mmdata.store.tidy import checkpoint
from mmdata.store.view import ShardView

log = logging.getLogger(__name__)

PARTS = 1_000  # shards that are merged into one at a time


@dataclass(frozen=True)
class Merge:
    """Shards that become one.

    Args:
        source: their source's name. shards: their ids, in the order of their first keys.
        samples: how many entries they have together.
    """

    source: str
    shards: Sequence[str]
    samples: int


@dataclass
class Compacted:
    """What was done, or would be.

    Args:
        merges: the shards that became one. finished: merges of before that were gone on with.
        shards: how many there were before. skipped: why shards were left as they are, by the first one's id.
        checkpoints: tables whose log was summed up.
    """

    merges: list[Merge] = field(default_factory=list)
    finished: int = 0
    shards: int = 0
    skipped: dict[str, str] = field(default_factory=dict)
    checkpoints: list[str] = field(default_factory=list)


def compact(
    store: Store, settings: RunSettings, *, source: str | None = None, dry_run: bool = False, log_commits: int = 20
) -> Compacted:
    """Merge the small shards of a store, source by source, and sum up the logs of its tables.

    Args:
        store: not a snapshot.
        settings: how large a shard is to be; one of less than half that is small.
        source: only this one's shards.
        dry_run: write nothing.
        log_commits: a table's log is summed up in a checkpoint after so many commits.

    Raises:
        StoreError: a run is going on: it comes first.
        CommitConflict: one began meanwhile, and changed the same shards. What is merged until then stays merged.
    """
    files = Files.at(store.url, store.storage_options)
    give_way(files, to="compact")
    done = Compacted(shards=len(store.view().shards))
    for name in sorted({shard.source for shard in store.view().shards}):
        if source is not None and name != source:
            continue
        if not dry_run:
            done.finished += finish(store, name)
        for merge in _small(store, name, settings):
            done.merges.append(merge)
            if not dry_run and (fault := _merge(store, files, merge)):
                done.merges.pop()
                done.skipped[merge.shards[0]] = fault
    if not dry_run:
        store.write_index()
        done.checkpoints = checkpoint(files, after=log_commits)
    return done


def _small(store: Store, source: str, settings: RunSettings) -> Iterator[Merge]:
    """Which shards to merge: like with like, neighbours first, none above the limits."""
    planned = {shard: extent(entries) for shard, entries in store.plan(source).shards.items()}
    most = samples_a_shard(sum(known.entries for known in planned.values()), settings)
    alike: dict[object, list[ShardView]] = defaultdict(list)
    for view in store.view().shards:
        known = planned.get(view.shard)
        if view.source != source or known is None:
            continue
        if known.entries * 2 < most and known.size_bytes * 2 < settings.shard_bytes:
            alike[_likeness(view)].append(view)
    for views in alike.values():
        bin_: list[ShardView] = []
        n_samples = n_bytes = 0
        for view in sorted(views, key=lambda view: (planned[view.shard].first_key, view.shard)):
            known = planned[view.shard]
            full = n_samples + known.entries > most or n_bytes + known.size_bytes > settings.shard_bytes
            if bin_ and (full or len(bin_) == PARTS):
                yield from _worth(source, bin_, n_samples)
                bin_, n_samples, n_bytes = [], 0, 0
            bin_.append(view)
            n_samples, n_bytes = n_samples + known.entries, n_bytes + known.size_bytes
        yield from _worth(source, bin_, n_samples)


def _worth(source: str, views: Sequence[ShardView], n_samples: int) -> Iterator[Merge]:
    if len(views) > 1:
        yield Merge(source, tuple(view.shard for view in views), n_samples)


def _likeness(view: ShardView) -> object:
    """What shards have in common that can be one: all that made their files."""
    return view.samples.fp, tuple(sorted((family, file.fp) for family, file in view.features.items()))


def _merge(store: Store, files: Files, merge: Merge) -> str | None:
    """Merge shards; returns why that can't be, None when it is done."""
    plan = store.plan(merge.source)
    if gone := [shard for shard in merge.shards if shard not in plan.shards]:
        raise CommitConflict(f"another run has replaced shard {gone[0]}: compact again, once that is done")
    entries = _entries([plan.shards[shard] for shard in merge.shards])
    views = {view.shard: view for view in store.view().shards}
    try:
        made = _written(files, [views[shard] for shard in merge.shards], entries)
    except StoreError as error:
        if isinstance(error, CommitConflict):
            raise
        return str(error)
    shard = made[0].shard
    give_way(files, to="compact")
    store.commit_plan(
        merge.source,
        plan.version,
        add={shard: entries},
        remove=list(merge.shards),
        heirs=dict.fromkeys(merge.shards, shard),
    )
    _commit(store, made, merge.shards)
    log.info("source=%s shard=%s merged=%d samples=%d", merge.source, shard, len(merge.shards), merge.samples)
    return None


def _entries(parts: Sequence[Sequence[Entry]]) -> list[Entry]:
    return sorted((entry for entries in parts for entry in entries), key=lambda entry: entry.key)


def _written(files: Files, views: Sequence[ShardView], entries: Sequence[Entry]) -> list[DataFile]:
    """The files of the shard with these entries, from those of others that have them together."""
    rank = {entry.key: at for at, entry in enumerate(entries)}

    def rank_of(key: str) -> int:
        entry = entry_of(key, rank)
        if entry is None:
            raise StoreError(f"{key!r} is no sample of the shards that are to be merged: `mmdata run` mends that")
        return rank[entry]

    return merged(files, views, shard=shard_id(entries), rank=rank_of)


def _commit(store: Store, made: Sequence[DataFile], replaced: Sequence[str]) -> None:
    """Put files in the place of all that their shards' parts have."""
    gone = set(replaced)
    changes = [Change(file.family, add=[file]) for file in made]
    for family in [SAMPLES, DROPS, REJECTS, *store.feature_families()]:
        changes += [Change(family, remove=[file for file in store.files(family) if file.shard in gone])]
    store.commit([change for change in changes if change.add or change.remove])


def finish(store: Store, source: str) -> int:
    """Go on with merges that were killed between plan and data, and with what they left to be removed.

    A shard that is planned and has no samples, and whose entries lie unchanged in stored shards that it replaced, is
    made of these. Costs a look at the plan where there is nothing of the kind.

    Returns:
        How many shards were made.
    """
    plan = store.plan(source)
    stored = {file.shard for file in store.files(SAMPLES)}
    merges = _unfinished(plan, stored)
    done = 0
    if merges:
        files = Files.at(store.url, store.storage_options)
        views = {view.shard: view for view in store.view().shards}
        for heir, parts in merges.items():
            entries = list(plan.shards[heir])
            if not all(part in views for part in parts) or _entries([plan.left[part] for part in parts]) != entries:
                continue
            try:
                made = _written(files, [views[part] for part in parts], entries)
                _commit(store, made, parts)
            except CommitConflict:
                continue  # another process is finishing it, too
            except (Incomplete, SchemaMismatch, StoreError) as error:
                log.info("shard=%s can't be made of those that it replaces: %s", heir, error)
                continue
            done += 1
            log.info("source=%s shard=%s finished=%d", source, heir, len(parts))
        stored = {file.shard for file in store.files(SAMPLES)}
    _remove_leftovers(store, plan, stored)
    return done


def _unfinished(plan: StoredPlan, stored: set[str]) -> Mapping[str, list[str]]:
    """Planned shards without samples, and the stored ones whose entries they have, as far as their numbers tell."""
    replaced: dict[str, list[str]] = defaultdict(list)
    for shard in plan.left:
        heir = plan.heirs.get(shard)
        if heir is not None and shard in stored and heir in plan.shards and heir not in stored:
            replaced[heir].append(shard)
    return {
        heir: parts
        for heir, parts in replaced.items()
        if sum(len(plan.left[part]) for part in parts) == len(plan.shards[heir])
    }


def _remove_leftovers(store: Store, plan: StoredPlan, stored: set[str]) -> None:
    """Take files out of the log whose samples were replaced: a merge that was killed at its last step left them."""
    changes = []
    for family in [DROPS, REJECTS, *store.feature_families()]:
        gone = [file for file in store.files(family) if file.shard in plan.left and file.shard not in stored]
        changes += [Change(family, remove=gone)] if gone else []
    if changes:
        store.commit(changes)
