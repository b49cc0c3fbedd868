"""What happened to how many: counted once, by the engine, and added up over shards."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass
class StepTimes:
    """How often a step was called, how long it took in all, and how often it raised what a step must not raise."""

    n: int = 0
    seconds: float = 0.0
    bugs: int = 0

    def add(self, other: StepTimes) -> None:
        self.n += other.n
        self.seconds += other.seconds
        self.bugs += other.bugs


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
            "steps": {name: {"n": times.n, "seconds": round(times.seconds, 4)} for name, times in self.steps.items()},
        }


def _sorted(counter: Mapping[str, int]) -> dict[str, int]:
    return {name: counter[name] for name in sorted(counter) if counter[name]}
