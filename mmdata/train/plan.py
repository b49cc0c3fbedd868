"""All that a model's form hangs on, as JSON can say it: a checkpoint needs nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from mmdata.train.config import Aim, TrainConfig
from mmdata.train.inputs import Input


@dataclass(frozen=True, kw_only=True)
class Head:
    """What a model says of one target.

    Args:
        name: of the task; empty where there is but one. target: its column. objective: what is made small.
        classes: in order; of "binary" the one that is looked for comes last; none of a number.
        counts: how many samples of the training split each has; empty where nobody counted.
        mean, scale: of a number over the training split: the model's own numbers are standardised.
        weight: how much the task counts.
    """

    name: str = ""
    target: str = "label"
    objective: Aim = "cross_entropy"
    classes: tuple[str, ...] = ()
    counts: tuple[int, ...] = ()
    mean: float = 0.0
    scale: float = 1.0
    weight: float = 1.0

    @property
    def n_out(self) -> int:
        """How many numbers the model gives for it."""
        return len(self.classes) if self.objective == "cross_entropy" else 1

    def scored(self, score: str) -> str:
        """What one of its scores is called among those of all tasks."""
        return f"{self.name}.{score}" if self.name else score


@dataclass(frozen=True, kw_only=True)
class ModelPlan:
    """A model's form.

    Args:
        config: the run's settings. inputs: what goes in, in order.
        heads: what comes out, in order; none where nothing but the inputs is learned.
    """

    config: TrainConfig
    inputs: tuple[Input, ...]
    heads: tuple[Head, ...] = ()

    @property
    def classes(self) -> tuple[str, ...]:
        """Those of the first target, in order."""
        return self.heads[0].classes if self.heads else ()

    def to_json(self) -> dict[str, Any]:
        inputs, heads = ([dataclasses.asdict(item) for item in items] for items in (self.inputs, self.heads))
        return {"config": self.config.to_json(), "inputs": inputs, "heads": heads}

    @classmethod
    def of(cls, value: Mapping[str, Any]) -> Self:
        """Of what `to_json` made.

        Raises:
            ValueError: a value is of another type, or inputs and heads are not those of the settings.
            ConfigError: the settings can't be.
        """
        from pydantic import TypeAdapter

        inputs = TypeAdapter(tuple[Input, ...]).validate_python(value["inputs"])
        heads = TypeAdapter(tuple[Head, ...]).validate_python(value["heads"])
        config = TrainConfig.of(value["config"])
        if {item.name: item.column for item in inputs} != config.inputs:
            raise ValueError("its inputs are not those of its settings")
        if {head.name: head.target for head in heads} != {name: task.target for name, task in config.learned.items()}:
            raise ValueError("its targets are not those of its settings")
        return cls(config=config, inputs=inputs, heads=heads)
