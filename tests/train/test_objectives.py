from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.nn.functional import cross_entropy

from mmdata.train.inputs import UNLABELLED
from mmdata.train.objectives import CrossEntropy, balanced

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
