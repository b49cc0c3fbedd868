from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch

from mmdata.errors import DataError
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input, parts_of
from mmdata.train.model import FusionModel
from mmdata.train.plan import Head, ModelPlan
from mmdata.train.predict import predict

INPUTS = (
    Input("v", "x.v", "vector", 6),
    Input("s", "x.s", "sequence", 3),
    Input("i", "x.i", "image", 3, (4, 4, 3)),
    Input("t", "x.t", "tokens", 9),
)


@pytest.fixture
def model() -> FusionModel:
    torch.manual_seed(2)
    config = TrainConfig(inputs={item.name: item.column for item in INPUTS}, encoders={"i": "image"}, width=8)
    return FusionModel(ModelPlan(config=config, inputs=INPUTS, heads=(Head(classes=("a", "b", "c")),)))


def rows(n: int) -> list[dict[str, np.ndarray]]:
    rng = np.random.default_rng(0)
    return [
        {
            "x.v": rng.normal(size=(2, 3)).astype(np.float32),
            "x.s": rng.normal(size=(1 + number, 3)),
            "x.i": rng.integers(0, 255, (4, 4, 3)).astype(np.uint8),
            "x.t": rng.integers(0, 20, 5 - number),
        }
        for number in range(n)
    ]


def test_probabilities_are_those_of_the_model_whatever_is_predicted_beside(model: FusionModel) -> None:
    given = rows(4)
    together = predict(model, given)
    assert together.shape == (4, 3)
    np.testing.assert_allclose(together.sum(axis=1), 1, rtol=1e-5)
    for row, probabilities in zip(given, together, strict=True):
        np.testing.assert_allclose(predict(model, [row])[0], probabilities, rtol=1e-4, atol=1e-6)
        batch: dict[str, Any] = {name: array[None] for name, array in row.items()}
        batch |= {f"{name}.length": np.array([len(row[name])]) for name in ("x.s", "x.t")}
        with torch.inference_mode():
            np.testing.assert_allclose(
                model(parts_of(batch, INPUTS)).softmax(1)[0], probabilities, rtol=1e-4, atol=1e-6
            )


def test_what_a_sample_lacks_is_a_missing_input(model: FusionModel) -> None:
    given = rows(2)
    del given[0]["x.s"], given[0]["x.t"], given[1]["x.v"], given[1]["x.i"]
    together = predict(model, given)
    for row, probabilities in zip(given, together, strict=True):
        np.testing.assert_allclose(predict(model, [row])[0], probabilities, rtol=1e-4, atol=1e-6)
    assert predict(model, []).shape == (0, 3)


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({}, "'k' has none of the model's inputs: 'x.v', 'x.s', 'x.i', 'x.t'"),
        ({"x.v": None, "x.s": np.zeros((0, 3))}, "'k' has none of the model's inputs"),
        ({"x.v": np.zeros(5)}, r"'x.v' of 'k' is \[5\]: the model was trained on another form"),
        ({"x.s": np.zeros((4, 2))}, "'x.s' of 'k'"),
        ({"x.i": np.zeros((4, 3, 4))}, "'x.i' of 'k'"),
        ({"x.t": np.zeros((2, 2), int)}, "'x.t' of 'k'"),
        ({"x.v": np.array([1, 2, np.nan, 4, 5, 6.0])}, "'x.v' of 'k' holds NaN"),
    ],
)
def test_what_the_model_can_t_take_is_refused_by_name(model: FusionModel, row: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        predict(model, [row], keys=["k"])
