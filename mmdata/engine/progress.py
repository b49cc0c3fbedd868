"""How far a run has come: what is in work, how fast each step is, and how long the rest will take."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from mmdata.engine.counts import Counts


@dataclass(frozen=True)
class Working:
    """A shard that is in a worker's hands.

    Args:
        shard: its name. samples: its entries. since_s: when it was handed out, on the clock of `time.perf_counter`.
        first: whether workers were still being started then.
    """

    shard: str
    samples: int
    since_s: float
    first: bool = False

    def seconds(self, now_s: float | None = None) -> float:
        """For how long it has been there."""
        return (perf_counter() if now_s is None else now_s) - self.since_s


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Args:
        shards, shards_total: done, and to be done.
        samples, samples_total: their entries.
        counts: so far.
        seconds: since the work began.
        working: what is in work, the longest first.
        left_s: seconds that the rest will take; None before anything is done.
    """

    shards: int
    shards_total: int
    samples: int
    samples_total: int
    counts: Counts
    seconds: float
    working: tuple[Working, ...] = ()
    left_s: float | None = None

    @property
    def samples_a_second(self) -> float:
        return self.samples / self.seconds if self.seconds > 0 else 0.0

    def to_json(self) -> dict[str, Any]:
        """What a log says of it: rates in samples a second, times in seconds."""
        return {
            "shards": self.shards,
            "shards_total": self.shards_total,
            "samples": self.samples,
            "samples_total": self.samples_total,
            "samples_a_second": round(self.samples_a_second, 3),
            "seconds": round(self.seconds, 3),
            "left_s": None if self.left_s is None else round(self.left_s, 1),
            "dropped": self.counts.n_dropped,
            "rejected": self.counts.n_rejected,
            "working": [{"shard": one.shard, "seconds": round(one.seconds(), 1)} for one in self.working],
            "steps": {name: times.to_json() for name, times in sorted(self.counts.steps.items())},
        }


class Watcher(Protocol):
    """Who wants to see a run's progress."""

    def __call__(self, progress: Progress, /) -> None: ...


@dataclass
class Done:
    """Shards that came back: how many, how long they were away, and their entries."""

    shards: int = 0
    seconds: float = 0.0
    samples: int = 0

    def add(self, seconds: float, samples: int) -> None:
        self.shards += 1
        self.seconds += seconds
        self.samples += samples


@dataclass
class Course:
    """What was handed out and came back, and how long the rest will take at that rate.

    A worker's time for a sample is known from the shards that came back; those that were handed out while workers
    started count only until as many others are done. What is left is that time for all that was not begun, and what
    shards in work still lack, shared by those who work.

    Args:
        samples_total: entries of all shards. clock: seconds.
    """

    samples_total: int
    clock: Callable[[], float] = perf_counter
    working: dict[str, Working] = field(default_factory=dict)
    samples_done: int = 0
    _first: Done = field(default_factory=Done)
    _later: Done = field(default_factory=Done)
    _most: int = 0

    def begin(self, shard: str, samples: int) -> None:
        """A shard was handed out; another worker may have had it before."""
        first = self._first.shards + self._later.shards == 0
        self.working[shard] = Working(shard, samples, self.clock(), first)
        self._most = max(self._most, len(self.working))

    def end(self, shard: str, samples: int) -> None:
        """A shard came back, perhaps from a worker that nobody waited for any more."""
        self.samples_done += samples
        one = self.working.pop(shard, None)
        if one is not None:
            (self._first if one.first else self._later).add(one.seconds(self.clock()), samples)

    def give_up(self, shards: Iterable[str]) -> None:
        """Shards are in nobody's hands any more, as a worker died or the run ends."""
        for shard in shards:
            self.working.pop(shard, None)

    def skip(self, samples: int) -> None:
        """So many samples need no work."""
        self.samples_done += samples

    def oldest(self) -> tuple[Working, ...]:
        """What is in work, the longest first."""
        return tuple(sorted(self.working.values(), key=lambda one: one.since_s))

    def left_s(self) -> float | None:
        """Seconds that the rest will take; None before anything came back."""
        known = [self._later] if self._later.shards >= max(1, self._first.shards) else [self._first, self._later]
        samples = sum(done.samples for done in known)
        if not samples:
            return None
        a_sample_s, now = sum(done.seconds for done in known) / samples, self.clock()
        in_work = sum(one.samples for one in self.working.values())
        unbegun = max(0, self.samples_total - self.samples_done - in_work)
        lacking = [max(0.0, one.samples * a_sample_s - one.seconds(now)) for one in self.working.values()]
        workers = max(1, self._most)
        return max((unbegun * a_sample_s + sum(lacking)) / workers, max(lacking, default=0.0))
