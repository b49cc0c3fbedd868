"""How weights move: the optimiser, its rate at each step, and what keeps steps small."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from mmdata.train.config import TrainConfig


def optimizer(
    weights: Sequence[nn.Parameter], config: TrainConfig, free: Sequence[nn.Parameter] = ()
) -> torch.optim.Optimizer:
    """SGD, Adam or AdamW over a model's weights, as torch has them.

    `weight_decay` is L2 on the gradient for SGD and Adam, and apart from it for AdamW (Loshchilov and Hutter, 2019).
    The `free` ones are not decayed: a loss's own, such as a temperature.
    """
    decay = config.weight_decay
    groups: list[dict[str, Any]] = [
        {"params": list(weights)},
        *([{"params": list(free), "weight_decay": 0.0}] if free else []),
    ]
    if config.optimizer == "sgd":
        return torch.optim.SGD(groups, lr=config.lr, momentum=config.momentum, weight_decay=decay)
    kind = torch.optim.Adam if config.optimizer == "adam" else torch.optim.AdamW
    return kind(groups, lr=config.lr, weight_decay=decay)


def rate(config: TrainConfig, step: int, epoch_steps: int) -> float:
    """The learning rate of a step: arithmetic on its number, so that a resumed run needs no state for it.

    It rises evenly over the first `warmup_steps`; from there it is constant, falls to `lr_factor` of itself every
    `lr_epochs` ("step"), or falls along half a cosine to zero at the end of all epochs (Loshchilov and Hutter, 2017).

    Args:
        config: the run's settings.
        step: counted from 0 over all epochs.
        epoch_steps: of an epoch.

    >>> config = TrainConfig(inputs={"a": "b"}, lr=1.0, schedule="cosine", epochs=2, warmup_steps=2)
    >>> [round(rate(config, step, 5), 3) for step in range(10)]
    [0.5, 1.0, 1.0, 0.962, 0.854, 0.691, 0.5, 0.309, 0.146, 0.038]
    """
    if step < config.warmup_steps:
        return config.lr * (step + 1) / config.warmup_steps
    if config.schedule == "step":
        return config.lr * config.lr_factor ** (step // (config.lr_epochs * max(epoch_steps, 1)))
    if config.schedule == "cosine":
        whole = max(config.epochs * epoch_steps - config.warmup_steps, 1)
        return config.lr * 0.5 * (1 + math.cos(math.pi * min((step - config.warmup_steps) / whole, 1.0)))
    return config.lr


def absolute(weights: Iterable[Tensor]) -> Tensor:
    """The sum of all weights' absolute values, of matrices alone: biases and norms are not to be zero."""
    return torch.stack([weight.abs().sum() for weight in weights if weight.ndim > 1]).sum()


def autocast(config: TrainConfig, device: str) -> torch.autocast:
    """The context in which a model computes in fewer bits where that is safe, as torch knows it."""
    kind = torch.float16 if config.autocast == "float16" else torch.bfloat16
    return torch.autocast(device.partition(":")[0], kind, enabled=config.autocast != "off")


def scaler(config: TrainConfig, device: str) -> torch.amp.GradScaler:
    """What keeps small gradients of float16 from vanishing (Micikevicius et al., 2018); idle for other kinds."""
    return torch.amp.GradScaler(device.partition(":")[0], enabled=config.autocast == "float16")


def take(
    run_optimizer: torch.optim.Optimizer,
    scaler: torch.amp.GradScaler,
    model: nn.Module,
    config: TrainConfig,
    lr: float,
) -> None:
    """One step along the gradients, no longer than `clip_norm`; none where float16 overflowed."""
    scaler.unscale_(run_optimizer)
    if config.clip_norm is not None:
        torch.nn.utils.clip_grad_norm_(model.parameters(), config.clip_norm)
    for group in run_optimizer.param_groups:
        group["lr"] = lr
    scaler.step(run_optimizer)
    scaler.update()
