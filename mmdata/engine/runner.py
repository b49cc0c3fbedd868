"""The coordinator: looks at the source, records the division, hands out shards, commits what comes back.

Only it commits. It holds no truth: whatever it knew is in the store, so that a killed run is gone on with by running the
same command again, and two coordinators on one store get in each other's way only at the commits.
"""

from __future__ import annotations

import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from time import perf_counter

from mmdata.codec.decoders import DECODERS
from mmdata.codec.encode import encodes, encoding_fault, is_lossy
from mmdata.core.pipeline import Codecs, Compiled, Pipeline, RunSettings, compile_pipeline
from mmdata.core.ports import Died, Entry, Executor, Scan, Source
from mmdata.core.rng import rng_for
from mmdata.engine.carry import ALWAYS_FAILS, always_fails
from mmdata.engine.division import Division, amend, entries_of
from mmdata.engine.executors import Inline
from mmdata.engine.notes import read_note
from mmdata.engine.report import DONE, INTERRUPTED, STOPPED, Progress, RunReport, Watcher
from mmdata.engine.shard import ShardJob, ShardResult, ShardWork
from mmdata.engine.todo import Todo, by_shard, work_left
from mmdata.errors import CommitConflict, ConfigError, RunStopped, StepError, StoreError
from mmdata.store.store import Store

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
        replay: shards with rejects are made again, in the hope that the cause is gone.
        command, text: for the store's records: what was called, and the pipeline file.
    """

    settings: RunSettings = RunSettings()
    executor: Executor = Inline()
    limit: int | None = None
    families: Sequence[str] | None = None
    watch: Watcher | None = None
    replay: bool = False
    command: str = "run"
    text: str = ""
    where: str = "pipeline"


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
        self._fails: dict[str, tuple[int, int]] = {}

    # ---- looking

    def look(self, *, commit: bool) -> Todo:
        """Scan the source, amend the division (and record it), and find what is left to do."""
        source = self.pipeline.source
        if source is None:
            raise ConfigError(self.options.where, ["source: missing; say where samples come from, or give --source"])
        compile_pipeline(self.pipeline, CODECS, where=self.options.where)  # faults that need no look at the source
        scan = source.scan()
        store = self._store(create=commit)
        division = self._divide(store, source, scan, commit=commit)
        self.compiled = self._compile(division)
        todo = self._todo(store, division, source.name)
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
        names = ["samples", *(family.name for family in self.compiled.families)]
        files = {name: by_shard(store.files(name)) if store is not None else {} for name in names}
        views = {view.shard: view for view in store.view().shards} if store is not None else {}
        todo = work_left(self.compiled, division, source_name, files, views, families=self.options.families)
        if self.options.replay and store is not None:
            self._replay(store, todo, source_name, views)
        return todo

    # ---- doing

    def run(self) -> RunReport:
        todo = self.look(commit=True)
        self.report.unmatched = todo.unmatched
        self.report.kept = todo.entries - todo.entries_todo
        self.report.samples_todo = todo.entries_todo
        record = self.store.start_run(
            command=self.options.command,
            pipeline=self.options.text,
            samples_fp=self.compiled.samples_fp,
            families=self.compiled.recipe,
        )
        try:
            self._work(todo)
            self._remove_leavers()
        except KeyboardInterrupt:
            self.report.state = INTERRUPTED
        finally:
            self.report.seconds = perf_counter() - self.started
            self.store.finish_run(record, counts=self.report.to_json(), seconds=self.report.seconds)
        return self.report
