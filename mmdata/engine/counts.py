"""What happened to how many: counted once, by the engine, and added up over shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

IDLE = "idle"
STAGES = ("read", "decode", "load", "prepare", "compute", "write", IDLE)
_ALL = "shard"  # the name under which all that a worker does is timed
_NAMED = {"source": "read", "store": "write"}


@dataclass(frozen=True)
class Bottleneck:
    """What took most of the workers' time.

    Args:
        stage: one of STAGES. step: its largest. share: of the workers' time, 0 to 1, that the step took.
    """

    stage: str
    step: str
    share: float


@dataclass
class StepTimes:
    """How often a step was called, how long it took in all, and how often it raised what a step must not raise.

    Args:
        seconds: of work. Where n threads do it side by side, each counts 1/n.
        stages: seconds by stage, of a step that has several: load, prepare, compute, write; and "idle", which is
            no work: how long its model waited for input.
    """

    n: int = 0
    seconds: float = 0.0
    bugs: int = 0
    stages: dict[str, float] = field(default_factory=dict)

    def spent(self, stage: str, seconds: float, *, n: int = 0) -> None:
        """Add time of a stage, and how many values it was the last stage of; "" is a step that has but one."""
        self.n += n
        if stage != IDLE:
            self.seconds += seconds
        if stage:
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    @contextmanager
    def spending(self, stage: str = "", *, n: int = 0) -> Iterator[None]:
        """Time what is done within."""
        started = perf_counter()
        try:
            yield
        finally:
            self.spent(stage, perf_counter() - started, n=n)

    def add(self, other: StepTimes) -> None:
        self.n += other.n
        self.seconds += other.seconds
        self.bugs += other.bugs
        for stage, seconds in other.stages.items():
            self.stages[stage] = self.stages.get(stage, 0.0) + seconds

    def to_json(self) -> dict[str, Any]:
        stages = {stage: round(self.stages[stage], 4) for stage in sorted(self.stages)}
        return {"n": self.n, "seconds": round(self.seconds, 4), **({"stages": stages} if stages else {})}


@dataclass
class Counts:
    """The balance of a run: read + made = stored + dropped + rejected.

    Args:
        read: entries of the source. made: children minus the parents that were split. stored: rows.
        dropped: by STEP:reason. rejected: by kind. missing: feature rows that are null because the feature failed,
            by family. computed, gathered: feature rows computed, and taken over from an older file, by family.
        decoded: of films: different "streams" of pictures, "passes" over them, and "frames" that the decoder gave out;
            different "sounds", and "sound_passes" over them.
    """

    read: int = 0
    made: int = 0
    stored: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    computed: Counter[str] = field(default_factory=Counter)
    gathered: Counter[str] = field(default_factory=Counter)
    decoded: Counter[str] = field(default_factory=Counter)
    steps: dict[str, StepTimes] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        self.read += other.read
        self.made += other.made
        self.stored += other.stored
        for mine, theirs in zip(self._counters(), other._counters(), strict=True):
            mine.update(+theirs)
        self.decoded.update(other.decoded)
        for name, times in other.steps.items():
            self.times(name).add(times)

    def take_back(self, other: Counts) -> None:
        """Undo `add` for what came to nothing; the calls of steps, and what was decoded, stay, as they were made."""
        self.read -= other.read
        self.made -= other.made
        self.stored -= other.stored
        for mine, theirs in zip(self._counters(), other._counters(), strict=True):
            mine.subtract(theirs)

    def _counters(self) -> tuple[Counter[str], ...]:
        return self.dropped, self.rejected, self.missing, self.computed, self.gathered

    def times(self, step: str) -> StepTimes:
        return self.steps.setdefault(step, StepTimes())

    @property
    def stages(self) -> dict[str, dict[str, float]]:
        """Seconds by stage and step. Threads work beside each other: the sum may be more than the whole."""
        found: dict[str, dict[str, float]] = {}
        for step, times in self.steps.items():
            if step == _ALL:
                continue
            rest = times.seconds - sum(seconds for stage, seconds in times.stages.items() if stage != IDLE)
            usual = _NAMED.get(step) or ("decode" if step.startswith("codec.") else "compute")
            for stage, seconds in [*times.stages.items(), (usual, rest)]:
                if seconds > 1e-6:
                    steps = found.setdefault(stage, {})
                    steps[step] = steps.get(step, 0.0) + seconds
        return {stage: found[stage] for stage in STAGES if stage in found}

    @property
    def bottleneck(self) -> Bottleneck | None:
        """The stage that most time went to, and its largest step; None where next to nothing was done."""
        whole = self.steps[_ALL].seconds if _ALL in self.steps else 0.0
        totals = {stage: sum(steps.values()) for stage, steps in self.stages.items() if stage != IDLE}
        if whole < 1 or not totals:
            return None
        stage = max(totals, key=lambda name: totals[name])
        step, seconds = max(self.stages[stage].items(), key=lambda item: item[1])
        return Bottleneck(stage, step, min(1.0, seconds / whole))

    @property
    def n_dropped(self) -> int:
        return self.dropped.total()

    @property
    def n_rejected(self) -> int:
        return self.rejected.total()

    @property
    def balances(self) -> bool:
        """Whether nothing was lost."""
        return self.read + self.made == self.stored + self.n_dropped + self.n_rejected

    def to_json(self) -> dict[str, Any]:
        return {
            "read": self.read,
            "made": self.made,
            "stored": self.stored,
            "dropped": _sorted(self.dropped),
            "rejected": _sorted(self.rejected),
            "missing": _sorted(self.missing),
            "computed": _sorted(self.computed),
            "gathered": _sorted(self.gathered),
            **({"decoded": _sorted(self.decoded)} if self.decoded else {}),
            "steps": {name: times.to_json() for name, times in self.steps.items()},
            "stages": {stage: round(sum(steps.values()), 4) for stage, steps in self.stages.items()},
        }


def _sorted(counter: Mapping[str, int]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter) if counter[name]}
