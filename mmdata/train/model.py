"""Encoders, a fusion and a head, put together from a plan that JSON can say: a checkpoint needs nothing else."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Self, cast

import torch
from torch import Tensor, nn

from mmdata.errors import ConfigError
from mmdata.train.chance import Dropout
from mmdata.train.config import TrainConfig, guess
from mmdata.train.encoders import AUTO, Encoder, Standardize, check_encoder, encoder, pooled
from mmdata.train.fusion import CrossAttention, fusion_class, silence
from mmdata.train.inputs import Input, Part
from mmdata.train.statistics import rows_of


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """All that a model's form hangs on.

    Args:
        config: the run's settings. inputs: what goes in, in order. classes: what comes out, in order.
        counts: how many samples of the training split each class has; empty where nobody counted.
    """

    config: TrainConfig
    inputs: tuple[Input, ...]
    classes: tuple[str, ...]
    counts: tuple[int, ...] = ()

    def to_json(self) -> dict[str, Any]:
        inputs = [dataclasses.asdict(item) for item in self.inputs]
        return {
            "config": self.config.to_json(),
            "inputs": inputs,
            "classes": list(self.classes),
            "counts": list(self.counts),
        }

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        inputs = tuple(Input(**{**item, "form": tuple(item.get("form", ()))}) for item in value["inputs"])
        return cls(
            config=TrainConfig.of(value["config"]),
            inputs=inputs,
            classes=tuple(value["classes"]),
            counts=tuple(value["counts"]),
        )


class FusionClassifier(nn.Module):
    """A class for each sample, from as many of its inputs as there are."""

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        self.plan = plan
        config, n_inputs, kind = plan.config, len(plan.inputs), fusion_class(plan.config.fusion)
        self.encoders = nn.ModuleList(
            _Raw(item)
            if kind.of == "raw"
            else encoder(item, config.encoders.get(item.name, AUTO), config.width, config.dropout)
            for item in plan.inputs
        )
        n_out, sizes = len(plan.classes), [config.width, *config.hidden]
        if kind.of == "logits":
            self.heads = nn.ModuleList(_head(sizes, n_out, config.dropout) for _ in plan.inputs)
            self.fusion = kind(n_inputs, n_out)
            return
        width = sum(cast(_Raw, each).n_out for each in self.encoders) if kind.of == "raw" else config.width
        self.fusion = kind(n_inputs, width)
        self.head = _head([self.fusion.n_out, *config.hidden], n_out, config.dropout)

    def standardize_by(self, statistics: Mapping[str, tuple[Tensor, Tensor]]) -> None:
        """Take over mean and scale, float32 [size] each, by input name."""
        for item, each in zip(self.plan.inputs, self.encoders, strict=True):
            standardize, (mean, scale) = cast(Encoder, each).standardize, statistics[item.name]
            if standardize is not None:
                standardize.mean.copy_(mean)
                standardize.scale.copy_(scale)

    def forward(self, parts: Sequence[Part]) -> Tensor:
        """One `Part` an input, in the plan's order, to logits: float32 [batch, class]."""
        present = torch.stack([part.present for part in parts], dim=1)
        if self.training and self.plan.config.modality_dropout:
            present = silence(present, self.plan.config.modality_dropout)
        logits: Tensor
        if self.fusion.of == "raw":
            raw = [each(part.values, part.length) for each, part in zip(self.encoders, parts, strict=True)]
            there = [torch.where(present[:, at, None], each, 0.0) for at, each in enumerate(raw)]
            logits = self.head(self.fusion(torch.cat(there, dim=1), present))
            return logits
        encoders = cast(list[Encoder], list(self.encoders))
        steps = [each.steps(part.values, part.length) for each, part in zip(encoders, parts, strict=True)]
        encoded = [each.summary(*pair) for each, pair in zip(encoders, steps, strict=True)]
        if self.fusion.of == "logits":
            answers = [head(each) for head, each in zip(self.heads, encoded, strict=True)]
            logits = self.fusion(torch.stack(answers, dim=1), present)
        elif isinstance(self.fusion, CrossAttention):
            logits = self.head(self.fusion.over(torch.stack(encoded, dim=1), present, steps))
        else:
            logits = self.head(self.fusion(torch.stack(encoded, dim=1), present))
        return logits


def check_encoders(inputs: Sequence[Input], config: TrainConfig) -> None:
    """Raises ConfigError where an encoder is for no input, or does not go with it, or with the fusion; all at once."""
    names = [item.name for item in inputs]
    faults = [
        f"encoders.{name}: no input {name!r}{guess(name, names)}" for name in config.encoders if name not in names
    ]
    for item in inputs:
        fault = check_encoder(item, config.encoders.get(item.name, AUTO))
        if fault is None and item.kind == "tokens" and fusion_class(config.fusion).of == "raw":
            fault = f"{config.fusion!r} takes numbers, and {item.column!r} holds tokens"
        faults += [f"encoders.{item.name}: {fault}"] if fault else []
    if faults:
        raise ConfigError("train", faults)


class _Raw(nn.Module):
    """An input's own numbers, standardised; of a sequence mean and maximum over its steps."""

    keeps_padding: bool = False  # for an export

    def __init__(self, item: Input) -> None:
        super().__init__()
        self.item = item
        self.standardize = Standardize(item.size)
        self.n_out = {"sequence": 2 * item.size, "image": math.prod(item.form)}.get(item.kind, item.size)

    def forward(self, values: Tensor, length: Tensor | None = None) -> Tensor:
        """The values of a `Part` to float32 [batch, n_out]."""
        if length is None:
            return cast(Tensor, self.standardize(values)).flatten(1)
        steps = values if self.keeps_padding else rows_of(Part(values, length > 0, length))
        return pooled(self.standardize(steps), length)


def _head(sizes: Sequence[int], n_classes: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), nn.GELU(), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_classes))
