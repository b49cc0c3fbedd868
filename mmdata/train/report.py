"""What a run or a cross-validation came to, for people and for programs."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from statistics import mean, stdev
from typing import Any

from mmdata.train.checkpoint import Epoch
from mmdata.train.config import TrainConfig
from mmdata.train.metrics import Metrics


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """One run.

    Args:
        config: its settings. classes: in the order of the model's outputs. n_parameters: weights that were trained.
        n_train: samples of the training split; n_unlabelled of them have no class and taught nothing.
        history: a row an epoch. best_epoch: whose weights were kept. stopped_early: before all epochs were through.
        val, test: scores of the best epoch's weights; None where there is no such split.
        steps: that were taken in all. seconds: of this call. checkpoint: its file; None when nothing was written.
    """

    config: TrainConfig
    classes: tuple[str, ...]
    n_parameters: int
    n_train: int
    n_unlabelled: int
    history: tuple[Epoch, ...]
    best_epoch: int
    stopped_early: bool
    val: Metrics | None
    test: Metrics | None
    steps: int
    seconds: float
    checkpoint: str | None

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {**asdict(self), "config": self.config.to_json(), "classes": list(self.classes)}

    def __str__(self) -> str:
        """A few lines: what was learned from, when it was best, and how good it is."""
        end = "stopped early" if self.stopped_early else "all of them trained"
        lines = [
            f"{len(self.classes)} classes from {self.n_train} samples, {self.n_unlabelled} of them without a class",
            f"best epoch {self.best_epoch} of 0 to {len(self.history) - 1}, {end}",
        ]
        for split, found in (("val", self.val), ("test", self.test)):
            if found is not None:
                judged = f"accuracy {found.accuracy:.3f}  macro F1 {found.macro_f1:.3f}  loss {found.loss:.3f}"
                lines.append(f"{split:<4}  {judged}  of {found.n} samples")
        return "\n".join([*lines, *([f"checkpoint: {self.checkpoint}"] if self.checkpoint else [])])


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One model's test scores on one fold or of one seed.

    Args:
        model: "fused", another fusion, or the inputs that it was given, joined by "+".
        fold: "fold0", "seed0" or "fold0 seed0".
    """

    model: str
    fold: str
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One model over all folds and seeds: means, and standard deviations between them (n - 1)."""

    model: str
    n_folds: int
    accuracy: float
    accuracy_spread: float
    macro_f1: float
    macro_f1_spread: float


@dataclass(frozen=True, kw_only=True)
class FoldsReport:
    """Models side by side: each judged on each fold by what it learned on others, or on one split for each seed."""

    scores: tuple[FoldScore, ...]
    seconds: float

    @property
    def models(self) -> tuple[str, ...]:
        """In the order in which they were trained."""
        return tuple(dict.fromkeys(score.model for score in self.scores))

    def summaries(self) -> Iterator[Summary]:
        """One a model."""
        for model in self.models:
            found = [score.metrics for score in self.scores if score.model == model]
            accuracy, f1 = [one.accuracy for one in found], [one.macro_f1 for one in found]
            yield Summary(
                model=model,
                n_folds=len(found),
                accuracy=mean(accuracy),
                accuracy_spread=stdev(accuracy) if len(found) > 1 else 0.0,
                macro_f1=mean(f1),
                macro_f1_spread=stdev(f1) if len(found) > 1 else 0.0,
            )

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {**asdict(self), "summaries": [asdict(summary) for summary in self.summaries()]}

    def __str__(self) -> str:
        """A table: a line a model."""
        width = max(len(model) for model in ("model", *self.models))
        lines = [f"{'model':<{width}}  {'accuracy':<13}  macro F1"]
        for one in self.summaries():
            accuracy = f"{one.accuracy:.3f} ± {one.accuracy_spread:.3f}"
            f1 = f"{one.macro_f1:.3f} ± {one.macro_f1_spread:.3f}"
            lines.append(f"{one.model:<{width}}  {accuracy}  {f1}")
        return "\n".join(lines)
