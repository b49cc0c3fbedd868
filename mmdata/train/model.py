"""Encoders, a fusion and an objective's heads, put together from a plan."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import cast

import torch
from torch import Tensor, nn

from mmdata.errors import ConfigError
from mmdata.train.chance import Dropout
from mmdata.train.config import TrainConfig, arrangement, guess
from mmdata.train.encoders import AUTO, Encoder, Standardize, check_encoder, encoder, pooled
from mmdata.train.fusion import CrossAttention, fusion_class, silence
from mmdata.train.inputs import Input, Part
from mmdata.train.objectives import Objective, Scaling, Supervised
from mmdata.train.pairs import Contrastive
from mmdata.train.plan import ModelPlan
from mmdata.train.statistics import rows_of
from mmdata.train.vae import Reconstruction


class FusionModel(nn.Module):
    """What an objective asks of each sample, from as many of its inputs as there are."""

    def __init__(self, plan: ModelPlan) -> None:
        super().__init__()
        self.plan = plan
        config, kind = plan.config, fusion_class(plan.config.fusion)
        places = {item.name: at for at, item in enumerate(plan.inputs)}
        self.given = [places.get(arrangement(_asked(config, item.name))[1] or "") for item in plan.inputs]
        self.order = _order(self.given)
        self.encoders = nn.ModuleList(
            _Raw(item) if kind.of == "raw" else encoder(item, _asked(config, item.name), config.width, config.dropout)
            for item in plan.inputs
        )
        self.objective = objective_of(plan)
        n_inputs, n_out = len(plan.inputs), self.objective.n_answer
        width = sum(cast(_Raw, each).n_out for each in self.encoders) if kind.of == "raw" else config.width
        self.fusion = kind(n_inputs, n_out if kind.of == "logits" else width)
        sizes = [config.width if kind.of == "logits" else self.fusion.n_out, *config.hidden]
        n_heads = n_inputs if kind.of == "logits" else 1
        self.heads = nn.ModuleList(
            nn.ModuleList(_head(sizes, n_out, config.dropout) for _ in range(n_heads))
            for _ in range(self.objective.n_views)
        )

    def standardize_by(self, statistics: Scaling) -> None:
        """Take over mean and scale, float32 [size] each, by input name."""
        for item, each in zip(self.plan.inputs, self.encoders, strict=True):
            standardize, (mean, scale) = cast(Encoder, each).standardize, statistics[item.name]
            if standardize is not None:
                standardize.mean.copy_(mean)
                standardize.scale.copy_(scale)
        self.objective.standardize_by(statistics)

    @property
    def shared(self) -> list[nn.Parameter]:
        """All weights but those of the loss itself, which have their whole gradient on each rank."""
        own = {id(weight) for weight in self.objective.own}
        return [weight for weight in self.parameters() if id(weight) not in own]

    def forward(self, parts: Sequence[Part]) -> Tensor:
        """One `Part` an input, in the plan's order, to what the objective's `finish` gives: float32 [batch, n_out]."""
        present = torch.stack([part.present for part in parts], dim=1)
        if self.training and self.plan.config.modality_dropout:
            present = silence(present, self.plan.config.modality_dropout)
        views, of_view = self.objective.views(present), cast(list[nn.ModuleList], list(self.heads))
        if self.fusion.of == "logits":
            encoded = [each.summary(*steps) for each, steps in self._encoded(parts, present)]
            answers = [
                self.fusion(torch.stack([head(each) for head, each in zip(heads, encoded, strict=True)], dim=1), view)
                for heads, view in zip(of_view, views, strict=True)
            ]
        else:
            fused = self._fused(parts, present, views)
            answers = [heads[0](each) for heads, each in zip(of_view, fused, strict=True)]
        return self.objective.finish(answers)

    def _fused(self, parts: Sequence[Part], present: Tensor, views: Sequence[Tensor]) -> list[Tensor]:
        """A vector a view, float32 [batch, n_out of the fusion]."""
        if self.fusion.of == "raw":
            raw = [each(part.values, part.length) for each, part in zip(self.encoders, parts, strict=True)]
            return [
                self.fusion(
                    torch.cat([torch.where(view[:, at, None], each, 0.0) for at, each in enumerate(raw)], dim=1), view
                )
                for view in views
            ]
        pairs = self._encoded(parts, present)
        encoded = torch.stack([each.summary(*steps) for each, steps in pairs], dim=1)
        if isinstance(self.fusion, CrossAttention):
            return [self.fusion.over(encoded, view, [steps for _, steps in pairs]) for view in views]
        return [self.fusion(encoded, view) for view in views]

    def _encoded(self, parts: Sequence[Part], present: Tensor) -> list[tuple[Encoder, tuple[Tensor, Tensor]]]:
        """Each encoder with its steps. One that is given another's encoding comes after that; zeros where it lacks."""
        done: dict[int, tuple[Tensor, Tensor]] = {}
        encoders = cast(list[Encoder], list(self.encoders))
        for at in self.order:
            source, given = self.given[at], None
            if source is not None:
                given = torch.where(present[:, source, None], encoders[source].summary(*done[source]), 0.0)
            done[at] = encoders[at].steps(parts[at].values, parts[at].length, given)
        return [(each, done[at]) for at, each in enumerate(encoders)]


def objective_of(plan: ModelPlan) -> Objective:
    """What a plan's model learns."""
    kinds = {"contrastive": Contrastive, "reconstruction": Reconstruction}
    return kinds.get(plan.config.objective, Supervised)(plan)


def _order(given: Sequence[int | None]) -> list[int]:
    """Places of encoders, each after the one that it is given something from.

    Raises:
        ConfigError: they go in a circle.
    """
    order: list[int] = []
    while len(order) < len(given):
        ready = [at for at, source in enumerate(given) if at not in order and (source is None or source in order)]
        if not ready:
            raise ConfigError("train", ["encoders: a circle of <-, of which none could be encoded first"])
        order += ready
    return order


def _asked(config: TrainConfig, name: str) -> str:
    return config.encoders.get(name, AUTO)


def check_encoders(inputs: Sequence[Input], config: TrainConfig) -> None:
    """Raises ConfigError where an encoder is for no input, or does not go with it, or with the fusion; all at once."""
    names = [item.name for item in inputs]
    faults = [
        f"encoders.{name}: no input {name!r}{guess(name, names)}" for name in config.encoders if name not in names
    ]
    for item in inputs:
        own, given = arrangement(_asked(config, item.name))
        fault = check_encoder(item, own) or _cascade_fault(item.name, config)
        if fault is None and item.kind == "tokens" and fusion_class(config.fusion).of == "raw":
            fault = f"{config.fusion!r} takes numbers, and {item.column!r} holds tokens"
        if given and fault is None and fusion_class(config.fusion).of == "raw":
            fault = f"{config.fusion!r} has no encoders that could be given one another's"
        faults += [f"encoders.{item.name}: {fault}"] if fault else []
    if faults:
        raise ConfigError("train", faults)


def _cascade_fault(name: str, config: TrainConfig) -> str | None:
    """What is wrong with where an encoder is given something from, or None."""
    seen = [name]
    while (given := arrangement(_asked(config, seen[-1]))[1]) is not None:
        if given not in config.inputs:
            return f"no input {given!r}{guess(given, config.inputs)}"
        if given in seen:
            return f"a circle, {' <- '.join([*seen, given])}, of which none could be encoded first"
        if config.objective == "contrastive" and any((name in side) != (given in side) for side in config.pair):
            return f"{given!r} is of the other side, which would give away what belongs together"
        seen.append(given)
    return None


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


def _head(sizes: Sequence[int], n_out: int, dropout: float) -> nn.Sequential:
    layers: list[nn.Module] = []
    for n_in, n_next in pairwise(sizes):
        layers += [nn.Linear(n_in, n_next), nn.GELU(), Dropout(dropout)]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], n_out))
