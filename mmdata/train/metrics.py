"""How good a classifier is, from its confusion matrix: plain counts, so that batches add up."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


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


@dataclass(frozen=True, kw_only=True)
class Metrics:
    """Scores of one split, 0 to 1. Macro scores are plain means over the classes that are true or predicted somewhere.

    Args:
        n: samples that were judged. loss: mean cross-entropy, nats, over those whose class the training split has.
        n_unseen: samples of classes that the training split lacks: judged, and wrong, together one more class.
        n_unlabelled: samples without a class: not judged.
    """

    n: int
    accuracy: float
    macro_f1: float
    macro_recall: float
    loss: float = 0.0
    n_unseen: int = 0
    n_unlabelled: int = 0


def metrics_of(matrix: np.ndarray, *, loss: float = 0.0, n_unseen: int = 0, n_unlabelled: int = 0) -> Metrics:
    """Accuracy, macro F1 and macro recall of a confusion matrix [true, predicted]; zeros where it counts nothing.

    As scikit-learn's `f1_score` and `recall_score` with average="macro" and zero_division=0.
    """
    hits, truths, guesses = np.diag(matrix).astype(float), matrix.sum(axis=1), matrix.sum(axis=0)
    seen = (truths + guesses) > 0
    f1 = 2 * hits[seen] / (truths + guesses)[seen]
    recall = hits[seen] / np.maximum(truths[seen], 1)
    n = int(matrix.sum())
    return Metrics(
        n=n,
        accuracy=float(hits.sum() / n) if n else 0.0,
        macro_f1=float(f1.mean()) if n else 0.0,
        macro_recall=float(recall.mean()) if n else 0.0,
        loss=loss,
        n_unseen=n_unseen,
        n_unlabelled=n_unlabelled,
    )
