"""How good a model is on one epoch of batches: what it gives, beside what is true."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from mmdata.train.distributed import ALONE, World
from mmdata.train.inputs import UNLABELLED, Batch, Part, parts_of
from mmdata.train.metrics import (
    MOST_CELLS,
    MOST_SURE,
    Agreement,
    Metrics,
    Rates,
    Retrieval,
    Sampled,
    SquaredError,
    areas,
    calibration_error,
    reliability,
)
from mmdata.train.model import FusionModel
from mmdata.train.objectives import Supervised, Truth, likely
from mmdata.train.pairs import Contrastive
from mmdata.train.plan import Head
from mmdata.train.vae import Reconstruction

EVERY = -1  # in the place of an input's: all of them together


def evaluate(model: FusionModel, batches: Iterable[Batch], *, device: str = "cpu", world: World = ALONE) -> Metrics:
    """Judge a model on one epoch of batches, of which each rank of the world has its share."""
    return examine(model, batches, device=device, world=world)[0]


def examine(
    model: FusionModel, batches: Iterable[Batch], *, device: str = "cpu", world: World = ALONE
) -> tuple[Metrics, dict[str, Any]]:
    """As `evaluate`, with what a report shows besides: confusion matrix, classes and calibration, by task."""
    plan, objective, tallies = model.plan, model.objective, _tallies(model)
    losses, counts = torch.zeros(2, objective.n_tasks, dtype=torch.float64)
    n, model = 0, model.eval()
    with torch.inference_mode():
        for batch in batches:
            parts = parts_of(batch, plan.inputs, device)
            rows = world.rows(len(parts[0].present))
            truth = world.whole(rows, tuple(each.to(device) for each in objective.truth(batch, parts)))
            output = world.whole(rows, model(parts).float())
            losses += objective.losses(output, truth, plain=True).cpu()
            counts += objective.counts(truth)
            n += len(output)
            for tally in tallies:
                tally.add(output.cpu(), tuple(each.cpu() for each in truth))
                for at in tally.fills(parts):
                    without = world.whole(rows, model(_without(parts, at)).float())
                    tally.add_filled(at, without.cpu(), world.whole(rows, _filled(parts, at)).cpu())
    loss = float(objective.total(losses / counts.clamp(min=1), plain=True))
    scores = {name: value for tally in tallies for name, value in tally.scores().items()}
    judged, unseen = max(tally.n for tally in tallies), sum(tally.n_unseen for tally in tallies)
    metrics = Metrics(n=judged, loss=loss, n_unseen=unseen, n_unlabelled=n - judged, scores=scores)
    return metrics, {name: found for tally in tallies for name, found in tally.details().items()}


class Tally(ABC):
    """Counts one task's answers. n: that were judged; n_unseen: of classes that the model lacks."""

    n: int = 0
    n_unseen: int = 0

    @abstractmethod
    def add(self, output: Tensor, truth: Truth) -> None:
        """Take in what the model gave for a batch, and what is true."""

    @abstractmethod
    def scores(self) -> dict[str, float]:
        """By name."""

    def details(self) -> dict[str, Any]:
        """What is no single number, by name; JSON."""
        return {}

    def fills(self, parts: Sequence[Part]) -> Sequence[int]:  # noqa: ARG002  most take nothing away
        """Places of inputs that are to be taken away in turns."""
        return ()

    def add_filled(self, at: int, output: Tensor, there: Tensor) -> None:  # noqa: B027  most take nothing away
        """Take in what the model gave without an input, and which rows have it and another: bool [batch]."""


class ClassTally(Tally):
    """Of classes. The last row of the confusion matrix is: none that the model knows."""

    def __init__(self, head: Head, at: int, columns: slice) -> None:
        self.head, self.at, self.columns, self.n_classes = head, at, columns, len(head.classes)
        self.width = 1 if head.objective == "binary" else self.n_classes
        self.rates, self.squared = Rates(self.n_classes + 1), SquaredError()
        self.given, self.sure = Sampled(max(MOST_CELLS // self.width, 1)), Sampled(MOST_SURE)

    def add(self, output: Tensor, truth: Truth) -> None:
        """As `Tally`."""
        judged = truth[self.at] != UNLABELLED
        true = truth[self.at][judged]
        given = likely(self.head, output[judged, self.columns].double())
        confidence, best = given.max(dim=1)
        hits = true[:, None] == torch.arange(self.n_classes)
        self.n += len(true)
        self.n_unseen += int((true == self.n_classes).sum())
        self.rates.add(best, true)
        if self.head.objective == "binary":
            given, hits = given[:, 1:], hits[:, 1:]
            self.sure.add(given[:, 0], hits[:, 0])
        else:
            self.sure.add(confidence, best == true)
        self.squared.add(given, hits.double())
        self.given.add(given, hits)

    def scores(self) -> dict[str, float]:
        """As `Tally`."""
        roc, precision_recall = areas(*self.given.columns()) if self.n else (0.0, 0.0)
        scores = self.rates.scores() | {
            "roc_auc": roc,
            "pr_auc": precision_recall,
            "ece": calibration_error(*self.sure.columns()) if self.n else 0.0,
            "brier": self.squared.score() * self.width,  # a sum over classes (Brier, 1950)
        }
        if self.head.objective == "binary":
            one = self.rates.named(self.head.classes)["per_class"][1]
            scores |= {name: one[name] for name in ("precision", "recall", "f1")}
        return {self.head.scored(name): value for name, value in scores.items()}

    def details(self) -> dict[str, Any]:
        """As `Tally`."""
        bins = reliability(*self.sure.columns()) if self.n else []
        return {self.head.name: self.rates.named(self.head.classes) | {"reliability": bins}}


class NumberTally(Tally):
    """Of numbers. They are added as the model has them, standardised, and their errors told in their own units."""

    def __init__(self, head: Head, at: int, columns: slice) -> None:
        self.head, self.at, self.columns, self.agreement = head, at, columns, Agreement(scale=head.scale)

    def add(self, output: Tensor, truth: Truth) -> None:
        """As `Tally`."""
        known = torch.isfinite(truth[self.at])
        found, true = output[known, self.columns][:, 0], truth[self.at][known]
        self.n += len(true)
        self.agreement.add(found.double(), true.double())

    def scores(self) -> dict[str, float]:
        """As `Tally`."""
        return {self.head.scored(name): value for name, value in self.agreement.scores().items()}


class PairTally(Tally):
    """Of pairs that are to be found."""

    def __init__(self) -> None:
        self.retrieval = Retrieval()

    def add(self, output: Tensor, truth: Truth) -> None:
        """As `Tally`."""
        first, second = output[truth[0]].chunk(2, dim=1)
        self.n += len(first)
        self.retrieval.add(first.numpy(), second.numpy())

    def scores(self) -> dict[str, float]:
        """As `Tally`."""
        return self.retrieval.scores()


class FeatureTally(Tally):
    """Of features that are decoded: squared errors in standard deviations, so that 1 is what the mean would do."""

    def __init__(self, objective: Reconstruction) -> None:
        self.objective = objective
        self.kl = 0.0
        self.names = {at: item.name for at, item in objective.items}
        self.seen, self.filled = ({at: SquaredError() for at in (*self.names, EVERY)} for _ in range(2))
        self.values: Tensor | None = None

    def add(self, output: Tensor, truth: Truth) -> None:
        """As `Tally`."""
        self.values, there = truth
        known = there.any(dim=1)
        self.n += int(known.sum())
        self.kl += float(self.objective.divergence(output)[known].sum())
        for at, rows, found, true in self._pieces(output, there):
            for one in (at, EVERY):
                self.seen[one].add(found[rows], true[rows])

    def fills(self, parts: Sequence[Part]) -> Sequence[int]:
        """As `Tally`: each that is decoded, where there is another to tell it by."""
        return list(self.names) if len(parts) > 1 else ()

    def add_filled(self, at: int, output: Tensor, there: Tensor) -> None:
        """As `Tally`."""
        for place, _, found, true in self._pieces(output, there[:, None].expand(-1, sum(self.objective.sizes))):
            if place == at:
                for one in (at, EVERY):
                    self.filled[one].add(found[there], true[there])

    def _pieces(self, output: Tensor, there: Tensor) -> Iterable[tuple[int, Tensor, Tensor, Tensor]]:
        sizes, start = self.objective.sizes, 0
        for (at, _), size in zip(self.objective.items, sizes, strict=True):
            columns = slice(start, start + size)
            if self.values is not None:
                yield at, there[:, start], output[:, columns], self.values[:, columns]
            start += size

    def scores(self) -> dict[str, float]:
        """As `Tally`: means over all numbers of all inputs."""
        mse, filled = (found[EVERY].score() for found in (self.seen, self.filled))
        return {"mse": mse, "filled_mse": filled, "kl": self.kl / max(self.n, 1)}

    def details(self) -> dict[str, Any]:
        """As `Tally`: the same for each input."""
        kinds = (("mse", self.seen), ("filled_mse", self.filled))
        return {kind: {name: found[at].score() for at, name in self.names.items()} for kind, found in kinds}


def _tallies(model: FusionModel) -> list[Tally]:
    objective = model.objective
    if isinstance(objective, Contrastive):
        return [PairTally()]
    if isinstance(objective, Reconstruction):
        return [FeatureTally(objective)]
    tallies: list[Tally] = []
    start = 0
    if isinstance(objective, Supervised):
        for at, (head, size) in enumerate(zip(objective.heads, objective.sizes, strict=True)):
            kind = NumberTally if head.objective == "regression" else ClassTally
            tallies.append(kind(head, at, slice(start, start + size)))
            start += size
    return tallies


def _without(parts: Sequence[Part], at: int) -> list[Part]:
    gone = torch.zeros_like(parts[at].present)
    return [replace(part, present=gone) if place == at else part for place, part in enumerate(parts)]


def _filled(parts: Sequence[Part], at: int) -> Tensor:
    """Which rows have the input, and another: bool [batch]."""
    others = torch.stack([part.present for place, part in enumerate(parts) if place != at], dim=1).any(dim=1)
    return parts[at].present & others
