"""What each input is worth to a trained model, and where the model looks."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from statistics import mean, stdev
from typing import Any

import numpy as np
import torch
from torch import Tensor

from mmdata.core.rng import rng_for
from mmdata.train.config import LOW_IS_GOOD
from mmdata.train.inputs import Batch, Input, Values, parts_of
from mmdata.train.judge import evaluate
from mmdata.train.model import FusionModel

REPEATS = 5


@dataclass(frozen=True, kw_only=True)
class Importance:
    """What a score loses when an input comes from another sample of the split.

    Args:
        score: its name. whole: of the split as it is. drops: by input, how much worse each repeat was.
        attention: by input how much it counts, or how much it looks at each input, in the mean over samples that have
            it; None for a fusion that has no such weights.
    """

    score: str
    whole: float
    drops: dict[str, tuple[float, ...]]
    attention: dict[str, float | dict[str, float]] | None

    @property
    def means(self) -> dict[str, float]:
        """The mean drop by input."""
        return {name: mean(drops) for name, drops in self.drops.items()}

    def to_json(self) -> dict[str, Any]:
        """As a report has it: `importance` by input, what it was counted from, and `attention`."""
        counted = {"score": self.score, "whole": self.whole, "drops": self.drops}
        return {"importance": self.means, "importance_details": counted, "attention": self.attention}

    def __str__(self) -> str:
        """A line an input, and one on where the model looks."""
        way = "rises" if is_low_good(self.score) else "drops"
        lines = [f"{self.score} {self.whole:.3f}; with an input from another sample it {way} by"]
        for name, drops in self.drops.items():
            spread = stdev(drops) if len(drops) > 1 else 0.0
            lines.append(f"  {name}  {mean(drops):.3f} ± {spread:.3f}")
        weights = {name: found for name, found in (self.attention or {}).items() if isinstance(found, float)}
        looks = {f" of {name}": found for name, found in (self.attention or {}).items() if not isinstance(found, float)}
        for whose, found in {"": weights, **looks}.items():
            if found:
                lines.append(f"attention{whose}: " + ", ".join(f"{name} {value:.3f}" for name, value in found.items()))
        return "\n".join(lines)


def importance(
    model: FusionModel,
    batches: Callable[[], Iterable[Batch]],
    *,
    score: str,
    repeats: int = REPEATS,
    seed: int = 0,
    device: str = "cpu",
) -> Importance:
    """Permutation importance (Breiman, 2001, section 10) of each input as a whole, whether it is there included.

    Rows change places within batches: give them in random order, or neighbours stand for one another. The same batches
    and seed give the same numbers.

    Args:
        model: at its best.
        batches: one epoch of a split that the model was not trained on, each time anew, in an order of its own.
        score: as `TrainConfig.score`.
        repeats: how often each input is shuffled.
        seed: of the shuffling.
        device: the model's.
    """
    whole = evaluate(model, batches(), device=device)[score]
    sign = -1 if is_low_good(score) else 1
    drops = {
        item.name: tuple(
            sign * (whole - evaluate(model, shuffled(batches(), item, seed, turn), device=device)[score])
            for turn in range(repeats)
        )
        for item in model.plan.inputs
    }
    return Importance(score=score, whole=whole, drops=drops, attention=attention(model, batches(), device=device))


def is_low_good(score: str) -> bool:
    """Whether less of a score, also of a task's, is better."""
    return score.rpartition(".")[2] in LOW_IS_GOOD


def shuffled(batches: Iterable[Batch], item: Input, seed: int, turn: int) -> Iterator[Batch]:
    """The batches with one input's rows in another order: values, lengths and masks alike."""
    for number, batch in enumerate(batches):
        order = rng_for(seed, item.name, turn, number).permutation(len(batch["key"]))
        names = [f"{item.column}{end}" for end in ("", ".mask", ".length")]
        yield {**batch, **{name: _taken(batch[name], order) for name in names if name in batch}}


def _taken(values: Values, order: np.ndarray) -> Values:
    if isinstance(values, Tensor):
        return values[torch.from_numpy(order)]
    return values[order] if isinstance(values, np.ndarray) else [values[place] for place in order]


def attention(
    model: FusionModel, batches: Iterable[Batch], *, device: str = "cpu"
) -> dict[str, float | dict[str, float]] | None:
    """How much each input counts in a fusion by weights, or looks at each other in one by attention; means."""
    found: list[Tensor] = []

    def look(_: torch.nn.Module, given: tuple[Tensor, ...], __: Tensor) -> None:
        found.append(given[0].double().cpu())

    hook = model.fusion.look.register_forward_hook(look)
    total, n = torch.zeros(()), torch.zeros(())
    try:
        with torch.inference_mode():
            for batch in batches:
                model.eval()(parts_of(batch, model.plan.inputs, device))
                total = total + sum(each.sum(dim=0) for each in found)
                n = n + sum((each != 0).any(dim=-1).sum(dim=0) for each in found)
                found.clear()
    finally:
        hook.remove()
    if total.ndim == 0:
        return None
    names = [item.name for item in model.plan.inputs]
    means = (total / (n.clamp(min=1)[:, None] if total.ndim == 2 else n.clamp(min=1))).tolist()
    if total.ndim == 1:
        return dict(zip(names, means, strict=True))
    return {name: dict(zip(names, row, strict=True)) for name, row in zip(names, means, strict=True)}
