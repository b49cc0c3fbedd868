"""Frames resampled, denoised, freed of black bars, and changed as pictures are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.image import ResizeImage, SharpenImage
from mmdata.clean.video import CutBlackBorders, DenoiseFrames, EachFrame, ResampleFrames
from mmdata.core.sample import Frames, Image
from mmdata.core.spans import SpaceMap
from mmdata.core.step import Drop
from mmdata.errors import DataError, DecodeError
from mmdata.kernels.timeline import on_grid, step_s
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes, numbered, numbers_of


def at(times_s: list[float]) -> Frames:
    frames = numbered(len(times_s), 32, 16)
    return Frames(frames.pixels, np.array(times_s), np.arange(len(times_s)) % 3 == 0)


def test_uneven_frames_are_brought_to_a_grid() -> None:
    frames = at([1.0, 1.1, 1.15, 2.0, 2.6, 2.7])
    made = ResampleFrames(fps=4).map(frames)
    assert isinstance(made, Frames)
    assert made.times_s.tolist() == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5, 2.75, 3.0]
    assert numbers_of(made.pixels) == [0, 2, 2, 2, 3, 3, 3, 5, 5]
    assert made.is_key.tolist() == [True, False, False, False, True, False, False, False, False]


def test_frames_on_the_grid_are_left() -> None:
    frames = numbered(12, fps=24.0)
    assert ResampleFrames(fps=24).map(frames) is frames
    thinned = ResampleFrames(fps=8).map(frames)
    assert isinstance(thinned, Frames)
    assert numbers_of(thinned.pixels) == [0, 3, 6, 9]


@given(st.lists(st.integers(1, 40), max_size=20), st.sampled_from([0.5, 3.0, 7.0, 24.0, 29.97, 100.0]), st.booleans())
@settings(deadline=None)
def test_the_grid_shows_what_is_shown_then(steps: list[int], fps: float, reverse: bool) -> None:
    times_s = np.cumsum([0, *steps]) / 50.0
    falling = times_s[::-1].copy() if reverse else times_s
    rows, shown_s = on_grid(falling, fps=fps)
    sign = -1 if reverse else 1
    passed = (falling - falling[0]) * sign
    at_s = np.arange(len(rows)) / fps
    np.testing.assert_allclose((shown_s - falling[0]) * sign, at_s, atol=1e-9)
    expected = [int(np.flatnonzero(passed <= time_s + 1e-6 / fps)[-1]) for time_s in at_s]
    assert rows.tolist() == expected
    end_s = passed[-1] + step_s(falling)
    assert at_s[-1] < max(end_s, 1e-9)
    assert len(rows) / fps >= end_s - 1e-5


def test_what_would_take_too_much_memory_is_refused() -> None:
    with pytest.raises(DecodeError, match="max_bytes"):
        ResampleFrames(fps=1000, max_bytes=10**6).map(at([0.0, 10.0]))


def noisy(n: int = 9, level: float = 12.0) -> tuple[Frames, np.ndarray]:
    still = np.kron(moving_shapes(1, 6, 4)[0].pixels[0], np.ones((8, 8, 1), np.uint8))  # squares, 8 px a side
    rng = np.random.default_rng(3)
    noise = rng.normal(0, level, (n, *still.shape))
    pixels = np.clip(np.rint(still + noise), 0, 255).astype(np.uint8)
    return Frames(pixels, np.arange(n) / 8, np.zeros(n, bool)), still


def error(pixels: np.ndarray, truth: np.ndarray) -> float:
    return float(np.sqrt(np.mean((pixels.astype(float) - truth) ** 2)))


@pytest.mark.parametrize(
    ("step", "share"),
    [
        (DenoiseFrames(), 0.72),  # the median of three normal values has a deviation of 0.67
        (DenoiseFrames(n_frames=5), 0.6),
        (DenoiseFrames(n_frames=9), 0.5),
        (DenoiseFrames(method="non_local_means", levels=12.0, n_frames=5), 0.8),
    ],
)
def test_noise_is_taken_away_over_time(step: DenoiseFrames, share: float) -> None:
    frames, still = noisy()
    made = step.map(frames)
    assert isinstance(made, Frames)
    assert error(made.pixels[4], still) < share * error(frames.pixels[4], still)


def test_the_median_over_time_is_numpys() -> None:
    frames, _ = noisy(7)
    for n in (3, 5, 7):
        made = DenoiseFrames(n_frames=n).map(frames)
        assert isinstance(made, Frames)
        around = np.clip(np.arange(7)[:, None] + np.arange(n) - n // 2, 0, 6)
        assert (made.pixels == np.median(frames.pixels[around], axis=1)).all()


def test_a_single_frame_has_no_neighbours() -> None:
    frames, _ = noisy(1)
    assert DenoiseFrames().map(frames) is frames


def barred(top: int = 6, bottom: int = 5, left: int = 0, right: int = 0) -> Frames:
    inner = moving_shapes(6, 64 - left - right, 48 - top - bottom)[0].pixels
    pixels = np.random.default_rng(0).integers(0, 12, (6, 48, 64, 3), dtype=np.uint8)
    pixels[:, top : 48 - bottom, left : 64 - right] = inner
    pixels[2] = 0  # a black frame between
    return Frames(pixels, np.arange(6) / 8, np.zeros(6, bool))


def test_bars_are_cut_off_all_frames_alike() -> None:
    made = CutBlackBorders(even=False).map(barred())
    assert isinstance(made, Frames)
    assert made.pixels.shape == (6, 37, 64, 3)
    assert made.space_map == SpaceMap().cropped(left=0, top=6)
    assert (made.pixels == barred().pixels[:, 6:43]).all()
    even = CutBlackBorders().map(barred(left=3))
    assert isinstance(even, Frames)
    assert even.pixels.shape == (6, 36, 60, 3)
    assert even.space_map == SpaceMap().cropped(left=3, top=6)


def test_frames_without_bars_are_left_and_black_ones_dropped() -> None:
    frames = moving_shapes(3, 41, 31)[0]
    assert CutBlackBorders().map(frames) is frames
    assert CutBlackBorders().map(frames.changed(np.zeros_like(frames.pixels))) == Drop("only_border")


def test_each_frame_is_changed_as_a_picture() -> None:
    frames = moving_shapes(4, 60, 40)[0]
    sharpened = EachFrame(step={"use": "clean.image.SharpenImage", "amount": 2}).map(frames)
    resized = EachFrame(step={"use": "clean.image.ResizeImage", "size_px": 30}).map(frames)
    assert isinstance(sharpened, Frames)
    assert isinstance(resized, Frames)
    for index, frame in enumerate(frames.pixels):
        expected = SharpenImage(amount=2).map(Image(frame))
        assert isinstance(expected, Image)
        assert (sharpened.pixels[index] == expected.pixels).all()
    smaller = ResizeImage(size_px=30).map(Image(frames.pixels[1]))
    assert isinstance(smaller, Image)
    assert (resized.pixels[1] == smaller.pixels).all()
    assert resized.space_map == smaller.space_map
    assert resized.times_s is frames.times_s


def test_frames_that_a_step_leaves_are_left() -> None:
    frames = moving_shapes(2, 60, 40)[0]
    assert EachFrame(step={"use": "clean.image.ResizeImage", "size_px": 60}).map(frames) is frames


def test_a_drop_of_one_frame_drops_all_and_parts_must_agree() -> None:
    frames = barred()
    step = EachFrame(step={"use": "clean.image.CutBorders", "tolerance": 12})
    assert step.map(frames) == Drop("only_border")
    uneven = frames.pixels[[0, 0]].copy()
    uneven[1, 6:20] = 3
    with pytest.raises(DataError, match="different sizes or parts"):
        step.map(Frames(uneven, np.arange(2.0), np.zeros(2, bool)))


@pytest.mark.parametrize(
    ("step", "message"),
    [
        ({"size_px": 3}, "needs a name"),
        ({"use": "clean.image.Nothing"}, "is no Map on Image"),
        ({"use": "clean.nothing.Nothing"}, "is no Map on Image"),
        ({"use": "os.path.join"}, "is no Map on Image"),
        ({"use": "augment.image.FlipImage"}, "is no Map on Image"),
        ({"use": "clean.audio.MixDown"}, "is no Map on Image"),
        ({"use": "clean.image.ResizeImage", "size": 3}, "has no setting 'size'"),
        ({"use": "clean.image.ResizeImage", "on": "other"}, "has no setting 'on'"),
        ({"use": "clean.image.ResizeImage", "size_px": 0}, "out of bounds: gt 0"),
        ({"use": "clean.image.ResizeImage", "size_px": 2.5}, "expected int, not 2.5"),
        ({"use": "clean.image.ResizeImage", "size_px": True}, "expected int, not True"),
        ({"use": "clean.image.ResizeImage", "side": "widest"}, "is none of"),
        ({"use": "clean.image.LetterboxImage", "color": [1, 2]}, "expected 3 values"),
        ({"use": "clean.image.LetterboxImage", "color": [1, 2, 256]}, "out of bounds: le 255"),
        ({"use": "clean.image.DenoiseImage", "size_px": 4}, "size_px must be odd"),
    ],
)
def test_faults_of_the_inner_step_are_faults_of_the_settings(step: dict[str, Any], message: str) -> None:
    with pytest.raises(ValidationError, match=message):
        TypeAdapter(EachFrame).validate_python({"step": step})


def test_a_step_in_place_of_its_name_is_refused() -> None:
    step: Any = SharpenImage()
    with pytest.raises(ValueError, match=r"the step needs a name: .* not SharpenImage"):
        EachFrame(step=step)


def test_an_even_number_of_frames_has_no_middle() -> None:
    with pytest.raises(ValidationError, match="n_frames must be odd"):
        TypeAdapter(DenoiseFrames).validate_python({"n_frames": 4})


def test_defaults_of_the_inner_step_are_part_of_the_fingerprint_as_if_given() -> None:
    bare = EachFrame(step={"use": "clean.image.SharpenImage"})
    assert bare.fingerprint() == EachFrame(step={"use": "clean.image.SharpenImage", "amount": 1.0}).fingerprint()


FRAMES = moving_shapes(4, 40, 30)[0]
EVEN = numbered(8, fps=8.0)


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(ResampleFrames(fps=8), at([0.0, 0.3, 0.9]), EVEN),
            Case(CutBlackBorders(), barred(), FRAMES),
            Case(DenoiseFrames(), FRAMES, noisy(1)[0], others={"n_frames": 7}),
            Case(DenoiseFrames(method="non_local_means"), moving_shapes(3, 24, 16)[0], others={"n_frames": 5}),
            Case(
                EachFrame(step={"use": "clean.image.LetterboxImage", "width_px": 60, "color": [9, 8, 7]}),
                FRAMES,
                others={"step": {"use": "clean.image.SharpenImage"}},
            ),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case
