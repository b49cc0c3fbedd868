"""A variational autoencoder over features: compresses a sample, and fills in the inputs that it lacks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor, nn

from mmdata.train.chance import drawn
from mmdata.train.encoders import Standardize, pooled
from mmdata.train.inputs import Batch, Input, Part
from mmdata.train.objectives import Objective, Scaling, Truth
from mmdata.train.plan import ModelPlan
from mmdata.train.statistics import rows_of

NARROWEST = 10.0  # bound of a latent's log-variance


class Reconstruction(Objective):
    """From what is there to a few numbers, and from these to all inputs (Kingma and Welling, 2014).

    The inputs that are there are fused to mean and log-variance of the latent numbers, and all are decoded from them:
    so training with `modality_dropout` learns to fill in what is missing. A sample costs half the squared distance to
    its standardised inputs, of those that it has, and `kl_weight` times the divergence from the standard normal
    distribution (Higgins et al., 2017, call it beta). Of a sequence the mean over its steps is decoded; of tokens,
    which are no numbers, nothing.
    """

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        config = plan.config
        self.kl_weight, self.latent = config.kl_weight, config.latent
        self.items = decoded(plan.inputs)
        self.sizes = [_size(item) for _, item in self.items]
        self.n_answer, total = 2 * self.latent, sum(self.sizes)
        layers: list[nn.Module] = []
        sizes = [self.latent, *reversed(config.hidden)]
        for n_in, n_out in pairwise(sizes):
            layers += [nn.Linear(n_in, n_out), nn.GELU()]
        self.decoder = nn.Sequential(*layers, nn.Linear(sizes[-1], total))
        self.standardize = Standardize(total)

    def finish(self, answers: Sequence[Tensor]) -> Tensor:
        """Standardised features, then mean and log-variance: float32 [batch, sum of sizes + 2 * latent]."""
        mean, spread = answers[0].chunk(2, dim=1)
        spread = spread.clamp(-NARROWEST, NARROWEST)
        hidden = mean
        if self.training:
            noise = drawn(lambda n: torch.randn(n, self.latent, device=mean.device), len(mean))
            hidden = mean + noise * (spread / 2).exp()
        return torch.cat([self.decoder(hidden), mean, spread], dim=1)

    def truth(self, batch: Batch, parts: Sequence[Part]) -> Truth:  # noqa: ARG002  as all
        """Standardised features, float32 [batch, sum of sizes], and which are there: bool, the same form."""
        values = torch.cat([flat(item, parts[at]) for at, item in self.items], dim=1)
        there = [
            parts[at].present[:, None].expand(-1, size) for (at, _), size in zip(self.items, self.sizes, strict=True)
        ]
        return self.standardize(values), torch.cat(there, dim=1)

    def counts(self, truth: Truth) -> Tensor:
        """As `Objective`."""
        return truth[1].any(dim=1).sum()[None].to(torch.float64)

    def losses(self, output: Tensor, truth: Truth, *, plain: bool = False) -> Tensor:  # noqa: ARG002  always so
        """As `Objective`."""
        values, there = truth
        distance = torch.where(there, output[:, : values.shape[1]] - values, 0.0).square().sum() / 2
        return (distance + self.kl_weight * self.divergence(output)[there.any(dim=1)].sum())[None]

    def divergence(self, output: Tensor) -> Tensor:
        """From the standard normal distribution, in nats: float32 [batch]."""
        mean, spread = output[:, -2 * self.latent :].chunk(2, dim=1)
        return (mean.square() + spread.exp() - 1 - spread).sum(dim=1) / 2

    def standardize_by(self, statistics: Scaling) -> None:
        """As `Objective`."""
        for buffer, which in ((self.standardize.mean, 0), (self.standardize.scale, 1)):
            found = [statistics[item.name][which] for _, item in self.items]
            each = [numbers.repeat(size // len(numbers)) for numbers, size in zip(found, self.sizes, strict=True)]
            buffer.copy_(torch.cat(each))

    def answer(self, output: Tensor) -> Tensor:
        """The features that are decoded, in their own units, side by side: float32 [batch, sum of sizes]."""
        features = output[:, : sum(self.sizes)]
        return features * self.standardize.scale + self.standardize.mean

    def said(self, output: Tensor, parts: Sequence[Part]) -> list[dict[str, Any]]:
        """Each column filled in, those that were missing, and the mean of the latent numbers."""
        mean = output[:, -2 * self.latent : -self.latent].tolist()
        columns = [
            [numbers.reshape(item.form or (-1,)).tolist() for numbers in piece]
            for (_, item), piece in zip(self.items, torch.split(self.answer(output), self.sizes, dim=1), strict=True)
        ]
        return [
            {
                "reconstruction": {
                    item.column: column[row] for (_, item), column in zip(self.items, columns, strict=True)
                },
                "filled": [item.column for at, item in self.items if not bool(parts[at].present[row])],
                "latent": mean[row],
            }
            for row in range(len(output))
        ]


def decoded(inputs: Sequence[Input]) -> list[tuple[int, Input]]:
    """The inputs that hold numbers, with their places."""
    return [(at, item) for at, item in enumerate(inputs) if item.kind != "tokens"]


def flat(item: Input, part: Part) -> Tensor:
    """An input as it is decoded: float32 [batch, size]; a sequence is the mean over its steps."""
    if part.length is None:
        return part.values.flatten(1)
    return pooled(rows_of(part), part.length)[:, : item.size]


def _size(item: Input) -> int:
    return math.prod(item.form) if item.form else item.size
