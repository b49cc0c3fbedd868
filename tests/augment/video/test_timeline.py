"""Frames whose numbers say which of the source each is."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import settings as trying
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.augment.video import ChangeFrameRate, CropTime, ReverseFrames
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames
from mmdata.core.step import Drop
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import numbered, numbers_of

FRAMES = numbered(48, fps=24.0)


def made(step: ChangeFrameRate | CropTime | ReverseFrames, frames: Frames = FRAMES, seed: int = 0) -> Frames:
    result = step.map(frames, np.random.default_rng(seed))
    assert isinstance(result, Frames)
    return result


@pytest.mark.parametrize(("factor", "expected"), [(0.5, range(0, 48, 2)), (0.25, range(0, 48, 4)), (1.0, range(48))])
def test_a_lower_rate_leaves_frames_out(factor: float, expected: range) -> None:
    found = made(ChangeFrameRate(min_factor=factor, max_factor=factor))
    assert numbers_of(found.pixels) == list(expected)
    np.testing.assert_allclose(found.times_s, np.array(expected) / 24)


def test_a_higher_rate_shows_frames_again() -> None:
    found = made(ChangeFrameRate(min_factor=2, max_factor=2))
    assert numbers_of(found.pixels) == [number for number in range(48) for _ in range(2)]
    np.testing.assert_allclose(found.times_s, np.arange(96) / 48)


@given(st.integers(0, 10**6))
@trying(deadline=None, max_examples=30)
def test_every_row_shows_the_frame_of_its_time(seed: int) -> None:
    found = made(ChangeFrameRate(), seed=seed)
    assert 24 <= len(found.times_s) <= 96
    since = found.times_s * 24 - numbers_of(found.pixels)  # in frames, since the frame that is shown began
    assert since.min() > -1e-3
    assert since.max() < 1 + 1e-3


def test_factors_are_drawn_evenly_by_their_logarithm() -> None:
    lengths = np.array([len(made(ChangeFrameRate(), seed=seed).times_s) for seed in range(200)]) / 48
    assert 0.35 < (lengths < 1).mean() < 0.65
    assert len(np.unique(lengths)) > 30


def test_reversed_frames_have_falling_times() -> None:
    found = made(ReverseFrames(p=1))
    assert numbers_of(found.pixels) == list(range(47, -1, -1))
    assert (found.times_s == FRAMES.times_s[::-1]).all()
    again = made(ReverseFrames(p=1), found)
    assert (again.pixels == FRAMES.pixels).all()
    halved = made(ChangeFrameRate(min_factor=0.5, max_factor=0.5), found)
    assert numbers_of(halved.pixels) == list(range(47, -1, -2))
    assert ReverseFrames(p=0).map(FRAMES, np.random.default_rng(0)) is FRAMES


@given(st.integers(0, 10**6), st.booleans())
@trying(deadline=None, max_examples=30)
def test_a_stretch_lies_within_the_film(seed: int, backwards: bool) -> None:
    frames = FRAMES.rows(slice(None, None, -1)) if backwards else FRAMES
    found = made(CropTime(min_s=0.5, max_s=1.5), frames, seed)
    numbers = numbers_of(found.pixels)
    step = -1 if backwards else 1
    assert numbers == list(range(numbers[0], numbers[0] + step * len(numbers), step))
    assert 12 <= len(numbers) <= 36
    assert (found.times_s == np.array(numbers) / 24).all()


def test_stretches_begin_anywhere() -> None:
    firsts = {numbers_of(made(CropTime(n_frames=40), seed=seed).pixels[:1])[0] for seed in range(200)}
    assert firsts == set(range(9))


def test_a_stretch_of_uneven_frames_is_as_long_in_seconds() -> None:
    times_s = np.array([0.0, 0.1, 0.2, 3.0, 3.1, 6.0])
    frames = Frames(numbered(6).pixels, times_s, np.zeros(6, bool))
    for seed in range(20):
        found = made(CropTime(min_s=3.0, max_s=3.0), frames, seed)
        numbers = numbers_of(found.pixels)
        ends = [*times_s[1:], 7.2]
        assert ends[numbers[-1]] - times_s[numbers[0]] >= 3.0 - 1e-6
        assert len(numbers) == 1 or ends[numbers[-2]] - times_s[numbers[0]] < 3.0


@pytest.mark.parametrize("step", [CropTime(min_s=2.1, max_s=3), CropTime(n_frames=49)])
def test_films_that_are_too_short_are_kept_or_dropped(step: CropTime) -> None:
    assert step.map(FRAMES, np.random.default_rng(0)) is FRAMES
    drops = CropTime(min_s=step.min_s, max_s=step.max_s, n_frames=step.n_frames, short="drop")
    assert drops.map(FRAMES, np.random.default_rng(0)) == Drop("too_short")


def test_the_promised_number_of_frames_is_kept() -> None:
    form = ArraySpec(dims=("time", "height", "width", "channel"), sizes={"time": 48, "channel": 3}, dtype="uint8")
    assert CropTime(n_frames=9, short="drop").spec_given(form).sizes == {"time": 9, "channel": 3}
    assert CropTime(n_frames=9).spec_given(form).sizes == ChangeFrameRate().spec_given(form).sizes == {"channel": 3}


@pytest.mark.parametrize(
    ("cls", "settings"),
    [(ChangeFrameRate, {"min_factor": 2, "max_factor": 1}), (CropTime, {"min_s": 3, "max_s": 2})],
)
def test_greatest_values_below_the_least_are_refused(cls: type[Any], settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="is below"):
        TypeAdapter(cls).validate_python(settings)


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(ChangeFrameRate(), FRAMES, others={"min_factor": 0.6}),
            Case(CropTime(min_s=1, max_s=1.5), FRAMES, others={"n_frames": 3, "min_s": 1.2}),
            Case(ReverseFrames(p=1), FRAMES, others={"p": 0.3}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case
