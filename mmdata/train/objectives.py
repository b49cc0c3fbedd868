"""What training makes small."""

from __future__ import annotations

from dataclasses import dataclass

from torch import Tensor
from torch.nn import functional

from mmdata.train.inputs import UNLABELLED


@dataclass(frozen=True, kw_only=True)
class CrossEntropy:
    """Cross-entropy in nats, over the samples whose class the model knows."""

    label_smoothing: float = 0.0

    def __call__(self, logits: Tensor, numbers: Tensor) -> tuple[Tensor, int]:
        """The sum over samples of float32 [batch, class] and int64 [batch], and how many samples it is a sum over."""
        n_classes = logits.shape[1]
        known = numbers.masked_fill(numbers >= n_classes, UNLABELLED)
        loss = functional.cross_entropy(
            logits, known, ignore_index=UNLABELLED, label_smoothing=self.label_smoothing, reduction="sum"
        )
        return loss, int((known != UNLABELLED).sum())
