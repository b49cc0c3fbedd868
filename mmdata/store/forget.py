"""Forgetting: a sample leaves every file of a store, those of snapshots too, and can't come back by a run.

The order is such that a kill leaves a sound store, and that doing it again finishes: the record first, so that no run
takes the key up again; then plan, data, snapshots and selections, each in one step; then the old files are deleted,
whoever reads them; last the plan's history, which tells where to look.
"""

from __future__ import annotations

import difflib
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field

from mmdata.core.ports import Entry
from mmdata.errors import StoreError
from mmdata.store import plans, read, selections, snapshots
from mmdata.store.commits import Change, apply
from mmdata.store.entries import extent, keys_of
from mmdata.store.erase import erase_files, erase_plans, erase_runs, rewritten_selections
from mmdata.store.files import Files
from mmdata.store.forgotten import Sought, begin, blocked, end
from mmdata.store.layout import DROPS, MEDIA_INDEX, PLANS, REJECTS, SAMPLES, DataFile
from mmdata.store.log import FamilyLog, Log
from mmdata.store.media import index
from mmdata.store.plans import StoredPlan
from mmdata.store.pulse import give_way
from mmdata.store.reading import Reading
from mmdata.store.rewrite import merged, shard_of
from mmdata.store.shards import shard_id
from mmdata.store.snapshots import Snapshot
from mmdata.store.tidy import data_families
from mmdata.store.view import ShardView, StoreView

NEAR = 100_000  # keys that a wrong one is compared with, for a guess


@dataclass
class Forgotten:
    """What was removed, or would be.

    Args:
        keys: as they were given.
        samples, drops, rejects: how many live rows; a split makes several of a key.
        snapshots: the names of those that held it. selections: the same.
        files: the paths of all files that were deleted, or would be replaced.
    """

    keys: Sequence[str]
    samples: int = 0
    drops: int = 0
    rejects: int = 0
    snapshots: list[str] = field(default_factory=list)
    selections: list[str] = field(default_factory=list)
    files: list[str] = field(default_factory=list)

    @property
    def counts(self) -> dict[str, int]:
        """How many of what, for the record."""
        return {
            "samples": self.samples,
            "drops": self.drops,
            "rejects": self.rejects,
            "snapshots": len(self.snapshots),
            "selections": len(self.selections),
        }


def forget(files: Files, keys: Collection[str], *, dry_run: bool = False) -> Forgotten:
    """Remove samples from a store, and keep them from coming back. `Store.forget` says how.

    Raises:
        StoreError: there is and was no sample of a key, it is a part of a split one, or a run is going on.
        Incomplete, SchemaMismatch: a file of it is damaged; `mmdata verify --repair` first.
    """
    wanted = frozenset(keys)
    if not wanted:
        raise StoreError("no key was given: say which samples are to be forgotten")
    work = _Work(files, wanted)
    work.check()
    done = Forgotten(sorted(wanted))
    work.count(done)
    if dry_run:
        return done
    give_way(files, to="forget")
    record = begin(files, wanted)
    give_way(files, to="forget")  # one that began meanwhile may not have seen the record
    work.replace_shards()
    work.replace_snapshots()
    rewritten_selections(files, work.sought)
    done.files = erase_files(files, work.sought, work.suspects)
    erase_runs(files, work.sought)
    for source in work.plans:
        erase_plans(files, source, work.sought)
    done.files += erase_files(files, work.sought, work.suspects)  # the plan's
    files.replace(MEDIA_INDEX, index(work.live(SAMPLES), name=files.url.rstrip("/").rpartition("/")[2]))
    end(files, record, wanted, done.counts)
    return done


class _Work:
    """Where the samples lie, by the plans and by what the files say themselves."""

    def __init__(self, files: Files, keys: frozenset[str]) -> None:
        self._files = files
        self._log = Log(files, PLANS)
        self._logs: dict[str, FamilyLog] = {}
        self.plans = self._read_plans()
        near = {key for key in self._planned(f"{key}@" for key in keys) if key not in keys}
        self.sought = Sought(keys, frozenset(near))
        self._known = {key for key in keys if key in set(self._planned(keys))}
        self._view = Reading(files).view()
        self._pinned = [snapshots.read(files, name) for name in snapshots.names(files)]
        self.suspects = _Suspects(self._holding(), self._all_planned())

    def _read_plans(self) -> dict[str, StoredPlan]:
        self._log.refresh()
        sources = sorted({entry.values["source"] for entry in self._log.live().values()})
        return {source: plans.read(self._files, self._log, source) for source in sources}

    def _shards(self) -> Iterator[tuple[StoredPlan, str, Sequence[Entry]]]:
        for plan in self.plans.values():
            for shards in (plan.shards, plan.left):
                for shard, entries in shards.items():
                    yield plan, shard, entries

    def _planned(self, starts: Collection[str] | Iterator[str]) -> Iterator[str]:
        """The entries that are or were planned whose keys begin like one of these."""
        begin_with = tuple(starts)
        for _, _, entries in self._shards():
            known = extent(entries)
            if any(known.first_key <= f"{start}\U0010ffff" and start <= known.last_key for start in begin_with):
                yield from (key for key in keys_of(entries) if key.startswith(begin_with))

    def _holding(self) -> set[str]:
        """The planned shards, also of former plans, that have such an entry."""
        found = set()
        for _, shard, entries in self._shards():
            known = extent(entries)
            inside = any(known.first_key <= key <= known.last_key for key in self.sought.keys)
            if inside and self.sought.any(keys_of(entries)):
                found.add(shard)
        return found

    def _all_planned(self) -> set[str]:
        return {shard for _, shard, _ in self._shards()}

    # ---- before anything is changed

    def check(self) -> None:
        """Raise StoreError for keys that were never there."""
        gone = blocked(self._files)
        unknown = [key for key in sorted(self.sought.keys) if key not in self._known and key not in gone]
        if not unknown:
            return
        for key in unknown:
            parent = next((each for each in self._parents(key) if each in set(self._planned([each]))), None)
            if parent is not None:
                raise StoreError(
                    f"{key!r} is no sample of the source; what a split cut out of {parent!r} would come back with it: "
                    f"forget {parent!r}, and all that was cut out of it goes"
                )
        there = {key for view in self._affected(self._all_views()) for key in self._keys_of(view)}
        for key in (key for key in unknown if key not in there):
            raise StoreError(self._missing(key))

    def _parents(self, key: str) -> Iterator[str]:
        while "@" in key:
            key = key.rpartition("@")[0]
            yield key

    def _missing(self, key: str) -> str:
        known = [near for _, _, entries in self._shards() for near in (keys_of(entries) if len(entries) < NEAR else ())]
        near = difflib.get_close_matches(key, known[:NEAR] or self._some_keys(), n=3, cutoff=0.6)
        guess = f"; did you mean {' or '.join(map(repr, near))}?" if near else ""
        return f"there is and was no sample {key!r} in {self._files.url!r}{guess}"

    def _some_keys(self) -> list[str]:
        found: list[str] = []
        for view in self._view.shards:
            if len(found) > NEAR:
                break
            found += read.keys(self._files, view.samples)
        return found

    def count(self, done: Forgotten) -> None:
        """Say what there is."""
        for view in self._affected(self._view.shards):
            done.samples += sum(map(self.sought, read.keys(self._files, view.samples)))
            for family, file in ((DROPS, view.drops), (REJECTS, view.rejects)):
                n = sum(map(self.sought, read.keys(self._files, file))) if file is not None else 0
                setattr(done, family, getattr(done, family) + n)
            done.files += [file.path for file in StoreView((view,)).files()]
        for pinned in self._pinned:
            if any(True for _ in self._affected(pinned.view.shards)):
                done.snapshots.append(pinned.name)
        for name in selections.names(self._files):
            if self.sought.any(selections.read(self._files, name).column("key").to_pylist()):
                done.selections.append(name)

    def _all_views(self) -> list[ShardView]:
        return [*self._view.shards, *(view for pinned in self._pinned for view in pinned.view.shards)]

    def _affected(self, views: Sequence[ShardView]) -> Iterator[ShardView]:
        """The shards that hold a row of what is sought, or that the plan says do."""
        for view in views:
            is_unplanned = view.shard not in self.suspects.planned
            if view.shard in self.suspects.holding or (is_unplanned and self.sought.any(self._keys_of(view))):
                yield view

    def _keys_of(self, view: ShardView) -> Iterator[str]:
        for file in (view.samples, view.drops, view.rejects):
            if file is not None:
                yield from read.keys(self._files, file)

    # ---- changes

    def live(self, family: str) -> list[DataFile]:
        """The live files of a family."""
        log = self._log_of(family)
        log.refresh()
        return log.files()

    def _log_of(self, family: str) -> FamilyLog:
        return self._logs.setdefault(family, FamilyLog(self._files, family))

    def _keep(self, key: str) -> bool:
        return not self.sought(key)

    def _rest(self, shard: str) -> list[Entry] | None:
        """What is left of a planned shard's entries; None for one that no plan knows."""
        for _, other, entries in self._shards():
            if other == shard:
                return [entry for entry in entries if not self.sought(entry.key)]
        return None

    def _new_id(self, shard: str) -> str:
        rest = self._rest(shard)
        return shard if rest is None else shard_id(rest) if rest else ""

    def replace_shards(self) -> None:
        """Plan and live files without the samples."""
        current: set[str] = set()
        for source, plan in self.plans.items():
            affected = [shard for shard in plan.shards if shard in self.suspects.holding]
            rests = {shard: self._rest(shard) or [] for shard in affected}
            ids = {shard: shard_id(rest) for shard, rest in rests.items() if rest}
            if affected:
                add = {ids[shard]: rest for shard, rest in rests.items() if rest}
                plans.commit(self._files, self._log, source, plan.version, add=add, remove=affected, heirs=ids)
            current |= (plan.shards.keys() - set(affected)) | set(ids.values())
        for view in list(self._affected(self._view.shards)):
            new = self._new_id(view.shard)
            is_left_over = view.shard in self.suspects.planned and new not in current  # a run will replace it
            made = [] if is_left_over else merged(self._files, [view], shard=new, keep=self._keep)
            self._commit(made, view.shard)

    def _commit(self, made: Sequence[DataFile], shard: str) -> None:
        added = {file.path for file in made}
        changes = [Change(file.family, add=[file]) for file in made]
        for family in data_families(self._files):
            gone = [file for file in self.live(family) if file.shard == shard and file.path not in added]
            changes += [Change(family, remove=gone)] if gone else []
        apply(changes, self._log_of, self._files)

    def replace_snapshots(self) -> None:
        """Snapshots that pin other files, without the samples."""
        for pinned in self._pinned:
            affected = {view.shard for view in self._affected(pinned.view.shards)}
            selected = [self._reselected(pin) for pin in pinned.selections]
            if affected or selected != pinned.selections:
                shards = [self._repinned(view) if view.shard in affected else view for view in pinned.view.shards]
                left = StoreView(tuple(view for view in shards if view is not None))
                snapshots.replace(self._files, Snapshot(pinned.name, pinned.created, left, pinned.recipes, selected))

    def _reselected(self, pin: DataFile) -> DataFile:
        held = self.sought.any(read.keys(self._files, pin))
        return selections.without(self._files, pin, self._keep) if held else pin

    def _repinned(self, view: ShardView) -> ShardView | None:
        new = self._new_id(view.shard)
        return shard_of(merged(self._files, [view], shard=new, keep=self._keep)) if new else None


@dataclass(frozen=True)
class _Suspects:
    """Which shards' files may hold a sample: those that the plans name, and those of which no plan knows."""

    holding: set[str]
    planned: set[str]

    def __call__(self, shard: str) -> bool:
        return shard in self.holding or shard not in self.planned
