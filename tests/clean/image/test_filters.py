from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.image import DropPlain, KeepAspect, KeepContrast, KeepEntropy, KeepExposure, KeepImageSize
from mmdata.core.sample import Image
from mmdata.core.step import Drop, Filter
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
FLAT = Image(np.full((64, 64, 3), 90, np.uint8))


def halves(low: int, high: int) -> Image:
    """Left half of one grey level, right half of another."""
    levels = np.repeat(np.array([low, high], np.uint8), 32)
    return Image(np.broadcast_to(levels[None, :, None], (64, 64, 3)).copy())


def sized(width: int, height: int, orientation: int = 1) -> Image:
    return Image(np.zeros((height, width, 3), np.uint8), orientation)


def spotted(n_spots: int) -> Image:
    """A thousand pixels of one colour, but for some spots."""
    pixels = np.full((25, 40, 3), 100, np.uint8)
    pixels.reshape(-1, 3)[:n_spots] = 200
    return Image(pixels)


class TestImageFilters(StepContract):
    @pytest.fixture(
        params=[
            Case(KeepImageSize(), TEXTURE, others={"max_px": 500, "max_pixels": 10_000}),
            Case(KeepImageSize(min_px=48), TEXTURE, others={"max_px": 500, "max_pixels": 10_000}),
            Case(KeepAspect(), TEXTURE),
            Case(KeepAspect(min_aspect=2), TEXTURE, others={"min_aspect": 1.5}),
            Case(KeepExposure(), TEXTURE, others={"max_dark": 0.5, "max_bright": 0.5}),
            Case(KeepExposure(), halves(0, 4), others={"max_dark": 0.5, "max_bright": 0.5}),
            Case(KeepContrast(), FLAT),
            Case(KeepEntropy(), FLAT, others={"max_bits": 7.0}),
            Case(DropPlain(), FLAT, others={"max_share": 0.5}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@pytest.mark.parametrize(
    ("step", "image", "verdict"),
    [
        (KeepImageSize(min_px=48), TEXTURE, True),
        (KeepImageSize(min_px=49), TEXTURE, "too_small"),
        (KeepImageSize(min_px=1, max_px=64), TEXTURE, True),
        (KeepImageSize(min_px=1, max_px=63), TEXTURE, "too_large"),
        (KeepImageSize(min_px=1, min_pixels=64 * 48), TEXTURE, True),
        (KeepImageSize(min_px=1, min_pixels=64 * 48 + 1), TEXTURE, "too_small"),
        (KeepImageSize(min_px=1, max_pixels=64 * 48), TEXTURE, True),
        (KeepImageSize(min_px=1, max_pixels=64 * 48 - 1), TEXTURE, "too_large"),
        (KeepImageSize(), sized(1, 20_000), "too_small"),
        (KeepAspect(max_aspect=4 / 3), TEXTURE, True),
        (KeepAspect(max_aspect=1.33), TEXTURE, "too_wide"),
        (KeepAspect(), sized(300, 100), True),
        (KeepAspect(), sized(301, 100), "too_wide"),
        (KeepAspect(), sized(100, 300), True),
        (KeepAspect(), sized(100, 301), "too_tall"),
        (KeepAspect(), sized(301, 100, orientation=6), "too_tall"),
        (KeepAspect(max_aspect=1, min_aspect=0.1), sized(200, 100, orientation=8), True),
        (KeepExposure(min_level=50), halves(0, 100), True),
        (KeepExposure(min_level=50.5), halves(0, 100), "too_dark"),
        (KeepExposure(max_level=150), halves(100, 200), True),
        (KeepExposure(max_level=149.5), halves(100, 200), "too_bright"),
        (KeepExposure(max_dark=0.5), halves(5, 100), True),
        (KeepExposure(max_dark=0.49), halves(5, 100), "too_dark"),
        (KeepExposure(max_dark=0.49), halves(6, 100), True),
        (KeepExposure(max_bright=0.5), halves(100, 250), True),
        (KeepExposure(max_bright=0.49), halves(100, 250), "too_bright"),
        (KeepExposure(max_bright=0.49), halves(100, 249), True),
        (KeepContrast(), halves(100, 120), True),
        (KeepContrast(), halves(100, 119), "low_contrast"),
        (KeepContrast(min_deviation=127.5), halves(0, 255), True),
        (KeepEntropy(min_bits=1), halves(7, 8), True),
        (KeepEntropy(min_bits=1.01), halves(7, 8), "low_entropy"),
        (KeepEntropy(min_bits=0, max_bits=1), halves(7, 8), True),
        (KeepEntropy(min_bits=0, max_bits=0.99), halves(7, 8), "high_entropy"),
        (KeepEntropy(min_bits=0), FLAT, True),
        (DropPlain(), spotted(20), True),
        (DropPlain(), spotted(19), "plain"),
        (DropPlain(max_share=1), FLAT, True),
        (DropPlain(tolerance=100), spotted(500), "plain"),
        (DropPlain(tolerance=99), spotted(400), True),
    ],
    ids=str,
)
def test_a_picture_on_each_side_of_a_bound(step: Filter[Image], image: Image, verdict: str | bool) -> None:
    assert step.keep(image) == (True if verdict is True else Drop(str(verdict)))
    grey = Image(image.pixels[..., :1], image.orientation)
    if image is not TEXTURE:
        assert step.keep(grey) == (True if verdict is True else Drop(str(verdict)))


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 8))
def test_what_is_seen_alike_is_judged_alike(width: int, height: int, orientation: int) -> None:
    """EXIF's turned pictures have the aspect that they are seen with, and the sizes of either side."""
    seen = sized(width, height) if orientation < 5 else sized(height, width)
    step = KeepAspect(min_aspect=0.5, max_aspect=1.5)
    assert step.keep(sized(width, height, orientation)) == step.keep(seen)
    assert KeepImageSize(min_px=20).keep(sized(width, height, orientation)) == KeepImageSize(min_px=20).keep(seen)


@given(st.integers(0, 9))
def test_photographs_pass_all_and_a_lens_cap_passes_none(seed: int) -> None:
    steps = [KeepExposure(), KeepContrast(), KeepEntropy(), DropPlain()]
    assert [step.keep(picture(64, 64, seed=seed)) for step in steps] == [True] * 4
    dark = Image(np.random.default_rng(seed).integers(0, 3, (64, 64, 3), dtype=np.uint8))
    assert all(isinstance(step.keep(dark), Drop) for step in steps)


@pytest.mark.parametrize(
    ("step", "settings", "text"),
    [
        (KeepImageSize, {"min_px": 9, "max_px": 8}, r"max_px \(8\) is below min_px \(9\)"),
        (KeepImageSize, {"min_pixels": 9, "max_pixels": 8}, r"max_pixels \(8\) is below min_pixels \(9\)"),
        (KeepAspect, {"min_aspect": 4.0}, r"max_aspect \(3.0\) is below min_aspect \(4.0\)"),
        (KeepExposure, {"min_level": 240.0}, r"max_level \(235.0\) is below min_level \(240.0\)"),
        (KeepEntropy, {"max_bits": 2.0}, r"max_bits \(2.0\) is below min_bits \(3.0\)"),
    ],
)
def test_bounds_in_the_wrong_order_are_refused(step: type, settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        step(**settings)


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        (KeepImageSize, {"min_px": 0}),
        (KeepAspect, {"min_aspect": 0}),
        (KeepExposure, {"max_dark": 1.1}),
        (KeepExposure, {"max_level": 256}),
        (KeepContrast, {"min_deviation": 128}),
        (KeepEntropy, {"min_bits": -1}),
        (KeepEntropy, {"max_bits": 8.1}),
        (DropPlain, {"max_share": 1.01}),
        (DropPlain, {"tolerance": -1}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(step).validate_python(settings)
