"""What training makes small."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.nn import functional

from mmdata.train.inputs import UNLABELLED


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy in nats, over the samples whose class the model knows.

    Args:
        label_smoothing: share of a class's probability that is dealt evenly to all.
        focal: gamma of the focal loss (Lin et al., 2017): each sample counts (1 - p) ** gamma, where p is what the
            model gives its class, so that easy ones count less.
        weights: how much each class counts, float32 [class]; None is alike.
    """

    label_smoothing: float = 0.0
    focal: float = 0.0
    weights: Tensor | None = None

    def __call__(self, logits: Tensor, numbers: Tensor) -> tuple[Tensor, int]:
        """The sum over samples of float32 [batch, class] and int64 [batch], and how many samples it is a sum over."""
        n_classes = logits.shape[1]
        known = numbers.masked_fill(numbers >= n_classes, UNLABELLED)
        weights = None if self.weights is None else self.weights.to(logits.device)
        each = functional.cross_entropy(
            logits,
            known,
            weight=weights,
            ignore_index=UNLABELLED,
            label_smoothing=self.label_smoothing,
            reduction="none" if self.focal else "sum",
        )
        if not self.focal:
            return each, int((known != UNLABELLED).sum())
        given = logits.softmax(dim=1).gather(1, known.clamp(min=0)[:, None])[:, 0]
        return (each * (1 - given) ** self.focal).sum(), int((known != UNLABELLED).sum())


def balanced(counts: Sequence[int]) -> Tensor:
    """Weights by which all classes count alike, as scikit-learn's "balanced": float32 [class], 1 for the mean class.

    >>> balanced([30, 10]).tolist()
    [0.6666666865348816, 2.0]
    """
    n = torch.tensor(counts, dtype=torch.float64)
    return (n.sum() / (len(counts) * n)).float()
