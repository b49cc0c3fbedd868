"""Committing what workers made: files wait here until a commit takes many at once.

A timer commits what waits while no further result comes, as where all other shards are done and one takes an hour.
"""

from __future__ import annotations

import logging
import threading
from collections import defaultdict
from collections.abc import Collection, Sequence
from time import perf_counter

from mmdata.engine.look import Look
from mmdata.engine.shard import ShardJob, ShardResult
from mmdata.errors import CommitConflict
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.store import Change, Store

log = logging.getLogger(__name__)

LOOK_EVERY_S = 2.0  # at what other runs committed
COMMIT_EVERY_S = 2.0  # a commit costs tens of milliseconds a family; a kill costs what was not committed
AGAIN_S = 20.0  # after a commit that failed while no result came


class Committer:
    """Commits the results of shards, and what they replace, every few seconds.

    Args:
        store: where to. look: what the store held, so that what a result replaces is known.
    """

    def __init__(self, store: Store, look: Look) -> None:
        self._store, self._look = store, look
        self._waiting: list[ShardResult] = []
        self.lost: list[ShardResult] = []  # another run was first, and what it made is something else
        self.same: list[ShardResult] = []  # another run was first, and made the same
        self._committed_s = perf_counter()
        self._looked_s: dict[str, float] = {}
        self._lock = threading.RLock()  # the timer is a thread, and a store is for one at a time
        self._timer: threading.Timer | None = None
        self._tried: set[int] = set()  # results of which a part may be committed, by a commit that failed

    @property
    def has_company(self) -> bool:
        """Whether another run may be at work on this store."""
        return self._store.n_running() > 1

    def is_done(self, job: ShardJob) -> bool:
        """Whether another run has committed, since this one looked, all that a job would make."""
        fps = {family.name: family.fp for family in self._look.compiled.families}
        wanted = {SAMPLES: self._look.compiled.samples_fp} if job.samples else {}
        wanted |= {name: fps[name] for name in job.families}
        with self._lock:
            return bool(wanted) and all(self._is_made(job, family, fp) for family, fp in wanted.items())

    def _is_made(self, job: ShardJob, family: str, fp: str) -> bool:
        """Whether a file of a shard has come; the log is looked at again when it was last too long ago."""
        now = perf_counter()
        fresh = now - self._looked_s.get(family, -LOOK_EVERY_S) >= LOOK_EVERY_S
        if fresh:
            self._looked_s[family] = now
        before = self._known(job, family)
        found = self._store.shard_files(family, job.shard, fresh=fresh)
        return any(file.fp == fp and file.path not in before for file in found)

    def take(self, result: ShardResult) -> None:
        """Commit a result, now or later."""
        with self._lock:
            self._waiting.append(result)
            if perf_counter() - self._committed_s > COMMIT_EVERY_S:
                self.flush()
            elif self._timer is None:
                self._set_timer(COMMIT_EVERY_S)

    def _set_timer(self, seconds: float) -> None:
        self._timer = threading.Timer(seconds, self._in_time)
        self._timer.daemon = True
        self._timer.start()

    def _in_time(self) -> None:
        """Commit what waits while no result comes. Where that fails, it is tried again; the last flush says why."""
        with self._lock:
            waiting = list(self._waiting)
            try:
                self.flush()
            except Exception:
                log.info("results=%d could not be committed in between", len(waiting), exc_info=True)
                lost = {id(result) for result in self.lost}
                self._waiting = [result for result in waiting if id(result) not in lost]
                self._set_timer(AGAIN_S)
                self._tried |= {id(result) for result in waiting}

    def flush(self) -> None:
        """Commit what waits. What another run has replaced meanwhile is not committed but among the `lost`.

        Ctrl-C is put off until it is done: to commit again what is committed already changes nothing.
        """
        with self._lock:
            if self._timer is not None:
                self._timer.cancel()
                self._timer = None
            waiting, self._waiting = self._waiting, []
            if waiting:
                try:
                    self._commit(waiting)
                except KeyboardInterrupt:
                    self._tried |= {id(result) for result in waiting}
                    self._commit(waiting)
                    raise
            self._tried.clear()
            self._committed_s = perf_counter()

    def _commit(self, results: Sequence[ShardResult]) -> None:
        results = self._of_live_samples(results)
        try:
            added = self._store.commit(self._changes(results))
            fresh = [result for result in results if id(result) not in self._tried]
            self.same += [result for result in fresh if not self._is_first(result, added)]
        except CommitConflict as error:
            if len(results) == 1:
                log.warning("shard=%s another run was first: %s", results[0].job.shard, error)
                self.lost += results
                return
            for result in results:  # one shard's conflict must not cost the others
                self._commit([result])

    def _of_live_samples(self, results: Sequence[ShardResult]) -> list[ShardResult]:
        """Without features whose samples were replaced meanwhile, as by `mmdata compact`: those are lost."""
        gone = set()
        for result in results:
            view, shard = result.job.view, result.job.shard
            if view is not None and not result.job.samples:
                live = self._store.shard_files(SAMPLES, shard, fresh=True)
                gone |= set() if view.samples.stands_for in {file.stands_for for file in live} else {shard}
        self.lost += [result for result in results if result.job.shard in gone]
        return [result for result in results if result.job.shard not in gone]

    def _is_first(self, result: ShardResult, added: Collection[str]) -> bool:
        """Whether it was this run that made a result's chief file, which no other run's report may count then."""
        chief = min(result.files, key=lambda file: (file.family != SAMPLES, file.family), default=None)
        return chief is None or chief.path in added or chief.path in self._known(result.job, chief.family)

    def _known(self, job: ShardJob, family: str) -> set[str]:
        """The paths of a shard's files when this run looked."""
        return {file.path for file in self._look.files.get(family, {}).get(job.shard, ())}

    def _changes(self, results: Sequence[ShardResult]) -> list[Change]:
        add: dict[str, list[DataFile]] = defaultdict(list)
        remove: dict[str, list[DataFile]] = defaultdict(list)
        for result in results:
            for file in result.files:
                add[file.family].append(file)
            for family, files in self._replaced(result).items():
                remove[family] += files
        columns = {family.name: family.step.columns() for family in self._look.compiled.families}
        return [
            Change(family, columns.get(family, {}), add[family], remove[family]) for family in sorted({*add, *remove})
        ]

    def _replaced(self, result: ShardResult) -> dict[str, list[DataFile]]:
        """Older files, by family, in whose place a result's files stand."""
        shard = result.job.shard
        shards = sorted({shard, *self._look.division.replaces.get(shard, ())})
        made = {file.path for file in result.files}
        families = {file.family for file in result.files} | ({DROPS, REJECTS} if result.job.samples else set())
        live = {family: self._look.files.get(family, {}) for family in families}
        return {
            family: [file for shard in shards for file in files.get(shard, ()) if file.path not in made]
            for family, files in live.items()
        }

    def remove_leavers(self) -> int:
        """Remove the shards whose every entry left the source; returns how many had samples."""
        leavers = self._look.leavers
        if not leavers:
            return 0
        families = [SAMPLES, DROPS, REJECTS, *self._store.feature_families()]
        gone = {family: [file for file in self._store.files(family) if file.shard in leavers] for family in families}
        self._store.commit([Change(family, remove=files) for family, files in gone.items() if files])
        return len({file.shard for file in gone[SAMPLES]})
