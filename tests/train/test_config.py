from __future__ import annotations

import json

import pytest

from mmdata.errors import ConfigError
from mmdata.train.config import TrainConfig

INPUTS = {"image": "image.embedding"}


def test_settings_survive_json() -> None:
    config = TrainConfig(inputs=INPUTS, hidden=(8, 4), patience=None, val_split=None)
    assert TrainConfig.of(json.loads(json.dumps(config.to_json()))) == config


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("epochs", 1, 0),
        ("batch_size", 1, 0),
        ("width", 1, 0),
        ("dropout", 0.0, -0.1),
        ("dropout", 0.99, 1.0),
        ("modality_dropout", 0.5, 1.0),
        ("lr", 1e-9, 0.0),
        ("patience", None, 0),
        ("patience", 1, -1),
        ("label_smoothing", 0.1, 1.0),
        ("weight_decay", 0.0, -1e-9),
        ("seed", 0, -1),
        ("seed", 2**63 - 1, 2**63),
        ("score", "loss", "auc"),
        ("hidden", [], [0]),
        ("checkpoint_steps", 1, 0),
        ("inputs", {"a": "b"}, {}),
    ],
)
def test_bounds_hold_on_both_sides(name: str, good: object, bad: object) -> None:
    assert TrainConfig.of({"inputs": INPUTS, name: good})
    with pytest.raises(ConfigError, match=name):
        TrainConfig.of({"inputs": INPUTS, name: bad})


def test_all_faults_come_at_once_with_a_guess() -> None:
    with pytest.raises(ConfigError) as caught:
        TrainConfig.of({"inputs": INPUTS, "epoch": 3, "lr": -1, "width": "wide"}, where="pipelines/x.yaml: train")
    assert len(caught.value.faults) == 3
    assert "no setting 'epoch', did you mean 'epochs'?" in caught.value.faults[0]
    assert str(caught.value).startswith("pipelines/x.yaml: train: 3 faults")


def test_a_missing_setting_without_default_is_a_fault() -> None:
    with pytest.raises(ConfigError, match="inputs"):
        TrainConfig.of({})


def test_settings_are_copied_so_that_a_caller_may_change_its_own() -> None:
    given = dict(INPUTS)
    config = TrainConfig(inputs=given)
    given["text"] = "text.embedding"
    assert config.inputs == INPUTS
