"""What a run or a cross-validation came to, for people and for programs."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from statistics import mean, stdev
from typing import TYPE_CHECKING, Any

from mmdata.train.checkpoint import Epoch
from mmdata.train.config import TrainConfig
from mmdata.train.metrics import Metrics

if TYPE_CHECKING:
    from mmdata.train.importance import Importance

SHOWN = {  # by objective, the scores that a person is told first
    "cross_entropy": ("accuracy", "macro_f1"),
    "binary": ("accuracy", "roc_auc"),
    "regression": ("mae", "pearson"),
    "contrastive": ("recall@1", "median_rank"),
    "reconstruction": ("mse", "filled_mse"),
}


FEWEST = 3  # scores that a person is shown an interval of: that of two is some nine times as wide as they lie apart
_SHARES = ("accuracy", "precision", "recall", "f1", "auc", "ece", "recall@1", "recall@5", "recall@10")


def limits(score: str) -> tuple[float, float]:
    """Between what a score always is.

    >>> limits("macro_f1"), limits("tone.pearson"), limits("rmse"), limits("loss")
    ((0.0, 1.0), (-1.0, 1.0), (0.0, inf), (-inf, inf))
    """
    name = score.rpartition(".")[2]
    if name.endswith(_SHARES):
        return 0.0, 1.0
    if name in ("pearson", "spearman"):
        return -1.0, 1.0
    if name == "r2":
        return -math.inf, 1.0
    if name == "brier":  # of several classes it is the sum of their squares
        return 0.0, 2.0
    return (0.0 if name.endswith(("mae", "rmse", "mse", "kl", "median_rank")) else -math.inf), math.inf


def shown(config: TrainConfig) -> tuple[str, ...]:
    """The scores that a person is told: two of one objective, the first of each task's."""
    if not config.tasks:
        return SHOWN[config.objective]
    return tuple(f"{name}.{SHOWN[task.objective][0]}" for name, task in config.tasks.items())


def title(score: str) -> str:
    """As a table has it.

    >>> title("macro_f1"), title("tone.roc_auc"), title("recall@1")
    ('macro F1', 'tone ROC AUC', 'recall@1')
    """
    words = score.replace(".", " ").replace("_", " ").split(" ")
    return " ".join(
        word.upper() if word in {"f1", "roc", "auc", "mae", "rmse", "mse", "r2"} else word for word in words
    )


@dataclass(frozen=True, kw_only=True)
class TrainReport:
    """One run.

    Args:
        config: its settings. classes: of the first target, in the order of the model's outputs; none of numbers.
        n_parameters: weights that were trained.
        n_train: samples of the training split; n_unlabelled of them have no target, and taught nothing.
        history: a row an epoch. best_epoch: whose weights were kept, counted from 0 as in `log.csv`. stopped_early:
            before all epochs were through.
        val, test: scores of the best epoch's weights; None where there is no such split.
        details: of the test split, or else of the validation split: by task (whose name is empty where there is but
            one) `classes` with their `confusion` matrix [true, predicted], rates `per_class` and `reliability` bins; of
            a reconstruction the errors of each input.
        importance: what each input is worth; None where nobody asked.
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
    details: Mapping[str, Any] = field(default_factory=dict)
    importance: Importance | None = None

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        judged = {"val": self.val and self.val.to_json(), "test": self.test and self.test.to_json()}
        rows = [{**asdict(row), "val": row.val and row.val.to_json()} for row in self.history]
        return {
            **asdict(self),
            **judged,
            "config": self.config.to_json(),
            "classes": list(self.classes),
            "history": rows,
            **({} if self.importance is None else self.importance.to_json()),
        }

    def __str__(self) -> str:
        """A few lines: what was learned from, when it was best, and how good it is."""
        end = "" if self.checkpoint is None else f" (in log.csv, which counts from 0, it is {self.best_epoch})"
        end += ", stopped early" if self.stopped_early else ""
        learned = f"{len(self.classes)} classes" if self.classes else ", ".join(self._objectives())
        lines = [
            f"{learned} from {self.n_train} samples, {self.n_unlabelled} of them without {self._lacking()}",
            f"best epoch {self.best_epoch + 1} of {len(self.history)}{end}",
        ]
        for split, found in (("val", self.val), ("test", self.test)):
            if found is not None:
                judged = "  ".join(f"{title(name)} {found[name]:.3f}" for name in (*shown(self.config), "loss"))
                lines.append(f"{split:<4}  {judged}  of {found.n} samples")
        lines += [str(self.importance)] if self.importance else []
        return "\n".join([*lines, *([f"checkpoint: {self.checkpoint}"] if self.checkpoint else [])])

    def _objectives(self) -> Sequence[str]:
        return [task.objective for task in self.config.learned.values()] or [self.config.objective]

    def _lacking(self) -> str:
        lacking = {"contrastive": "a pair", "reconstruction": "an input"}
        return lacking.get(self.config.objective) or ("a class" if self.classes else "a target")


@dataclass(frozen=True, kw_only=True)
class FoldScore:
    """One model's test scores on one fold or of one seed.

    Args:
        model: "fused", or the fusion's name where several are compared, or the inputs that it was given, joined by "+".
        fold: "fold0", "seed0" or "fold0 seed0".
    """

    model: str
    fold: str
    metrics: Metrics


@dataclass(frozen=True, kw_only=True)
class Spread:
    """One score over all folds and seeds.

    Args:
        mean: of them. deviation: between them, with n - 1; 0 of one alone.
        low, high: where the mean of endlessly many is, with a confidence of 95 %: Student's interval, as if folds and
            seeds were drawn independently. Folds share what they learn from, so theirs is too narrow. Cut to what the
            score can be. Both are the mean where there is but one.
    """

    mean: float
    deviation: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Sequence[float], limits: tuple[float, float] = (-math.inf, math.inf)) -> Spread:
        middle, deviation = mean(values), stdev(values) if len(values) > 1 else 0.0
        reach = student(len(values) - 1) * deviation / math.sqrt(len(values)) if len(values) > 1 else 0.0
        return cls(
            mean=middle, deviation=deviation, low=max(limits[0], middle - reach), high=min(limits[1], middle + reach)
        )


def student(freedom: int, *, confidence: float = 0.95) -> float:
    """How far from 0 Student's t is with that confidence: both ways, for whole degrees of freedom.

    From the finite sums of Abramowitz and Stegun (1964), 26.7.3 and 26.7.4, by halving.

    >>> round(student(4), 3), round(student(9), 3)
    (2.776, 2.262)
    """
    low, high = 0.0, 1e6
    while high - low > 1e-12 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if _within(middle, freedom) < confidence else (low, middle)
    return high


def _within(t: float, freedom: int) -> float:
    """The chance that Student's t is between -t and t."""
    angle = math.atan(t / math.sqrt(freedom))
    odd = freedom % 2
    term, total = math.cos(angle) if odd else 1.0, 0.0
    for k in range(3 - (not odd), freedom, 2):
        total, term = total + term, term * math.cos(angle) ** 2 * (k - 1) / k
    if not odd:
        return math.sin(angle) * (total + term)
    return 2 / math.pi * (angle + (math.sin(angle) * (total + term) if freedom > 1 else 0.0))


@dataclass(frozen=True, kw_only=True)
class Summary:
    """One model over all folds and seeds: each of its scores."""

    model: str
    n_folds: int
    scores: Mapping[str, Spread]

    def __getitem__(self, score: str) -> Spread:
        return self.scores[score]

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it: a score's mean under its name, beside it NAME_spread, NAME_low and NAME_high."""
        row: dict[str, Any] = {"model": self.model, "n_folds": self.n_folds}
        for name, one in self.scores.items():
            row |= {name: one.mean, f"{name}_spread": one.deviation, f"{name}_low": one.low, f"{name}_high": one.high}
        return row


@dataclass(frozen=True, kw_only=True)
class FoldsReport:
    """Models side by side: each judged on each fold by what it learned on others, or on one split for each seed.

    Args:
        shown: the scores that a person is told.
    """

    scores: tuple[FoldScore, ...]
    seconds: float
    shown: tuple[str, ...] = SHOWN["cross_entropy"]

    @property
    def models(self) -> tuple[str, ...]:
        """In the order in which they were trained."""
        return tuple(dict.fromkeys(score.model for score in self.scores))

    def summaries(self) -> Iterator[Summary]:
        """One a model."""
        for model in self.models:
            found = [score.metrics for score in self.scores if score.model == model]
            names = ["loss", *found[0].scores]
            spreads = {name: Spread.of([one[name] for one in found], limits(name)) for name in names}
            yield Summary(model=model, n_folds=len(found), scores=spreads)

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it."""
        scores = [{"model": one.model, "fold": one.fold, "metrics": one.metrics.to_json()} for one in self.scores]
        summaries = [summary.to_json() for summary in self.summaries()]
        return {"scores": scores, "seconds": self.seconds, "shown": list(self.shown), "summaries": summaries}

    def __str__(self) -> str:
        """A table: a line a model, mean and deviation of each score, and the interval of the first from three on."""
        width = max(len(model) for model in ("model", *self.models))
        lines = [
            f"{'model':<{width}}  " + "  ".join([*(f"{title(name):<13}" for name in self.shown), "95 % of the mean"])
        ]
        for one in self.summaries():
            cells = [f"{f'{one[name].mean:.3f} ± {one[name].deviation:.3f}':<13}" for name in self.shown]
            first = one[self.shown[0]]
            interval = f"{first.low:.3f} to {first.high:.3f}" if one.n_folds >= FEWEST else "-"
            lines.append(f"{one.model:<{width}}  " + "  ".join([*cells, interval]))
        return "\n".join(lines)
