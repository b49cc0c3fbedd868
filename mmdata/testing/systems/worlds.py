"""Worlds of which the best possible score is known, for each choice of modalities.

A world is a table of probabilities: the label, and what each modality shows. A model that sees some of the modalities
can't do better than to answer with the likeliest label for what they show (Bayes' decision); how often that is right is
a sum over the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import product
from pathlib import Path
from typing import Any, Self

import numpy as np

from mmdata.core.rng import rng_for


@dataclass(frozen=True)
class Drawn:
    """One sample of a world: the label's number, and what each modality shows; one that is missing is not there."""

    label: int
    shown: Mapping[str, int]


@dataclass(frozen=True, eq=False, kw_only=True)
class World:
    """What there is, and how likely.

    Args:
        labels: their names; of two, the second is the positive one.
        modalities: their names, in the order of the table's axes.
        joint: float64 [label, shown by the first modality, shown by the second, ...], sum 1.
        missing: by modality, how often a sample lacks it, whatever else is the case; one that lacks all is not drawn.

    >>> coin = World(labels=("no", "yes"), modalities=("a",), joint=np.array([[0.4, 0.1], [0.1, 0.4]]))
    >>> round(coin.accuracy(["a"]), 3), round(coin.auc(["a"]), 3)
    (0.8, 0.8)
    """

    labels: tuple[str, ...]
    modalities: tuple[str, ...]
    joint: np.ndarray
    missing: Mapping[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.joint.ndim != 1 + len(self.modalities) or len(self.joint) != len(self.labels):
            raise ValueError(f"a table of {self.joint.shape} is not of {self.labels} by {self.modalities}")
        if self.joint.min() < 0 or abs(self.joint.sum() - 1) > 1e-9:
            raise ValueError(f"probabilities are at least 0 and sum to 1, not {self.joint.sum()}")

    @classmethod
    def of(
        cls,
        labels: Sequence[str],
        shows: Mapping[str, int],
        weigh: Callable[..., Sequence[float]],
        *,
        missing: Mapping[str, float] | None = None,
    ) -> Self:
        """The world in which what is shown has these weights.

        Args:
            labels: their names.
            shows: how many things each modality can show.
            weigh: given what each modality shows, by place, the weight of each label with it.
            missing: as the field.
        """
        sizes = tuple(shows.values())
        joint = np.zeros((len(labels), *sizes))
        for cell in product(*map(range, sizes)):
            place: tuple[Any, ...] = (slice(None), *cell)
            joint[place] = weigh(*cell)
        return cls(
            labels=tuple(labels), modalities=tuple(shows), joint=joint / joint.sum(), missing=dict(missing or {})
        )

    def draws(self, n: int, seed: int) -> list[Drawn]:
        """So many samples, each a function of seed and place: more of them leave the first as they are."""
        return [self._draw(rng_for(seed, "world", index)) for index in range(n)]

    def _draw(self, rng: np.random.Generator) -> Drawn:
        cell = np.unravel_index(rng.choice(self.joint.size, p=self.joint.ravel()), self.joint.shape)
        there: list[str] = []
        while not there:
            there = [name for name in self.modalities if rng.random() >= self.missing.get(name, 0.0)]
        shown = {name: int(cell[1 + self.modalities.index(name)]) for name in there}
        return Drawn(int(cell[0]), shown)

    def chances(self, shown: Mapping[str, int]) -> np.ndarray:
        """The probability of each label together with what is shown: float64 [label]; nothing shown is the prior."""
        index: tuple[Any, ...] = tuple(shown.get(name, slice(None)) for name in self.modalities)
        found = self.joint[(slice(None), *index)]
        sums: np.ndarray = found.reshape(len(self.labels), -1).sum(axis=1)
        return sums

    def accuracy(self, names: Sequence[str]) -> float:
        """How often the likeliest label is right, for one who sees these modalities, where they are not missing."""
        return float(sum(weights.max() for weights in self._cells(names)))

    def auc(self, names: Sequence[str]) -> float:
        """The area under the ROC curve of the second label's probability, given what these modalities show."""
        cells = np.array(list(self._cells(names)))
        score = cells[:, 1] / cells.sum(axis=1)
        apart = score[:, None] - score[None]
        won = np.where(abs(apart) < 1e-12, 0.5, apart > 0)
        positive, negative = cells[:, 1] / cells[:, 1].sum(), cells[:, 0] / cells[:, 0].sum()
        return float(positive @ won @ negative)

    def best_alone(self) -> str:
        """The modality that tells most by itself."""
        return max(
            self.modalities, key=lambda name: self.auc([name]) if len(self.labels) == 2 else self.accuracy([name])
        )

    def noise_beside(self, name: str) -> Self:
        """A world in which this modality tells as much as here, and all others are independent noise."""
        kept = self.modalities.index(name)
        joint = np.zeros_like(self.joint)
        others = [self._marginal(place) for place in range(len(self.modalities)) if place != kept]
        alone = self.joint.sum(axis=tuple(1 + place for place in range(len(self.modalities)) if place != kept))
        for cell in product(*(range(size) for size in self.joint.shape)):
            rest = [shown for place, shown in enumerate(cell[1:]) if place != kept]
            chance = np.prod([table[shown] for table, shown in zip(others, rest, strict=True)])
            joint[cell] = alone[cell[0], cell[1 + kept]] * chance
        return replace(self, joint=joint)

    def _marginal(self, place: int) -> np.ndarray:
        sums: np.ndarray = self.joint.sum(axis=tuple(axis for axis in range(self.joint.ndim) if axis != 1 + place))
        return sums

    def _cells(self, names: Sequence[str]) -> Iterator[np.ndarray]:
        """The chances of the labels with each thing that these modalities can show together, or lack."""
        patterns = {there: chance for there, chance in self._patterns() if there}
        whole = sum(patterns.values())
        seen: dict[tuple[str, ...], float] = {}
        for there, chance in patterns.items():
            left = tuple(name for name in there if name in names)
            seen[left] = seen.get(left, 0.0) + chance / whole
        for left, chance in seen.items():
            sizes = [range(self.joint.shape[1 + self.modalities.index(name)]) for name in left]
            for cell in product(*sizes):
                weights = chance * self.chances(dict(zip(left, cell, strict=True)))
                if weights.sum() > 0:
                    yield weights

    def _patterns(self) -> Iterator[tuple[tuple[str, ...], float]]:
        """Which modalities are there, and how often."""
        for there in product((True, False), repeat=len(self.modalities)):
            rates = [self.missing.get(name, 0.0) for name in self.modalities]
            chance = np.prod([1 - rate if here else rate for here, rate in zip(there, rates, strict=True)])
            yield tuple(name for name, here in zip(self.modalities, there, strict=True) if here), float(chance)


@dataclass(frozen=True)
class System:
    """A multimodal task with generated data.

    Args:
        name: of its pipeline file.
        world: what tells what.
        write: given a folder, the samples and a seed, writes their files.
    """

    name: str
    world: World
    write: Callable[[Path, Sequence[Drawn], World, int], None]

    def build(self, folder: str | Path, n: int, seed: int = 0, *, noise: bool = False) -> list[Drawn]:
        """Write so many samples into a folder.

        Args:
            folder: made where it is not there.
            n: samples.
            seed: of everything.
            noise: of the world in which only the best modality tells, and the others are independent noise.

        Returns:
            What was drawn, in order.
        """
        world = self.at(noise=noise)
        drawn = world.draws(n, seed)
        Path(folder).mkdir(parents=True, exist_ok=True)
        self.write(Path(folder), drawn, world, seed)
        return drawn

    def at(self, *, noise: bool) -> World:
        """The world, or the one of noise."""
        return self.world.noise_beside(self.world.best_alone()) if noise else self.world
