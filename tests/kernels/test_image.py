from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from skimage import data
from skimage.feature import hog

from mmdata.kernels import image as kernels
from mmdata.kernels.hashing import hamming_bits
from mmdata.kernels.image import Space
from mmdata.testing.build import picture

TEXTURE = picture(97, 61, seed=3).pixels


def photograph(name: str) -> np.ndarray:
    """A picture that comes with scikit-image (public domain or CC0)."""
    return np.asarray(getattr(data, name)())


def by_area(length: int, had: int) -> np.ndarray:
    """Exact averaging as a matrix [new, old]: how much of each old pixel lies in each new one."""
    edges = np.arange(length + 1) * had / length
    low, high = np.arange(had), np.arange(had) + 1
    overlap = np.minimum(high[None], edges[1:, None]) - np.maximum(low[None], edges[:-1, None])
    return np.asarray(np.clip(overlap, 0, None) * length / had)


@pytest.mark.parametrize(("width", "height"), [(97, 61), (48, 30), (32, 32), (13, 61), (97, 7), (1, 1)])
@pytest.mark.parametrize("channels", [1, 3])
def test_shrinking_averages_by_area(width: int, height: int, channels: int) -> None:
    pixels = TEXTURE[..., :channels]
    exact = np.einsum("yr,rcn,xc->yxn", by_area(height, 61), pixels.astype(float), by_area(width, 97))
    # half a level of rounding, and what OpenCV loses in float32
    assert np.abs(kernels.resize(pixels, width=width, height=height) - exact).max() <= 0.51


def test_shrinking_a_photograph_agrees_with_pillow() -> None:
    photo = photograph("astronaut")
    theirs = np.asarray(Pillow.fromarray(photo).resize((128, 96), Pillow.Resampling.BOX))
    ours = kernels.resize(photo, width=128, height=96)
    # Pillow's box takes whole pixels by their centres where the ratio is no whole number, area takes shares of them
    assert np.abs(ours.astype(int) - theirs).mean() < 1.5
    quarter = np.asarray(Pillow.fromarray(photo).resize((128, 128), Pillow.Resampling.BOX))
    assert np.abs(kernels.resize(photo, width=128, height=128).astype(int) - quarter).max() <= 1


def test_a_fine_grating_becomes_grey_instead_of_a_coarse_one() -> None:
    grating = np.tile(np.array([0, 255], np.uint8), (64, 1000))[..., None]
    small = kernels.resize(grating, width=301, height=301)
    assert np.abs(small.astype(int) - 127.5).max() < 25


def test_an_axis_may_shrink_while_the_other_grows() -> None:
    ramp = np.repeat(np.linspace(0, 255, 200).astype(np.uint8)[None, :, None], 10, axis=0)
    small = kernels.resize(ramp, width=20, height=40)
    assert small.shape == (40, 20, 1)
    assert np.abs(small[..., 0].astype(float) - by_area(20, 200) @ ramp[0, :, 0]).max() <= 1


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 50), st.integers(1, 50), st.sampled_from([1, 3]))
@settings(max_examples=60, deadline=None)
def test_resizing_gives_the_size_asked_for_and_keeps_flat_colours(w: int, h: int, to_w: int, to_h: int, n: int) -> None:
    flat = np.full((h, w, n), 201, np.uint8)
    resized = kernels.resize(flat, width=to_w, height=to_h)
    assert resized.shape == (to_h, to_w, n)
    assert (resized == 201).all()
    assert (resized is flat) == ((w, h) == (to_w, to_h))


@pytest.mark.parametrize(
    ("size", "size_px", "side", "enlarge", "fitted"),
    [
        ((640, 480), 320, "longest", False, (320, 240)),
        ((480, 640), 320, "longest", False, (240, 320)),
        ((640, 480), 240, "shortest", False, (320, 240)),
        ((640, 480), 640, "longest", False, (640, 480)),
        ((640, 480), 641, "longest", False, (640, 480)),
        ((640, 480), 1280, "longest", True, (1280, 960)),
        ((640, 480), 960, "shortest", True, (1280, 960)),
        ((640, 480), 481, "shortest", False, (640, 480)),
        ((10000, 1), 100, "longest", False, (100, 1)),
        ((3, 2), 1, "longest", False, (1, 1)),
        ((100, 75), 50, "longest", False, (50, 38)),
    ],
)
def test_the_side_asked_for_gets_its_size(
    size: tuple[int, int], size_px: int, side: str, enlarge: bool, fitted: tuple[int, int]
) -> None:
    which = "longest" if side == "longest" else "shortest"
    assert kernels.fitted_size(*size, size_px=size_px, side=which, enlarge=enlarge) == fitted  # type: ignore[arg-type]


def test_all_eight_orientations_are_pillows() -> None:
    from PIL import ImageOps

    for orientation in range(1, 9):
        stored = Pillow.fromarray(TEXTURE)
        stored.getexif()[0x0112] = orientation
        theirs = np.asarray(ImageOps.exif_transpose(stored))
        turned, _ = kernels.turn_upright(TEXTURE, orientation)
        assert np.array_equal(turned, theirs), orientation


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
def test_the_homography_of_a_turn_says_where_each_pixel_came_from(orientation: int, channels: int) -> None:
    pixels = TEXTURE[..., :channels]
    turned, step = kernels.turn_upright(pixels, orientation)
    assert turned.shape[2] == channels
    for row, column in ((0, 0), (5, 9), (turned.shape[0] - 1, 2)):
        x, y, _ = step @ [column + 0.5, row + 0.5, 1]
        assert np.array_equal(pixels[int(y), int(x)], turned[row, column])


@pytest.mark.parametrize("orientation", [-1, 0, 9])
def test_an_orientation_that_exif_does_not_have_is_refused(orientation: int) -> None:
    with pytest.raises(ValueError, match=f"1 to 8, not {orientation}"):
        kernels.turn_upright(TEXTURE, orientation)


def test_sharpness_is_the_variance_of_the_laplacian() -> None:
    levels = kernels.grey(TEXTURE).astype(float)
    padded = np.pad(levels, 1, mode="reflect")
    laplacian = padded[:-2, 1:-1] + padded[2:, 1:-1] + padded[1:-1, :-2] + padded[1:-1, 2:] - 4 * levels
    assert kernels.laplacian_variance(TEXTURE) == pytest.approx(laplacian.var(), rel=1e-6)


def test_sharpness_does_not_depend_on_the_size_that_a_picture_is_stored_at() -> None:
    photo = photograph("astronaut")
    large = kernels.resize(photo, width=2048, height=2048)
    at_256 = [
        kernels.laplacian_variance(kernels.resize(photo, width=side, height=side), working_px=256)
        for side in (256, 512)
    ]
    assert at_256[1] == pytest.approx(at_256[0], rel=0.01)
    assert kernels.laplacian_variance(large, working_px=256) == pytest.approx(
        at_256[0], rel=0.15
    )  # no detail was added
    assert kernels.laplacian_variance(large, working_px=2048) < at_256[0] / 10


def test_blur_lowers_sharpness_and_flat_has_none() -> None:
    import cv2

    photo = photograph("astronaut")
    values = [kernels.laplacian_variance(photo)]
    values += [kernels.laplacian_variance(np.asarray(cv2.GaussianBlur(photo, (0, 0), sigma))) for sigma in (1, 2, 4)]
    assert values == sorted(values, reverse=True)
    assert values[-1] < values[0] / 100
    assert kernels.laplacian_variance(np.full((9, 9, 3), 77, np.uint8)) == 0


def image_hash(pixels: np.ndarray) -> np.ndarray:
    """`imagehash.phash` of ImageHash 4.3, in its own words."""
    from scipy.fftpack import dct

    small = np.asarray(Pillow.fromarray(pixels).convert("L").resize((32, 32), Pillow.Resampling.LANCZOS))
    lowest = dct(dct(small.astype(float), axis=0), axis=1)[:8, :8]
    return np.packbits(lowest > np.median(lowest))


def test_perceptual_hashes_are_those_of_image_hash() -> None:
    photos = [
        photograph("astronaut"),
        photograph("cat"),
        photograph("coffee"),
        photograph("rocket"),
        photograph("hubble_deep_field"),
        TEXTURE,
    ]
    differing = [int(hamming_bits(kernels.perceptual_hash(photo), image_hash(photo))) for photo in photos]
    # of 64 bits; another filter before the transform moves those few frequencies that lie at the median
    assert max(differing) <= 4
    assert np.mean(differing) <= 2


def test_perceptual_hashes_of_a_32_px_picture_are_exactly_those_of_image_hash() -> None:
    for seed in range(20):
        small = np.repeat(picture(32, 32, seed=seed).pixels[..., :1], 3, axis=2)
        assert np.array_equal(kernels.perceptual_hash(small), image_hash(small))


def test_near_duplicates_are_near_and_others_far() -> None:
    photo = photograph("astronaut")
    one = kernels.perceptual_hash(photo)
    brighter = np.clip(photo.astype(int) * 1.1 + 10, 0, 255).astype(np.uint8)
    for near in (kernels.resize(photo, width=200, height=180), brighter, kernels.grey(photo)[..., None]):
        assert hamming_bits(one, kernels.perceptual_hash(near)) <= 6
    for far in (photograph("cat"), photograph("coffee"), photo[::-1], photo[:, ::-1]):
        assert hamming_bits(one, kernels.perceptual_hash(far)) >= 16


@pytest.mark.parametrize("level", [0, 1, 77, 255])
def test_a_flat_picture_has_a_hash_that_does_not_hang_on_rounding(level: int) -> None:
    flat = np.full((50, 70, 3), level, np.uint8)
    assert kernels.perceptual_hash(flat).tolist() == [128 if level else 0, 0, 0, 0, 0, 0, 0, 0]


def test_cosines_are_scipys_transform() -> None:
    from scipy.fft import dct

    values = np.random.default_rng(0).standard_normal(32)
    assert np.allclose(kernels.cosines(32) @ values, dct(values) / 2)
    with pytest.raises(ValueError, match="read-only"):
        kernels.cosines(32)[0, 0] = 1


@pytest.mark.parametrize("n_bins", [2, 4, 8])
def test_a_colour_histogram_is_numpys(n_bins: int) -> None:
    cells = np.histogramdd(TEXTURE.reshape(-1, 3), bins=n_bins, range=[(0, 256)] * 3)[0]
    ours = kernels.color_histogram(TEXTURE, n_bins=n_bins, space="rgb")
    assert np.allclose(ours, cells.ravel() / cells.sum(), atol=1e-6)
    assert ours.sum() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("space", "color", "cell"),
    [
        ("rgb", (255, 0, 64), (3, 0, 1)),
        ("rgb", (63, 64, 127), (0, 1, 1)),
        ("hsv", (0, 255, 0), (1, 3, 3)),
        ("hsv", (0, 0, 255), (2, 3, 3)),
        ("hsv", (10, 10, 10), (0, 0, 0)),
        ("lab", (255, 255, 255), (3, 2, 2)),
    ],
)
def test_a_colour_falls_into_its_cell(space: Space, color: tuple[int, ...], cell: tuple[int, ...]) -> None:
    pixels = np.full((3, 5, 3), color, np.uint8)
    counts = kernels.color_histogram(pixels, n_bins=4, space=space).reshape(4, 4, 4)
    assert counts[cell] == 1


def test_grey_pictures_have_the_histogram_of_equal_channels() -> None:
    assert np.array_equal(
        kernels.color_histogram(TEXTURE[..., :1], n_bins=4, space="hsv"),
        kernels.color_histogram(np.repeat(TEXTURE[..., :1], 3, axis=2), n_bins=4, space="hsv"),
    )


@pytest.mark.parametrize(("side", "cell_px", "n_bins"), [(64, 8, 9), (70, 8, 9), (128, 16, 6), (16, 8, 9)])
@pytest.mark.parametrize("kind", ["texture", "shapes"])
def test_oriented_gradients_are_those_of_scikit_image(side: int, cell_px: int, n_bins: int, kind: str) -> None:
    levels = kernels.grey(picture(side, side, kind, seed=2).pixels)  # type: ignore[arg-type]
    theirs = hog(levels, n_bins, (cell_px, cell_px), (2, 2))
    # float32 gradients against their float64
    assert np.abs(kernels.oriented_gradients(levels, cell_px=cell_px, n_bins=n_bins) - theirs).max() < 1e-5


def test_a_flat_picture_has_no_gradients() -> None:
    assert not kernels.oriented_gradients(np.full((32, 32), 9, np.uint8), cell_px=8).any()
