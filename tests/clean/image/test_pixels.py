from __future__ import annotations

from typing import Any, Literal

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from scipy import ndimage
from skimage import filters

from mmdata.clean.image import ConvertToGrey, DeblurImage, DenoiseImage, EqualizeImage, SharpenImage
from mmdata.core.sample import Image
from mmdata.core.step import Map
from mmdata.kernels.image import grey, laplacian_variance
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
GREY = Image(TEXTURE.pixels[..., :1])
FLAT = Image(np.full((20, 30, 3), 90, np.uint8))
STEPS: list[Map[Image, Image]] = [
    ConvertToGrey(),
    ConvertToGrey(channels=3),
    EqualizeImage(),
    DenoiseImage(),
    DenoiseImage(method="bilateral", levels=50),
    DenoiseImage(method="non_local_means", levels=20),
    SharpenImage(),
    DeblurImage(),
]


class TestPixelSteps(StepContract):
    @pytest.fixture(
        params=[
            *(Case(step, TEXTURE, others={"size_px": 5}) for step in STEPS),
            Case(ConvertToGrey(), TEXTURE, unchanged=GREY),
            Case(ConvertToGrey(channels=3), GREY, unchanged=FLAT),
            Case(SharpenImage(amount=0), TEXTURE, unchanged=TEXTURE),
            Case(SharpenImage(), GREY, unchanged=FLAT),
            Case(DeblurImage(), GREY, unchanged=FLAT),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def changed(step: Map[Image, Image], image: Image) -> Image:
    result = step.map(image)
    assert isinstance(result, Image)
    return result


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.sampled_from(STEPS), st.integers(0, 9))
@settings(max_examples=60, deadline=None)
def test_pictures_of_every_size_keep_it_and_their_place(
    width: int, height: int, channels: int, step: Map[Image, Image], seed: int
) -> None:
    image = Image(picture(width, height, seed=seed).pixels[..., :channels], 6)
    result = changed(step, image)
    expected = step.channels if isinstance(step, ConvertToGrey) else channels
    assert result.pixels.shape == (height, width, expected)
    assert result.pixels.dtype == np.uint8
    assert (result.orientation, result.space_map) == (6, image.space_map)


def test_grey_is_the_luma() -> None:
    luma = TEXTURE.pixels @ np.array([0.299, 0.587, 0.114])
    one, three = (changed(step, TEXTURE).pixels for step in STEPS[:2])
    assert np.abs(one[..., 0] - luma).max() <= 1
    assert np.array_equal(one, three[..., :1])
    assert np.array_equal(three[..., 0], three[..., 2])


def noisy(image: Image, method: str, seed: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    if method == "median":
        salt = rng.random(image.pixels.shape[:2])[..., None]
        return np.where(salt < 0.05, 0, np.where(salt > 0.95, 255, image.pixels)).astype(np.uint8)
    return np.clip(image.pixels + rng.normal(0, 12, image.pixels.shape), 0, 255).round().astype(np.uint8)


@pytest.mark.parametrize("method", ["median", "bilateral", "non_local_means"])
@pytest.mark.parametrize("channels", [1, 3])
def test_denoising_brings_a_noisy_picture_nearer_to_the_clean_one(method: str, channels: int) -> None:
    clean = picture(96, 64, "checker")
    clean = Image(np.clip(clean.pixels, 60, 200)[..., :channels])
    bad = noisy(clean, method)
    step = DenoiseImage(method=method, levels=40 if method == "bilateral" else 15, size_px=5)  # type: ignore[arg-type]
    better = changed(step, Image(bad)).pixels
    before, after = (np.abs(pixels.astype(float) - clean.pixels).mean() for pixels in (bad, better))
    assert after < before / 2
    edge = np.abs(np.diff(better.astype(float)[4, :, 0])).max()
    assert edge > 100  # 140 in the clean one: edges are kept


def test_more_levels_take_more_noise_away() -> None:
    bad = Image(noisy(picture(64, 64, "gradient"), "bilateral"))
    methods: list[Literal["bilateral", "non_local_means"]] = ["bilateral", "non_local_means"]
    for method in methods:
        left = [
            laplacian_variance(changed(DenoiseImage(method=method, levels=levels), bad).pixels)
            for levels in (2, 20, 60)
        ]
        assert left[0] > left[1] > left[2]


def test_sharpening_is_unsharp_masking_of_scikit_image() -> None:
    for radius, amount in ((1.0, 1.0), (2.5, 0.5)):
        ours = changed(SharpenImage(radius_px=radius, amount=amount), TEXTURE).pixels.astype(float)
        unsharp_mask: Any = filters.unsharp_mask
        theirs = 255 * unsharp_mask(TEXTURE.pixels, radius, amount, channel_axis=2)
        # they repeat edge pixels where OpenCV mirrors; inside, OpenCV's kernel ends at 3 deviations, theirs at 4
        inside = (slice(12, -12), slice(12, -12))
        assert np.abs(ours[inside] - theirs[inside]).max() <= 1.5


def test_sharpening_makes_sharper_and_more_of_it_sharper_still() -> None:
    at = [laplacian_variance(changed(SharpenImage(amount=amount), TEXTURE).pixels) for amount in (0.0, 0.5, 2.0)]
    assert at[0] < at[1] < at[2]


@pytest.mark.parametrize("n_steps", [1, 8])
def test_deblurring_is_the_formula_of_richardson_and_lucy(n_steps: int) -> None:
    import cv2

    line = cv2.getGaussianKernel(13, 1.5)[:, 0]  # what OpenCV blurs floats of this deviation by

    def blurred(values: np.ndarray) -> np.ndarray:
        down = ndimage.correlate1d(values, line, axis=0, mode="mirror")
        return np.asarray(ndimage.correlate1d(down, line, axis=1, mode="mirror"))

    seen = TEXTURE.pixels.astype(float) + 0.5
    estimate = seen
    for _ in range(n_steps):
        estimate = estimate * blurred(seen / blurred(estimate))
    ours = changed(DeblurImage(radius_px=1.5, n_steps=n_steps), TEXTURE).pixels
    assert np.abs(ours - (estimate - 0.5).clip(0, 255)).max() <= 1


def test_deblurring_undoes_a_part_of_a_known_blur_and_more_steps_more_of_it() -> None:
    import cv2

    soft = np.asarray(cv2.GaussianBlur(TEXTURE.pixels, (0, 0), 1.5))
    apart = [
        np.abs(changed(DeblurImage(radius_px=1.5, n_steps=n), Image(soft)).pixels.astype(float) - TEXTURE.pixels).mean()
        for n in (1, 5, 30)
    ]
    assert np.abs(soft.astype(float) - TEXTURE.pixels).mean() > apart[0] > apart[1] > apart[2]


def test_equalising_raises_contrast_where_it_is_low_and_keeps_colours() -> None:
    dim = Image((TEXTURE.pixels // 8 + 100).astype(np.uint8))
    even = changed(EqualizeImage(clip_limit=8, n_tiles=2), dim).pixels
    assert grey(even).std() > 2 * grey(dim.pixels).std()
    weak = changed(EqualizeImage(clip_limit=2, n_tiles=2), dim).pixels
    assert grey(weak).std() < grey(even).std()
    # of a picture without colours none come
    plain = np.repeat(dim.pixels[..., :1], 3, axis=2)
    spread = np.ptp(changed(EqualizeImage(), Image(plain)).pixels.astype(int), axis=2)
    assert spread.max() <= 2


def test_a_square_without_a_centre_is_refused() -> None:
    with pytest.raises(ValueError, match="size_px must be odd, so that the square has a centre, not 4"):
        DenoiseImage(size_px=4)


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (ConvertToGrey, {"channels": 2}),
        (EqualizeImage, {"clip_limit": 0.9}),
        (EqualizeImage, {"n_tiles": 0}),
        (DenoiseImage, {"size_px": 1}),
        (DenoiseImage, {"size_px": 33}),
        (DenoiseImage, {"method": "wavelet"}),
        (DenoiseImage, {"levels": 0}),
        (SharpenImage, {"radius_px": 0}),
        (SharpenImage, {"amount": -0.1}),
        (DeblurImage, {"radius_px": 0}),
        (DeblurImage, {"n_steps": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
