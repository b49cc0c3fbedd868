"""Work that outlives what it does: under limits, and after a death in processes of its own, until the culprit is found.

A shard on which a worker died is done again in a child of the next worker. When that dies too, its notes name a
suspect, which is tried by itself in another child; if it kills that one, it is condemned, and the shard is done without
it. Where no note helps, and where a suspect is innocent by itself, the shard is halved until what kills is alone, or
until no half kills: then the halves' files together are the shard's.
"""

from __future__ import annotations

import os
import platform
from collections import defaultdict
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from time import perf_counter

from mmdata.core.fingerprint import fingerprint
from mmdata.engine.carry import Rejection, masked
from mmdata.engine.counts import Counts
from mmdata.engine.division import entry_of
from mmdata.engine.guard import Limits, guarded
from mmdata.engine.isolation import Death, alone
from mmdata.engine.notes import FEATURES, Note, Notes
from mmdata.engine.shard import Portion, ShardJob, ShardResult, ShardWork
from mmdata.errors import RunStopped
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.rewrite import merged, shard_of
from mmdata.store.store import Store
from mmdata.store.view import ShardView

TRIES = 2  # of entries together, where none of them can be blamed
START = "start-up"


@dataclass(frozen=True)
class GuardedWork:
    """Does jobs under limits. It is sent to workers once.

    Args:
        work: does a shard. limits: of a worker.
        home: the coordinator's process, which no limit ends: an executor may work in it. See `process`.
    """

    work: ShardWork
    limits: Limits
    home: str

    def ready(self) -> None:
        self.work.ready()

    def __call__(self, job: ShardJob) -> ShardResult:
        if job.careful:
            return _Careful(self.work, job, self.limits).result()
        with closing(Notes(None)) as notes:
            if self.home == process():
                return self.work(job, notes)
            with guarded(self.limits, notes):
                return self.work(job, notes)


def process() -> str:
    """A name of this process, which no other has at this time."""
    return f"{platform.node()} {os.getpid()}"


class _Careful:
    """One shard, done in processes of its own."""

    def __init__(self, work: ShardWork, job: ShardJob, limits: Limits) -> None:
        self._work, self._job, self._limits = work, job, limits
        self._entries = [entry.key for entry in job.entries]
        self._known = frozenset(self._entries)
        self._condemned = dict(job.condemned)
        self._refused = {key: dict(steps) for key, steps in job.refused.items()}
        self._innocent: set[str] = set()
        self._can_start = False
        self._deaths: list[str] = []

    def result(self) -> ShardResult:
        """What came of the shard, without what ends processes."""
        pieces = self._pieces(self._entries)
        (result,) = pieces if len(pieces) == 1 else [self._together(pieces)]
        return replace(result, job=self._job, deaths=tuple(self._deaths))

    def _pieces(self, keys: Sequence[str]) -> list[ShardResult]:
        """These entries, done in as few pieces as can be, in order."""
        left = TRIES
        while True:
            outcome = self._do(self._portion(keys))
            if not isinstance(outcome, Death):
                return [outcome]
            self._tell(outcome, f"{len(keys)} entries")
            if self._convict(outcome, keys):
                continue
            left -= 1
            if left:
                continue
            if len(keys) > 1:
                half = len(keys) // 2
                return [*self._pieces(keys[:half]), *self._pieces(keys[half:])]
            if keys[0] in self._condemned:
                raise RunStopped(f"processes die with no sample at all of shard {self._job.shard}: {outcome.error}")
            self._condemn(keys[0], outcome)
            left = TRIES

    def _portion(self, keys: Sequence[str]) -> Portion | None:
        """All entries are no portion: their files have the shard's own name."""
        if len(keys) == len(self._entries):
            return None
        return Portion(frozenset(keys), fingerprint("portion", self._job.shard, list(keys)))

    def _do(self, portion: Portion | None) -> ShardResult | Death:
        job = replace(self._job, portion=portion, condemned=self._condemned, refused=self._refused)
        outcome: ShardResult | Death = alone(self._work, job, self._limits)
        return outcome

    def _convict(self, death: Death, keys: Sequence[str]) -> bool:
        """Whether a culprit was found, and will not be touched again."""
        suspect = death.note.entry if death.note is not None else ""
        if not suspect:
            self._see_whether_a_process_can_start()
            return False
        entry = entry_of(suspect, self._known)
        if entry is None or suspect in self._innocent:
            return False
        if len(keys) > 1:
            again = self._do(Portion(frozenset({entry})))
            if not isinstance(again, Death):
                self._innocent.add(suspect)
                return False
            self._tell(again, "it, by itself")
            if again.note is None or not again.note.entry:  # it was not even touched
                self._see_whether_a_process_can_start()
                return False
            death = again
        self._condemn((death.note or Note(suspect, START)).entry, death)
        return True

    def _see_whether_a_process_can_start(self) -> None:
        """Raises RunStopped when one dies without touching any sample: then none of them is at fault."""
        if self._can_start:
            return
        outcome = self._do(Portion(frozenset()))
        if isinstance(outcome, Death):
            raise RunStopped(f"processes die before any sample of shard {self._job.shard} is begun: {outcome.error}")
        self._can_start = True

    def _condemn(self, key: str, death: Death) -> None:
        note = death.note or Note(key, START)
        step = note.step or START
        why = Rejection(step, death.kind, f"{step} {death.error}", masked(death.stack))
        if note.stage == FEATURES and key == note.entry:
            steps = self._refused.setdefault(key, {})
            if note.step not in steps:
                steps[note.step] = why
                return
        self._condemned[key] = why

    def _tell(self, death: Death, what: str) -> None:
        note = death.note or Note("", START)
        self._deaths.append(f"{what}: {death.kind} in {note.step}, key {note.entry!r}: {death.error}")

    def _together(self, pieces: Sequence[ShardResult]) -> ShardResult:
        """The shard's own files out of those of portions, which are deleted."""
        counts = Counts()
        for piece in pieces:
            counts.add(piece.counts)
        started = perf_counter()
        files, view = Files.at(self._work.store_url, self._work.storage_options), self._job.view
        made = self._merged(files, pieces) if view is None or self._job.samples else self._spliced(view, pieces)
        for file in (file for piece in pieces for file in piece.files):
            files.delete(file.path)
            if file.media is not None:
                files.delete(file.media.path)
        counts.times("shard").seconds += perf_counter() - started
        return ShardResult(self._job, made, counts)

    def _merged(self, files: Files, pieces: Sequence[ShardResult]) -> list[DataFile]:
        return merged(files, [shard_of(piece.files) for piece in pieces], shard=self._job.shard)

    def _spliced(self, view: ShardView, pieces: Sequence[ShardResult]) -> list[DataFile]:
        """Features of stored samples: every row is taken over, and so are the errors of those that failed."""
        steps = {family.name: family.step.name for family in self._work.compiled.families}
        by_family: dict[str, list[DataFile]] = defaultdict(list)
        for file in (file for piece in pieces for file in piece.files):
            by_family[file.family].append(file)
        store = Store.open(self._work.store_url, storage_options=self._work.storage_options)
        refused: dict[str, dict[str, Rejection]] = defaultdict(dict)
        for piece in pieces:
            made = replace(view, features={file.family: file for file in piece.files})
            for row in store.missing([made]).to_pylist():
                kind, _, error = row["error"].partition(": ")
                refused[row["key"]][steps[row["family"]]] = Rejection(steps[row["family"]], kind, error, "")
        return self._work(replace(self._job, refused=refused, pieces=by_family)).files
