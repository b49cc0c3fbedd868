from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from skimage import data, feature, measure, transform

from mmdata.config.names import steps
from mmdata.core.sample import Image
from mmdata.core.step import Extract, address
from mmdata.features.image import (
    AverageHash,
    Colorfulness,
    CoOccurrence,
    Corners,
    DifferenceHash,
    EdgeShare,
    Exposure,
    HuMoments,
    LocalBinaryPatterns,
    OrbKeypoints,
    Plainness,
    TinyGrey,
    WaveletHash,
)
from mmdata.kernels import image as kernels
from mmdata.kernels.hashing import hamming_bits
from mmdata.kernels.image.texture import PROPERTIES
from mmdata.testing.build import picture, shape
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
GREY = Image(TEXTURE.pixels[..., :1])
PIXEL = Image(np.full((1, 1, 3), 9, np.uint8))
FLAT = Image(np.full((64, 64, 3), 90, np.uint8))
STEPS: list[Extract[Image]] = [
    AverageHash(),
    DifferenceHash(),
    WaveletHash(),
    TinyGrey(),
    Exposure(),
    Plainness(),
    Colorfulness(),
    EdgeShare(),
    Corners(),
    HuMoments(),
    OrbKeypoints(),
    LocalBinaryPatterns(),
    CoOccurrence(),
    CoOccurrence(n_levels=32, distance_px=3),
]


class TestDescriptors(StepContract):
    @pytest.fixture(
        params=[Case(step, image, others={"quality": 0.1}) for step in STEPS for image in (TEXTURE, GREY, PIXEL)],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def photograph(name: str) -> Image:
    """A picture that comes with scikit-image (public domain or CC0)."""
    pixels = np.asarray(getattr(data, name)())
    return Image(pixels if pixels.ndim == 3 else pixels[..., None])


EVERY = [*STEPS, *(cls() for cls in steps() if address(cls).startswith("features.image."))]


@given(st.integers(1, 70), st.integers(1, 70), st.sampled_from([1, 3]), st.sampled_from(EVERY), st.integers(0, 9))
@settings(max_examples=150, deadline=None)
def test_pictures_of_every_size_give_the_promised_finite_arrays(
    width: int, height: int, channels: int, step: Extract[Image], seed: int
) -> None:
    arrays = step.named(step.extract(Image(picture(width, height, seed=seed).pixels[..., :channels])))
    for name, spec in step.columns().items():
        assert spec.fault(arrays[name]) is None
        assert np.isfinite(arrays[name]).all()


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("shape", [(1, 20_000, 3), (20_000, 1, 1), (2, 2, 3)])
def test_pictures_of_odd_forms_give_the_promised_arrays(step: Extract[Image], shape: tuple[int, ...]) -> None:
    image = Image(np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8))
    arrays = step.named(step.extract(image))
    assert [spec.fault(arrays[name]) for name, spec in step.columns().items()] == [None] * len(arrays)


@pytest.mark.parametrize("step", [AverageHash(), DifferenceHash(), WaveletHash()], ids=lambda step: type(step).__name__)
def test_hashes_of_a_picture_in_another_size_are_near(step: Extract[Image]) -> None:
    photo = photograph("astronaut")
    small = Image(kernels.resize(photo.pixels, width=200, height=210))
    one, other, far = (np.asarray(step.extract(image)) for image in (photo, small, photograph("coffee")))
    assert hamming_bits(one, other) <= 4
    assert hamming_bits(one, far) >= 14


def exposure(image: Image) -> dict[str, float]:
    return {name: float(array) for name, array in Exposure().named(Exposure().extract(image)).items()}


def test_a_flat_picture_has_no_contrast_and_is_plain() -> None:
    found = exposure(FLAT)
    assert found["image.exposure.mean"] == 90
    assert [found[f"image.exposure.{name}"] for name in ("deviation", "entropy", "dark", "bright")] == [0] * 4
    assert float(Plainness().extract(FLAT)) == 1
    half = Image(np.repeat(np.array([100, 109], np.uint8), 50).reshape(10, 10, 1))
    assert float(Plainness(tolerance=4).extract(half)) == 0  # the median lies between the two
    assert float(Plainness(tolerance=5).extract(half)) == 1


def test_colours_are_counted_by_hasler_and_suesstrunk() -> None:
    """Half red and half blue: rg is 255 and 0, yb is 127.5 and -255."""
    pixels = np.zeros((10, 10, 3), np.uint8)
    pixels[:, :5, 0] = pixels[:, 5:, 2] = 255
    spread = np.hypot(127.5, 191.25)
    offset = np.hypot(127.5, -63.75)
    assert float(Colorfulness().extract(Image(pixels))) == pytest.approx(spread + 0.3 * offset, rel=1e-5)
    assert float(Colorfulness().extract(GREY)) == 0
    assert float(Colorfulness().extract(Image(np.repeat(GREY.pixels, 3, axis=2)))) == 0
    assert float(Colorfulness().extract(photograph("coffee"))) > 40


@pytest.mark.parametrize("name", ["brick", "grass", "gravel", "camera"])
def test_local_binary_patterns_are_those_of_scikit_image(name: str) -> None:
    levels = kernels.resize(photograph(name).pixels, width=200, height=200)
    found = LocalBinaryPatterns().extract(Image(levels))
    patterns: Any = feature.local_binary_pattern
    theirs = patterns(levels[..., 0], 8, 1, "uniform")[1:-1, 1:-1].astype(int)
    shares = np.bincount(theirs.ravel(), minlength=10) / theirs.size
    # where a point between pixels is as light as the centre, rounding decides for them
    assert np.abs(found - shares).max() < 0.02
    assert found.sum() == pytest.approx(1, abs=1e-6)


def test_patterns_do_not_hang_on_light_or_turn() -> None:
    textured = picture(80, 80)
    one = LocalBinaryPatterns().extract(textured)
    darker = Image(((textured.pixels.astype(int) + 1) // 2 + 40).astype(np.uint8))
    assert np.abs(one - LocalBinaryPatterns().extract(Image(np.rot90(textured.pixels).copy()))).max() < 1e-6
    assert np.abs(one - LocalBinaryPatterns().extract(darker)).max() < 0.1
    assert LocalBinaryPatterns().extract(FLAT).tolist() == [0] * 8 + [1, 0]  # all as light as their centre
    assert not LocalBinaryPatterns().extract(Image(np.zeros((2, 9, 1), np.uint8))).any()


@pytest.mark.parametrize(("n_levels", "distance_px"), [(16, 1), (8, 2), (64, 1)])
def test_co_occurrence_is_that_of_scikit_image(n_levels: int, distance_px: int) -> None:
    levels = kernels.grey(picture(50, 40, seed=2).pixels)
    found = CoOccurrence(n_levels=n_levels, distance_px=distance_px).extract(Image(levels[..., None]))
    steps = (levels.astype(int) * n_levels // 256).astype(np.uint8)
    # on diagonals they go by rounded sines: one pixel each way at distance 1, and at 2 (1.41 is 1), so not compared
    angles = [0, np.pi / 4, np.pi / 2, 3 * np.pi / 4] if distance_px == 1 else [0, np.pi / 2]
    matrix: Any = feature.graycomatrix
    properties: Any = feature.graycoprops
    theirs = matrix(steps, [distance_px], angles, levels=n_levels, symmetric=True, normed=True)
    rows = found if distance_px == 1 else found[[0, 2]]
    for index, name in enumerate(PROPERTIES):
        np.testing.assert_allclose(rows[:, index], properties(theirs, name)[0], rtol=1e-5, err_msg=name)


def test_co_occurrence_of_a_flat_picture_and_of_a_single_pixel() -> None:
    assert CoOccurrence().extract(FLAT).tolist() == [[0, 0, 1, 1, 1]] * 4
    assert CoOccurrence().extract(PIXEL).tolist() == [[0, 0, 0, 0, 1]] * 4


def test_edges_are_where_there_are_some() -> None:
    assert float(EdgeShare().extract(FLAT)) == 0
    half = np.zeros((40, 60, 1), np.uint8)
    half[:, 30:] = 255
    assert float(EdgeShare().extract(Image(half))) == pytest.approx(1 / 60, rel=0.01)  # one column of 60
    photo = photograph("camera")
    shares = [float(EdgeShare(low=low, high=2 * low).extract(photo)) for low in (50, 100, 200)]
    assert shares[0] > shares[1] > shares[2] > 0


def test_edges_are_near_those_of_scikit_image() -> None:
    """Two programs of one method: how many pixels of edge there are, and where."""
    import cv2

    levels = kernels.resize(photograph("camera").pixels, width=256, height=256)[..., 0]
    smooth = np.asarray(cv2.GaussianBlur(levels, (0, 0), 2.0))
    ours = float(EdgeShare(low=40, high=80).extract(Image(smooth[..., None])))
    canny: Any = feature.canny
    # Sobel sums to 4 times theirs, and over both axes to about 1.3 times the length
    theirs = canny(levels.astype(float), sigma=2.0, low_threshold=40 / 1.3, high_threshold=80 / 1.3)
    assert ours == pytest.approx(float(theirs.mean()), rel=0.35)


def test_corners_are_counted() -> None:
    """A board of 8 by 8 squares has 49 corners inside."""
    board = np.kron(np.indices((8, 8)).sum(axis=0) % 2, np.ones((20, 20)))
    image = Image((board * 200 + 20).astype(np.uint8)[..., None])
    found = Corners(apart_px=8).extract(image)
    assert 45 <= int(found["harris"]) <= 53
    assert {name: int(array) for name, array in Corners().extract(FLAT).items()} == {"harris": 0, "fast": 0}
    dots = np.full((60, 60, 1), 20, np.uint8)
    dots[10:60:20, 10:60:20] = 250
    assert int(Corners().extract(Image(dots))["fast"]) == 9
    assert int(Corners(threshold=240).extract(Image(dots))["fast"]) == 0


def test_moments_are_those_of_scikit_image() -> None:
    disc = shape("star", 90, 70, center_px=(40, 35), radius_px=25).astype(np.uint8) * 255
    moments_hu: Any = measure.moments_hu
    normalized: Any = measure.moments_normalized
    central: Any = measure.moments_central
    for image in (Image(disc[..., None]), photograph("camera")):
        theirs = moments_hu(normalized(central(image.pixels[..., 0].astype(float))))
        found = HuMoments().extract(image)
        sure = np.abs(theirs) > 1e-14  # below it is what rounding leaves of a star that is alike from five sides
        np.testing.assert_allclose(found[sure], (-np.sign(theirs) * np.log10(np.abs(theirs)))[sure], rtol=1e-3)
        assert sure.sum() >= 1


def test_moments_do_not_hang_on_place_size_and_turn() -> None:
    def bar(center: tuple[float, float], radius: float, turn: float) -> np.ndarray:
        inside = shape("bar", 300, 300, center_px=center, radius_px=radius, turn=turn)
        return HuMoments().extract(Image(inside.astype(np.uint8)[..., None] * 255))

    one = bar((150, 150), 100, 0)
    for other in (bar((120, 170), 100, 0), bar((150, 150), 60, 0), bar((150, 150), 100, 0.7)):
        assert np.abs(one[:2] - other[:2]).max() < 0.02
    assert not HuMoments().extract(Image(np.zeros((9, 9, 1), np.uint8))).any()


def test_keypoints_of_a_turned_picture_are_found_again() -> None:
    photo = Image(kernels.resize(photograph("camera").pixels, width=300, height=300))
    turned = Image(np.ascontiguousarray(np.rot90(photo.pixels)))
    one, other = (OrbKeypoints().extract(image) for image in (photo, turned))
    assert one[""].shape[0] == one["places"].shape[0] == 200
    distance = np.unpackbits(one[""][:, None] ^ other[""][None], axis=2).sum(axis=2)
    nearest = distance.argmin(axis=1)
    sure = distance.min(axis=1) < 40
    assert sure.mean() > 0.5
    x, y = one["places"][sure].T
    back = np.stack([y, 300 - x], axis=1)  # where a quarter turn counterclockwise puts a point
    assert np.median(np.abs(other["places"][nearest[sure]] - back)) < 2


def test_keypoints_are_placed_on_the_grid_of_the_picture_whatever_the_working_size() -> None:
    large = Image(kernels.resize(photograph("camera").pixels, width=800, height=800))
    places = OrbKeypoints(working_px=400).extract(large)["places"]
    assert places.max() > 420
    assert (places >= 0).all()
    assert (places <= 800).all()
    assert len(OrbKeypoints(n_most=7).extract(large)[""]) == 7


def test_a_picture_without_keypoints_has_none() -> None:
    for image in (FLAT, PIXEL, picture(31, 100)):
        found = OrbKeypoints().extract(image)
        assert found[""].shape == (0, 32)
        assert found["places"].shape == (0, 2)


def test_descriptors_tell_textures_apart_at_any_size() -> None:
    brick, grass = photograph("brick"), photograph("grass")
    resize: Any = transform.resize
    for step in (LocalBinaryPatterns(working_px=128), CoOccurrence(working_px=128)):
        one, other, far = (
            np.asarray(step.extract(image)).ravel()
            for image in (brick, Image((resize(brick.pixels, (256, 256)) * 255).astype(np.uint8)), grass)
        )
        assert np.linalg.norm(one - other) < np.linalg.norm(one - far)


def test_edges_with_bounds_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"high \(200.0\) is below low \(201\)"):
        EdgeShare(low=201)


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (Plainness, {"tolerance": 256}),
        (EdgeShare, {"low": -1}),
        (EdgeShare, {"working_px": 0}),
        (Corners, {"quality": 0}),
        (Corners, {"threshold": 255}),
        (OrbKeypoints, {"n_most": 0}),
        (CoOccurrence, {"n_levels": 1}),
        (CoOccurrence, {"n_levels": 257}),
        (CoOccurrence, {"distance_px": 0}),
        (LocalBinaryPatterns, {"working_px": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
