from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input, Part, parts_of
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan

CLASSES = ("northeast", "northwest", "southeast", "southwest")


@pytest.fixture
def plan(config: TrainConfig, inputs: tuple[Input, ...]) -> ModelPlan:
    return ModelPlan(config=config, inputs=inputs, heads=(Head(classes=CLASSES),))


@pytest.fixture
def parts(world: Callable[..., Any], inputs: tuple[Input, ...]) -> list[Part]:
    return parts_of(next(iter(world(12, missing=0.4, size=12))), inputs)


def test_a_plan_survives_json(plan: ModelPlan) -> None:
    assert ModelPlan.of(json.loads(json.dumps(plan.to_json()))) == plan


@pytest.mark.parametrize("hidden", [(), (5,), (5, 3)])
def test_every_form_gives_a_number_a_class(plan: ModelPlan, parts: list[Part], hidden: tuple[int, ...]) -> None:
    config = replace(plan.config, hidden=hidden)
    logits = FusionModel(replace(plan, config=config))(parts)
    assert logits.shape == (12, 4)
    assert torch.isfinite(logits).all()


def test_a_missing_input_does_not_reach_the_result(plan: ModelPlan, parts: list[Part]) -> None:
    torch.manual_seed(0)
    model = FusionModel(plan).eval()
    gone = torch.zeros(12, dtype=torch.bool)
    one, other = (Part(torch.full((12, 4), value), gone) for value in (0.0, 5.0))
    torch.testing.assert_close(model([one, parts[1]]), model([other, parts[1]]))
    there = Part(torch.full((12, 4), 5.0), ~gone)
    assert not torch.allclose(model([one, parts[1]]), model([there, parts[1]]))


def test_all_inputs_missing_still_gives_an_answer(plan: ModelPlan) -> None:
    model = FusionModel(plan).eval()
    gone = torch.zeros(2, dtype=torch.bool)
    parts = [Part(torch.zeros(2, 4), gone), Part(torch.zeros(2, 1, 3), gone, torch.zeros(2, dtype=torch.int64))]
    assert torch.isfinite(model(parts)).all()


def test_a_batch_may_be_empty(plan: ModelPlan) -> None:
    gone = torch.zeros(0, dtype=torch.bool)
    parts = [Part(torch.zeros(0, 4), gone), Part(torch.zeros(0, 1, 3), gone, torch.zeros(0, dtype=torch.int64))]
    assert FusionModel(plan)(parts).shape == (0, 4)


def test_inputs_are_silenced_while_training_only(plan: ModelPlan, parts: list[Part]) -> None:
    config = replace(plan.config, dropout=0.0, modality_dropout=0.5)
    model = FusionModel(replace(plan, config=config))
    torch.manual_seed(0)
    assert not torch.allclose(model(parts), model(parts))
    model.eval()
    torch.testing.assert_close(model(parts), model(parts), rtol=0, atol=0)


def test_statistics_reach_the_encoder_of_their_name(plan: ModelPlan) -> None:
    model = FusionModel(plan)
    ones, twos = (torch.ones(4), 2 * torch.ones(4)), (3 * torch.ones(3), 4 * torch.ones(3))
    model.standardize_by({"speech": twos, "image": ones})
    state = model.state_dict()
    assert state["encoders.0.standardize.scale"].tolist() == [2] * 4
    assert state["encoders.1.standardize.mean"].tolist() == [3] * 3
