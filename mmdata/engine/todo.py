"""What is still to be done: recorded shards against the files in the store. `mmdata plan` prints it, a run does it."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from mmdata.core.pipeline import Compiled
from mmdata.core.ports import Entry
from mmdata.engine.division import Division
from mmdata.engine.jobs import Jobs, Lack, stored_rows
from mmdata.store.entries import extent
from mmdata.store.layout import SAMPLES, DataFile
from mmdata.store.view import ShardsById, ShardView

FilesOf = Mapping[str, Sequence[DataFile]]


@dataclass
class FamilyPlan:
    """How much of a family is to be done: shards, rows to compute, and rows to take over from older files.

    Samples that lack the part are not counted. What steps will drop, reject or split is not known before.
    """

    shards: int = 0
    rows: int = 0
    gathered: int = 0
    why: str = ""


@dataclass
class Todo:
    """What a run will do.

    Args:
        jobs: one a shard that lacks something. done: shards that lack nothing.
        entries: what the source holds, in shards to be made and in all.
        families: what each feature needs. from_source: parts that features alone must make again from the source.
        unmatched: files of the source that belong to no sample. forgotten: entries that `mmdata forget` keeps out.
    """

    jobs: Jobs = field(default_factory=Jobs)
    done: int = 0
    entries: int = 0
    entries_todo: int = 0
    new: int = 0
    changed: int = 0
    gone: int = 0
    families: dict[str, FamilyPlan] = field(default_factory=dict)
    steps: list[str] = field(default_factory=list)
    from_source: list[str] = field(default_factory=list)
    unmatched: list[str] = field(default_factory=list)
    forgotten: int = 0

    @property
    def is_empty(self) -> bool:
        return not self.jobs and not self.gone

    @property
    def entries_made(self) -> int:
        """Entries that go through the ingest steps; those of other jobs keep their samples, and only get features."""
        return sum(lack.entries for lack in self.jobs.lacks if lack.samples)

    def to_json(self) -> dict[str, Any]:
        families = {
            name: {"shards": plan.shards, "rows": plan.rows, "gathered": plan.gathered, "why": plan.why}
            for name, plan in self.families.items()
        }
        return {
            "shards": len(self.jobs) + self.done,
            "shards_todo": len(self.jobs),
            "samples": self.entries,
            "samples_todo": self.entries_todo,
            "samples_made": self.entries_made,
            "new": self.new,
            "changed": self.changed,
            "gone": self.gone,
            "families": families,
            "steps": self.steps,
            "from_source": self.from_source,
            "unmatched": len(self.unmatched),
            "forgotten": self.forgotten,
        }


def by_shard(files: Iterable[DataFile]) -> dict[str, list[DataFile]]:
    """Files by shard, in the order of the log."""
    found: dict[str, list[DataFile]] = defaultdict(list)
    for file in files:
        found[file.shard].append(file)
    return found


def work_left(
    compiled: Compiled,
    division: Division,
    source_name: str,
    files: Mapping[str, FilesOf],
    views: Mapping[str, ShardView],
    *,
    families: Sequence[str] | None = None,
) -> Todo:
    """Compare a division with a store's files.

    Args:
        compiled: what the pipeline wants.
        division: the source's shards.
        source_name: the first part of their keys.
        files: live files by family and shard.
        views: joined shards, where samples are there.
        families: only these features; None is all.
    """
    names = {family.name: family.fp for family in compiled.families if families is None or family.name in families}
    todo = Todo(Jobs(division, source_name, views), new=division.new, changed=division.changed, gone=division.gone)
    todo.families = {name: FamilyPlan() for name in names}
    todo.steps = [f"{placed.label} on {placed.reads or 'the sample'}" for placed in compiled.steps]
    whole, sound = _sound(views, compiled, names)
    for shard, entries in division.shards.items():
        n_entries = len(entries)
        todo.entries += n_entries
        lack = None
        if shard not in whole:  # and nothing else need be looked at
            lacking = {name: fp for name, fp in names.items() if shard not in sound.get(name, ())}
            lack = _lack(compiled, division, shard, n_entries, lacking, files, views, shard in sound.get(SAMPLES, ()))
        if lack is None:
            todo.done += 1
        else:
            _add(todo, compiled, lack, files)
    if any(not lack.samples for lack in todo.jobs.lacks):
        reads = {family.step.on for family in compiled.families if todo.families.get(family.name, FamilyPlan()).shards}
        todo.from_source = sorted(part for part in compiled.remade if part in reads)
    return todo


def _sound(
    views: Mapping[str, ShardView], compiled: Compiled, names: Mapping[str, str]
) -> tuple[set[str], dict[str, set[str]]]:
    """The shards that lack nothing, and those that lack nothing of a family, as far as the joined files tell."""
    if not isinstance(views, ShardsById):
        return set(), {}
    of = {SAMPLES: compiled.samples_fp}
    families = {name: views.having({**of, name: fp}) for name, fp in names.items()}
    return views.having({**of, **names}), {SAMPLES: views.having(of), **families}


def _lack(
    compiled: Compiled,
    division: Division,
    shard: str,
    n_entries: int,
    names: Mapping[str, str],
    files: Mapping[str, FilesOf],
    views: Mapping[str, ShardView],
    is_sound: bool,
) -> Lack | None:
    """What a shard lacks of families; `is_sound` says that its samples are known to be there."""
    stored = stored_rows(views, shard)
    rows = [] if is_sound else [file for file in files[SAMPLES].get(shard, ()) if file.fp == compiled.samples_fp]
    samples = not is_sound and (not rows or stored is None)
    lacking = []
    gather: dict[str, DataFile] = {}
    replaced = division.replaces.get(shard, ())
    for name, fp in names.items():
        theirs = files.get(name, {})
        same = [file for file in theirs.get(shard, ()) if file.fp == fp] if theirs else []
        if same and not samples:
            keys = (rows or [file for file in files[SAMPLES].get(shard, ()) if file.fp == compiled.samples_fp])[-1].keys
            if any(file.keys == keys for file in same):
                continue
        lacking.append(name)
        older = same or [file for other in replaced for file in theirs.get(other, ()) if file.fp == fp]
        if older:
            gather[name] = older[-1]
    if not samples and not lacking:
        return None
    return Lack(shard, n_entries, n_entries if samples or stored is None else stored, samples, tuple(lacking), gather)


def add_replays(
    todo: Todo,
    compiled: Compiled,
    division: Division,
    files: Mapping[str, FilesOf],
    views: Mapping[str, ShardView],
    failed: Mapping[str, set[str]],
) -> None:
    """Put shards with rejects or failed features among the jobs, too; what is sound is taken over.

    Args:
        todo: what is to be done otherwise.
        compiled: as `work_left` takes it, like those that follow.
        division: the source's shards.
        files: live files by family and shard.
        views: joined shards.
        failed: families with failed rows, by shard. Where nothing was rejected, they alone are made again.
    """
    busy = {lack.shard for lack in todo.jobs.lacks}
    for shard, entries in division.shards.items():
        view = views.get(shard)
        if shard in busy or view is None or not (view.rejects or failed.get(shard)):
            continue
        samples = view.rejects is not None
        families = [family for family in compiled.families if samples or family.name in failed[shard]]
        gather = {
            family.name: file
            for family in families
            for file in files.get(family.name, {}).get(shard, ())
            if file.fp == family.fp
        }
        if not samples and not families:
            continue
        names = tuple(family.name for family in families)
        n_entries = len(entries)
        _add(todo, compiled, Lack(shard, n_entries, n_entries if samples else view.rows, samples, names, gather), files)
        todo.done -= 1


def _add(todo: Todo, compiled: Compiled, lack: Lack, files: Mapping[str, FilesOf]) -> None:
    """Put a shard among the jobs, and count what its families cost."""
    jobs = todo.jobs
    jobs.lacks.append(lack)
    todo.entries_todo += lack.entries
    made = {placed.writes for placed in compiled.steps if placed.writes != placed.reads}
    reads = {family.name: family.step.on for family in compiled.families}
    entries = jobs.division.entries(lack.shard)
    parts = extent(entries).parts
    takes_over = any(file.shard != lack.shard for file in lack.gather.values())
    unchanged = jobs.division.unchanged(lack.shard) if takes_over else frozenset()
    for name in lack.families:
        plan = todo.families.setdefault(name, FamilyPlan())
        plan.shards += 1
        known, part = lack.gather.get(name), reads[name]
        of_all = part is None or part in made
        have = lack.entries if part is None or of_all else parts.get(part, (0, 0))[0]
        is_known = have < lack.entries and lack.rows <= lack.entries  # or there are children
        rows, taken = (min(lack.rows, have) if is_known else lack.rows), 0
        if known is not None and known.shard == lack.shard:
            taken = min(rows, known.rows)
        elif known is not None:
            same = (entry for entry in entries if entry.key in unchanged)
            taken = min(rows, sum(of_all or _has(entry, part) for entry in same))
        plan.gathered += taken
        plan.rows += rows - taken
        plan.why = _why(name, lack, files)


def _has(entry: Entry, part: str | None) -> bool:
    return any(member.part == part for member in entry.members)


def _why(name: str, lack: Lack, files: Mapping[str, FilesOf]) -> str:
    if not files.get(name):
        return "it is not in the store"
    if name in lack.gather:
        return "the set of samples, or how they are stored, changed; sound rows are taken over"
    if files[name].get(lack.shard):
        return "its setting, or a step before it, changed"
    return "there are new samples"
