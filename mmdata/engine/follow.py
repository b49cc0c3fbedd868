"""Following a source: looking at it again and again, and taking up what is new, changed or gone once it has settled.

Each round is a run like any other, so the store is whole at each moment and a kill costs what was in hand. What arrives
makes small shards; `compact` makes full ones of them.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from mmdata.core.ports import Entry
from mmdata.engine.compact import Compacted
from mmdata.engine.options import Sieve
from mmdata.engine.report import DONE, INTERRUPTED, RunReport
from mmdata.errors import MMDataError, SchemaMismatch, StepError
from mmdata.store.entries import extent, keys_of

log = logging.getLogger(__name__)

LONGEST_S = 300.0  # between two tries of a source or store that is out of reach


class Settling:
    """Lets through what stayed the same for a while: a file that is being written never does.

    A change of an entry, its coming and its going are all held back. Where one of a recorded shard's entries is
    unsettled, the shard is taken as it was recorded, so that nothing of it is read again meanwhile.

    Args:
        settle_s: for how long an entry (names, sizes and times of its files) must have been the same.
        clock: seconds.
    """

    def __init__(self, settle_s: float, clock: Callable[[], float] = time.monotonic) -> None:
        self._settle_s, self._clock = settle_s, clock
        self._seen: dict[str, tuple[Entry | None, float]] = {}
        self._has_looked = False
        self.waiting = 0

    def __call__(self, found: Sequence[Entry], planned: Mapping[str, Sequence[Entry]]) -> Sequence[Entry]:
        """The entries that are to be taken for what the source holds."""
        now = self._clock()
        if not self._has_looked:  # what is recorded has settled, if it is still the same
            self._seen = {entry.key: (entry, float("-inf")) for entries in planned.values() for entry in entries}
            self._has_looked = True
        unsettled = set(self._unsettled({entry.key: entry for entry in found}, now))
        self.waiting = len(unsettled)
        if not unsettled:
            return found
        held: dict[str, Entry] = {}
        for shard in _with_any(planned, unsettled):
            held |= {entry.key: entry for entry in planned[shard]}
        settled = [entry for entry in found if entry.key not in unsettled and entry.key not in held]
        return sorted([*settled, *held.values()], key=lambda entry: entry.key)

    def _unsettled(self, current: Mapping[str, Entry], now: float) -> Iterator[str]:
        for key in [*current, *(key for key in self._seen if key not in current)]:
            entry = current.get(key)
            before, since = self._seen.get(key, (None, now))
            if key not in self._seen or before != entry:
                self._seen[key] = entry, (since := now)
            if now - since < self._settle_s:
                yield key
            elif entry is None:
                del self._seen[key]


def _with_any(planned: Mapping[str, Sequence[Entry]], keys: set[str]) -> Iterator[str]:
    """The shards that have any of some keys. Reads the keys of those that may."""
    for shard, entries in planned.items():
        known = extent(entries)
        near = {key for key in keys if known.first_key <= key <= known.last_key}
        if near and not near.isdisjoint(keys_of(entries)):
            yield shard


@dataclass
class Round:
    """One look at the source, and what came of it.

    Args:
        number: from 1. report: what was done; None where it failed, then `error` says why.
        waiting: entries that have not settled yet. again_s: when the next look comes.
        compacted: what was merged after it; None where nothing was tried.
    """

    number: int
    report: RunReport | None = None
    error: Exception | None = None
    waiting: int = 0
    again_s: float = 0.0
    compacted: Compacted | None = None

    @property
    def is_quiet(self) -> bool:
        """Whether nothing happened."""
        report = self.report
        return report is not None and not (report.shards or report.removed or self.compacted)


@dataclass(frozen=True)
class Following:
    """How a source is followed.

    Args:
        every_s: from one look to the next. settle_s: see `Settling`.
        compact_every: shards are merged after so many rounds that changed something; None never does.
    """

    every_s: float = 10.0
    settle_s: float = 2.0
    compact_every: int | None = None


@dataclass
class _Course:
    """What one round leaves to the next."""

    failures: int = 0
    changes: int = 0
    rounds: int = field(default=0)


def follow(
    take_up: Callable[[Sieve], RunReport],
    settings: Following,
    *,
    tell: Callable[[Round], None],
    compact: Callable[[], Compacted] | None = None,
    sleep: Callable[[float], object] = time.sleep,
) -> RunReport:
    """Follow a source until somebody ends it, or rejects go past the limit; returns the report of that.

    A round that fails is told and tried again, later and later, up to five minutes: a source out of reach comes back.
    What only a person can mend ends it: a step that always fails, a store that a newer mmdata made.

    Args:
        take_up: a run, with the sieve that it is to use.
        settings: how often.
        tell: told of each round.
        compact: merges small shards.
        sleep: waits for seconds.

    Raises:
        KeyboardInterrupt: it was ended. What is committed stays, and the next start goes on from there.
        StepError: a step always fails. SchemaMismatch: the store or its columns can't be used.
    """
    sieve, course = Settling(settings.settle_s), _Course()
    while True:
        course.rounds += 1
        done = Round(course.rounds)
        try:
            done.report = take_up(sieve)
        except (StepError, SchemaMismatch):
            raise
        except (MMDataError, OSError) as error:
            log.info("round=%d failed", course.rounds, exc_info=True)
            done.error = error
        if done.report is not None and done.report.state == INTERRUPTED:
            raise KeyboardInterrupt
        if done.report is not None and (done.report.state != DONE or done.report.above_limit):
            return done.report
        _afterwards(done, course, settings, compact)
        done.waiting = sieve.waiting
        done.again_s = _pause_s(done, course, settings)
        tell(done)
        sleep(done.again_s)


def _afterwards(done: Round, course: _Course, settings: Following, compact: Callable[[], Compacted] | None) -> None:
    course.failures = 0 if done.error is None else course.failures + 1
    course.changes += not done.is_quiet and done.error is None
    if compact is None or not settings.compact_every or course.changes < settings.compact_every:
        return
    course.changes = 0
    try:
        done.compacted = compact()
    except (MMDataError, OSError) as error:  # another run is going on: next time, then
        log.info("round=%d compact gave way: %s", done.number, error)


def _pause_s(done: Round, course: _Course, settings: Following) -> float:
    if course.failures:
        return float(min(LONGEST_S, max(settings.every_s, 1.0) * 2 ** min(course.failures - 1, 10)))
    return min(settings.every_s, max(settings.settle_s, 0.1)) if done.waiting else settings.every_s
