from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import accuracy_score, confusion_matrix, f1_score, recall_score

from mmdata.train.metrics import confusion, of_confusion

PAIRS = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=60)


@given(PAIRS)
def test_scores_are_those_of_scikit_learn(pairs: list[tuple[int, int]]) -> None:
    truth, predicted = np.array(pairs).T
    matrix = confusion(truth, predicted, n_classes=5)
    found = of_confusion(matrix)
    assert matrix.tolist() == confusion_matrix(truth, predicted, labels=range(5)).tolist()
    assert found["accuracy"] == pytest.approx(accuracy_score(truth, predicted), abs=1e-12)
    assert found["macro_f1"] == pytest.approx(f1_score(truth, predicted, average="macro", zero_division=0), abs=1e-12)
    assert found["macro_recall"] == pytest.approx(
        recall_score(truth, predicted, average="macro", zero_division=0), abs=1e-12
    )


@given(PAIRS, st.integers(0, 60))
def test_batches_add_up(pairs: list[tuple[int, int]], cut: int) -> None:
    truth, predicted = np.array(pairs).T
    whole = confusion(truth, predicted, n_classes=5)
    halves = [confusion(truth[part], predicted[part], n_classes=5) for part in (slice(cut), slice(cut, None))]
    assert (whole == halves[0] + halves[1]).all()


def test_a_known_matrix_has_known_scores() -> None:
    found = of_confusion(np.array([[3, 1], [2, 4]]))
    assert found["accuracy"] == pytest.approx(0.7)
    assert found["macro_recall"] == pytest.approx((3 / 4 + 4 / 6) / 2)
    assert found["macro_f1"] == pytest.approx((6 / 9 + 8 / 11) / 2)


def test_nothing_judged_scores_zero() -> None:
    found = of_confusion(np.zeros((3, 3), dtype=np.int64))
    assert set(found.values()) == {0.0}


@pytest.mark.parametrize(("truth", "predicted"), [([2], [0]), ([0], [2]), ([-1], [0]), ([0], [-1])])
def test_numbers_out_of_range_are_refused(truth: list[int], predicted: list[int]) -> None:
    with pytest.raises(ValueError, match="from 0 to 1"):
        confusion(np.array(truth), np.array(predicted), n_classes=2)
