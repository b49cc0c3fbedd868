"""The coordinator: looks at the source, records the division, hands out shards, commits what comes back.

Only it commits. It holds no truth: whatever it knew is in the store, so that a killed run is gone on with by
running the same command again, and two coordinators on one store get in each other's way only at the commits.
"""

from __future__ import annotations

import logging
import os
import platform
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import closing
from dataclasses import replace
from time import perf_counter

from mmdata.core.pipeline import Pipeline
from mmdata.core.ports import Died
from mmdata.engine.careful import GuardedWork, process
from mmdata.engine.carry import ALWAYS_FAILS, always_fails
from mmdata.engine.committing import Committer
from mmdata.engine.counts import Counts
from mmdata.engine.devices import device_fault
from mmdata.engine.disks import full_disk, is_full
from mmdata.engine.executors import works_here
from mmdata.engine.guard import Limits
from mmdata.engine.look import Look, look
from mmdata.engine.options import RunOptions
from mmdata.engine.progress import Course, Progress
from mmdata.engine.report import DONE, INTERRUPTED, STOPPED, RunReport
from mmdata.engine.shard import ShardJob, ShardResult, ShardWork
from mmdata.engine.signals import answered_later
from mmdata.engine.todo import Todo
from mmdata.engine.visible import absolute
from mmdata.errors import CommitConflict, ConfigError, RunStopped, StepError, StoreError
from mmdata.store.files import Files
from mmdata.store.fitted import keep
from mmdata.store.pulse import beating
from mmdata.store.runs import Recipe
from mmdata.store.store import Store

log = logging.getLogger(__name__)

LOOKS_ALLOWED = 3  # of a run that others get in the way of
DEATHS_A_SHARD = 8  # of workers that did it carefully, which no sample ends
DEATHS_IN_A_ROW = 20  # without any result between them


def plan(pipeline: Pipeline, store_url: str, options: RunOptions) -> Todo:
    """What `run` would do, writing nothing."""
    return look(pipeline, store_url, options, commit=False).todo


def run(pipeline: Pipeline, store_url: str, options: RunOptions) -> RunReport:
    """Bring a store up to date with its source and its pipeline.

    Raises:
        ConfigError: before anything is written.
        RunStopped: a step always fails, or workers die of something that is no sample's fault.
        StoreError: the store can't take the results.
    """
    try:
        return _run(pipeline, store_url, options)
    except OSError as error:
        told = full_disk(store_url) if is_full(error) else f"{store_url!r}: {error.strerror or error}"
        raise StoreError(f"{told}; what is committed stays, and the same command goes on from there") from error


def _run(pipeline: Pipeline, store_url: str, options: RunOptions) -> RunReport:
    started = perf_counter()
    fault = device_fault(pipeline.features, options.settings) if works_here(options.executor) else None
    if fault is not None:
        raise ConfigError(options.where, [f"run: {fault}"])
    found = look(pipeline, absolute(store_url), options, commit=True)
    report = RunReport(
        store_url,
        kept=found.todo.entries - found.todo.entries_made,
        rejected_before=_rejected_before(found),
        unmatched=found.todo.unmatched,
        rejects_limit=options.settings.max_rejects,
        samples_todo=found.todo.entries_todo,
    )
    if found.store is None:
        raise StoreError(f"there is no store at {store_url!r}")
    if not found.is_done:
        _recorded_work(found, found.store, options, report, started)
    report.seconds = perf_counter() - started
    return report


def _rejected_before(found: Look) -> int:
    """How many samples earlier runs rejected of the shards whose samples stay as they are."""
    made = {lack.shard for lack in found.todo.jobs.lacks if lack.samples}
    here = found.division.shards
    stay = [shard for shard in found.view.with_rejects() if shard.shard in here and shard.shard not in made]
    return sum(shard.rejects.rows for shard in stay if shard.rejects is not None)


def _n_made(job: ShardJob) -> int:
    """How many entries a job makes samples of; a job for features alone keeps the samples that there are."""
    return len(job.entries) if job.samples else 0


def _recorded_work(found: Look, store: Store, options: RunOptions, report: RunReport, started: float) -> None:
    """Do what is to be done, and keep a record of it in the store, however it ends."""
    record = store.start_run(
        command=options.command,
        recipe=Recipe(found.compiled.samples_fp, found.compiled.recipe),
        pipeline={"file": options.text, "source": options.location},
        machine={
            "cpus": os.cpu_count(),
            "python": platform.python_version(),
            "system": platform.platform(),
            "host": platform.node(),
            "pid": os.getpid(),
        },
    )
    try:
        with beating(Files.at(store.url, store.storage_options), record):
            if len(store.forgotten()) != found.n_blocked:  # since the look; from now on `forget` sees this run
                found = look(found.pipeline, absolute(report.store), options, commit=True)
            for family in found.compiled.families:
                keep(Files.at(store.url, store.storage_options), family.name, family.fp, family.step.fitted())
            _work_until_done(found, store, options, report)
    except KeyboardInterrupt:
        report.state = INTERRUPTED
    finally:
        report.seconds = perf_counter() - started
        store.finish_run(record, counts=report.to_json(), seconds=report.seconds)


def _work_until_done(found: Look, store: Store, options: RunOptions, report: RunReport) -> None:
    """Do what is to be done; once more where other runs committed first what does not go with this one's.

    Raises:
        CommitConflict: again and again.
    """
    for _ in range(LOOKS_ALLOWED):
        committer = Committer(store, found)
        _Crew(found, committer, options, report).work()
        if report.state != DONE:
            return
        if not committer.lost:
            report.removed += committer.remove_leavers()
            return
        for result in committer.lost:
            report.counts.take_back(result.counts)
            report.shards -= 1
        found = look(found.pipeline, absolute(report.store), options, commit=True)
        report.kept = found.todo.entries - found.todo.entries_made - report.counts.read
    raise CommitConflict(
        f"{LOOKS_ALLOWED} times another run committed other files of the same shards first: let runs of different "
        f"pipelines on {report.store!r} follow each other"
    )


class _Crew:
    """Hands out jobs until none is left, takes what comes back, and deals with workers that died."""

    def __init__(self, found: Look, committer: Committer, options: RunOptions, report: RunReport) -> None:
        self._found, self._committer, self._options, self._report = found, committer, options, report
        self._deaths: Counter[str] = Counter()
        self._deaths_in_a_row = 0
        self._taken: set[str] = set()
        self._course = Course(report.samples_todo)
        self._began_s = perf_counter()

    def work(self) -> None:
        """Do all jobs; stops early where too much is rejected."""
        settings = self._options.settings
        options = self._options.storage_options
        shards = ShardWork(self._report.store, options, self._found.source, self._found.compiled, settings)
        work = GuardedWork(shards, Limits(settings.timeout_s, settings.memory_bytes), process())
        jobs: Sequence[ShardJob] = self._found.todo.jobs
        if self._committer.has_company:
            jobs = self._found.todo.jobs.shuffled()  # in another order than others' they share the work
        self._watch()
        while jobs and self._report.state == DONE:
            jobs = self._round(work, jobs)

    def _round(self, work: GuardedWork, jobs: Sequence[ShardJob]) -> list[ShardJob]:
        """Do jobs; returns those that must be tried again, as their workers died."""
        again: list[ShardJob] = []
        try:
            with closing(self._options.executor.map(work, self._left(work, jobs))) as results:
                for result in results:
                    if isinstance(result, Died):
                        again += self._after_death(result)
                        continue
                    self._take(result)
                    if self._report.above_limit:
                        self._report.state = STOPPED
                        break
        finally:
            self._committer.flush()
            for result in self._committer.same:
                self._report.counts.take_back(result.counts)
                self._report.shards -= 1
                self._report.kept += _n_made(result.job)
            self._committer.same.clear()
            self._course.give_up(list(self._course.working))
            self._watch()
        return [job for job in again if job.shard not in self._taken]

    def _left(self, work: GuardedWork, jobs: Sequence[ShardJob]) -> Iterator[ShardJob]:
        """Jobs as they are handed out; what another run has done since the look is passed over, and counts as kept."""
        for job in jobs:
            if self._committer.is_done(job):
                log.info("shard=%s another run has made it", job.shard)
                self._report.kept += _n_made(job)
                self._course.skip(len(job.entries))
                continue
            self._course.begin(job.shard, len(job.entries))
            self._watch()
            yield replace(job, resources=work.work.resources(job.families))

    def _take(self, result: ShardResult) -> None:
        """Count a result, and hand it on to be committed; not a second one of a shard that was given to two workers."""
        report, shard = self._report, result.job.shard
        self._deaths_in_a_row = 0
        for line in result.deaths:
            log.warning("shard=%s %s", shard, line)
        if shard in self._taken:
            log.info("shard=%s was done twice; the first result counts", shard)
            return
        with answered_later():  # what is counted is committed
            self._taken.add(shard)
            report.counts.add(result.counts)
            report.shards += 1
            self._course.end(shard, len(result.job.entries))
            self._committer.take(result)
        log.info("shard=%s samples=%d done", shard, len(result.job.entries))
        _stop_where_a_step_always_fails(report.counts)
        self._watch()

    def _after_death(self, death: Died) -> list[ShardJob]:
        """The job once more, now carefully; nothing where another worker has done it since."""
        job: ShardJob = death.item
        self._course.give_up([job.shard])
        if job.shard in self._taken:
            return []
        self._deaths[job.shard] += 1
        self._deaths_in_a_row += 1
        log.warning("shard=%s kind=%s a worker died: %s; it is tried again", job.shard, death.kind, death.error)
        if self._deaths[job.shard] >= DEATHS_A_SHARD or self._deaths_in_a_row >= DEATHS_IN_A_ROW:
            raise RunStopped(
                f"{self._deaths_in_a_row} workers died one after the other, {self._deaths[job.shard]} of them on shard "
                f"{job.shard}, and not in a step, as steps ran in processes of their own: {death.error}"
            )
        return [replace(job, careful=True)]

    def _watch(self) -> None:
        if self._options.watch is not None:
            self._options.watch(
                Progress(
                    shards=self._report.shards,
                    shards_total=len(self._found.todo.jobs),
                    samples=self._course.samples_done,
                    samples_total=self._report.samples_todo,
                    counts=self._report.counts,
                    seconds=perf_counter() - self._began_s,
                    working=self._course.oldest(),
                    left_s=self._course.left_s(),
                )
            )


def _stop_where_a_step_always_fails(counts: Counts) -> None:
    for name, times in counts.steps.items():
        if times.bugs >= ALWAYS_FAILS and times.bugs == times.n:
            raise StepError(always_fails(name, times.n, "see the traceback in `mmdata rejects`"))
