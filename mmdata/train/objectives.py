"""What training makes small. An objective says what a model's heads give, what is true, and what being wrong costs."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmdata.errors import DataError
from mmdata.train.inputs import UNLABELLED, Batch, Part, class_numbers, labels_of, numbers_of
from mmdata.train.plan import Head, ModelPlan

Truth = tuple[Tensor, ...]  # each [batch, ...], so that ranks can put their shares together
Scaling = Mapping[str, tuple[Tensor, Tensor]]  # mean and scale by input name


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


@dataclass(frozen=True, kw_only=True)
class BinaryCrossEntropy:
    """Cross-entropy in nats of one logit, over the samples that are of one of the two classes.

    Args:
        label_smoothing, focal: as of `CrossEntropy`.
        pos_weight: how much a sample of the class that is looked for counts.
    """

    label_smoothing: float = 0.0
    focal: float = 0.0
    pos_weight: float = 1.0

    def __call__(self, logits: Tensor, numbers: Tensor) -> tuple[Tensor, int]:
        """The sum over samples of float32 [batch, 1] and int64 [batch], and how many samples it is a sum over."""
        known = (numbers == 0) | (numbers == 1)
        logit, hit = logits[known, 0], numbers[known].to(logits.dtype)
        soft = hit * (1 - self.label_smoothing) + self.label_smoothing / 2
        each = functional.binary_cross_entropy_with_logits(logit, soft, reduction="none")
        each = each * torch.where(hit > 0, self.pos_weight, 1.0)
        if self.focal:
            each = each * torch.where(hit > 0, (-logit).sigmoid(), logit.sigmoid()) ** self.focal
        return each.sum(), int(known.sum())


@dataclass(frozen=True, kw_only=True)
class Distance:
    """How far numbers are off: squares, absolute values, or Huber's squares that go over into absolute values at 1."""

    kind: str = "mse"

    def __call__(self, found: Tensor, true: Tensor) -> tuple[Tensor, int]:
        """The sum over samples of float32 [batch, 1] and [batch], NaN where unknown, and how many it is a sum over."""
        known = torch.isfinite(true)
        losses: dict[str, Callable[..., Tensor]] = {
            "mse": functional.mse_loss,
            "l1": functional.l1_loss,
            "huber": functional.huber_loss,
        }
        return losses[self.kind](found[known, 0], true[known], reduction="sum"), int(known.sum())


Loss = Callable[[Tensor, Tensor], tuple[Tensor, int]]


class Objective(nn.Module, ABC):
    """What comes after the fusion, and what training makes small.

    Attributes:
        n_views: how often the inputs are fused, each time seeing others of them.
        n_answer: numbers that the head of each view gives.
        n_tasks: how many losses there are.
    """

    n_views: int = 1
    n_answer: int
    n_tasks: int = 1

    def views(self, present: Tensor) -> list[Tensor]:
        """Bool [batch, input] to as many of the same form as there are views."""
        return [present]

    def finish(self, answers: Sequence[Tensor]) -> Tensor:
        """The heads' answers, float32 [batch, n_answer] a view, to what the model gives: float32 [batch, n_out]."""
        return answers[0]

    @abstractmethod
    def truth(self, batch: Batch, parts: Sequence[Part]) -> Truth:
        """What is true of a batch, on the processor."""

    @abstractmethod
    def counts(self, truth: Truth) -> Tensor:
        """How many samples each task can learn from: float64 [task]."""

    @abstractmethod
    def losses(self, output: Tensor, truth: Truth, *, plain: bool = False) -> Tensor:
        """Sums over samples, float32 [task]; `plain` leaves out what is for training alone, such as weights."""

    def total(self, losses: Tensor, *, plain: bool = False) -> Tensor:  # noqa: ARG002  of one there is but one way
        """One number of the tasks' mean losses, or of shares in them; `plain` as of `losses`."""
        return losses.sum()

    def rest(self) -> Tensor | None:
        """What is added once a step."""
        return None

    @property
    def own(self) -> list[nn.Parameter]:
        """What is learned by the loss itself: it has its whole gradient on each rank, and is not decayed."""
        return []

    def standardize_by(self, statistics: Scaling) -> None:
        """Take over mean and scale of the inputs."""

    @abstractmethod
    def answer(self, output: Tensor) -> Tensor:
        """What the model gives as people want it, float32 [batch, ...]: probabilities, values, embeddings, features."""

    @abstractmethod
    def said(self, output: Tensor, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """The same as JSON can say it, a mapping a sample."""


class Supervised(Objective):
    """Classes and numbers, one head or several side by side.

    Several are added up by their weights, or by how uncertain each is (Kendall, Gal and Cipolla, 2018, section 3):
    exp(-s) times a loss, half of it for regression, plus s / 2, where s is learned.
    """

    weight: Tensor
    factor: Tensor

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        config, self.heads = plan.config, plan.heads
        self.n_tasks, self.sizes = len(self.heads), [head.n_out for head in self.heads]
        self.n_answer = sum(self.sizes)
        self.training_losses = [_loss(plan, head) for head in self.heads]
        self.plain_losses = [_plain(plan, head) for head in self.heads]
        self.register_buffer("weight", torch.tensor([head.weight for head in self.heads]), persistent=False)
        factor = torch.tensor([0.5 if head.objective == "regression" else 1.0 for head in self.heads])
        self.register_buffer("factor", factor, persistent=False)
        self.by_uncertainty = config.task_weights == "uncertainty"
        self.log_variance = nn.Parameter(torch.zeros(self.n_tasks)) if self.by_uncertainty else None

    def truth(self, batch: Batch, parts: Sequence[Part]) -> Truth:  # noqa: ARG002  as all
        """Class numbers, int64 [batch], and standardised numbers, float32 [batch] with NaN where unknown, a head."""
        return tuple(_true(batch, head) for head in self.heads)

    def counts(self, truth: Truth) -> Tensor:
        """As `Objective`."""
        known = [
            torch.isfinite(true) if head.objective == "regression" else (true >= 0) & (true < len(head.classes))
            for head, true in zip(self.heads, truth, strict=True)
        ]
        return torch.stack([each.sum().to(torch.float64) for each in known])

    def losses(self, output: Tensor, truth: Truth, *, plain: bool = False) -> Tensor:
        """As `Objective`."""
        losses = self.plain_losses if plain else self.training_losses
        pieces = zip(losses, torch.split(output, self.sizes, dim=1), truth, strict=True)
        return torch.stack([loss(piece, true)[0] for loss, piece, true in pieces])

    def total(self, losses: Tensor, *, plain: bool = False) -> Tensor:
        """As `Objective`."""
        if plain or self.log_variance is None:
            return (losses * self.weight.to(losses)).sum()
        return (losses * self.factor.to(losses) * (-self.log_variance).exp()).sum()

    def rest(self) -> Tensor | None:
        """As `Objective`."""
        return None if self.log_variance is None else self.log_variance.sum() / 2

    @property
    def own(self) -> list[nn.Parameter]:
        """As `Objective`."""
        return [] if self.log_variance is None else [self.log_variance]

    def answer(self, output: Tensor) -> Tensor:
        """Side by side: a probability a class, and numbers in their own units."""
        pieces = zip(self.heads, torch.split(output, self.sizes, dim=1), strict=True)
        return torch.cat([likely(head, piece) for head, piece in pieces], dim=1)

    def said(self, output: Tensor, parts: Sequence[Part]) -> list[dict[str, Any]]:  # noqa: ARG002  as all
        """A class with its probability, or a value; by task where there are several."""
        rows: list[dict[str, Any]] = [{} for _ in output]
        for head, piece in zip(self.heads, torch.split(output, self.sizes, dim=1), strict=True):
            exact = piece.double() if head.objective == "regression" else piece
            for row, numbers in zip(rows, likely(head, exact).tolist(), strict=True):
                row.update({head.name: _say(head, numbers)} if head.name else _say(head, numbers))
        return rows


def likely(head: Head, logits: Tensor) -> Tensor:
    """A head's numbers as probabilities, [batch, class], or as a value in its own units, [batch, 1]."""
    if head.objective == "cross_entropy":
        return logits.softmax(dim=1)
    if head.objective == "binary":
        return torch.cat([(-logits).sigmoid(), logits.sigmoid()], dim=1)
    return logits * head.scale + head.mean


def _say(head: Head, numbers: list[float]) -> dict[str, Any]:
    if head.objective == "regression":
        return {"value": numbers[0]}
    best = max(range(len(numbers)), key=numbers.__getitem__)
    probabilities = dict(zip(head.classes, numbers, strict=True))
    return {"class": head.classes[best], "probability": numbers[best], "probabilities": probabilities}


def _true(batch: Batch, head: Head) -> Tensor:
    if head.objective != "regression":
        return class_numbers(labels_of(batch, head.target), head.classes)
    numbers, odd = numbers_of(batch, head.target)
    if odd is not None:
        raise DataError(f"{head.target!r} of {odd[0]!r} is {odd[1]!r}, no number that a regression could learn")
    return ((numbers - head.mean) / head.scale).float()


def _loss(plan: ModelPlan, head: Head) -> Loss:
    config, weights = plan.config, None
    is_balanced = config.class_weights == "balanced" and bool(head.counts)
    if head.objective == "regression":
        return Distance(kind=config.regression_loss)
    if head.objective == "binary":
        no, yes = head.counts if is_balanced else (1, 1)
        pos_weight = config.pos_weight or no / yes
        return BinaryCrossEntropy(label_smoothing=config.label_smoothing, focal=config.focal, pos_weight=pos_weight)
    weights = balanced(head.counts) if is_balanced else None
    return CrossEntropy(label_smoothing=config.label_smoothing, focal=config.focal, weights=weights)


def _plain(plan: ModelPlan, head: Head) -> Loss:
    plain: dict[str, Loss] = {"binary": BinaryCrossEntropy(), "cross_entropy": CrossEntropy()}
    return plain.get(head.objective) or Distance(kind=plan.config.regression_loss)


def balanced(counts: Sequence[int]) -> Tensor:
    """Weights by which all classes count alike, as scikit-learn's "balanced": float32 [class], 1 for the mean class.

    >>> balanced([30, 10]).tolist()
    [0.6666666865348816, 2.0]
    """
    n = torch.tensor(counts, dtype=torch.float64)
    return (n.sum() / (len(counts) * n)).float()
