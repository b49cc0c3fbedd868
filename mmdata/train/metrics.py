"""How good a model is. Everything is plain counts and sums, so that batches add up in bounded memory.

The same numbers as torchmetrics' and scikit-learn's, which the tests hold it to. Loading torchmetrics takes 2 s of
processor time and whatever of transformers, librosa and onnxruntime is installed, for each training; its exact areas
under curves keep every answer, and its counted ones have thresholds between which sure models do not differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

N_BINS = 15  # of confidence (Guo et al., 2017)
FURTHEST = 30.0  # log-odds beyond which answers count as equally sure
MOST_CELLS = 1 << 22  # of all classes' histograms


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


def confusion(truth: np.ndarray, predicted: np.ndarray, *, n_classes: int) -> np.ndarray:
    """Count pairs: int64 [true, predicted], each axis n_classes long.

    Args:
        truth: integers [sample] from 0 to n_classes - 1.
        predicted: the same.
        n_classes: how many there are.

    Raises:
        ValueError: a number is out of that range.

    >>> confusion(np.array([0, 1, 1]), np.array([0, 1, 0]), n_classes=2).tolist()
    [[1, 0], [1, 1]]
    """
    if len(truth) and (min(truth.min(), predicted.min()) < 0 or max(truth.max(), predicted.max()) >= n_classes):
        raise ValueError(f"class numbers must be from 0 to {n_classes - 1}")
    pairs = truth.astype(np.int64) * n_classes + predicted
    return np.bincount(pairs, minlength=n_classes * n_classes).reshape(n_classes, n_classes)


def of_confusion(matrix: np.ndarray) -> dict[str, float]:
    """Accuracy, and F1, precision and recall of a confusion matrix [true, predicted].

    Macro scores are plain means over the classes that are true or predicted somewhere, as scikit-learn's with
    average="macro" and zero_division=0. Micro F1 is the accuracy, as each sample has one class and one answer.
    """
    one = of_classes(matrix)
    seen = one["n"] + matrix.sum(axis=0) > 0
    macro = {f"macro_{name}": float(one[name][seen].mean()) if seen.any() else 0.0 for name in _RATES}
    accuracy = float(np.diag(matrix).sum() / max(matrix.sum(), 1))
    return {"accuracy": accuracy, **macro, "micro_f1": accuracy}


def of_classes(matrix: np.ndarray) -> dict[str, np.ndarray]:
    """F1, precision, recall and number of each class of a confusion matrix: [class] each."""
    hits, truths, guesses = np.diag(matrix).astype(float), matrix.sum(axis=1), matrix.sum(axis=0)
    f1 = 2 * hits / np.maximum(truths + guesses, 1)
    return {"f1": f1, "precision": hits / np.maximum(guesses, 1), "recall": hits / np.maximum(truths, 1), "n": truths}


_RATES = ("f1", "precision", "recall")


class Areas:
    """Areas under curves of classes, each against the rest, from histograms of how sure the model was.

    Answers are told apart by their log-odds, to 60 / `n_bins`: what falls into one bin counts as a tie.

    Args:
        n_classes: how many there are.
    """

    def __init__(self, n_classes: int) -> None:
        self.n_bins = int(np.clip(MOST_CELLS // max(n_classes, 1), 64, 4096))
        self.cells = np.zeros((n_classes, 2, self.n_bins), np.int64)  # class, whether it was true, bin

    def add(self, probabilities: np.ndarray, hits: np.ndarray) -> None:
        """Take in float64 [sample, class], and which are true: bool, the same form."""
        with np.errstate(divide="ignore"):
            odds = np.log(probabilities) - np.log1p(-probabilities)
        places = (np.clip(odds / (2 * FURTHEST) + 0.5, 0, 1) * (self.n_bins - 1)).astype(np.int64)
        np.add.at(self.cells, (np.arange(len(self.cells)), hits.astype(np.int64), places), 1)

    def roc(self) -> float:
        """Area under the ROC curve: the mean over classes that some samples are of and some are not."""
        return _mean(_roc(hits, misses) for misses, hits in self._curves())

    def precision_recall(self) -> float:
        """Average precision (without interpolation, as scikit-learn's): the mean over the same classes."""
        return _mean(_average_precision(hits, misses) for misses, hits in self._curves())

    def _curves(self) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for misses, hits in self.cells[:, :, ::-1]:  # surest first
            if misses.any() and hits.any():
                yield misses, hits


def _roc(hits: np.ndarray, misses: np.ndarray) -> float:
    above = np.cumsum(hits) - hits / 2  # a tie is half a success (Mann and Whitney, 1947)
    return float((misses * above).sum() / (hits.sum() * misses.sum()))


def _average_precision(hits: np.ndarray, misses: np.ndarray) -> float:
    found, asked = np.cumsum(hits), np.cumsum(hits + misses)
    return float((hits / hits.sum() * found / np.maximum(asked, 1)).sum())


def _mean(values: Iterator[float]) -> float:
    listed = list(values)
    return sum(listed) / len(listed) if listed else 0.0


class Reliability:
    """Whether the model is as often right as it says: by bins of confidence (Guo et al., 2017)."""

    def __init__(self) -> None:
        self.n, self.confidence, self.hits = np.zeros((3, N_BINS))

    def add(self, confidence: np.ndarray, hit: np.ndarray) -> None:
        """Take in probabilities, float64 [sample], and whether what they were given for was true: bool [sample]."""
        places = np.minimum((confidence * N_BINS).astype(np.int64), N_BINS - 1)
        for total, weights in ((self.n, None), (self.confidence, confidence), (self.hits, hit)):
            total += np.bincount(places, weights=weights, minlength=N_BINS)

    def error(self) -> float:
        """The expected calibration error: the mean distance of confidence and share of hits, over samples."""
        return float(np.abs(self.confidence - self.hits).sum() / max(self.n.sum(), 1))

    def bins(self) -> list[dict[str, float]]:
        """Of each bin that is not empty: from, to, samples, mean confidence, share of hits."""
        rows = zip(np.arange(N_BINS) / N_BINS, self.n, self.confidence, self.hits, strict=True)
        return [
            {"from": low, "to": low + 1 / N_BINS, "n": n, "confidence": sure / n, "hits": hits / n}
            for low, n, sure, hits in rows
            if n
        ]


class Agreement:
    """How numbers that were found go with those that are true: errors and correlations in one pass.

    Sums of squares by Chan, Golub and LeVeque (1979). Ranks need all numbers at once: every one of up to `most` is
    kept, every second of up to twice as many, and so on.
    """

    def __init__(self, *, most: int = 1 << 20) -> None:
        self.n, self.absolute, self.squared, self.most, self.every = 0, 0.0, 0.0, most, 1
        self.mean, self.squares = np.zeros(2), np.zeros((2, 2))
        self.kept: list[np.ndarray] = []

    def add(self, found: np.ndarray, true: np.ndarray) -> None:
        """Take in float64 [sample], twice."""
        pairs = np.stack([found, true], axis=1)
        if not len(pairs):
            return
        self.kept.append(pairs[-self.n % self.every :: self.every])
        mean, total = pairs.mean(axis=0), self.n + len(pairs)
        off, step = pairs - mean, mean - self.mean
        self.squares += off.T @ off + np.outer(step, step) * (self.n * len(pairs) / total)
        self.mean += step * (len(pairs) / total)
        self.absolute += float(np.abs(found - true).sum())
        self.squared += float(np.square(found - true).sum())
        self.n = total
        while sum(map(len, self.kept)) > self.most:
            self.kept, self.every = [np.concatenate(self.kept)[::2]], 2 * self.every

    def scores(self) -> dict[str, float]:
        """Of all that was added. A correlation is 0 where one side never changes."""
        n, spread = max(self.n, 1), float(self.squares[1, 1])
        pairs = np.concatenate(self.kept) if self.kept else np.zeros((0, 2))
        found, true = (ranks(pairs[:, side]) for side in (0, 1))
        return {
            "rmse": (self.squared / n) ** 0.5,
            "mae": self.absolute / n,
            "r2": 1 - self.squared / spread if spread > 0 else 0.0,
            "pearson": _correlation(self.squares),
            "spearman": _correlation(np.cov(found, true)) if len(pairs) > 1 else 0.0,
        }


def _correlation(squares: np.ndarray) -> float:
    scale = float(np.sqrt(squares[0, 0]) * np.sqrt(squares[1, 1]))
    return float(np.clip(squares[0, 1] / scale, -1, 1)) if scale > 0 else 0.0


def ranks(values: np.ndarray) -> np.ndarray:
    """Places of numbers in their order, from 0; equal ones share the mean of theirs: float64 [number].

    >>> ranks(np.array([3.0, 1.0, 3.0])).tolist()
    [1.5, 0.0, 1.5]
    """
    _, where, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts + 1) / 2)[where]


class Retrieval:
    """How high its own partner ranks for each sample, among those of up to `pool` samples that come one after another.

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


def named(classes: Sequence[str], matrix: np.ndarray) -> dict[str, Any]:
    """A confusion matrix with its names, and the rates of each class; the last is for classes that are not known."""
    known = [*classes, None] if len(matrix) > len(classes) and matrix[-1].any() else list(classes)
    rates = of_classes(matrix)
    per_class = [
        {"class": name, **{rate: values[at].item() for rate, values in rates.items()}} for at, name in enumerate(known)
    ]
    return {"classes": known, "confusion": matrix[: len(known), : len(known)].tolist(), "per_class": per_class}
