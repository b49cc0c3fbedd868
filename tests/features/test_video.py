"""Features of films, on films whose motion and cuts are known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.core.sample import Blob, Frames, Video
from mmdata.features.video import FrameDifference, Keyframes, OpticalFlow, VideoSize
from mmdata.kernels.video import Method
from mmdata.testing.build import moving_shapes, shots
from mmdata.testing.contracts.steps import Case, StepContract

FILM = Video(Blob.of(b""), width=640, height=360, fps=25.0, duration_s=1.52, has_audio=True)


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            *(Case(Keyframes(method=method, n=2), shots()[0]) for method in ("distinct", "codec", "uniform")),
            *(Case(OpticalFlow(method=method), moving_shapes(3)[0]) for method in ("dis", "farneback")),
            Case(FrameDifference(), shots()[0]),
            Case(VideoSize(), FILM),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def first(frames: Frames, n: int) -> Frames:
    return Frames(frames.pixels[:n], frames.times_s[:n], frames.is_key[:n])


def shot_of(times_s: np.ndarray, starts: np.ndarray, fps: float = 8.0) -> list[int]:
    return [int(shot) - 1 for shot in np.searchsorted(starts, np.round(times_s * fps), side="right")]


@pytest.mark.parametrize("lengths", [(5, 4, 6), (1, 9, 1, 3), (7,)])
def test_distinct_keyframes_show_each_shot_once(lengths: tuple[int, ...]) -> None:
    frames, starts = shots(lengths)
    found = Keyframes().extract(frames)
    assert shot_of(found["times_s"], starts) == list(range(len(lengths)))


def test_fewer_distinct_keyframes_show_different_shots() -> None:
    frames, starts = shots((4, 4, 4, 4))
    chosen = shot_of(Keyframes(n=3).extract(frames)["times_s"], starts)
    assert len(chosen) == len(set(chosen)) == 3


def test_the_least_difference_decides_what_is_distinct() -> None:
    frames, _ = shots()
    assert len(Keyframes(min_difference=1.0).choose(frames)) == 1
    assert len(Keyframes(min_difference=0.0, n=99).choose(frames)) == len(frames.pixels)


def test_codec_keyframes_are_those_that_the_codec_stored_whole() -> None:
    frames, starts = shots((5, 4, 6, 3, 3))
    assert Keyframes(method="codec").choose(frames).tolist() == starts.tolist()
    assert Keyframes(method="codec", n=2).choose(frames).tolist() == [starts[1], starts[3]]


def test_without_a_codec_keyframe_the_first_frame_stands_in() -> None:
    frames, _ = shots()
    bare = Frames(frames.pixels, frames.times_s, np.zeros(len(frames.pixels), bool))
    assert Keyframes(method="codec").choose(bare).tolist() == [0]


def test_uniform_keyframes_are_middles_of_equal_stretches() -> None:
    frames, _ = shots((9,))
    assert Keyframes(method="uniform", n=3).extract(frames)["times_s"].tolist() == [1 / 8, 4 / 8, 7 / 8]


def test_thumbnails_are_of_the_frames_chosen() -> None:
    pixels = np.zeros((4, 30, 40, 3), np.uint8) + np.array([0, 60, 120, 180], np.uint8)[:, None, None, None]
    frames = Frames(pixels, np.arange(4) / 4, np.ones(4, bool))
    found = Keyframes(method="uniform", n=2, size_px=5).extract(frames)
    assert found[""].shape == (2, 5, 5, 3)
    assert found[""][:, 2, 2, 1].tolist() == [60, 180]
    assert found["times_s"].tolist() == [0.25, 0.75]


@pytest.mark.parametrize("method", ["distinct", "codec", "uniform"])
@pytest.mark.parametrize("n_frames", [0, 1, 2])
def test_a_film_of_hardly_any_frames_gives_hardly_any_keyframes(method: str, n_frames: int) -> None:
    step = TypeAdapter(Keyframes).validate_python({"method": method})
    found = step.extract(first(shots((1, 1))[0], n_frames))
    assert len(found[""]) == len(found["times_s"]) <= n_frames
    assert (len(found[""]) > 0) == (n_frames > 0)
    assert {name: spec.fault(found[name]) for name, spec in step.spec().items()} == {"": None, "times_s": None}


@pytest.mark.parametrize("method", ["dis", "farneback"])
@pytest.mark.parametrize("motion_px", [(3.0, 0.0), (0.0, -2.0), (-1.5, 1.5)])
def test_flow_on_the_grid_is_the_exact_motion(method: Method, motion_px: tuple[float, float]) -> None:
    frames, _ = moving_shapes(4, 160, 120, camera_px=motion_px, fps=8)
    found = OpticalFlow(method=method).extract(frames)
    error_px = np.linalg.norm(found[""] - motion_px, axis=-1)
    assert error_px.mean() < 0.1
    assert error_px[:, 1:-1, 1:-1].max() < 0.2  # the rim shows ground that was not there before
    widths_per_s = np.hypot(*motion_px) * 8 / 160
    assert found["motion"] == pytest.approx(widths_per_s, rel=0.05)
    towards = int(np.round(np.arctan2(motion_px[1], motion_px[0]) / (np.pi / 4))) % 8
    assert found["histogram"][towards] > 0.95
    assert found["histogram"].sum() == pytest.approx(1)


def test_a_moving_disc_moves_only_the_blocks_that_it_is_in() -> None:
    frames, exact = moving_shapes(3, 160, 120, shape_px=(4, 0), radius_px=30)
    found = OpticalFlow(n_rows=6, n_columns=8).extract(frames)[""]
    blocks = exact.reshape(2, 6, 20, 8, 20, 2).mean(axis=(2, 4))
    assert np.abs(found - blocks).mean() < 0.25
    assert found[0, 2, 3, 0] > 3
    assert np.abs(found[0, 5, 7]).max() < 0.2


def test_motion_does_not_hang_on_the_frame_rate_or_size() -> None:
    slow, _ = moving_shapes(3, 160, 120, camera_px=(4, 0), fps=4)
    fast, _ = moving_shapes(5, 160, 120, camera_px=(2, 0), fps=8)
    motions = [float(OpticalFlow().extract(film)["motion"]) for film in (slow, fast)]
    assert motions == pytest.approx([0.1, 0.1], rel=0.05)


def test_a_still_film_has_no_motion() -> None:
    frames, _ = moving_shapes(3, 64, 48)
    found = OpticalFlow().extract(frames)
    assert not found[""].any()
    assert found["motion"] == 0
    assert not found["histogram"].any()


@pytest.mark.parametrize("n_frames", [0, 1])
def test_a_film_without_a_pair_has_no_flow(n_frames: int) -> None:
    frames = first(moving_shapes(2, 64, 48, camera_px=(3, 0))[0], n_frames)
    found = OpticalFlow().extract(frames)
    assert found[""].shape == (0, 8, 8, 2)
    assert found["motion"] == 0
    difference = FrameDifference().extract(frames)
    assert difference[""].shape == (0,)
    assert difference["mean"] == difference["max"] == 0


def test_frames_all_at_one_time_have_no_speed() -> None:
    frames, _ = moving_shapes(3, 64, 48, camera_px=(3, 0))
    stuck = Frames(frames.pixels, np.zeros(3), frames.is_key)
    assert OpticalFlow().extract(stuck)["motion"] == 0


@given(width=st.integers(1, 40), height=st.integers(1, 40), n_frames=st.integers(1, 3), grid=st.integers(1, 9))
@settings(deadline=None, max_examples=30)
def test_frames_of_any_size_keep_the_promise(width: int, height: int, n_frames: int, grid: int) -> None:
    frames, _ = moving_shapes(n_frames, width, height, camera_px=(1, 0))
    for step in (OpticalFlow(n_rows=grid, n_columns=grid, preset="fast"), Keyframes(size_px=grid), FrameDifference()):
        found = step.extract(frames)
        assert {name: spec.fault(found[name]) for name, spec in step.spec().items()} == dict.fromkeys(found)
        assert all(np.isfinite(array).all() for array in found.values())


def test_a_cut_is_the_greatest_difference() -> None:
    frames, starts = shots((5, 6))
    found = FrameDifference().extract(frames)
    assert found[""].argmax() + 1 == starts[1]
    assert found["max"] == found[""].max() > 4 * np.median(found[""])
    assert found["mean"] == pytest.approx(found[""].mean())


def test_what_the_container_says_becomes_scalars() -> None:
    found = {name: array.item() for name, array in VideoSize().extract(FILM).items()}
    assert found == {"width": 640, "height": 360, "fps": 25.0, "duration_s": 1.52, "has_audio": True}


def test_columns_follow_their_part() -> None:
    assert list(OpticalFlow(on="clip").columns()) == ["clip.flow", "clip.flow.motion", "clip.flow.histogram"]


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (Keyframes, {"n": 0}, "greater than 0"),
        (Keyframes, {"size_px": 0}, "greater than 0"),
        (Keyframes, {"min_difference": 1.1}, "less than or equal to 1"),
        (Keyframes, {"method": "best"}, "'distinct', 'codec' or 'uniform'"),
        (OpticalFlow, {"method": "raft"}, "'dis' or 'farneback'"),
        (OpticalFlow, {"preset": "slow"}, "'ultrafast', 'fast' or 'medium'"),
        (OpticalFlow, {"n_bins": 0}, "greater than 0"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
