from __future__ import annotations

import colorsys
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageEnhance
from pydantic import TypeAdapter, ValidationError
from skimage import filters

from mmdata.augment.image import BlurImage, CompressImage, DropColors, EraseRectangle, JitterColors
from mmdata.augment.image.colors import blended
from mmdata.core.rng import rng_for
from mmdata.core.sample import Image
from mmdata.core.step import RandomMap
from mmdata.kernels.image import grey, laplacian_variance
from mmdata.kernels.image.color import turn_hue
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
GREY = Image(TEXTURE.pixels[..., :1])
STEPS: list[RandomMap[Image, Image]] = [
    JitterColors(),
    DropColors(p=1),
    BlurImage(p=1),
    CompressImage(p=1),
    EraseRectangle(p=1),
    EraseRectangle(p=1, fill="mean"),
]

# other values of settings than any step here has
OTHERS: dict[str, object] = {
    "p": 0.25, "brightness": 0.5, "contrast": 0.5, "saturation": 0.5, "hue": 0.1, "min_sigma_px": 1.0,
    "max_sigma_px": 3.0, "min_quality": 40, "max_quality": 90, "min_share": 0.1, "max_share": 0.5,
}  # fmt: skip


class TestColorsAndDamage(StepContract):
    @pytest.fixture(
        params=[
            *(Case(step, TEXTURE, others=OTHERS) for step in STEPS),
            *(Case(replace(step, p=0), TEXTURE, unchanged=TEXTURE, others=OTHERS) for step in STEPS[:5]),  # type: ignore[call-arg]
            Case(
                JitterColors(brightness=0, contrast=0, saturation=0, hue=0), TEXTURE, unchanged=TEXTURE, others=OTHERS
            ),
            Case(JitterColors(brightness=0, contrast=0), TEXTURE, unchanged=GREY, others=OTHERS),
            Case(DropColors(p=1), TEXTURE, unchanged=GREY, others=OTHERS),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def changed(step: RandomMap[Image, Image], image: Image = TEXTURE, seed: int = 0) -> Image:
    result = step.map(image, rng_for(seed, "augment"))
    assert isinstance(result, Image)
    return result


@given(st.sampled_from(STEPS), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3]), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_pictures_of_every_size_keep_it_and_their_place(
    step: RandomMap[Image, Image], width: int, height: int, channels: int, seed: int
) -> None:
    image = Image(picture(width, height, seed=seed).pixels[..., :channels], 6)
    result = changed(step, image, seed)
    assert result.pixels.shape == image.pixels.shape
    assert result.pixels.dtype == np.uint8
    assert (result.orientation, result.space_map) == (6, image.space_map)


@given(st.floats(0, 2), st.integers(0, 9))
@settings(max_examples=40, deadline=None)
def test_brightness_contrast_and_saturation_are_pillows(factor: float, seed: int) -> None:
    pixels = picture(20, 16, seed=seed).pixels
    file = Pillow.fromarray(pixels)
    mean = round(float(grey(pixels).mean()))  # they round the mean to a whole level
    pairs = [
        (blended(pixels, 0.0, factor), ImageEnhance.Brightness(file)),
        (blended(pixels, mean, factor), ImageEnhance.Contrast(file)),
        (blended(pixels, grey(pixels)[..., None], factor), ImageEnhance.Color(file)),
    ]
    for ours, theirs in pairs:
        # they cut off what is after the point, and their luma differs by a level at times
        assert np.abs(ours.astype(int) - np.asarray(theirs.enhance(factor))).max() <= 2


@given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255), st.floats(-0.5, 0.5))
def test_hues_turn_as_in_the_standard_library(red: int, green: int, blue: int, turns: float) -> None:
    ours = turn_hue(np.array([[[red, green, blue]]], np.uint8), turns)[0, 0]
    hue, saturation, value = colorsys.rgb_to_hsv(red / 255, green / 255, blue / 255)
    theirs = np.array(colorsys.hsv_to_rgb((hue + turns) % 1, saturation, value)) * 255
    # hue and saturation are whole steps of 256: a step of hue is six levels of a full colour
    assert np.abs(ours - theirs).max() <= 10


@pytest.mark.parametrize("name", ["brightness", "contrast", "saturation"])
def test_factors_are_drawn_from_both_sides_of_one(name: str) -> None:
    strengths: dict[str, Any] = {"brightness": 0, "contrast": 0, "saturation": 0, "hue": 0, name: 0.5}
    step = JitterColors(**strengths)

    def measure(pixels: np.ndarray) -> float:
        if name == "brightness":
            return float(pixels.mean())
        return float(grey(pixels).std() if name == "contrast" else np.ptp(pixels.astype(int), axis=2).mean())

    dull = Image((TEXTURE.pixels // 3 + 60).astype(np.uint8))
    ratios = [measure(changed(step, dull, seed).pixels) / measure(dull.pixels) for seed in range(150)]
    assert 0.45 < min(ratios) < 0.6
    assert 1.4 < max(ratios) < 1.55


def test_a_hue_is_turned_both_ways_by_the_bound_at_most() -> None:
    red = Image(np.full((4, 4, 3), (255, 0, 0), np.uint8))
    step = JitterColors(brightness=0, contrast=0, saturation=0, hue=1 / 6)
    seen = np.array([changed(step, red, seed).pixels[0, 0] for seed in range(100)]).astype(int)
    assert (seen[:, 0] == 255).all()
    assert seen[:, 1].max() > 200  # towards yellow
    assert seen[:, 2].max() > 200  # towards magenta
    assert (seen.min(axis=1) == 0).all()


def test_colours_are_dropped_and_greys_are_kept() -> None:
    dropped = changed(DropColors(p=1)).pixels
    assert np.array_equal(dropped, np.repeat(grey(TEXTURE.pixels)[..., None], 3, axis=2))


@pytest.mark.parametrize("sigma", [0.5, 1.0, 3.0])
def test_blur_is_the_gaussian_of_scikit_image(sigma: float) -> None:
    ours = changed(BlurImage(p=1, min_sigma_px=sigma, max_sigma_px=sigma)).pixels.astype(float)
    gaussian: Any = filters.gaussian
    theirs = gaussian(TEXTURE.pixels, sigma, channel_axis=2, preserve_range=True, mode="mirror")
    # OpenCV's kernel ends at 3 deviations for 8 bits, theirs at 4
    assert np.abs(ours - theirs).max() <= 2


def test_more_blur_and_less_quality_leave_less() -> None:
    sharp = [
        laplacian_variance(changed(BlurImage(p=1, min_sigma_px=s, max_sigma_px=s)).pixels) for s in (0.3, 0.8, 2.0)
    ]
    assert sharp[0] > sharp[1] > sharp[2]
    losses = [
        np.abs(changed(CompressImage(p=1, min_quality=q, max_quality=q)).pixels.astype(int) - TEXTURE.pixels).mean()
        for q in (95, 50, 5)
    ]
    assert 0 < losses[0] < losses[1] < losses[2]


def test_a_compressed_picture_is_what_a_jpeg_of_it_holds() -> None:
    from mmdata.codec.image import DecodeImage
    from mmdata.core.sample import Blob
    from mmdata.testing.media import jpeg_bytes

    for image in (TEXTURE, GREY):
        ours = changed(CompressImage(p=1, min_quality=40, max_quality=40), image).pixels
        through = DecodeImage(grey=image is GREY).map(Blob.of(jpeg_bytes(image, quality=40))).pixels
        assert np.array_equal(ours, through)


def test_a_picture_too_long_for_a_jpeg_is_left_alone() -> None:
    long = Image(np.zeros((1, 65_501, 3), np.uint8))
    assert changed(CompressImage(p=1), long) is long
    assert changed(CompressImage(p=1), Image(np.zeros((1, 65_500, 3), np.uint8))).width == 65_500


def covered(image: Image, step: EraseRectangle, seed: int) -> tuple[int, int, np.ndarray]:
    """Width and height of what differs, and its pixels."""
    result = changed(step, image, seed).pixels
    differs = (result != image.pixels).any(axis=2)
    rows, columns = np.flatnonzero(differs.any(axis=1)), np.flatnonzero(differs.any(axis=0))
    inside = result[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    return len(columns), len(rows), inside


@given(st.integers(0, 500), st.sampled_from(["mean", "black"]))
@settings(max_examples=50, deadline=None)
def test_one_rectangle_is_covered_of_a_share_and_aspect_within_the_bounds(seed: int, fill: Any) -> None:
    half = np.full((100, 100, 3), 200, np.uint8)
    half[:, :50] = 150
    step = EraseRectangle(p=1, fill=fill, min_share=0.1, max_share=0.2, min_aspect=0.5, max_aspect=2)
    width, height, inside = covered(Image(half), step, seed)
    assert (width + 0.5) * (height + 0.5) >= 1000
    assert (width - 0.5) * (height - 0.5) <= 2000
    assert (width + 0.5) / (height - 0.5) >= 0.5
    assert (width - 0.5) / (height + 0.5) <= 2
    assert (inside == (175 if fill == "mean" else 0)).all()


def test_noise_covers_with_all_levels() -> None:
    step = EraseRectangle(p=1, min_share=0.5, max_share=0.5, min_aspect=1, max_aspect=1)
    width, height, inside = covered(Image(np.full((100, 100, 3), 90, np.uint8)), step, 0)
    assert abs(width - 71) <= 1
    assert abs(height - 71) <= 1
    assert 120 < inside.mean() < 135
    assert inside.std() > 70


def test_what_fits_nowhere_covers_nothing() -> None:
    thin = Image(np.zeros((1, 5000, 3), np.uint8))
    assert changed(EraseRectangle(p=1, min_share=0.3), thin) is thin


@pytest.mark.parametrize(
    ("step", "given_settings", "text"),
    [
        (BlurImage, {"min_sigma_px": 3.0}, r"max_sigma_px \(2.0\) is below min_sigma_px \(3.0\)"),
        (CompressImage, {"min_quality": 96}, r"max_quality \(95\) is below min_quality \(96\)"),
        (EraseRectangle, {"max_share": 0.01}, r"max_share \(0.01\) is below min_share \(0.02\)"),
        (EraseRectangle, {"min_aspect": 4.0}, r"max_aspect \(3.3\) is below min_aspect \(4.0\)"),
    ],
)
def test_bounds_in_the_wrong_order_are_refused(step: Any, given_settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        step(**given_settings)


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (JitterColors, {"brightness": 1.1}),
        (JitterColors, {"hue": 0.51}),
        (DropColors, {"p": -0.1}),
        (BlurImage, {"min_sigma_px": 0}),
        (CompressImage, {"min_quality": 0}),
        (CompressImage, {"max_quality": 101}),
        (EraseRectangle, {"min_share": 0}),
        (EraseRectangle, {"fill": "white"}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
