"""Which films and frames are kept."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.video import KeepDuration, KeepFrameRate, KeepMotion, KeepResolution, KeepSharp
from mmdata.core.sample import Blob, Video
from mmdata.core.step import Drop
from mmdata.features.video import FrameDifference, OpticalFlow
from mmdata.kernels.image.enhance import blur
from mmdata.kernels.image.quality import laplacian_variance
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes


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


def sized(width: int, height: int, fps: float = 25.0) -> Video:
    return Video(Blob.of(b""), width=width, height=height, fps=fps, duration_s=1.0)


@pytest.mark.parametrize(
    ("step", "video", "expected"),
    [
        (KeepResolution(min_px=48), sized(64, 48), True),
        (KeepResolution(min_px=49), sized(64, 48), Drop("too_small")),
        (KeepResolution(min_px=1, max_px=64), sized(64, 48), True),
        (KeepResolution(min_px=1, max_px=63), sized(64, 48), Drop("too_large")),
        (KeepResolution(min_px=1, min_aspect=4 / 3), sized(64, 48), True),
        (KeepResolution(min_px=1, min_aspect=1.34), sized(64, 48), Drop("too_tall")),
        (KeepResolution(min_px=1, max_aspect=1.33), sized(64, 48), Drop("too_wide")),
        (KeepFrameRate(min_fps=24, max_fps=24), sized(1, 1, 24.0), True),
        (KeepFrameRate(min_fps=24), sized(1, 1, 23.976), Drop("too_slow")),
        (KeepFrameRate(max_fps=30), sized(1, 1, 60.0), Drop("too_fast")),
    ],
)
def test_containers_are_judged_by_what_they_say(step: Any, video: Video, expected: object) -> None:
    assert step.keep(video) == expected


@pytest.mark.parametrize(("speed_px", "kept"), [(0.0, "too_still"), (2.0, True), (9.0, "too_restless")])
def test_motion_is_speed_in_widths_a_second(speed_px: float, kept: object) -> None:
    frames, _ = moving_shapes(6, 160, 120, fps=8, camera_px=(speed_px, 0.0))
    step = KeepMotion(min_motion=0.05, max_motion=0.3)
    assert step.motion(frames) == pytest.approx(speed_px * 8 / 160, abs=0.01)
    assert step.keep(frames) == (kept if kept is True else Drop(str(kept)))


def test_motion_is_what_the_feature_says() -> None:
    frames, _ = moving_shapes(5, 96, 64, camera_px=(1.5, 0.7), radius_px=12)
    motion = OpticalFlow(preset="fast").extract(frames)["motion"]
    assert KeepMotion().motion(frames) == pytest.approx(float(motion), rel=1e-5)
    assert KeepMotion(measure="difference").motion(frames) == pytest.approx(
        float(FrameDifference().extract(frames)["mean"]), rel=1e-5
    )


def test_reversed_frames_move_as_fast() -> None:
    frames, _ = moving_shapes(5, 96, 64, camera_px=(1.5, 0.7))
    backwards = KeepMotion().motion(frames.rows(slice(None, None, -1)))
    assert backwards == pytest.approx(KeepMotion().motion(frames), rel=0.05)


def test_blurred_frames_are_dropped_by_their_median() -> None:
    frames, _ = moving_shapes(5, 96, 64)
    soft = np.stack([blur(frame, sigma_px=5.0) for frame in frames.pixels])
    sharp_ones = [laplacian_variance(frame) for frame in frames.pixels]
    step = KeepSharp(min_sharpness=float(np.median(sharp_ones)))
    assert step.keep(frames) is True
    mixed = np.concatenate([frames.pixels[:2], soft[2:]])
    assert step.keep(frames.changed(mixed)) == step.keep(frames.changed(soft)) == Drop("blurred")


FRAMES = moving_shapes(3, 40, 40)[0]


class TestMoreContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(KeepResolution(min_px=1), sized(64, 48), others={"max_px": 90, "min_aspect": 0.5, "max_aspect": 3.0}),
            Case(KeepFrameRate(), sized(64, 48), others={"min_fps": 1.0, "max_fps": 90.0}),
            Case(KeepMotion(min_motion=0), FRAMES, others={"max_motion": 3.0}),
            Case(KeepMotion(measure="difference"), FRAMES, others={"max_motion": 3.0}),
            Case(KeepSharp(), FRAMES),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@pytest.mark.parametrize(
    ("cls", "settings"),
    [
        (KeepResolution, {"min_px": 9, "max_px": 8}),
        (KeepResolution, {"min_aspect": 2, "max_aspect": 1}),
        (KeepFrameRate, {"min_fps": 2, "max_fps": 1}),
        (KeepMotion, {"min_motion": 2, "max_motion": 1}),
    ],
)
def test_greatest_values_below_the_least_are_refused(cls: type[Any], settings: dict[str, float]) -> None:
    with pytest.raises(ValidationError, match="is below"):
        TypeAdapter(cls).validate_python(settings)
