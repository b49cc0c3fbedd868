from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch

from mmdata.train.chance import Dropout
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input, Part, parts_of
from mmdata.train.judge import examine
from mmdata.train.loop import Run, fit
from mmdata.train.model import FusionModel
from mmdata.train.plan import ModelPlan
from mmdata.train.statistics import buffers, gather
from mmdata.train.vae import Reconstruction
from tests.train.conftest import ArrayBatches

INPUTS = (
    Input("a", "x.a", "vector", 4),
    Input("s", "x.s", "sequence", 3),
    Input("t", "x.t", "tokens", 9),
    Input("i", "x.i", "image", 2, (2, 3, 2)),
)
CONFIG = TrainConfig(
    inputs={item.name: item.column for item in INPUTS},
    encoders={"i": "image"},
    objective="reconstruction",
    width=8,
    latent=3,
    hidden=(8,),
    kl_weight=0.5,
)


def batch(n: int = 6) -> dict[str, Any]:
    rng = np.random.default_rng(0)
    return {
        "x.a": rng.normal(5, 2, (n, 4)).astype(np.float32),
        "x.a.mask": np.arange(n) != 1,
        "x.s": rng.normal(size=(n, 5, 3)).astype(np.float32),
        "x.s.length": np.array([5, 3, 0, 1, 2, 4]),
        "x.t": rng.integers(0, 9, (n, 2)),
        "x.t.length": np.full(n, 2),
        "x.i": rng.normal(-3, 4, (n, 2, 3, 2)).astype(np.float32),
    }


@pytest.fixture
def model() -> FusionModel:
    torch.manual_seed(0)
    net = FusionModel(ModelPlan(config=CONFIG, inputs=INPUTS))
    net.standardize_by(
        buffers(
            gather(
                [batch()], [replace(item, size=1) if item.kind == "tokens" else item for item in INPUTS], CONFIG
            ).moments
        )
    )
    return net.eval()


def test_the_loss_is_that_of_the_paper_over_what_is_there(model: FusionModel) -> None:
    objective, rows = model.objective, batch()
    assert isinstance(objective, Reconstruction)
    parts = parts_of(rows, INPUTS)
    with torch.inference_mode():
        output = model(parts).numpy()
    lengths = rows["x.s.length"]
    means = [rows["x.s"][row, :n].mean(axis=0) if n else np.zeros(3) for row, n in enumerate(lengths)]
    values = np.concatenate([rows["x.a"], np.stack(means), rows["x.i"].reshape(6, -1)], axis=1)
    scaled = (values - objective.standardize.mean.numpy()) / objective.standardize.scale.numpy()
    there = np.concatenate(
        [
            np.repeat(mask[:, None], size, 1)
            for mask, size in ((rows["x.a.mask"], 4), (lengths > 0, 3), (np.ones(6, bool), 12))
        ],
        axis=1,
    )
    mean, spread = output[:, 19:22], output[:, 22:]
    divergence = 0.5 * (mean**2 + np.exp(spread) - 1 - spread).sum()
    expected = 0.5 * ((output[:, :19] - scaled)[there] ** 2).sum() + 0.5 * divergence
    found = objective.losses(torch.from_numpy(output), objective.truth(rows, parts))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_the_divergence_is_torchs_own(model: FusionModel) -> None:
    objective = model.objective
    assert isinstance(objective, Reconstruction)
    mean, spread = torch.randn(5, 3), torch.randn(5, 3)
    normal = torch.distributions.Normal
    expected = torch.distributions.kl_divergence(normal(mean, (spread / 2).exp()), normal(0.0, 1.0)).sum(dim=1)
    torch.testing.assert_close(objective.divergence(torch.cat([torch.zeros(5, 19), mean, spread], dim=1)), expected)


def test_while_training_the_latent_numbers_are_drawn_and_else_their_mean(model: FusionModel) -> None:
    parts = parts_of(batch(), INPUTS)
    assert torch.equal(model(parts), model(parts))
    model.plan = replace(model.plan, config=replace(CONFIG, modality_dropout=0.0))
    model.train()
    for module in model.modules():
        if isinstance(module, Dropout):
            module.share = 0.0
    one, other = model(parts), model(parts)
    assert not torch.allclose(one[:, :19], other[:, :19])
    assert torch.equal(one[:, 19:], other[:, 19:])


def test_an_answer_is_in_the_features_own_units_and_says_what_was_missing(model: FusionModel) -> None:
    parts = parts_of(batch(), INPUTS)
    with torch.inference_mode():
        output = model(parts)
        answer, said = model.objective.answer(output), model.objective.said(output, parts)
    assert answer.shape == (6, 19)
    assert 2 < float(answer[:, :4].mean()) < 8
    assert {name: np.shape(value) for name, value in said[0]["reconstruction"].items()} == {
        "x.a": (4,),
        "x.s": (3,),
        "x.i": (2, 3, 2),
    }
    assert [row["filled"] for row in said[:3]] == [[], ["x.a"], ["x.s"]]
    np.testing.assert_allclose(np.ravel(said[1]["reconstruction"]["x.i"]), answer[1, 7:], rtol=1e-5)
    assert len(said[0]["latent"]) == 3


def rows(n: int, *, seed: int, related: bool) -> ArrayBatches:
    """Two inputs that two hidden numbers make both, or each its own two."""
    rng = np.random.default_rng(seed)
    mixing = np.random.default_rng(9).normal(size=(2, 2, 5))
    hidden = [rng.normal(size=(n, 2)) for _ in range(2)]
    made = {
        f"x.{name}": (hidden[at * (not related)] @ mixing[at] + 0.1 * rng.normal(size=(n, 5))).astype(np.float32)
        for at, name in enumerate("ab")
    }
    return ArrayBatches({"key": [str(row) for row in range(n)], **made}, size=32, seed=seed)


@pytest.mark.parametrize("related", [True, False])
def test_a_missing_input_is_filled_in_where_the_other_tells_it_and_only_there(related: bool) -> None:
    inputs = tuple(Input(name, f"x.{name}", "vector", 5) for name in "ab")
    config = TrainConfig(
        inputs={"a": "x.a", "b": "x.b"},
        objective="reconstruction",
        width=32,
        hidden=(32,),
        latent=4,
        kl_weight=0.05,
        dropout=0.0,
        modality_dropout=0.3,
        epochs=20,
        lr=1e-2,
    )
    torch.manual_seed(0)
    net = FusionModel(ModelPlan(config=config, inputs=inputs))
    net.standardize_by(buffers(gather(rows(256, seed=1, related=related), inputs, config).moments))
    run = Run.start(net)
    fit(run, rows(256, seed=1, related=related), None, save=None, watch=None)
    found, details = examine(net, rows(200, seed=2, related=related))
    assert found["mse"] < 0.35
    assert (found["filled_mse"] < 0.35) == related
    assert related or found["filled_mse"] > 0.8  # 1 is what the mean would do
    assert details["filled_mse"].keys() == {"a", "b"}
    assert np.mean(list(details["filled_mse"].values())) == pytest.approx(found["filled_mse"], rel=1e-6)
    gone = [
        Part(part.values, torch.zeros_like(part.present))
        for part in parts_of(next(iter(rows(8, seed=3, related=True))), inputs)
    ]
    assert torch.isfinite(net.eval()(gone)).all()


def test_only_what_another_input_could_tell_counts_as_filled_in() -> None:
    inputs = tuple(Input(name, f"x.{name}", "vector", 5) for name in "ab")
    config = TrainConfig(inputs={"a": "x.a", "b": "x.b"}, objective="reconstruction", width=8)
    net, batches = FusionModel(ModelPlan(config=config, inputs=inputs)), rows(6, seed=0, related=True)
    mask = np.array([True, True, False, True, False, True])
    batches.rows |= {"x.a.mask": mask, "x.a": np.where(mask[:, None], batches.rows["x.a"], 0)}
    lone = ArrayBatches(
        {name: [column[2], column[4]] if isinstance(column, list) else column[[2, 4]]
         for name, column in batches.rows.items()}
    )  # fmt: skip
    assert examine(net, lone)[0]["filled_mse"] == 0.0  # b stands alone: from nothing, nothing is filled in
    assert examine(net, lone)[0]["mse"] > 0.0
    assert examine(net, batches)[0]["filled_mse"] > 0.0
