from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from mmdata.errors import SchemaMismatch
from mmdata.train.checkpoint import check_config
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input
from mmdata.train.judge import evaluate
from mmdata.train.loop import Run, fit
from mmdata.train.model import FusionModel
from mmdata.train.optimize import absolute, optimizer, rate
from mmdata.train.plan import ModelPlan
from mmdata.train.statistics import buffers, gather

World = Callable[..., Any]


def run_of(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> Run:
    found = gather(world(60), inputs, config)
    torch.manual_seed(config.seed)
    model = FusionModel(ModelPlan(config=config, inputs=inputs, heads=(found.targets[""].head("", None),)))
    model.standardize_by(buffers(found.moments))
    return Run.start(model)


@pytest.mark.parametrize(("name", "kind"), [("sgd", "SGD"), ("adam", "Adam"), ("adamw", "AdamW")])
def test_the_optimiser_is_torchs_own(config: TrainConfig, name: Any, kind: str) -> None:
    made = optimizer(list(nn.Linear(2, 2).parameters()), replace(config, optimizer=name, lr=0.5, weight_decay=0.25))
    assert type(made).__name__ == kind
    assert (made.defaults["lr"], made.defaults["weight_decay"]) == (0.5, 0.25)


def test_the_rate_falls_in_steps_and_rises_before(config: TrainConfig) -> None:
    config = replace(config, lr=1.0, schedule="step", lr_epochs=2, lr_factor=0.5, warmup_steps=3)
    assert [rate(config, step, 2) for step in range(10)] == [1 / 3, 2 / 3, 1, 1, 0.5, 0.5, 0.5, 0.5, 0.25, 0.25]
    constant = replace(config, schedule="constant", warmup_steps=0)
    assert {rate(constant, step, 2) for step in range(10)} == {1.0}


@pytest.mark.parametrize(
    "settings",
    [
        {"optimizer": "sgd", "lr": 0.02},
        {"optimizer": "adam", "schedule": "cosine", "warmup_steps": 4},
        {"accumulate": 3, "clip_norm": 1.0, "lr": 1e-2},
        {"autocast": "bfloat16"},
        {"focal": 2.0, "class_weights": "balanced"},
        {"schedule": "step", "lr_epochs": 6},
    ],
    ids=str,
)
def test_each_way_of_training_learns(
    world: World, config: TrainConfig, inputs: tuple[Input, ...], settings: dict[str, Any]
) -> None:
    run = run_of(world, replace(config, **settings), inputs)
    fit(run, world(160, shuffle=1), None, save=None, watch=None)
    assert evaluate(run.model, world(200, seed=1))["accuracy"] > 0.9


def test_batches_added_up_move_weights_as_one_batch_of_all(
    world: World, config: TrainConfig, inputs: tuple[Input, ...]
) -> None:
    config = replace(config, dropout=0.0, modality_dropout=0.0, epochs=1, optimizer="sgd", lr=0.1)
    one = run_of(world, config, inputs)
    fit(one, world(20, size=12), None, save=None, watch=None)
    many = run_of(world, replace(config, accumulate=3), inputs)
    fit(many, world(20, size=4), None, save=None, watch=None)
    assert (one.progress.step, many.progress.step) == (2, 2)
    for name, weight in one.model.state_dict().items():
        torch.testing.assert_close(many.model.state_dict()[name], weight, rtol=1e-4, atol=1e-6)


def test_a_clipped_step_is_no_longer_than_that(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    config = replace(config, optimizer="sgd", momentum=0.0, weight_decay=0.0, lr=1.0, clip_norm=0.01, epochs=1)
    run = run_of(world, config, inputs)
    before = [weight.detach().clone() for weight in run.model.parameters()]
    fit(run, world(8, size=8), None, save=None, watch=None)
    moved = [(a - b).square().sum() for a, b in zip(run.model.parameters(), before, strict=True)]
    assert math.sqrt(float(torch.stack(moved).detach().sum())) == pytest.approx(0.01, rel=1e-3)


def test_l1_makes_weights_small(world: World, config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    sums = []
    for l1 in (0.0, 0.01):
        run = run_of(world, replace(config, l1=l1), inputs)
        fit(run, world(60, shuffle=1), None, save=None, watch=None)
        sums.append(float(absolute(run.model.parameters()).detach()))
    assert sums[1] < 0.5 * sums[0]


def test_the_end_of_a_cosine_is_no_setting_to_change_on_the_way(config: TrainConfig, tmp_path: Any) -> None:
    more = replace(config, epochs=99)
    check_config(tmp_path, config, more)
    with pytest.raises(SchemaMismatch, match="epochs was 12, is 99"):
        check_config(tmp_path, replace(config, schedule="cosine"), replace(more, schedule="cosine"))
