from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.errors import ConfigError
from mmdata.select.balance import Balance

PLACES = np.arange(1000, dtype=np.uint64)[::-1]


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(-1, 1)), min_size=1, max_size=60), st.integers(1, 5))
@settings(deadline=None)
def test_a_cap_leaves_the_lowest_places_of_each_class_in_each_split(rows: list[tuple[int, int]], cap: int) -> None:
    classes, splits = (np.array(column) for column in zip(*rows, strict=True))
    places = PLACES[: len(rows)]
    over = Balance(by="label", cap=cap).over(classes, ["a", "b", "c"], splits, places)
    assert not over[splits < 0].any()
    for split in (0, 1):
        for number in range(3):
            here = np.flatnonzero((classes == number) & (splits == split))
            kept = sorted(here.tolist(), key=lambda row: places[row])[:cap]
            assert set(here[~over[here]].tolist()) == set(kept)


def test_caps_by_class_leave_other_classes_alone() -> None:
    classes = np.array([0, 0, 0, 1, 1, 2, 2])
    over = Balance(by="label", cap={"a": 1, "null": 1}).over(classes, ["a", "b", None], np.zeros(7, int), PLACES[:7])
    assert over.tolist() == [True, True, False, False, False, True, False]


def test_inverse_weights_give_each_class_the_same_sum_and_are_one_on_average() -> None:
    classes, splits = np.array([0] * 8 + [1] * 2 + [0, 1]), np.array([0] * 10 + [-1, -1])
    weights = Balance(by="label", weight="inverse").weights(classes, ["a", "b"], splits)
    assert weights[:8].sum() == pytest.approx(weights[8:10].sum()) == pytest.approx(5)
    assert weights[10:].tolist() == [1, 1]
    half = Balance(by="label", weight="inverse_root").weights(classes, ["a", "b"], splits)
    assert half[:10].mean() == pytest.approx(1)
    assert half[8] / half[0] == pytest.approx(2)


def test_weights_by_class_are_as_given_and_one_elsewhere() -> None:
    balance = Balance(by="label", weight={"a": 2.5, "true": 0.0})
    assert balance.weights(np.array([0, 1, 2]), ["a", "b", True], np.zeros(3, int)).tolist() == [2.5, 1, 1]
    assert balance.weights(np.array([0, 1]), ["a", "b"], np.array([-1, 0])).tolist() == [1, 1]


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({}, "give a cap or a weight"),
        ({"cap": 5}, "by: is missing"),
        ({"weight": "inverse"}, "by: is missing"),
        ({"by": "label", "cap": 0}, "at least 1, not 0"),
        ({"by": "label", "cap": True}, "at least 1, not True"),
        ({"by": "label", "cap": {"a": 2.5}}, "at least 1, not 2.5"),
        ({"by": "label", "weight": {"a": -1}}, "at least 0, not -1"),
        ({"by": "label", "weight": {"a": float("nan")}}, "at least 0, not nan"),
        ({"by": "label", "weight": 3}, "weights by class or an expression, not 3"),
        ({"by": 3, "cap": 1}, "a column or an expression, not 3"),
        ({"by": "label", "cap": 1, "splits": [1]}, "names of splits"),
        ({"by": "label", "cap": 1, "splits": 5}, "names of splits, not 5"),
        ({"by": "label", "capp": 1}, "no setting 'capp'"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Balance.parse(settings)
