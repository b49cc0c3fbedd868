"""MixUp and CutMix: rows of a batch mixed with each other, the same way on every number of ranks.

A rank can mix only what it has. So a global batch is cut into groups, each of which is whole on one rank, and partners
are drawn within a group, by an rng of seed, epoch, step and the group's number in the global batch.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.errors import ConfigError
from mmdata.loader.budgets import BudgetOrder
from mmdata.loader.order import Order

PARTNER, WEIGHT = "mix.partner", "mix.weight"
Arrays = dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Mix(ABC):
    """What both ways of mixing have.

    Args:
        columns: the arrays that are mixed. labels: arrays that say what rows are, one-hot vectors as a rule; they are
            mixed by weight, whatever part of a picture is another's.
        alpha: of the Beta distribution that weights are drawn from: Beta(alpha, alpha).
        p: the share of groups that are mixed.
        group: rows of a group; it must divide the batch of each rank, for every number of ranks there may be. None is
            a lane's rows of a step, which any number of ranks has whole that divides the lanes; in batches by length,
            a share.
    """

    kind: ClassVar[str]

    columns: Sequence[str]
    labels: Sequence[str] = ()
    alpha: float = 0.2
    p: float = 1.0
    group: int | None = None

    def faults(self, specs: Mapping[str, ArraySpec]) -> Iterator[str]:
        """What is wrong with it, for columns of such forms."""
        if isinstance(self.columns, str) or isinstance(self.labels, str) or not self.columns:
            yield f"mix: {self.kind}: columns and labels are lists of names, and there must be a column"
            return
        if not self.alpha > 0:
            yield f"mix: {self.kind}: alpha must be above 0, not {self.alpha}"
        if not 0 <= self.p <= 1:
            yield f"mix: {self.kind}: p must be from 0 to 1, not {self.p}"
        for name in (*self.columns, *self.labels):
            spec = specs.get(name)
            if spec is None:
                yield f"mix: {name!r} is no array that was asked for; there are {', '.join(specs) or 'none'}"
            elif spec.varying:
                yield (
                    f"mix: {name!r} varies in {', '.join(spec.varying)}: mix what has one size, such as pictures after "
                    f"CropImage or LetterboxImage"
                )
            elif np.dtype(spec.dtype).kind != "f" and spec.dtype != "uint8":
                yield f"mix: {name!r} is {spec.dtype}: floating numbers and uint8 can be mixed"
            elif name in self.columns and (fault := self.unfit(spec)):
                yield f"mix: {self.kind}: {name!r} {fault}"

    def unfit(self, spec: ArraySpec) -> str:  # noqa: ARG002  all that is left can be mixed
        """Why a column can't be mixed so; nothing where it can."""
        return ""

    @abstractmethod
    def mixed(self, values: Mapping[str, np.ndarray], partner: np.ndarray, rng: np.random.Generator) -> float:
        """Mix the rows of a group with their partners, in place.

        Args:
            values: by column [row, *axes].
            partner: int64 [row], itself for a row that stays as it is.
            rng: of the group.

        Returns:
            the weight of each row's own part.
        """


@dataclass(frozen=True, kw_only=True)
class MixUp(Mix):
    """Each row becomes w x row + (1 - w) x partner (Zhang et al. 2018), one weight w for a group.

    Values of uint8 are rounded to the nearest.
    """

    kind: ClassVar[str] = "MixUp"

    def mixed(self, values: Mapping[str, np.ndarray], partner: np.ndarray, rng: np.random.Generator) -> float:
        weight = float(rng.beta(self.alpha, self.alpha))
        for name in self.columns:
            blend(values[name], partner, weight)
        return weight


@dataclass(frozen=True, kw_only=True)
class CutMix(Mix):
    """A rectangle of each picture is its partner's (Yun et al. 2019, algorithm A1), one rectangle for a group.

    Columns are pictures or films. The rectangle has a share 1 - w of the picture, its centre is anywhere, and what lies
    beyond the edges is cut off; the weight is the share that is left.
    """

    kind: ClassVar[str] = "CutMix"

    alpha: float = 1.0

    def unfit(self, spec: ArraySpec) -> str:
        return "" if spec.dims[-3:] == ("height", "width", "channel") else f"has axes {spec.dims}, and is no picture"

    def mixed(self, values: Mapping[str, np.ndarray], partner: np.ndarray, rng: np.random.Generator) -> float:
        weight = float(rng.beta(self.alpha, self.alpha))
        at = rng.random(2)
        shares = []
        for name in self.columns:
            height, width = values[name].shape[-3:-1]
            top, bottom = _side(height, float(at[0]), weight)
            left, right = _side(width, float(at[1]), weight)
            cut = values[name][..., top:bottom, left:right, :]
            cut[:] = cut[partner]  # the right side is a copy
            shares.append(1 - (bottom - top) * (right - left) / (height * width))
        return float(np.mean(shares))


def _side(size: int, center: float, weight: float) -> tuple[int, int]:
    length, at = int(size * np.sqrt(1 - weight)), int(center * size)
    return max(0, at - length // 2), min(size, at - length // 2 + length)


def blend(values: np.ndarray, partner: np.ndarray, weight: float) -> None:
    """W x row + (1 - w) x partner, in place: [row, *axes]. One row's floating numbers at a time lie beside them."""
    own = values.copy()
    exact = np.float64 if values.dtype == np.float64 else np.float32
    for row, other in enumerate(partner.tolist()):
        if other == row:
            continue
        made = own[row] * exact(weight) + own[other] * exact(1 - weight)
        values[row] = np.rint(made) if values.dtype == np.uint8 else made


def soft_labels(labels: Sequence[str | None], batch: Mapping[str, Any], classes: Sequence[str]) -> np.ndarray:
    """What a mixed batch shows: float32 [batch, class], each row the weights of its own label and its partner's.

    Args:
        labels: of the batch's rows; None where there is none, whose part stays zero.
        batch: a mixed batch.
        classes: in the order of the columns.

    Raises:
        ValueError: a label is none of the classes.

    >>> batch = {"mix.partner": np.array([1, 0]), "mix.weight": np.array([0.75, 0.75])}
    >>> soft_labels(["cat", "dog"], batch, ["cat", "dog"]).tolist()
    [[0.75, 0.25], [0.25, 0.75]]
    """
    numbers = {name: number for number, name in enumerate(classes)}
    hard = np.zeros((len(labels), len(classes)), np.float32)
    for row, label in enumerate(labels):
        if label is None:
            continue
        if label not in numbers:
            raise ValueError(f"label {label!r} is none of the classes {list(classes)}")
        hard[row, numbers[label]] = 1
    weight = np.asarray(batch[WEIGHT], np.float32)[:, None]
    return np.asarray(weight * hard + (1 - weight) * hard[np.asarray(batch[PARTNER])], np.float32)


@dataclass(frozen=True)
class Mixing:
    """How the batches of one rank are mixed.

    Args:
        ways: one is drawn for each group. order: of the batches. seed: of the draws. rank, world: whose batches.
    """

    ways: tuple[Mix, ...]
    order: Order
    seed: int
    rank: int
    world: int

    def __call__(self, epoch: int, step: int, batch: Arrays) -> None:
        """Mix a batch in place, and say how: `mix.partner`, int64 [batch], and `mix.weight`, float64 [batch].

        A row stays as it is where it or its partner lacks one of the columns.
        """
        n_rows = len(batch["key"])
        partners, weights = np.arange(n_rows), np.ones(n_rows)
        for number, first, stop in self._groups(n_rows, epoch, step):
            rng = rng_for(self.seed, "mix", epoch, step, number)
            way = self.ways[int(rng.integers(len(self.ways)))]
            is_mixed, drawn = rng.random() < way.p, rng.permutation(stop - first)
            if not is_mixed:
                continue
            names = (*way.columns, *way.labels)
            there = np.logical_and.reduce([batch[f"{name}.mask"][first:stop] for name in names])
            partner = np.where(there & there[drawn], drawn, np.arange(stop - first))
            weight = way.mixed({name: batch[name][first:stop] for name in way.columns}, partner, rng)
            for name in way.labels:
                blend(batch[name][first:stop], partner, weight)
            partners[first:stop] = partner + first
            weights[first:stop] = np.where(partner == np.arange(stop - first), 1.0, weight)
        batch[PARTNER], batch[WEIGHT] = partners, weights

    def _groups(self, n_rows: int, epoch: int, step: int) -> Iterator[tuple[int, int, int]]:
        """The number of each group in the global batch, and where its rows lie in the rank's: from, and up to."""
        plan = self.order.plans[0]
        if plan.tail == "short" and step == self.order.n_steps(epoch) - 1 and self._is_short(epoch):
            return  # whose rows would be whose partner, ranks could not tell
        if isinstance(self.order, BudgetOrder):
            per_rank = self.order.shares // self.world
            size = n_rows // per_rank
        else:
            size = group_rows(self.ways[0].group, self.order)
            per_rank = n_rows // size
        for number in range(per_rank):
            yield self.rank * per_rank + number, number * size, (number + 1) * size

    def _is_short(self, epoch: int) -> bool:  # noqa: ARG002  epochs are alike in this
        plan = self.order.plans[0]
        unit = self.order.shares if isinstance(self.order, BudgetOrder) else plan.global_batch_size
        return plan.n_rows % unit != 0


def group_rows(given: int | None, order: Order) -> int:
    """Rows of a group: as given, or a lane's in a step."""
    plan = order.plans[0]
    return plan.global_batch_size // plan.n_lanes if given is None else given


def mixing_of(
    mix: Mix | Sequence[Mix] | None,
    specs: Mapping[str, ArraySpec],
    order: Order,
    *,
    seed: int,
    rank: int,
    world: int,
) -> Mixing | None:
    """How batches are mixed; None where they are not.

    Raises:
        ConfigError: a setting is out of range, a column can't be mixed, or the ranks can't share groups.
    """
    if mix is None:
        return None
    ways: tuple[Any, ...] = tuple(mix) if isinstance(mix, Sequence) else (mix,)
    if not ways or not all(isinstance(way, Mix) for way in ways):
        raise ConfigError("stream", [f"mix: expected MixUp(...), CutMix(...), or a list of them, not {mix!r}"])
    faults = [fault for way in ways for fault in way.faults(specs)]
    if len({way.group for way in ways}) > 1:
        faults.append("mix: all ways must have one group")
    faults += _group_faults(ways[0].group, order, world)
    if faults:
        raise ConfigError("stream", list(dict.fromkeys(faults)))
    return Mixing(ways, order, seed, rank, world)


def _group_faults(given: int | None, order: Order, world: int) -> Iterator[str]:
    size = order.batch_size(world)
    if size is None:
        if given is not None:
            yield "mix: group: in batches by length, the rows of a share are mixed"
        return
    rows = group_rows(given, order)
    if rows < 1 or size % rows:
        yield (
            f"mix: group: a rank's batch of {size} rows has no whole groups of {rows}: set group, the same for every "
            f"number of ranks, to what divides the smallest batch that a rank may have"
        )
    elif rows < 2:
        yield f"mix: group: in groups of {rows} row there is nobody to mix with: set group, or fewer lanes"
