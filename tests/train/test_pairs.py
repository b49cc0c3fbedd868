from __future__ import annotations

import numpy as np
import pytest
import torch
from torch import Tensor

from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Input, Part
from mmdata.train.judge import evaluate
from mmdata.train.loop import Run, fit
from mmdata.train.model import FusionModel
from mmdata.train.pairs import Contrastive
from mmdata.train.plan import ModelPlan
from mmdata.train.statistics import buffers, gather
from tests.train.conftest import ArrayBatches

INPUTS = tuple(Input(name, f"x.{name}", "vector", 6) for name in ("picture", "title", "text"))
SIDES = (("picture",), ("title", "text"))
FUSIONS = ["concat", "product", "cross_attention", "late_average", "early"]


def model(fusion: str = "concat", **settings: object) -> FusionModel:
    torch.manual_seed(0)
    columns = {item.name: item.column for item in INPUTS}
    config = TrainConfig(inputs=columns, objective="contrastive", sides=SIDES, fusion=fusion, width=8, **settings)  # type: ignore[arg-type]
    return FusionModel(ModelPlan(config=config, inputs=INPUTS)).eval()


def parts(n: int = 5, seed: int = 0) -> list[Part]:
    rng = torch.Generator().manual_seed(seed)
    return [Part(torch.randn(n, 6, generator=rng), torch.ones(n, dtype=torch.bool)) for _ in INPUTS]


def info_nce(first: np.ndarray, second: np.ndarray, scale: float) -> float:
    """CLIP's pseudocode (Radford et al., 2021, figure 3), summed over samples."""
    logits = scale * first @ second.T
    total = 0.0
    for way in (logits, logits.T):
        lost = np.log(np.exp(way).sum(axis=1)) - np.diag(way)
        total += lost.sum() / 2
    return float(total)


def test_the_loss_is_clips_over_the_samples_that_have_both_sides() -> None:
    objective = model().objective
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(2, 5, 8))
    vectors /= np.linalg.norm(vectors, axis=2, keepdims=True)
    output = torch.tensor(np.concatenate(vectors, axis=1), dtype=torch.float32)
    both = torch.tensor([True, True, False, True, True])
    kept = vectors[:, both.numpy()]
    expected = info_nce(kept[0], kept[1], 1 / 0.07)
    assert objective.losses(output, (both,)).item() == pytest.approx(expected, rel=1e-5)
    assert objective.counts((both,)).tolist() == [4]


def test_the_temperature_is_learned_and_never_sharper_than_clips() -> None:
    objective = model().objective
    assert isinstance(objective, Contrastive)
    output, both = torch.nn.functional.normalize(torch.randn(4, 8), dim=1).repeat(1, 2), torch.ones(4, dtype=torch.bool)
    objective.losses(output, (both,)).sum().backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert objective.log_scale.grad is not None
    assert float(objective.log_scale.grad) < 0  # what is right already wants to be surer
    output = torch.nn.functional.normalize(torch.randn(4, 2, 8), dim=2).flatten(1)  # partners that are none
    sharpest = float(np.log(100))
    with torch.no_grad():
        losses = [
            float(objective.log_scale.fill_(value) * 0 + objective.losses(output, (both,))) for value in (sharpest, 9.0)
        ]
    assert losses[0] == losses[1]


@pytest.mark.parametrize("fusion", FUSIONS)
def test_a_side_sees_its_own_inputs_alone(fusion: str) -> None:
    net, here, other = model(fusion), parts(), parts(seed=1)

    def changed(at: int) -> list[bool]:
        found = net([*here[:at], other[at], *here[at + 1 :]])
        return [not torch.equal(*halves) for halves in zip(found.chunk(2, 1), net(here).chunk(2, 1), strict=True)]

    assert [changed(at) for at in range(3)] == [[True, False], [False, True], [False, True]]
    np.testing.assert_allclose(net(here).view(5, 2, 8).norm(dim=2).detach(), 1, rtol=1e-5)


def test_who_lacks_a_side_has_no_partner_and_gives_the_vector_of_the_other() -> None:
    net, here = model(), parts(3)
    gone = torch.tensor([True, False, True])
    here[0] = Part(here[0].values, gone)
    assert [true.tolist() for true in net.objective.truth({}, here)] == [[True, False, True]]
    with torch.inference_mode():
        said = net.objective.said(net(here), here)
    assert [list(row["embedding"]) for row in said] == [
        ["picture", "title+text"],
        ["title+text"],
        ["picture", "title+text"],
    ]


def rows(n: int, seed: int) -> ArrayBatches:
    """What a picture and a text have in common is told by both, under noise."""
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n, 6))
    views = {item.column: (shared + 0.1 * rng.normal(size=(n, 6))).astype(np.float32) for item in INPUTS[:2]}
    return ArrayBatches({"key": [str(row) for row in range(n)], **views}, size=32, seed=seed)


def test_partners_are_found_after_training_and_by_chance_before() -> None:
    config = TrainConfig(
        inputs={"picture": "x.picture", "title": "x.title"},
        objective="contrastive",
        width=16,
        hidden=(),
        dropout=0.0,
        modality_dropout=0.0,
        epochs=8,
        lr=1e-2,
    )
    torch.manual_seed(0)
    net = FusionModel(ModelPlan(config=config, inputs=INPUTS[:2]))
    net.standardize_by(buffers(gather(rows(160, 1), INPUTS[:2], config).moments))
    before = evaluate(net, rows(120, 2))
    run = Run.start(net)
    fit(run, rows(160, 1), None, save=None, watch=None)
    after = evaluate(net, rows(120, 2))
    assert before["recall@1"] < 0.3
    assert after["recall@1"] > 0.8
    assert after["median_rank"] == 1.0
    assert after.loss < before.loss
    assert after.n == 120


def test_the_temperature_is_not_decayed() -> None:
    run = Run.start(model(weight_decay=0.5))
    groups = run.optimizer.param_groups
    free: list[Tensor] = groups[1]["params"]
    assert [group["weight_decay"] for group in groups] == [0.5, 0.0]
    assert [tensor is run.model.objective.own[0] for tensor in free] == [True]
