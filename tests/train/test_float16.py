"""Training in float16, with the loss scaled; on a CPU, which can do so, too, only slowly."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from mmdata.store import Store
from mmdata.train.checkpoint import load
from mmdata.train.config import TrainConfig
from mmdata.train.distributed import ALONE
from mmdata.train.inputs import Input
from mmdata.train.loop import Run
from mmdata.train.model import FusionModel
from mmdata.train.optimize import take
from mmdata.train.plan import Head, ModelPlan
from tests.train.ranks import trained


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=2, batch_size=24, lr=1e-2, autocast="float16", checkpoint_steps=4)


def test_losses_are_near_those_of_float32_and_go_on_after_a_stop(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    plain = trained(store, ALONE, config=replace(config, autocast="off").to_json())["losses"]
    whole = trained(store, ALONE, config=config.to_json(), out=str(tmp_path / "whole"))["losses"]
    assert whole != plain
    assert whole == pytest.approx(plain, abs=0.05)
    trained(store, ALONE, config=config.to_json(), out=str(tmp_path / "stopped"), stop=6)
    assert load(tmp_path / "stopped" / "checkpoint.pt").scaler["scale"] == 65536
    rest = trained(store, ALONE, config=config.to_json(), out=str(tmp_path / "stopped"))["losses"]
    assert min(int(step) for step in rest if step.isdecimal()) == 5
    assert rest.items() <= whole.items()


def test_the_gradients_are_clipped_at_their_own_size(config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    run = started(replace(config, clip_norm=1.0, optimizer="sgd", momentum=0.0, weight_decay=0.0), inputs)
    weight = next(run.model.parameters())
    before = weight.detach().clone()
    run.scaler.scale(torch.zeros(()))  # as a loss begins it
    weight.grad = torch.full_like(weight, 65536.0)  # 1, scaled
    take(run.optimizer, run.scaler, run.model, run.model.plan.config, 0.5)
    assert float((weight.detach() - before).norm()) == pytest.approx(0.5, rel=1e-3)


def test_a_step_that_overflows_is_left_out_and_the_scale_halved(config: TrainConfig, inputs: tuple[Input, ...]) -> None:
    run = started(config, inputs)
    weight = next(run.model.parameters())
    before = weight.detach().clone()
    run.scaler.scale(torch.zeros(()))
    weight.grad = torch.full_like(weight, torch.inf)
    take(run.optimizer, run.scaler, run.model, config, 0.5)
    assert torch.equal(weight, before)
    assert run.checkpoint().scaler["scale"] == 32768


def started(config: TrainConfig, inputs: tuple[Input, ...]) -> Run:
    torch.manual_seed(0)
    return Run.start(FusionModel(ModelPlan(config=config, inputs=inputs, heads=(Head(classes=("a", "b")),))))
