"""Whether captions can be read."""

from __future__ import annotations

import numpy as np
import pytest

from mmdata.align.captions import CaptionQuality, KeepReadable
from mmdata.core.sample import Captions
from mmdata.core.step import Drop
from mmdata.kernels.captions import activity, shown_at_once
from mmdata.testing.captions import captions
from mmdata.testing.contracts.steps import Case, StepContract

SLOW = captions((0, 1000, "ten chars."), (1000, 2000, "five."))
FAST = captions((0, 1000, "x" * 31), (1000, 2000, "five."))
OVERLAPPING = captions((0, 1000, "one"), (500, 2000, "two"))


class TestCaptionQuality(StepContract):
    @pytest.fixture(params=[captions(), Captions(()), captions((5, 5, "now"))], ids=["some", "none", "at once"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(CaptionQuality(), request.param)


class TestKeepReadable(StepContract):
    @pytest.fixture(params=[SLOW, FAST], ids=["slow", "fast"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(KeepReadable(), request.param)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (SLOW, {"n_cues": 2, "characters": 15, "shown_s": 2, "speed": 7.5, "top_speed": 10, "overlap": 0}),
        (OVERLAPPING, {"n_cues": 2, "characters": 6, "shown_s": 2, "speed": 2.4, "top_speed": 3, "overlap": 0.25}),
        (Captions(()), {"n_cues": 0, "characters": 0, "shown_s": 0, "speed": 0, "top_speed": 0, "overlap": 0}),
        (captions((5, 5, "ab")),
         {"n_cues": 1, "characters": 2, "shown_s": 0, "speed": 0, "top_speed": 2000, "overlap": 0}),
    ],
    ids=["slow", "overlapping", "none", "at once"],
)  # fmt: skip
def test_captions_in_numbers(given: Captions, expected: dict[str, float]) -> None:
    found = {name: float(value) for name, value in CaptionQuality().extract(given).items()}
    assert found == pytest.approx(expected)


@pytest.mark.parametrize(
    ("given", "verdict"),
    [
        (SLOW, True),
        (FAST, Drop("too_fast_to_read")),
        (OVERLAPPING, Drop("captions_overlap")),
        (captions((0, 1000, "x" * 30)), True),
        (captions((0, 1000, "one"), (900, 1900, "two")), True),
        (Captions(()), Drop("no_captions")),
        (captions((5, 5, "now")), Drop("too_fast_to_read")),
    ],
)
def test_what_can_not_be_read_is_dropped(given: Captions, verdict: object) -> None:
    assert KeepReadable().keep(given) == verdict


def test_bounds_are_settings() -> None:
    assert KeepReadable(max_fast=0.5).keep(FAST) is True
    assert KeepReadable(max_speed=31).keep(FAST) is True
    assert KeepReadable(max_overlap=0.25).keep(OVERLAPPING) is True


def test_activity_and_overlap_count_what_is_shown() -> None:
    starts, ends = np.array([0, 25, 30, 95]), np.array([10, 30, 45, 200])
    shown = activity(starts, ends, n_frames=10, hop_ms=10.0)
    assert shown.tolist() == pytest.approx([1, 0, 0.5, 1, 0.5, 0, 0, 0, 0, 0.5])
    assert shown_at_once(starts, ends) == (135, 0)
    assert shown_at_once(np.array([0, 0, 0]), np.array([10, 10, 10])) == (10, 10)
