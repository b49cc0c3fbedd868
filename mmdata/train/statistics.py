"""One pass over a split: what its targets are, and mean and spread of every number that goes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from mmdata.train.config import Task, TrainConfig
from mmdata.train.inputs import Batch, Input, Part, labels_of, numbers_of, parts_of, real
from mmdata.train.plan import Head

EXACT = 1e-13  # a share that float64 can tell


@dataclass
class Moments:
    """Running count, mean and squared deviations of rows (Chan, Golub and LeVeque, 1979): one pass, no cancellation."""

    n: int
    mean: Tensor
    squares: Tensor

    @classmethod
    def empty(cls, size: int) -> Self:
        return cls(0, torch.zeros(size, dtype=torch.float64), torch.zeros(size, dtype=torch.float64))

    def add(self, rows: Tensor) -> None:
        """Take in [row, size]."""
        n = rows.shape[0]
        if n == 0:
            return
        rows = rows.to(torch.float64)
        mean = rows.mean(dim=0)
        step, total = mean - self.mean, self.n + n
        self.squares += ((rows - mean) ** 2).sum(dim=0) + step**2 * (self.n * n / total)
        self.mean += step * (n / total)
        self.n = total

    def scale(self, share: float = 1e-7) -> Tensor:
        """The standard deviation, [size]; 1 where a number never changes."""
        return torch.where(self.still(share), 1.0, self._spread())

    def still(self, share: float = 1e-7) -> Tensor:
        """Which numbers never change by more than a share of their size, as float32 can tell it: bool [size]."""
        return self._spread() <= share * self.mean.abs().clamp(min=1e-5)

    def _spread(self) -> Tensor:
        return (self.squares / max(self.n, 1)).sqrt()


@dataclass
class Target:
    """What a target's column holds.

    Args:
        task: who asks. classes: how many samples each class has, None for those without one; of numbers they are not
            told apart. numbers: their moments. odd: key and text of the first sample that has no number.
    """

    task: Task
    classes: Counter[str | None] = field(default_factory=Counter)
    numbers: Moments = field(default_factory=lambda: Moments.empty(1))
    odd: tuple[str, str] | None = None

    def add(self, batch: Batch) -> None:
        """Take in a batch's."""
        if self.task.objective != "regression":
            self.classes.update(labels_of(batch, self.task.target))
            return
        numbers, odd = numbers_of(batch, self.task.target)
        known = numbers[torch.isfinite(numbers)]
        self.numbers.add(known[:, None])
        self.classes[None] += len(numbers) - len(known)
        self.odd = self.odd or odd

    @property
    def is_still(self) -> bool:
        """Whether the numbers never change, as far as float64 can tell, in which they are standardised."""
        return bool(self.numbers.still(EXACT)[0])

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in order of their names."""
        return tuple(sorted(name for name in self.classes if name is not None))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many samples each has, in that order."""
        return tuple(self.classes[name] for name in self.names)

    def head(self, name: str, positive: str | None) -> Head:
        """What a model is to say of it; of two classes `positive` is the last."""
        names = self.names
        if self.task.objective == "binary" and positive is not None:
            names = tuple(sorted(names, key=positive.__eq__))
        is_number = self.task.objective == "regression"
        return Head(
            name=name,
            target=self.task.target,
            objective=self.task.objective,
            classes=names,
            counts=tuple(self.classes[name] for name in names),
            mean=float(self.numbers.mean[0]) if is_number else 0.0,
            scale=float(self.numbers.scale(EXACT)[0]) if is_number else 1.0,
            weight=self.task.weight,
        )


@dataclass
class Statistics:
    """What a split looks like.

    Args:
        moments: by input name, of one number each for tokens. n_ids: by name of an input of tokens, one more than the
            highest id. targets: by task. n_pairs: samples that have something of each side; n: all samples.
    """

    moments: dict[str, Moments]
    targets: dict[str, Target]
    n_ids: dict[str, int] = field(default_factory=dict)
    n_pairs: int = 0
    n: int = 0

    @property
    def n_unlabelled(self) -> int:
        """Samples that teach nothing: those without any target, or, where there is none, without a pair."""
        if not self.targets:
            return self.n - self.n_pairs
        return min(target.classes[None] for target in self.targets.values())


def gather(batches: Iterable[Batch], inputs: Sequence[Input], config: TrainConfig) -> Statistics:
    """Read the batches once; only numbers that are there count, neither padding nor missing rows.

    Raises:
        DataError: an input holds NaN or infinity.
    """
    targets = {name: Target(task) for name, task in config.learned.items()}
    found = Statistics({item.name: Moments.empty(item.size) for item in inputs}, targets)
    sides = config.pair if config.objective == "contrastive" else (tuple(item.name for item in inputs),)
    for batch in batches:
        parts = parts_of(batch, inputs)
        for target in targets.values():
            target.add(batch)
        there = [
            torch.stack([part.present for item, part in zip(inputs, parts, strict=True) if item.name in side]).any(
                dim=0
            )
            for side in sides
        ]
        found.n += len(there[0])
        found.n_pairs += int(torch.stack(there).all(dim=0).sum())
        for item, part in zip(inputs, parts, strict=True):
            rows = rows_of(part)
            if item.kind == "tokens" and len(rows):
                found.n_ids[item.name] = max(found.n_ids.get(item.name, 0), int(rows.max()) + 1)
            found.moments[item.name].add(rows.reshape(-1, item.size) if item.kind != "sequence" else rows)
    return found


def rows_of(part: Part) -> Tensor:
    """All vectors of a batch that are real: [row, size], or [row, ...] of pictures and [row] of tokens."""
    if part.length is None:
        return part.values[part.present]
    return part.values[real(part.length, part.values.shape[1])]


def buffers(moments: Mapping[str, Moments]) -> dict[str, tuple[Tensor, Tensor]]:
    """Mean and scale by input name, float32 [size] each."""
    return {name: (item.mean.float(), item.scale().float()) for name, item in moments.items()}
