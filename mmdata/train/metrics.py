"""How good a model is. torchmetrics does the counting, batch by batch and in bounded memory.

Some of its scores need all answers at once: of very many a random sample is kept for these (`Sampled`). Ranks have
brought together what a model says before it is judged (`train.distributed`), so that each counts for itself.

Loading torchmetrics takes 0.2 s of processor time, and 2 s where SciPy, transformers and librosa are installed, as it
loads these: it is imported when a model is first judged.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

N_BINS = 15  # of confidence (Guo et al., 2017)
MOST_CELLS = 1 << 22  # probabilities that are kept for areas under curves
MOST_SURE = 1 << 20  # answers that are kept for calibration
MOST_RANKED = (1 << 16) - 1  # numbers that are kept for ranks: torchmetrics adds up equal ones' ranks in 32 bits
OWN: dict[str, Any] = {"sync_on_compute": False}  # each rank has all answers


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Scores of one split; 0 where they count nothing.

    Args:
        n: samples that were judged. loss: mean of the objective's, over those whose truth the model can say.
        n_unseen: samples of classes that the training split lacks: judged, and wrong, together one more class.
        n_unlabelled: samples without a target: not judged.
        scores: by name, as `config.SCORES` lists them.
    """

    n: int
    loss: float = 0.0
    n_unseen: int = 0
    n_unlabelled: int = 0
    scores: Mapping[str, float] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """A score, or "loss"."""
        return self.loss if name == "loss" else self.scores[name]

    def to_json(self) -> dict[str, Any]:
        """As JSON can say it: scores beside the counts."""
        counts = {"n": self.n, "loss": self.loss, "n_unseen": self.n_unseen, "n_unlabelled": self.n_unlabelled}
        return {**counts, **self.scores}


class Rates:
    """Accuracy, and F1, precision and recall, of classes that are numbered.

    Macro scores are plain means over the classes that are true or predicted somewhere, as scikit-learn's with
    average="macro" and zero_division=0. Micro F1 is the accuracy, as each sample has one class and one answer.

    Args:
        n_classes: how many there are, two or more.

    >>> rates = Rates(2)
    >>> rates.add(torch.tensor([0, 1, 0]), torch.tensor([0, 1, 1]))
    >>> rates.scores()["accuracy"], rates.matrix()
    (0.6666666666666666, [[1, 0], [1, 1]])
    """

    def __init__(self, n_classes: int) -> None:
        from torchmetrics import MetricCollection, classification

        kinds = {
            "f1": classification.MulticlassF1Score,
            "precision": classification.MulticlassPrecision,
            "recall": classification.MulticlassRecall,
        }
        settings: dict[str, Any] = {"num_classes": n_classes, **OWN}
        self.counts = MetricCollection(
            {
                "accuracy": classification.MulticlassAccuracy(average="micro", **settings),
                **{f"macro_{name}": kind(average="macro", **settings) for name, kind in kinds.items()},
                "micro_f1": classification.MulticlassF1Score(average="micro", **settings),
                **{name: kind(average="none", **settings) for name, kind in kinds.items()},
                "confusion": classification.MulticlassConfusionMatrix(**settings),
            }
        ).set_dtype(torch.float64)  # in which counts are exact, and shares as numpy's

    def add(self, predicted: Tensor, true: Tensor) -> None:
        """Take in int64 [sample], twice."""
        if len(true):
            self.counts.update(predicted, true)

    def scores(self) -> dict[str, float]:
        """Those of all classes together, by name."""
        return {name: float(found) for name, found in self._found().items() if not found.ndim}

    def matrix(self) -> list[list[int]]:
        """The confusion matrix: how often each, [true, predicted]."""
        counted: list[list[int]] = self._found()["confusion"].long().tolist()
        return counted

    def named(self, classes: Sequence[str]) -> dict[str, Any]:
        """The confusion matrix with its names, and the rates of each class; the last is for what is none of them."""
        found, matrix = self._found(), self.matrix()
        known = [*classes, None] if len(matrix) > len(classes) and any(matrix[-1]) else list(classes)
        rates = {name: found[name].tolist() for name in ("f1", "precision", "recall")}
        per_class = [
            {"class": name, **{rate: values[at] for rate, values in rates.items()}, "n": sum(matrix[at])}
            for at, name in enumerate(known)
        ]
        return {
            "classes": known,
            "confusion": [row[: len(known)] for row in matrix[: len(known)]],
            "per_class": per_class,
        }

    def _found(self) -> dict[str, Tensor]:
        with _quietly():
            found: dict[str, Tensor] = self.counts.compute()
        return found


class Sampled:
    """Rows, in bounded memory: all of up to `most`; of more a random half, of still more a quarter, and so on.

    Each row is as likely to be kept as any other, in whatever order a store has them; each rank keeps the same.
    """

    def __init__(self, most: int) -> None:
        self.most, self.n, self.share = most, 0, 1.0
        self.kept: list[tuple[Tensor, ...]] = []
        self.chance = torch.Generator().manual_seed(0)

    def add(self, *columns: Tensor) -> None:
        """Take in [sample, ...] of each column."""
        self._keep(columns, self.share)
        while self.n > self.most:
            whole, self.kept, self.n, self.share = self.columns(), [], 0, self.share / 2
            self._keep(whole, 0.5)

    def columns(self) -> tuple[Tensor, ...]:
        """What is kept of each column; there are none before the first `add`."""
        return tuple(torch.cat(pieces) for pieces in zip(*self.kept, strict=True))

    def _keep(self, columns: tuple[Tensor, ...], share: float) -> None:
        if share < 1:
            chosen = torch.rand(len(columns[0]), generator=self.chance) < share
            columns = tuple(column[chosen] for column in columns)
        self.kept.append(columns)
        self.n += len(columns[0])


def areas(probabilities: Tensor, hits: Tensor) -> tuple[float, float]:
    """Areas under the ROC curve, and under that of precision and recall (the average precision, not interpolated).

    Each class stands against the rest. Both are means over the classes that some samples are of and some are not.

    Args:
        probabilities: float64 [sample, class]; float32 would make sure answers equal.
        hits: which are true: bool, the same form.
    """
    from torchmetrics.functional.classification import binary_auroc, binary_average_precision

    counts = hits.sum(dim=0)
    mixed = (counts > 0) & (counts < len(hits))
    pairs = list(zip(probabilities.T[mixed].contiguous(), hits.T[mixed].long(), strict=True))
    roc = [float(binary_auroc(*pair, validate_args=False)) for pair in pairs]
    precision_recall = [float(binary_average_precision(*pair, validate_args=False)) for pair in pairs]
    return sum(roc) / max(len(roc), 1), sum(precision_recall) / max(len(roc), 1)


def calibration_error(confidence: Tensor, hit: Tensor) -> float:
    """The mean distance of confidence and share of hits, by bins of confidence, over samples (Guo et al., 2017).

    Args:
        confidence: probabilities, float64 [sample].
        hit: whether what they were given for was true: bool [sample].
    """
    from torchmetrics.functional.classification import binary_calibration_error

    inside = confidence.clamp(max=math.nextafter(1, 0))  # torchmetrics has a bin for 1 alone, past the last
    return defined(binary_calibration_error(inside, hit.long(), n_bins=N_BINS, validate_args=False))


def reliability(confidence: Tensor, hit: Tensor) -> list[dict[str, float]]:
    """Of each bin of `calibration_error` that is not empty: from, to, samples, mean confidence, share of hits."""
    edges = torch.linspace(0, 1, N_BINS + 1, dtype=confidence.dtype)
    places = (torch.bucketize(confidence, edges, right=True) - 1).clamp(max=N_BINS - 1)
    return [
        {
            "from": float(edges[at]),
            "to": float(edges[at + 1]),
            "n": int((places == at).sum()),
            "confidence": float(confidence[places == at].mean()),
            "hits": float(hit[places == at].double().mean()),
        }
        for at in np.unique(places.numpy()).tolist()
    ]


class SquaredError:
    """The mean of squared errors; 0 of no numbers, NaN where one is."""

    def __init__(self) -> None:
        from torchmetrics import MeanSquaredError

        self.sums = MeanSquaredError(**OWN).set_dtype(torch.float64)

    def add(self, found: Tensor, true: Tensor) -> None:
        """Take in numbers of one form, twice."""
        if found.numel():
            self.sums.update(found.flatten(), true.flatten())

    def score(self) -> float:
        """Of all that was added."""
        return float(self.sums.compute()) if self.sums.update_called else 0.0


def defined(value: Tensor) -> float:
    """A score that is NaN where it has no meaning, and 0 then."""
    number = float(value)
    return 0.0 if math.isnan(number) else number


@contextmanager
def _quietly() -> Iterator[None]:
    """Without torchmetrics' warnings of scores that have no meaning: they are 0, as `Metrics` says."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


class Agreement:
    """How numbers that were found go with those that are true: errors and correlations.

    Args:
        scale: of one unit of what is added, in the scores' own. What is added is to be near 1, as standardised numbers
            are: torchmetrics' R2 takes a sum of squares below 1e-4 for 0.
    """

    def __init__(self, *, scale: float = 1.0) -> None:
        from torchmetrics import MetricCollection, regression

        self.scale, self.ranked = scale, Sampled(MOST_RANKED)
        self.sums = MetricCollection(
            {
                "rmse": regression.MeanSquaredError(squared=False, **OWN),
                "mae": regression.MeanAbsoluteError(**OWN),
                "r2": regression.R2Score(**OWN),
                "pearson": regression.PearsonCorrCoef(**OWN),
            }
        ).set_dtype(torch.float64)

    def add(self, found: Tensor, true: Tensor) -> None:
        """Take in float64 [sample], twice."""
        if len(found):
            self.sums.update(found, true)
            self.ranked.add(found, true)

    def scores(self) -> dict[str, float]:
        """Of all that was added. R2 is 0 where the truth never changes, a correlation where one side does not."""
        from torchmetrics.functional.regression import spearman_corrcoef

        scores = dict.fromkeys(("rmse", "mae", "r2", "pearson", "spearman"), 0.0)
        if self.ranked.n:
            scores |= {name: float(self.sums[name].compute()) * self.scale for name in ("rmse", "mae")}
        if self.ranked.n > 1:
            found, true = self.ranked.columns()
            with _quietly():
                scores["pearson"] = defined(self.sums["pearson"].compute())
            scores["spearman"] = defined(spearman_corrcoef(found, true))
            scores["r2"] = float(self.sums["r2"].compute()) if bool((true != true[0]).any()) else 0.0
        return scores


class Retrieval:
    """How high its own partner ranks for each sample, among those of up to `pool` samples that come one after another.

    torchmetrics takes one sample's candidates at a time, leaves out those of likeness 0 and below, and has no ranks.
    A partner that is no better than others ranks last among them, so that vectors that are all alike find nothing. A
    last pool that is not full is left out where there was a full one, as finding is easier in it.
    """

    def __init__(self, *, pool: int = 8192) -> None:
        self.pool, self.n_waiting = pool, 0
        self.waiting: list[tuple[np.ndarray, np.ndarray]] = []
        self.counts = np.zeros((2, pool + 1), np.int64)  # how often each rank, there and back

    def add(self, first: np.ndarray, second: np.ndarray) -> None:
        """Take in partners: float32 [sample, width], twice."""
        while len(first):
            room = self.pool - self.n_waiting
            self.waiting.append((first[:room], second[:room]))
            self.n_waiting += len(first[:room])
            first, second = first[room:], second[room:]
            if self.n_waiting == self.pool:
                self.counts += self._ranked()
                self.waiting, self.n_waiting = [], 0

    def scores(self) -> dict[str, float]:
        """Recall at 1, 5 and 10 and the median rank, from 1: from first to second, back, and the mean of both."""
        counts = self.counts if self.counts.any() or not self.n_waiting else self._ranked()
        ways = []
        for ranked in counts:
            reached, n = np.cumsum(ranked), max(int(ranked.sum()), 1)
            recalls = {f"recall@{k}": float(reached[min(k, self.pool)] / n) for k in (1, 5, 10)}
            middle = (np.searchsorted(reached, n / 2) + np.searchsorted(reached, n / 2, side="right")) / 2
            ways.append({**recalls, "median_rank": float(min(middle, self.pool))})
        both = {name: (ways[0][name] + ways[1][name]) / 2 for name in ways[0]}
        return both | {
            f"{way}_{name}": value
            for way, one in zip(("forth", "back"), ways, strict=True)
            for name, value in one.items()
        }

    def _ranked(self) -> np.ndarray:
        first, second = (np.concatenate(side) for side in zip(*self.waiting, strict=True))
        return np.stack(
            [np.bincount(partner_ranks(*pair), minlength=self.pool + 1) for pair in ((first, second), (second, first))]
        )


def partner_ranks(asking: np.ndarray, asked: np.ndarray, *, block: int = 512) -> np.ndarray:
    """For each row its own partner's rank among all, by inner product, from 1: int64 [row].

    Args:
        asking: float32 [row, width].
        asked: the same; row by row the partners.
        block: rows that are compared at once.
    """
    found = []
    for start in range(0, len(asking), block):
        likeness = asking[start : start + block] @ asked.T
        own = likeness[np.arange(len(likeness)), start + np.arange(len(likeness))]
        found.append((likeness >= own[:, None]).sum(axis=1))
    return np.concatenate(found) if found else np.zeros(0, np.int64)
