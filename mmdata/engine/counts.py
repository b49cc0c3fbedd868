"""What happened to how many: counted once, by the engine, and added up over shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

IDLE = "idle"


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
    """

    read: int = 0
    made: int = 0
    stored: int = 0
    dropped: Counter[str] = field(default_factory=Counter)
    rejected: Counter[str] = field(default_factory=Counter)
    missing: Counter[str] = field(default_factory=Counter)
    computed: Counter[str] = field(default_factory=Counter)
    gathered: Counter[str] = field(default_factory=Counter)
    steps: dict[str, StepTimes] = field(default_factory=dict)

    def add(self, other: Counts) -> None:
        self.read += other.read
        self.made += other.made
        self.stored += other.stored
        for mine, theirs in zip(self._counters(), other._counters(), strict=True):
            mine.update(+theirs)
        for name, times in other.steps.items():
            self.times(name).add(times)

    def take_back(self, other: Counts) -> None:
        """Undo `add` for what came to nothing; the calls of steps stay, as they were made."""
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
            "steps": {name: times.to_json() for name, times in self.steps.items()},
        }


def _sorted(counter: Mapping[str, int]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter) if counter[name]}
