from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.errors import ConfigError
from mmdata.store import Store
from mmdata.train.config import TrainConfig
from mmdata.train.fit import train
from mmdata.train.importance import Importance, attention, shuffled
from mmdata.train.inputs import Input, parts_of
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan

Build = Any


@pytest.fixture
def config(config: TrainConfig) -> TrainConfig:
    return replace(config, selection="v1", epochs=8, batch_size=24, lr=2e-2)


def test_what_the_model_needs_drops_and_what_tells_nothing_does_not(
    store: Store, config: TrainConfig, tmp_path: Path
) -> None:
    config = replace(config, target="meta.side", fusion="attention_pool")  # the image alone tells north from south
    report = train(store, config, out=tmp_path, repeats=3)
    found = report.importance
    assert found is not None
    assert report.test is not None
    assert found.score == "macro_f1"
    assert found.whole == pytest.approx(report.test["macro_f1"])
    assert found.means["image"] > 0.25  # to a coin's toss, where the image is there
    assert abs(found.means["speech"]) < 0.1
    assert len(set(found.drops["image"])) > 1
    assert found.attention is not None
    assert sum(float(value) for value in found.attention.values() if isinstance(value, float)) > 0.9
    written = json.loads((tmp_path / "report.json").read_text())
    assert written["importance"] == found.means
    assert written["attention"] == found.attention
    assert written["importance_details"]["drops"]["image"] == list(found.drops["image"])
    assert "image  0." in str(report)
    assert train(store, config, out=None, repeats=3).importance == found


def test_a_loss_that_rises_is_a_drop(store: Store, config: TrainConfig) -> None:
    found = train(store, replace(config, score="loss"), out=None, repeats=1).importance
    assert found is not None
    assert min(found.means.values()) > 0.1


def test_there_is_no_importance_without_a_split_to_judge_on(store: Store, config: TrainConfig) -> None:
    with pytest.raises(ConfigError, match="importance: inputs are shuffled in the test or validation split"):
        train(store, replace(config, val_split=None, test_split=None), out=None, repeats=1)


def test_values_masks_and_lengths_change_places_together(world: Build, inputs: tuple[Input, ...]) -> None:
    before, speech = list(world(20, missing=0.3)), inputs[1]
    after = list(shuffled(world(20, missing=0.3), speech, 0, 0))
    for one, other in zip(before, after, strict=True):
        assert one["label"] == other["label"]
        assert (one["image.embedding"] == other["image.embedding"]).all()
        rows = [(values.tobytes(), n, there) for values, n, there in zip(*_speech(one), strict=True)]
        others = [(values.tobytes(), n, there) for values, n, there in zip(*_speech(other), strict=True)]
        assert rows != others
        assert sorted(rows) == sorted(others)
    again = list(shuffled(world(20, missing=0.3), speech, 0, 1))
    assert any(not np.array_equal(_speech(one)[0], _speech(other)[0]) for one, other in zip(after, again, strict=True))


def _speech(batch: Any) -> list[Any]:
    return [batch[f"speech.mfcc{end}"] for end in ("", ".length", ".mask")]


@pytest.mark.parametrize("fusion", ["attention_pool", "weighted_sum", "late_weighted", "gated"])
def test_weights_of_inputs_are_means_over_samples(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], fusion: str
) -> None:
    model = made(config, inputs, fusion)
    found = attention(model, world(20, missing=0.3))
    assert found is not None
    assert list(found) == ["image", "speech"]
    expected = []
    model.fusion.look.register_forward_hook(lambda module, given, out: expected.append(given[0]))
    with torch.inference_mode():
        for batch in world(20, missing=0.3):
            model(parts_of(batch, inputs))
    rows = torch.cat(expected)
    for at, name in enumerate(found):
        there = rows[:, at][rows.any(dim=1)]
        assert found[name] == pytest.approx(float(there.mean()), rel=1e-5)
    if fusion != "gated":
        assert sum(float(value) for value in found.values() if isinstance(value, float)) == pytest.approx(1)


@pytest.mark.parametrize("fusion", ["additive", "cross_attention"])
def test_attention_says_how_much_each_input_looks_at_each(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], fusion: str
) -> None:
    found = attention(made(config, inputs, fusion), world(20))
    assert found is not None
    for name, row in found.items():
        assert isinstance(row, dict)
        assert sum(row.values()) == pytest.approx(1)
        assert (row[name] == 0) == (fusion == "cross_attention")  # that asks others alone


@pytest.mark.parametrize("fusion", ["concat", "product", "early"])
def test_a_fusion_without_weights_has_no_attention(
    world: Build, config: TrainConfig, inputs: tuple[Input, ...], fusion: str
) -> None:
    assert attention(made(config, inputs, fusion), world(20)) is None


def made(config: TrainConfig, inputs: tuple[Input, ...], fusion: str) -> FusionModel:
    torch.manual_seed(0)
    plan = ModelPlan(config=replace(config, fusion=fusion), inputs=inputs, heads=(Head(classes=("a", "b", "c")),))
    return FusionModel(plan).eval()


@pytest.mark.parametrize(("score", "way"), [("accuracy", "drops"), ("rmse", "rises"), ("height.mae", "rises")])
def test_a_score_that_is_good_when_low_is_said_to_rise(score: str, way: str) -> None:
    told = str(Importance(score=score, whole=0.5, drops={"image": (0.1, 0.3)}, attention=None))
    assert told.splitlines() == [
        f"{score} 0.500; with an input from another sample it {way} by",
        "  image  0.200 ± 0.141",
    ]
