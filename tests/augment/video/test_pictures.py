"""One draw for all frames of a clip."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

import mmdata.augment.image as images
from mmdata.augment.video import AugmentFrames
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames, Image
from mmdata.core.spans import SpaceMap
from mmdata.core.step import RandomMap
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import moving_shapes

STEPS = [name for name in images.__all__ if issubclass(getattr(images, name), RandomMap)]
FRAMES = moving_shapes(5, 64, 48, radius_px=12)[0]


def made(step: AugmentFrames, frames: Frames = FRAMES, seed: int = 0) -> Frames:
    result = step.map(frames, np.random.default_rng(seed))
    assert isinstance(result, Frames)
    return result


@pytest.mark.parametrize("name", STEPS)
@given(seed=st.integers(0, 10**6))
@settings(deadline=None, max_examples=6)
def test_each_step_does_the_same_to_every_frame(name: str, seed: int) -> None:
    """A clip of one picture again and again stays one; and of other pictures, each is as it would be alone."""
    step = AugmentFrames(step={"use": f"augment.image.{name}"})
    still = FRAMES.rows(np.zeros(4, np.int64))
    found = made(step, still, seed)
    assert (found.pixels == found.pixels[0]).all()
    moving = made(step, FRAMES, seed)
    assert moving.pixels.shape[1:] == found.pixels.shape[1:]
    assert moving.space_map == found.space_map
    assert (moving.pixels[0] == found.pixels[0]).all()
    alone = made(step, FRAMES.rows(slice(2, 3)), seed)
    assert (moving.pixels[2] == alone.pixels[0]).all()


def test_what_is_cropped_can_be_found_again() -> None:
    found = made(AugmentFrames(step={"use": "augment.image.CropAtRandom", "width_px": None, "height_px": None}), seed=3)
    left, top = (int(edge) for edge in found.space_map.to_source(np.zeros((1, 2)))[0])
    height, width = found.pixels.shape[1:3]
    assert (found.pixels == FRAMES.pixels[:, top : top + height, left : left + width]).all()
    assert found.space_map == SpaceMap().cropped(left=left, top=top)


@pytest.mark.parametrize("name", STEPS)
def test_the_promised_form_is_kept(name: str) -> None:
    form = ArraySpec(
        dims=("time", "height", "width", "channel"),
        sizes={"time": 5, "height": 48, "width": 64, "channel": 3},
        dtype="uint8",
    )
    step = AugmentFrames(step={"use": f"augment.image.{name}"})
    promise = step.spec_given(form)
    assert {"time": 5, "channel": 3}.items() <= promise.sizes.items()
    for seed in range(4):
        assert promise.fault(made(step, seed=seed).pixels) is None
    if name == "CropAtRandom":
        assert (promise.sizes["height"], promise.sizes["width"]) == (224, 224)


def test_draws_differ_from_clip_to_clip() -> None:
    step = AugmentFrames(step={"use": "augment.image.RotateImage"})
    assert len({made(step, seed=seed).space_map for seed in range(8)}) == 8


def test_noise_can_be_drawn_for_each_frame() -> None:
    still = FRAMES.rows(np.zeros(3, np.int64))
    step: dict[str, Any] = {"use": "augment.image.AddNoise", "min_level": 5, "max_level": 5}
    same, own = made(AugmentFrames(step=step), still), made(AugmentFrames(step=step, same=False), still)
    assert (same.pixels[0] == same.pixels[1]).all()
    assert (own.pixels[0] != own.pixels[1]).mean() > 0.5


def test_frames_that_are_not_drawn_are_left() -> None:
    step = AugmentFrames(step={"use": "augment.image.FlipImage", "p": 0})
    assert step.map(FRAMES, np.random.default_rng(0)) is FRAMES


def test_only_random_steps_on_pictures_are_taken() -> None:
    for name in ("clean.image.SharpenImage", "augment.audio.ChangeGain", "augment.image.Nothing"):
        with pytest.raises(ValidationError, match="is no RandomMap on Image"):
            TypeAdapter(AugmentFrames).validate_python({"step": {"use": name}})


def test_a_flip_is_that_of_a_picture() -> None:
    found = made(AugmentFrames(step={"use": "augment.image.FlipImage", "p": 1}))
    flipped = images.FlipImage(p=1).map(Image(FRAMES.pixels[3]), np.random.default_rng(0))
    assert isinstance(flipped, Image)
    assert (found.pixels[3] == flipped.pixels).all()


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(AugmentFrames(step={"use": f"augment.image.{name}"}), FRAMES, others={"step": {"use": other}})
            for name, other in (("FlipImage", "augment.image.TiltImage"), ("JitterColors", "augment.image.FlipImage"))
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case
