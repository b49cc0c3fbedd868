"""Cleaning films."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.video import KeepDuration
from mmdata.core.sample import Blob, Video
from mmdata.core.step import Drop
from mmdata.testing.contracts.steps import Case, StepContract


def film(duration_s: float) -> Video:
    return Video(Blob.of(b""), width=64, height=48, fps=25.0, duration_s=duration_s)


class TestContracts(StepContract):
    @pytest.fixture(params=[Case(KeepDuration(min_s=n), film(1.5), others={"max_s": 3.0}) for n in (1, 2)], ids=str)
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@pytest.mark.parametrize(
    ("step", "duration_s", "expected"),
    [
        (KeepDuration(), 0.0, True),
        (KeepDuration(min_s=1), 0.999, Drop("too_short")),
        (KeepDuration(min_s=1), 1.0, True),
        (KeepDuration(max_s=2), 2.0, True),
        (KeepDuration(max_s=2), 2.001, Drop("too_long")),
        (KeepDuration(min_s=0, max_s=0), 0.0, True),
    ],
)
def test_both_bounds_are_kept(step: KeepDuration, duration_s: float, expected: object) -> None:
    assert step.keep(film(duration_s)) == expected


@given(seconds=st.floats(0, 5), low=st.floats(0, 5), high=st.floats(0, 5))
def test_a_film_is_kept_exactly_when_within_the_bounds(seconds: float, low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    assert (KeepDuration(min_s=low, max_s=high).keep(film(seconds)) is True) == (low <= seconds <= high)


def test_bounds_the_wrong_way_round_are_refused() -> None:
    with pytest.raises(ValidationError, match=r"min_s must not be greater than max_s: 2.0 > 1.0"):
        TypeAdapter(KeepDuration).validate_python({"min_s": 2, "max_s": 1})


def test_a_negative_bound_is_refused() -> None:
    with pytest.raises(ValidationError, match="greater than or equal to 0"):
        TypeAdapter(KeepDuration).validate_python({"max_s": -1})
