"""Whether a training can work, asked before its first step; all faults at once, by their settings' names."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, DataError
from mmdata.train.config import TrainConfig, guess
from mmdata.train.inputs import Batch, Input, numbers_of, parts_of
from mmdata.train.statistics import Statistics, Target
from mmdata.train.vae import decoded

SHOWN = 5  # classes that a message lists


def check_form(inputs: Sequence[Input], config: TrainConfig, specs: Mapping[str, ArraySpec]) -> None:
    """Check what is known without reading.

    Raises:
        ConfigError: a target is a feature of many numbers; nothing that goes in could be decoded.
    """
    faults = []
    for name, task in config.learned.items():
        spec = specs.get(task.target)
        if spec is not None and (spec.varying or math.prod(size or 0 for size in spec.shape) != 1):
            faults.append(
                f"{_setting(name)}: {task.target!r} has {spec.dims} a sample; a target is one number or class"
            )
    if config.objective == "reconstruction" and not decoded(inputs):
        faults.append("inputs: there are only tokens, which a reconstruction can't give back: add one of numbers")
    if faults:
        raise ConfigError("train", faults)


def check_split(found: Statistics, config: TrainConfig) -> None:
    """Check what the training split holds.

    Raises:
        ConfigError: nobody has an input; a target that the objective can't learn; too few pairs.
    """
    where = f"split {config.train_split!r} of selection {config.selection!r}"
    faults = [
        f"inputs.{name}: no sample of {where} has {config.inputs[name]!r}"
        for name, moments in found.moments.items()
        if moments.n == 0
    ]
    for name, target in found.targets.items():
        faults += [f"{_setting(name)}: {fault}; {where}" for fault in _target_faults(target, config)]
    if config.objective == "contrastive" and found.n_pairs < 2:
        first, second = ("+".join(side) for side in config.pair)
        faults.append(
            f"sides: {found.n_pairs} samples of {where} have both {first} and {second}; at least two are told apart"
        )
    if faults:
        raise ConfigError("train", faults)


def check_batch(batch: Batch, inputs: Sequence[Input], config: TrainConfig) -> None:
    """Check a batch that a model will be judged on.

    Raises:
        DataError: an input holds NaN or infinity, or a target no number.
    """
    parts_of(batch, inputs)
    for task in config.learned.values():
        if task.objective == "regression" and (odd := numbers_of(batch, task.target)[1]) is not None:
            raise DataError(f"{task.target!r} of {odd[0]!r} is {odd[1]!r}: a regression needs finite numbers")


def _setting(task: str) -> str:
    return f"tasks.{task}.target" if task else "target"


def _target_faults(target: Target, config: TrainConfig) -> Iterator[str]:
    column, names = target.task.target, target.names
    n = sum(target.counts)
    listed = ", ".join(repr(name) for name in names[:SHOWN]) + (", ..." if len(names) > SHOWN else "") or "none"
    if target.task.objective == "regression":
        yield from _number_faults(target)
    elif len(names) < 2:
        yield f"{column!r} has at least two classes where it can be learned, not {len(names)}: {listed}"
    elif target.task.objective == "binary" and len(names) > 2:
        yield f"{column!r} has {len(names)} classes, and binary tells two apart: {listed}; use cross_entropy"
    elif target.task.objective == "binary" and config.positive not in {None, *names}:
        yield f"positive: {column!r} has no class {config.positive!r}{guess(str(config.positive), names)}"
    elif len(names) == n and n > SHOWN:
        yield f"each of {n} samples has a class of its own in {column!r}: {listed}; is it a class?"


def _number_faults(target: Target) -> Iterator[str]:
    column = target.task.target
    if target.odd is not None:
        yield f"{column!r} of {target.odd[0]!r} is {target.odd[1]!r}: a regression needs finite numbers"
    elif target.numbers.n == 0:
        yield f"no sample has a number in {column!r}"
    elif bool(target.numbers.still()[0]):
        yield f"{column!r} is {float(target.numbers.mean[0]):g} for every sample: there is nothing to learn"
