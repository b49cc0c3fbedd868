"""What a run says of itself when it ends, and while it goes on."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Protocol

from mmdata.engine.counts import Counts

DONE, INTERRUPTED, STOPPED = "done", "interrupted", "stopped"


@dataclass(frozen=True)
class Progress:
    """A moment of a run.

    Args:
        shards, shards_total: done, and to be done.
        samples, samples_total: their entries.
        counts: so far.
        seconds: since the work began.
    """

    shards: int
    shards_total: int
    samples: int
    samples_total: int
    counts: Counts
    seconds: float

    @property
    def samples_a_second(self) -> float:
        return self.samples / self.seconds if self.seconds > 0 else 0.0

    @property
    def left_s(self) -> float | None:
        """Seconds left at the rate so far; None before anything is done."""
        if not self.samples:
            return None
        return (self.samples_total - self.samples) * self.seconds / self.samples


class Watcher(Protocol):
    """Who wants to see a run's progress."""

    def __call__(self, progress: Progress, /) -> None: ...


@dataclass
class RunReport:
    """The balance of a run.

    Args:
        store: where. state: "done", "interrupted" (Ctrl-C) or "stopped" (rejects above the limit).
        counts: of the work done by this run. kept: samples of shards that needed nothing. removed: shards that left.
        unmatched: files of the source that belong to no sample. seconds: all in all.
    """

    store: str
    state: str = DONE
    counts: Counts = field(default_factory=Counts)
    kept: int = 0
    shards: int = 0
    removed: int = 0
    unmatched: list[str] = field(default_factory=list)
    seconds: float = 0.0
    rejects_limit: float = 1.0
    samples_todo: int = 0
    selection: dict[str, Any] | None = None
    training: dict[str, Any] | None = None

    @property
    def above_limit(self) -> bool:
        """Whether more were rejected than the run's limit allows."""
        return self.counts.n_rejected > self.rejects_limit * max(self.samples_todo, 1)

    def to_json(self) -> dict[str, Any]:
        """One object: what `--json` prints."""
        return {
            "store": self.store,
            "state": self.state,
            **self.counts.to_json(),
            "balances": self.counts.balances,
            "kept": self.kept,
            "shards": self.shards,
            "removed_shards": self.removed,
            "unmatched": len(self.unmatched),
            "seconds": round(self.seconds, 3),
            "bottleneck": None if (most := self.counts.bottleneck) is None else asdict(most),
            **({"selection": self.selection} if self.selection else {}),
            **({"training": self.training} if self.training else {}),
        }
