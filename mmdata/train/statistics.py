"""One pass over the training split: the classes it has, and mean and spread of every number that goes in."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

import torch
from torch import Tensor

from mmdata.train.inputs import Batch, Input, Part, labels_of, parts_of, real


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

    def scale(self) -> Tensor:
        """The standard deviation, [size]; 1 where a number never changes."""
        spread = (self.squares / max(self.n, 1)).sqrt()
        still = spread <= 1e-7 * self.mean.abs().clamp(min=1e-5)  # what float32 can't tell from rounding
        return torch.where(still, 1.0, spread)


@dataclass
class Statistics:
    """What the training split looks like.

    Args:
        moments: by input name, of one number each for tokens. classes: how many samples each has, None for those
            without one. n_ids: by name of an input of tokens, one more than the highest id.
    """

    moments: dict[str, Moments]
    classes: Counter[str | None] = field(default_factory=Counter)
    n_ids: dict[str, int] = field(default_factory=dict)

    @property
    def names(self) -> tuple[str, ...]:
        """The classes, in order of their names."""
        return tuple(sorted(name for name in self.classes if name is not None))

    @property
    def counts(self) -> tuple[int, ...]:
        """How many samples each has, in that order."""
        return tuple(self.classes[name] for name in self.names)


def gather(batches: Iterable[Batch], inputs: Sequence[Input], target: str) -> Statistics:
    """Read the batches once; only numbers that are there count, neither padding nor missing rows."""
    found = Statistics({item.name: Moments.empty(item.size) for item in inputs})
    for batch in batches:
        found.classes.update(labels_of(batch, target))
        for item, part in zip(inputs, parts_of(batch, inputs), strict=True):
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
