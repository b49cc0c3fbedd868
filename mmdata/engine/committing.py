"""Committing what workers made: files wait here until a commit takes many at once."""

from __future__ import annotations

import logging
from collections import defaultdict
from collections.abc import Sequence
from time import perf_counter

from mmdata.engine.look import Look
from mmdata.engine.shard import ShardResult
from mmdata.errors import CommitConflict
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.store import Change, Store

log = logging.getLogger(__name__)

COMMIT_EVERY_S = 2.0  # a commit costs tens of milliseconds a family; a kill costs what was not committed


class Committer:
    """Commits the results of shards, and what they replace, every few seconds.

    Args:
        store: where to. look: what the store held, so that what a result replaces is known.
    """

    def __init__(self, store: Store, look: Look) -> None:
        self._store, self._look = store, look
        self._waiting: list[ShardResult] = []
        self.lost: list[ShardResult] = []  # another run was first, and what it made is something else
        self._committed_s = perf_counter()

    def take(self, result: ShardResult) -> None:
        """Commit a result, now or later."""
        self._waiting.append(result)
        if perf_counter() - self._committed_s > COMMIT_EVERY_S:
            self.flush()

    def flush(self) -> None:
        """Commit what waits. What another run has replaced meanwhile is not committed but among the `lost`.

        Ctrl-C is put off until it is done: to commit again what is committed already changes nothing.
        """
        waiting, self._waiting = self._waiting, []
        if waiting:
            try:
                self._commit(waiting)
            except KeyboardInterrupt:
                self._commit(waiting)
                raise
        self._committed_s = perf_counter()

    def _commit(self, results: Sequence[ShardResult]) -> None:
        results = self._of_live_samples(results)
        try:
            self._store.commit(self._changes(results))
        except CommitConflict as error:
            if len(results) == 1:
                log.warning("shard=%s another run was first: %s", results[0].job.shard, error)
                self.lost += results
                return
            for result in results:  # one shard's conflict must not cost the others
                self._commit([result])

    def _of_live_samples(self, results: Sequence[ShardResult]) -> list[ShardResult]:
        """Without features whose samples were replaced meanwhile, as by `mmdata compact`: those are lost."""
        alone = {
            result.job.shard: result.job.view.samples
            for result in results
            if result.job.view and not result.job.samples
        }
        if not alone:
            return list(results)
        live = {file.stands_for for file in self._store.files(SAMPLES)}
        gone = {shard for shard, samples in alone.items() if samples.stands_for not in live}
        self.lost += [result for result in results if result.job.shard in gone]
        return [result for result in results if result.job.shard not in gone]

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
