"""Encoders, a fusion and a head, put together from a plan that JSON can say: a checkpoint needs nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from mmdata.train.config import TrainConfig
from mmdata.train.encoders import SequenceEncoder, VectorEncoder
from mmdata.train.fusion import fusion_class, silence
from mmdata.train.inputs import Input, Part

Encoder = VectorEncoder | SequenceEncoder


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """All that a model's form hangs on.

    Args:
        config: the run's settings. inputs: what goes in, in order. classes: what comes out, in order.
    """

    config: TrainConfig
    inputs: tuple[Input, ...]
    classes: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        inputs = [dataclasses.asdict(item) for item in self.inputs]
        return {"config": self.config.to_json(), "inputs": inputs, "classes": list(self.classes)}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        inputs = tuple(Input(**item) for item in value["inputs"])
        return cls(config=TrainConfig.of(value["config"]), inputs=inputs, classes=tuple(value["classes"]))


class FusionClassifier(nn.Module):
    """A class for each sample, from as many of its inputs as there are."""

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        self.plan = plan
        config, n_inputs = plan.config, len(plan.inputs)
        self.encoders = nn.ModuleList(_encoder(item, config) for item in plan.inputs)
        self.fusion = fusion_class(config.fusion)(n_inputs, config.width)
        self.head = _head([self.fusion.n_out, *config.hidden], len(plan.classes), config.dropout)

    def standardize_by(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Take over mean and scale, float32 [size] each, by input name."""
        for item, encoder in zip(self.plan.inputs, self.encoders, strict=True):
            standardize, (mean, scale) = cast(Encoder, encoder).standardize, statistics[item.name]
            standardize.mean.copy_(mean)
            standardize.scale.copy_(scale)

    def forward(self, parts: Sequence[Part]) -> Tensor:
        """One `Part` an input, in the plan's order, to logits: float32 [batch, class]."""
        present = torch.stack([part.present for part in parts], dim=1)
        if self.training and self.plan.config.modality_dropout:
            present = silence(present, self.plan.config.modality_dropout)
        pairs = zip(self.encoders, parts, strict=True)
        encoded = torch.stack([encoder(part.values, part.length) for encoder, part in pairs], dim=1)
        logits: Tensor = self.head(self.fusion(encoded, present))
        return logits


def _encoder(item: Input, config: TrainConfig) -> Encoder:
    kind: type[Encoder] = VectorEncoder if item.kind == "vector" else SequenceEncoder
    return kind(item.size, config.width, config.dropout)


def _head(sizes: Sequence[int], n_classes: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.GELU(), nn.Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))
