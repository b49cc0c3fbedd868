"""Learning what belongs together: one side's inputs and the other's become vectors that are close where they do."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from mmdata.train.inputs import Batch, Part
from mmdata.train.objectives import Objective, Truth
from mmdata.train.plan import ModelPlan

TEMPERATURE, SHARPEST = 0.07, 100.0  # where CLIP begins, and the greatest scale that it allows


class Contrastive(Objective):
    """InfoNCE both ways with a learned temperature, as CLIP (Radford et al., 2021, figure 3).

    Each side's inputs are fused apart, and become a vector of length 1. A sample's two vectors are told from those of
    the others in its batch; a sample that lacks a side altogether is no one's partner.
    """

    n_views = 2
    of_side: Tensor

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        self.sides = plan.config.pair
        self.n_answer = plan.config.width
        of_side = [[item.name in side for item in plan.inputs] for side in self.sides]
        self.register_buffer("of_side", torch.tensor(of_side), persistent=False)  # bool [side, input]
        self.log_scale = nn.Parameter(torch.tensor(math.log(1 / TEMPERATURE)))

    def views(self, present: Tensor) -> list[Tensor]:
        """As `Objective`: each side sees its own inputs."""
        return [present & side for side in self.of_side.to(present.device)]

    def finish(self, answers: Sequence[Tensor]) -> Tensor:
        """Two vectors of length 1, one after the other: float32 [batch, 2 * width]."""
        return torch.cat([functional.normalize(answer, dim=1) for answer in answers], dim=1)

    def truth(self, batch: Batch, parts: Sequence[Part]) -> Truth:  # noqa: ARG002  as all
        """Which samples have an input of each side: bool [batch]."""
        return (there(self, parts).all(dim=1),)

    def counts(self, truth: Truth) -> Tensor:
        """As `Objective`."""
        return truth[0].sum()[None].to(torch.float64)

    def losses(self, output: Tensor, truth: Truth, *, plain: bool = False) -> Tensor:  # noqa: ARG002  always so
        """As `Objective`."""
        first, second = output[truth[0]].chunk(2, dim=1)
        likeness = first @ second.T * self.log_scale.clamp(max=math.log(SHARPEST)).exp()
        own = torch.arange(len(likeness), device=likeness.device)
        ways = [functional.cross_entropy(way, own, reduction="sum") for way in (likeness, likeness.T)]
        return torch.stack(ways).mean()[None]

    @property
    def own(self) -> list[nn.Parameter]:
        """As `Objective`."""
        return [self.log_scale]

    def answer(self, output: Tensor) -> Tensor:
        """Both vectors, one after the other."""
        return output

    def said(self, output: Tensor, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """A vector a side that the sample has, by the names of its inputs."""
        names = ["+".join(side) for side in self.sides]
        pairs = zip(output.view(len(output), 2, -1).tolist(), there(self, parts).tolist(), strict=True)
        return [
            {"embedding": {name: vector for name, vector, is_there in zip(names, *pair, strict=True) if is_there}}
            for pair in pairs
        ]


def there(objective: Contrastive, parts: Sequence[Part]) -> Tensor:
    """Which sides a sample has anything of: bool [batch, 2]."""
    present = torch.stack([part.present for part in parts], dim=1)
    return torch.stack([view.any(dim=1) for view in objective.views(present)], dim=1)
