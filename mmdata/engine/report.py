"""What a run says of itself when it ends."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any

from mmdata.engine.counts import Counts

DONE, INTERRUPTED, STOPPED = "done", "interrupted", "stopped"


@dataclass
class RunReport:
    """The balance of a run.

    Args:
        store: where. state: "done", "interrupted" (Ctrl-C) or "stopped" (rejects above the limit).
        counts: of the work done by this run. kept: samples that were there before; features may have been computed
            of them. rejected_before: of the kept, those that earlier runs rejected. removed: shards that left.
        unmatched: files of the source that belong to no sample. seconds: all in all.
    """

    store: str
    state: str = DONE
    counts: Counts = field(default_factory=Counts)
    kept: int = 0
    rejected_before: int = 0
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
            "rejected_before": self.rejected_before,
            "shards": self.shards,
            "removed_shards": self.removed,
            "unmatched": len(self.unmatched),
            "seconds": round(self.seconds, 3),
            "bottleneck": None if (most := self.counts.bottleneck) is None else asdict(most),
            **({"selection": self.selection} if self.selection else {}),
            **({"training": self.training} if self.training else {}),
        }
