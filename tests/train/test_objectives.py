from __future__ import annotations

from typing import Any

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mmdata.errors import DataError
from mmdata.train.config import TrainConfig
from mmdata.train.inputs import UNLABELLED
from mmdata.train.objectives import BinaryCrossEntropy, CrossEntropy, Distance, Supervised, balanced
from mmdata.train.plan import Head, ModelPlan

LOGITS = torch.tensor([[2.0, 0.0, -1.0], [0.0, 1.0, 0.0], [0.5, 0.5, 3.0], [9.0, 9.0, 9.0]])


def test_even_odds_cost_the_logarithm_of_the_classes() -> None:
    total, n = CrossEntropy()(torch.zeros(2, 4), torch.tensor([0, 3]))
    assert n == 2
    assert float(total) == pytest.approx(2 * 1.3862944, rel=1e-6)


@pytest.mark.parametrize("smoothing", [0.0, 0.1])
def test_it_is_torchs_own_over_the_known_classes(smoothing: float) -> None:
    total, n = CrossEntropy(label_smoothing=smoothing)(LOGITS, torch.tensor([0, 2, UNLABELLED, 3]))
    expected = cross_entropy(LOGITS[:2], torch.tensor([0, 2]), reduction="sum", label_smoothing=smoothing)
    torch.testing.assert_close(total, expected)
    assert n == 2


def test_a_batch_without_a_known_class_costs_nothing_and_has_a_gradient() -> None:
    logits = LOGITS.clone().requires_grad_()
    total, n = CrossEntropy()(logits, torch.full((4,), UNLABELLED))
    total.backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert (float(total.detach()), n) == (0.0, 0)
    assert logits.grad is not None
    assert not logits.grad.any()


def test_a_focal_loss_counts_easy_samples_less() -> None:
    numbers = torch.tensor([0, 2, 2, UNLABELLED])
    total, n = CrossEntropy(focal=2.0)(LOGITS, numbers)
    given = LOGITS.softmax(dim=1)[[0, 1, 2], [0, 2, 2]]
    torch.testing.assert_close(total, (-given.log() * (1 - given) ** 2).sum())
    assert n == 3


def test_weights_of_classes_are_torchs_own_and_balanced_ones_scikit_learns() -> None:
    from sklearn.utils.class_weight import compute_class_weight

    labels = np.repeat([0, 1, 2], [5, 20, 1])
    weights = balanced(np.bincount(labels).tolist())
    expected = compute_class_weight("balanced", classes=np.arange(3), y=labels)
    np.testing.assert_allclose(weights.numpy(), expected, rtol=1e-6)
    numbers = torch.tensor([0, 2, 1, UNLABELLED])
    total, _ = CrossEntropy(weights=weights)(LOGITS, numbers)
    torch.testing.assert_close(
        total, cross_entropy(LOGITS, numbers, weight=weights, ignore_index=UNLABELLED, reduction="sum")
    )


LOGIT = torch.tensor([[2.0], [-1.0], [0.3], [5.0]])


@pytest.mark.parametrize(
    ("smoothing", "focal", "weight"), [(0.0, 0.0, 1.0), (0.2, 0.0, 1.0), (0.0, 2.0, 1.0), (0.1, 1.0, 3.0)]
)
def test_one_logit_costs_what_numpy_says(smoothing: float, focal: float, weight: float) -> None:
    loss = BinaryCrossEntropy(label_smoothing=smoothing, focal=focal, pos_weight=weight)
    total, n = loss(LOGIT, torch.tensor([1, 0, 1, UNLABELLED]))
    p = 1 / (1 + np.exp(-LOGIT.numpy()[:3, 0].astype(float)))
    hit = np.array([1.0, 0.0, 1.0])
    soft = hit * (1 - smoothing) + smoothing / 2
    each = -(soft * np.log(p) + (1 - soft) * np.log(1 - p))
    each *= np.where(hit == 1, weight * (1 - p) ** focal, p**focal)
    assert float(total) == pytest.approx(each.sum(), rel=1e-5)
    assert n == 3
    total, n = loss(LOGIT, torch.tensor([2, 2, 2, 2]))  # a class that it does not know
    assert (float(total), n) == (0.0, 0)


@pytest.mark.parametrize("kind", ["mse", "l1", "huber"])
def test_distances_are_numpys_over_the_known(kind: str) -> None:
    total, n = Distance(kind=kind)(LOGIT, torch.tensor([1.5, 2.0, torch.nan, 4.9]))
    off = np.abs(np.array([0.5, -3.0, 0.1]))
    expected = {"mse": off**2, "l1": off, "huber": np.where(off < 1, off**2 / 2, off - 0.5)}[kind].sum()
    assert float(total) == pytest.approx(expected, rel=1e-5)
    assert n == 3


HEADS = (
    Head(name="shape", classes=("a", "b", "c"), counts=(1, 2, 3)),
    Head(name="new", target="meta.new", objective="binary", classes=("no", "yes"), counts=(9, 3), weight=0.5),
    Head(name="size", target="meta.size", objective="regression", mean=10.0, scale=4.0, weight=2.0),
)
BATCH: dict[str, Any] = {"key": ["k0", "k1", "k2"], "label": ["c", None, "a"], "meta.new": ["yes", "no", "maybe"]}
SIZES = {"meta.size": ["18", "2.0", None]}


def supervised(task_weights: str = "fixed", **settings: object) -> Supervised:
    config = TrainConfig(inputs={"i": "x.i"}, task_weights=task_weights, **settings)  # type: ignore[arg-type]
    return Supervised(ModelPlan(config=config, inputs=(), heads=HEADS))


def test_each_head_has_its_own_numbers_and_its_own_truth() -> None:
    objective = supervised()
    truth = objective.truth({**BATCH, **SIZES}, [])
    assert objective.n_answer == 3 + 1 + 1
    assert [each.tolist()[:2] for each in truth] == [[2, UNLABELLED], [1, 0], [2.0, -2.0]]
    assert objective.counts(truth).tolist() == [2, 2, 2]
    said = objective.said(torch.tensor([[0.0, 0.0, 9.0, -9.0, 1.5]]), [])[0]
    assert said["shape"]["class"] == "c"
    assert said["shape"]["probabilities"].keys() == {"a", "b", "c"}
    assert (said["new"]["class"], said["size"]) == ("no", {"value": 16.0})
    assert said["new"]["probability"] == pytest.approx(1 / (1 + np.exp(-9.0)))


def test_fixed_weights_weigh_and_uncertainty_is_that_of_the_paper() -> None:
    losses = torch.tensor([3.0, 4.0, 5.0])
    assert float(supervised().total(losses)) == pytest.approx(3 + 2 + 10)
    assert supervised().rest() is None
    objective = supervised("uncertainty")
    s = np.array([0.5, -1.0, 2.0])
    assert objective.log_variance is not None
    with torch.no_grad():
        objective.log_variance.copy_(torch.tensor(s))
    total, rest = objective.total(losses), objective.rest()
    assert rest is not None
    factor = np.array([1, 1, 0.5])  # 1 / (2 sigma squared) of a Gaussian, 1 / sigma squared of a softmax
    assert float(total.detach()) == pytest.approx((factor * np.exp(-s) * losses.numpy()).sum(), rel=1e-5)
    assert float(rest.detach()) == pytest.approx(s.sum() / 2)
    (total + rest).backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert objective.log_variance.grad is not None
    np.testing.assert_allclose(objective.log_variance.grad, -factor * np.exp(-s) * losses.numpy() + 0.5, rtol=1e-5)
    assert float(objective.total(losses, plain=True)) == pytest.approx(15)


def test_balanced_classes_weigh_both_kinds_of_classes() -> None:
    _, binary, _ = supervised(class_weights="balanced").training_losses
    assert binary == BinaryCrossEntropy(pos_weight=3.0)
    _, binary, _ = supervised(class_weights="balanced", pos_weight=7.0).training_losses
    assert binary == BinaryCrossEntropy(pos_weight=7.0)
    assert supervised(pos_weight=7.0).plain_losses[1] == BinaryCrossEntropy()


def test_a_target_that_is_no_number_is_told_with_its_sample() -> None:
    with pytest.raises(DataError, match=r"'meta\.size' of 'k1' is 'big', no number"):
        supervised().truth({**BATCH, "meta.size": ["1", "big", "nan"]}, [])
