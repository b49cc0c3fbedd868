from __future__ import annotations

import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.features.image import (
    ColorHistogram,
    ImageSize,
    OrientedGradients,
    PerceptualHash,
    Sharpness,
    Thumbnail,
    TinyImage,
)
from mmdata.kernels.hashing import hamming_bits
from mmdata.kernels.image import Space, color_histogram, laplacian_variance, resize
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
GREY = Image(TEXTURE.pixels[..., :1])
PIXEL = Image(np.full((1, 1, 3), 9, np.uint8))
STEPS: list[Extract[Image]] = [
    PerceptualHash(),
    Sharpness(),
    ImageSize(),
    ColorHistogram(),
    ColorHistogram(n_bins=2, space="lab"),
    TinyImage(),
    TinyImage(size_px=48),
    Thumbnail(size_px=20),
    OrientedGradients(),
    OrientedGradients(size_px=50, cell_px=16, n_bins=6),
]


class TestImageFeatures(StepContract):
    @pytest.fixture(params=[Case(step, image) for step in STEPS for image in (TEXTURE, GREY, PIXEL)], ids=str)
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def test_hashes_of_the_same_picture_at_two_sizes_are_near() -> None:
    large = picture(200, 200, "shapes", seed=4)
    small = Image(resize(large.pixels, width=130, height=90))
    one, other = (PerceptualHash().extract(image) for image in (large, small))
    assert hamming_bits(one, other) <= 4
    far = PerceptualHash().extract(picture(200, 200, "shapes", seed=5))
    assert hamming_bits(one, far) > 12


def test_sharpness_is_the_kernels_at_the_working_size() -> None:
    large = picture(300, 200)
    for working_px in (100, 512):
        expected = laplacian_variance(large.pixels, working_px=working_px)
        assert float(Sharpness(working_px=working_px).extract(large)) == pytest.approx(expected, rel=1e-6)
    assert float(Sharpness().extract(PIXEL)) == 0


def test_sizes_are_those_of_the_pixels() -> None:
    size = ImageSize().extract(picture(64, 48))
    assert (int(size["width"]), int(size["height"])) == (64, 48)
    assert float(size["aspect"]) == pytest.approx(4 / 3)


def test_colours_of_one_picture_add_up_to_one() -> None:
    spaces: list[Space] = ["rgb", "hsv", "lab"]
    for space in spaces:
        shares = ColorHistogram(n_bins=5, space=space).extract(TEXTURE)
        assert shares.shape == (125,)
        assert shares.sum() == pytest.approx(1, abs=1e-5)
        assert np.array_equal(shares, color_histogram(TEXTURE.pixels, n_bins=5, space=space))


def test_colours_do_not_depend_on_where_they_are() -> None:
    mirrored = Image(np.ascontiguousarray(TEXTURE.pixels[::-1, ::-1]))
    assert np.array_equal(ColorHistogram().extract(TEXTURE), ColorHistogram().extract(mirrored))


def test_a_tiny_image_is_the_picture_averaged() -> None:
    tiny = TinyImage(size_px=16).extract(TEXTURE)
    means = TEXTURE.pixels.reshape(16, 3, 16, 4, 3).mean(axis=(1, 3))
    assert np.abs(tiny - means).max() <= 0.51
    assert np.array_equal(TinyImage().extract(GREY)[..., 0], TinyImage().extract(GREY)[..., 2])


def test_a_thumbnail_is_the_whole_picture_upright() -> None:
    on_its_side = Image(TEXTURE.pixels, 6)
    assert Thumbnail(size_px=32).extract(TEXTURE).shape == (24, 32, 3)
    assert np.array_equal(Thumbnail(size_px=64).extract(TEXTURE), TEXTURE.pixels)
    small = Thumbnail(size_px=32).extract(on_its_side)
    assert np.array_equal(small, np.rot90(Thumbnail(size_px=32).extract(TEXTURE), -1))
    assert Thumbnail(size_px=1000).extract(GREY).shape == (48, 64, 3)


def test_shapes_of_one_kind_are_nearer_to_each_other_than_to_another_kind() -> None:
    from mmdata.core.rng import rng_for
    from mmdata.testing.corpus import drawn

    bars = [OrientedGradients().extract(drawn("bar", rng_for(seed))) for seed in range(6)]
    discs = [OrientedGradients().extract(drawn("disc", rng_for(seed))) for seed in range(6, 12)]
    within = np.mean([one @ other for group in (bars, discs) for one in group for other in group if one is not other])
    assert within > np.mean([one @ other for one in bars for other in discs]) * 1.05


def test_a_square_without_two_cells_is_refused() -> None:
    with pytest.raises(ValueError, match=r"size_px \(15\) must hold two cells of 8 px"):
        OrientedGradients(size_px=15)
    assert OrientedGradients(size_px=16).spec().sizes["feature"] == 36


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (ColorHistogram, {"n_bins": 1}),
        (ColorHistogram, {"n_bins": 17}),
        (ColorHistogram, {"space": "xyz"}),
        (TinyImage, {"size_px": 0}),
        (Sharpness, {"working_px": 0}),
        (OrientedGradients, {"n_bins": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
