from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.image import DropBlurred, FixOrientation, ResizeImage
from mmdata.core.sample import Image
from mmdata.core.step import Drop
from mmdata.features.image import Sharpness
from mmdata.kernels.image import turn_upright
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
FLAT = Image(np.full((48, 64, 3), 90, np.uint8))
STORED = [Image(TEXTURE.pixels, orientation) for orientation in range(1, 9)]


class TestImageSteps(StepContract):
    @pytest.fixture(
        params=[
            *(Case(FixOrientation(), image, unchanged=TEXTURE) for image in STORED[1:]),
            Case(ResizeImage(size_px=32), TEXTURE, unchanged=picture(32, 31)),
            Case(ResizeImage(size_px=32, side="shortest", enlarge=True), TEXTURE, unchanged=picture(33, 32)),
            Case(ResizeImage(size_px=50, side="exact"), TEXTURE, unchanged=picture(50, 50)),
            Case(DropBlurred(), TEXTURE),
            Case(DropBlurred(), FLAT),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def changed(result: Image | Drop) -> Image:
    assert isinstance(result, Image)
    return result


@pytest.mark.parametrize("stored", STORED, ids=lambda image: str(image.orientation))
def test_every_orientation_becomes_upright(stored: Image) -> None:
    upright = changed(FixOrientation().map(stored))
    assert upright.orientation == 1
    assert np.array_equal(upright.pixels, turn_upright(stored.pixels, stored.orientation)[0])
    assert (upright.width, upright.height) == ((48, 64) if stored.orientation >= 5 else (64, 48))
    assert (upright is stored) == (stored.orientation == 1)


@pytest.mark.parametrize("stored", STORED, ids=lambda image: str(image.orientation))
def test_the_space_map_of_a_turned_and_resized_picture_leads_to_the_pixels_it_shows(stored: Image) -> None:
    upright = changed(FixOrientation().map(stored))
    half = changed(ResizeImage(size_px=32).map(upright))
    centers = np.array([[0.5, 0.5], [7.5, 3.5], [upright.width - 0.5, upright.height - 0.5]])
    for (x, y), (old_x, old_y) in zip(centers, upright.space_map.to_source(centers), strict=True):
        assert np.array_equal(upright.pixels[int(y), int(x)], stored.pixels[int(old_y), int(old_x)])
    assert np.allclose(half.space_map.to_source(centers / 2), upright.space_map.to_source(centers))


@pytest.mark.parametrize(
    ("step", "size"),
    [
        (ResizeImage(size_px=32), (32, 24)),
        (ResizeImage(size_px=63), (63, 47)),
        (ResizeImage(size_px=64), (64, 48)),
        (ResizeImage(size_px=65), (64, 48)),
        (ResizeImage(size_px=65, enlarge=True), (65, 49)),
        (ResizeImage(size_px=24, side="shortest"), (32, 24)),
        (ResizeImage(size_px=49, side="shortest"), (64, 48)),
        (ResizeImage(size_px=96, side="shortest", enlarge=True), (128, 96)),
        (ResizeImage(size_px=50, side="exact"), (50, 50)),
        (ResizeImage(size_px=100, side="exact"), (100, 100)),
        (ResizeImage(size_px=1), (1, 1)),
    ],
    ids=str,
)
def test_pictures_get_the_size_that_was_asked_for(step: ResizeImage, size: tuple[int, int]) -> None:
    resized = changed(step.map(TEXTURE))
    assert (resized.width, resized.height) == size
    assert resized.pixels.dtype == np.uint8
    assert (resized is TEXTURE) == (size == (64, 48))


@given(st.integers(1, 90), st.integers(1, 90), st.integers(1, 100), st.sampled_from([1, 3]))
@settings(max_examples=40, deadline=None)
def test_a_resized_picture_keeps_aspect_channels_and_corners(w: int, h: int, size_px: int, channels: int) -> None:
    image = Image(np.full((h, w, channels), 7, np.uint8))
    small = changed(ResizeImage(size_px=size_px).map(image))
    assert max(small.width, small.height) == min(size_px, max(w, h))
    assert small.pixels.shape[2] == channels
    # each side is off its exact length by at most half a pixel, or is the one pixel that it can't go below
    assert abs(small.width - w * max(small.width, small.height) / max(w, h)) <= 0.5 or small.width == 1
    assert abs(small.height - h * max(small.width, small.height) / max(w, h)) <= 0.5 or small.height == 1
    corners = np.array([[0, 0], [small.width, small.height]], float)
    assert np.allclose(small.space_map.to_source(corners), [[0, 0], [w, h]])


def test_blurred_and_empty_pictures_are_dropped() -> None:
    assert DropBlurred().keep(TEXTURE) is True
    assert DropBlurred().keep(picture(kind="shapes")) is True
    assert DropBlurred().keep(FLAT) == Drop("blurred")
    assert DropBlurred().keep(picture(256, 256, "gradient")) == Drop("blurred")


def test_a_picture_just_as_sharp_as_the_bound_is_kept() -> None:
    sharpness = float(Sharpness().extract(TEXTURE))
    assert DropBlurred(min_sharpness=sharpness * 0.999).keep(TEXTURE) is True
    assert DropBlurred(min_sharpness=sharpness * 1.001).keep(TEXTURE) == Drop("blurred")
    assert DropBlurred(min_sharpness=0).keep(FLAT) is True


def test_the_working_size_decides_how_sharp_a_picture_looks() -> None:
    large = picture(300, 200)
    at_100, at_300 = (float(Sharpness(working_px=working_px).extract(large)) for working_px in (100, 300))
    between = (at_100 + at_300) / 2
    verdicts = [DropBlurred(min_sharpness=between, working_px=size).keep(large) is True for size in (100, 300)]
    assert verdicts == [at_100 > between, at_300 > between]
    assert len(set(verdicts)) == 2


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (ResizeImage, {"size_px": 0}),
        (ResizeImage, {"side": "widest"}),
        (DropBlurred, {"min_sharpness": -1}),
        (DropBlurred, {"working_px": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
