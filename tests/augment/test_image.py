from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.augment.image import AddNoise, FlipImage
from mmdata.core.rng import rng_for
from mmdata.core.sample import Image
from mmdata.core.step import Drop
from mmdata.kernels.image import turn_upright
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)


class TestImageAugmentations(StepContract):
    @pytest.fixture(
        params=[
            Case(FlipImage(p=1.0), TEXTURE, others={"p": 0.25}),
            Case(FlipImage(p=0.0), TEXTURE, unchanged=TEXTURE, others={"p": 0.25}),
            Case(AddNoise(), TEXTURE, others={"min_level": 3.0}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def changed(result: Image | Drop) -> Image:
    assert isinstance(result, Image)
    return result


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_a_flipped_picture_is_seen_mirrored_left_to_right(orientation: int, channels: int) -> None:
    stored = Image(TEXTURE.pixels[..., :channels], orientation)
    flipped = changed(FlipImage(p=1.0).map(stored, rng_for(1)))
    seen = turn_upright(stored.pixels, orientation)[0]
    assert np.array_equal(turn_upright(flipped.pixels, flipped.orientation)[0], seen[:, ::-1])
    x, y = flipped.space_map.to_source(np.array([[7.5, 3.5]]))[0]
    assert np.array_equal(flipped.pixels[3, 7], stored.pixels[int(y), int(x)])


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (0.25, 60, 140), (0.5, 150, 250), (1.0, 400, 400)])
def test_the_share_asked_for_is_flipped(p: float, low: int, high: int) -> None:
    step = FlipImage(p=p)
    n_flipped = sum(step.map(TEXTURE, rng_for(7, "flip", index)) is not TEXTURE for index in range(400))
    assert low <= n_flipped <= high


def test_flipping_twice_gives_pixels_and_map_back() -> None:
    twice = changed(FlipImage(p=1).map(changed(FlipImage(p=1).map(TEXTURE, rng_for(1))), rng_for(2)))
    assert np.array_equal(twice.pixels, TEXTURE.pixels)
    assert twice.space_map.is_identity


@given(st.floats(0.5, 20), st.integers(0, 1000))
def test_noise_has_the_level_asked_for(level: float, seed: int) -> None:
    grey = Image(np.full((60, 60, 3), 128, np.uint8))
    noisy = changed(AddNoise(min_level=level, max_level=level).map(grey, rng_for(seed)))
    added = noisy.pixels.astype(float) - 128
    # 10,800 values: the deviation is known to 0.7 %, and rounding to whole levels adds a variance of 1/12
    assert added.std() == pytest.approx(np.hypot(level, 12**-0.5), rel=0.05)
    assert abs(added.mean()) < 0.05 * level + 0.03
    assert abs(np.corrcoef(added[..., 0].ravel(), added[..., 1].ravel())[0, 1]) < 0.1


def test_levels_are_drawn_between_the_bounds() -> None:
    grey = Image(np.full((40, 40, 3), 128, np.uint8))
    levels = [float(changed(AddNoise().map(grey, rng_for(seed))).pixels.std()) for seed in range(100)]
    assert 1.8 < min(levels) < 3.5
    assert 8.5 < max(levels) < 10.5


@pytest.mark.parametrize("level", [0, 255])
def test_noise_does_not_wrap_around_at_black_and_white(level: int) -> None:
    noisy = changed(AddNoise(min_level=5, max_level=5).map(Image(np.full((40, 40, 3), level, np.uint8)), rng_for(3)))
    assert np.abs(noisy.pixels.astype(int) - level).max() < 40


def test_no_noise_changes_no_pixel() -> None:
    assert np.array_equal(changed(AddNoise(min_level=0, max_level=0).map(TEXTURE, rng_for(1))).pixels, TEXTURE.pixels)


def test_levels_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_level \(1\) is below min_level \(2\)"):
        AddNoise(min_level=2, max_level=1)


@pytest.mark.parametrize(
    ("step", "settings"), [(FlipImage, {"p": -0.01}), (FlipImage, {"p": 1.01}), (AddNoise, {"min_level": -1})]
)
def test_settings_out_of_range_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(step).validate_python(settings)
