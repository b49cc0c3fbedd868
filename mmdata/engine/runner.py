"""The coordinator: looks at the source, records the division, hands out shards, commits what comes back.

Only it commits. It holds no truth: whatever it knew is in the store, so that a killed run is gone on with by
running the same command again, and two coordinators on one store get in each other's way only at the commits.
"""

from __future__ import annotations

import logging
import os
import platform
import tempfile
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field, replace
from time import perf_counter

from mmdata.codec.decoders import DECODERS
from mmdata.codec.encode import encodes, encoding_fault, is_lossy
from mmdata.core.pipeline import Codecs, Compiled, Pipeline, RunSettings, compile_pipeline
from mmdata.core.ports import Died, Entry, Executor, Scan, Source
from mmdata.core.rng import rng_for
from mmdata.engine.carry import ALWAYS_FAILS, always_fails
from mmdata.engine.division import Division, amend, entries_of
from mmdata.engine.executors.inline import Inline
from mmdata.engine.notes import read_note
from mmdata.engine.report import DONE, INTERRUPTED, STOPPED, Progress, RunReport, Watcher
from mmdata.engine.shard import ShardJob, ShardResult, ShardWork
from mmdata.engine.todo import Todo, add_replays, by_shard, work_left
from mmdata.errors import CommitConflict, ConfigError, RunStopped, StepError, StoreError
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store

log = logging.getLogger(__name__)

CODECS = Codecs(DECODERS, encoding_fault, encodes, is_lossy)
COMMIT_EVERY_S = 2.0  # a commit costs tens of milliseconds a family; a kill costs what was not committed
PLAN_ATTEMPTS = 5
DEATHS_ALLOWED = 2  # of workers on one entry, before it is rejected


@dataclass(frozen=True, kw_only=True)
class RunOptions:
    """How a pipeline is run.

    Args:
        settings: shards, and the limit on rejects. executor: who works.
        limit: only a sample of so many entries, chosen by a hash of the key.
        families: only these features; None is all. watch: told of progress.
        look_at_source: whether to scan it; without, the recorded division stands, and only features are made.
        replay: shards with rejects are made again, in the hope that the cause is gone.
        command, text, location: for the store's records: what was called, the pipeline file, and where the source is.
        where: what messages call the pipeline.
    """

    settings: RunSettings = field(default_factory=RunSettings)
    executor: Executor = field(default_factory=Inline)
    limit: int | None = None
    families: Sequence[str] | None = None
    watch: Watcher | None = None
    look_at_source: bool = True
    replay: bool = False
    command: str = "run"
    text: str = ""
    location: str | None = None
    where: str = "pipeline"


def check(pipeline: Pipeline, *, where: str = "pipeline") -> Compiled:
    """Compile a pipeline without looking at its source. Raises ConfigError with every fault."""
    declared = getattr(pipeline.source, "parts", None)  # sources that are told their parts say so before any scan
    return compile_pipeline(pipeline, CODECS, parts=list(declared) if declared else None, where=where)


def plan(pipeline: Pipeline, store_url: str, options: RunOptions) -> Todo:
    """What `run` would do, writing nothing."""
    return _Run(pipeline, store_url, options).look(commit=False)


def run(pipeline: Pipeline, store_url: str, options: RunOptions) -> RunReport:
    """Bring a store up to date with its source and its pipeline.

    Raises:
        ConfigError: before anything is read.
        RunStopped: a step always fails, or workers die of something that is no sample's fault.
        StoreError: the store can't take the results.
    """
    return _Run(pipeline, store_url, options).run()


@dataclass
class _Run:
    pipeline: Pipeline
    store_url: str
    options: RunOptions
    report: RunReport = field(init=False)
    started: float = field(default_factory=perf_counter)

    def __post_init__(self) -> None:
        self.report = RunReport(self.store_url, rejects_limit=self.options.settings.max_rejects)
        self.store: Store | None = None
        self._deaths: Counter[tuple[str, str]] = Counter()
        self._samples_done = 0

    # ---- looking

    def look(self, *, commit: bool) -> Todo:
        """Scan the source, amend the division (and record it), and find what is left to do."""
        source = self.pipeline.source
        if source is None:
            raise ConfigError(self.options.where, ["source: missing; say where samples come from, or give --source"])
        check(self.pipeline, where=self.options.where)  # faults that need no look at the source
        if self.options.look_at_source:
            scan = source.scan()
            store = self._store(create=commit)
            division = self._divide(store, source, scan, commit=commit)
        else:
            scan, store = Scan(()), Store.open(self.store_url)
            division = Division(keep=store.plan(source.name).shards)
        self.compiled = self._compile(division)
        todo = self._todo(store, division, source.name)
        if not self.options.look_at_source and any(job.samples for job in todo.jobs):
            raise ConfigError(
                self.options.where,
                ["the stored samples were made by other ingest steps, or not all are made; `mmdata run` makes them"],
            )
        todo.unmatched = list(scan.unmatched)
        self.store, self.division = store, division
        return todo

    def _store(self, *, create: bool) -> Store | None:
        if create:
            return Store.create(self.store_url)
        try:
            return Store.open(self.store_url)
        except StoreError:
            return None

    def _divide(self, store: Store | None, source: Source, scan: Scan, *, commit: bool) -> Division:
        found = entries_of(scan)
        for _ in range(PLAN_ATTEMPTS):
            planned = store.plan(source.name) if store is not None else None
            shards: Mapping[str, Sequence[Entry]] = planned.shards if planned is not None else {}
            division = amend(shards, self._limited(found, shards), self.options.settings)
            if not commit or store is None or planned is None or not (division.add or division.removed):
                return division
            try:
                store.commit_plan(source.name, planned.version, add=division.add, remove=list(division.removed))
            except CommitConflict:
                log.info("plan=%s another run divided this source first; looking again", source.name)
                continue
            return division
        raise CommitConflict(f"{PLAN_ATTEMPTS} times another run changed the plan of {source.name!r}; run again")

    def _limited(self, found: list[Entry], planned: Mapping[str, Sequence[Entry]]) -> list[Entry]:
        """A sample of the entries by a hash of their keys, and what is planned already."""
        limit = self.options.limit
        if limit is None or len(found) <= limit:
            return found
        known = {entry.key for entries in planned.values() for entry in entries}
        ranked = sorted(found, key=lambda entry: rng_for(0, "limit", entry.key).random())
        chosen = {entry.key for entry in ranked[:limit]} | known
        return [entry for entry in found if entry.key in chosen]

    def _compile(self, division: Division) -> Compiled:
        entries = [entry for shard in division.shards.values() for entry in shard]
        parts = {member.part for entry in entries for member in entry.members}
        return compile_pipeline(self.pipeline, CODECS, parts=parts or None, where=self.options.where)

    def _todo(self, store: Store | None, division: Division, source_name: str) -> Todo:
        names = ["samples", "drops", "rejects", *(family.name for family in self.compiled.families)]
        self.files = {name: by_shard(store.files(name)) if store is not None else {} for name in names}
        self.views = {view.shard: view for view in store.view().shards} if store is not None else {}
        todo = work_left(self.compiled, division, source_name, self.files, self.views, families=self.options.families)
        if self.options.replay:
            add_replays(todo, self.compiled, division, source_name, self.files, self.views)
        return todo

    # ---- doing

    def run(self) -> RunReport:
        """Look, work, commit, and say what came of it."""
        todo = self.look(commit=True)
        self.report.unmatched = todo.unmatched
        self.report.kept = todo.entries - todo.entries_todo
        self.report.samples_todo = todo.entries_todo
        if todo.is_empty and not self._leavers() and self._joined():
            self.report.seconds = perf_counter() - self.started
            return self.report
        store = self.open_store
        record = store.start_run(
            command=self.options.command,
            recipe=Recipe(self.compiled.samples_fp, self.compiled.recipe),
            pipeline={"file": self.options.text, "source": self.options.location},
            machine={"cpus": os.cpu_count(), "python": platform.python_version(), "system": platform.platform()},
        )
        try:
            self._work(todo)
            self._remove_leavers()
        except KeyboardInterrupt:
            self.report.state = INTERRUPTED
        finally:
            self.report.seconds = perf_counter() - self.started
            store.finish_run(record, counts=self.report.to_json(), seconds=self.report.seconds)
        return self.report

    @property
    def open_store(self) -> Store:
        if self.store is None:
            raise StoreError(f"there is no store at {self.store_url!r}")
        return self.store

    def _joined(self) -> bool:
        """Whether readers find each family beside the samples: a recipe says so."""
        return all(name in view.features for name in self.compiled.recipe for view in self.views.values() if view.rows)

    def _work(self, todo: Todo) -> None:
        work = ShardWork(self.store_url, {}, self.pipeline.source, self.compiled)
        self._pending: list[ShardResult] = []
        self._committed_s = self._began_s = perf_counter()
        self._shards_total = len(todo.jobs)
        with tempfile.TemporaryDirectory(prefix="mmdata-notes-") as notes:
            jobs = [replace(job, notes=f"{notes}/{index}") for index, job in enumerate(todo.jobs)]
            self._watch()
            while jobs and self.report.state == DONE:
                jobs = self._round(work, jobs)

    def _round(self, work: ShardWork, jobs: Sequence[ShardJob]) -> list[ShardJob]:
        """Do jobs; returns those that must be tried again, as their workers died."""
        again: list[ShardJob] = []
        try:
            with closing(self.options.executor.map(work, jobs)) as results:
                for result in results:
                    if isinstance(result, Died):
                        again.append(self._after_death(result))
                        continue
                    self._take(result)
                    if self.report.above_limit:
                        self.report.state = STOPPED
                        break
        finally:
            self._commit()
            self._watch()
        return again

    def _take(self, result: ShardResult) -> None:
        self._pending.append(result)
        self.report.counts.add(result.counts)
        self.report.shards += 1
        self._samples_done += len(result.job.entries)
        for name, times in self.report.counts.steps.items():
            if times.bugs >= ALWAYS_FAILS and times.bugs == times.n:
                raise StepError(always_fails(name, times.n, "see the traceback in `mmdata rejects`"))
        if perf_counter() - self._committed_s > COMMIT_EVERY_S:
            self._commit()
        self._watch()

    def _after_death(self, death: Died) -> ShardJob:
        """The job once more; without the entry that killed workers twice."""
        job: ShardJob = death.item
        note = read_note(job.notes) if job.notes else None
        key, step = note or ("", "start-up")
        self._deaths[job.shard, key] += 1
        log.warning("shard=%s key=%r step=%s a worker died: %s", job.shard, key, step, death.error)
        if self._deaths[job.shard, key] < DEATHS_ALLOWED:
            return job
        if note is None:
            raise RunStopped(f"workers died {DEATHS_ALLOWED} times before shard {job.shard} was begun: {death.error}")
        why = f"worker_died: a worker was lost {DEATHS_ALLOWED} times in {step}: {death.error}"
        return replace(job, condemned={**job.condemned, key: why})

    # ---- committing

    def _commit(self) -> None:
        pending, self._pending = self._pending, []
        self._committed_s = perf_counter()
        if not pending:
            return
        try:
            self.open_store.commit(self._changes(pending))
        except CommitConflict as error:
            if len(pending) == 1:
                log.warning("shard=%s left to the run that was first: %s", pending[0].job.shard, error)
                return
            for result in pending:  # one shard's conflict must not cost the others
                self._pending = [result]
                self._commit()

    def _changes(self, results: Sequence[ShardResult]) -> list[Change]:
        add: dict[str, list[DataFile]] = defaultdict(list)
        remove: dict[str, list[DataFile]] = defaultdict(list)
        for result in results:
            shards = {result.job.shard, self.division.replaces.get(result.job.shard, result.job.shard)}
            made = {file.path for file in result.files}
            for file in result.files:
                add[file.family].append(file)
            families = {file.family for file in result.files} | ({"drops", "rejects"} if result.job.samples else set())
            for family in families:
                old = [file for shard in shards for file in self.files.get(family, {}).get(shard, ())]
                remove[family] += [file for file in old if file.path not in made]
        columns = {family.name: family.step.columns() for family in self.compiled.families}
        return [
            Change(family, columns.get(family, {}), add[family], remove[family]) for family in sorted({*add, *remove})
        ]

    def _leavers(self) -> set[str]:
        """Shards of this source with files in the store that are not in its division (any more)."""
        if self.pipeline.source is None or self.options.limit is not None:
            return set()
        name = self.pipeline.source.name
        return {view.shard for view in self.views.values() if view.source == name} - self.division.shards.keys()

    def _remove_leavers(self) -> None:
        leavers = self._leavers()
        if not leavers or self.report.state != DONE:
            return
        store = self.open_store
        families = ["samples", "drops", "rejects", *store.feature_families()]
        gone = {family: [file for file in store.files(family) if file.shard in leavers] for family in families}
        store.commit([Change(family, remove=files) for family, files in gone.items() if files])
        self.report.removed = len({file.shard for file in gone["samples"]})

    def _watch(self) -> None:
        if self.options.watch is not None:
            spent = perf_counter() - self._began_s
            self.options.watch(
                Progress(
                    self.report.shards,
                    self._shards_total,
                    self._samples_done,
                    self.report.samples_todo,
                    self.report.counts,
                    spent,
                )
            )
