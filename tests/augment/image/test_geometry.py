from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError
from skimage import transform

from mmdata.augment.image import CropAtRandom, FlipImage, RotateImage, ScaleImage, TiltImage
from mmdata.clean.image import MoveRegions
from mmdata.core.rng import rng_for
from mmdata.core.sample import Image, Sample
from mmdata.core.step import RandomMap
from mmdata.errors import DataError
from mmdata.kernels.image.warps import rotating, scaling, warp
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
SMOOTH = picture(96, 72, "gradient")
STEPS: list[RandomMap[Image, Image]] = [
    FlipImage(p=1, axis="top_bottom"),
    RotateImage(min_deg=20, max_deg=40),
    RotateImage(min_deg=-90, max_deg=90, expand=True, beyond="color"),
    ScaleImage(min_scale=0.5, max_scale=2, shift=0.2, beyond="edge"),
    TiltImage(max_share=0.3),
    CropAtRandom(width_px=40, height_px=30),
    CropAtRandom(width_px=None, height_px=None, min_share=0.3),
]

# other values of settings than any step here has
OTHERS: dict[str, object] = {
    "p": 0.25, "color": (1, 2, 3), "min_scale": 0.6, "shift": 0.5, "max_share": 0.4, "min_share": 0.2,
    "min_aspect": 0.5, "width_px": 9, "height_px": 9,
}  # fmt: skip


class TestGeometry(StepContract):
    @pytest.fixture(
        params=[
            *(Case(step, TEXTURE, others=OTHERS) for step in STEPS[:-1]),
            Case(RotateImage(p=0), TEXTURE, unchanged=TEXTURE, others=OTHERS),
            Case(RotateImage(min_deg=0, max_deg=0), TEXTURE, unchanged=TEXTURE, others={**OTHERS, "min_deg": -1.0}),
            Case(ScaleImage(p=0), TEXTURE, unchanged=TEXTURE, others=OTHERS),
            Case(TiltImage(p=0), TEXTURE, unchanged=TEXTURE, others=OTHERS),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def changed(step: RandomMap[Image, Image], image: Image, seed: int = 0) -> Image:
    result = step.map(image, rng_for(seed, "augment"))
    assert isinstance(result, Image)
    return result


@given(st.sampled_from(STEPS), st.integers(0, 10_000), st.sampled_from([1, 3]))
@settings(max_examples=80, deadline=None)
def test_each_pixel_shows_what_the_space_map_says(step: RandomMap[Image, Image], seed: int, channels: int) -> None:
    """Of a picture whose levels are its coordinates: red rises by 255 to the right, green to the bottom."""
    image = Image(SMOOTH.pixels[..., :channels])
    moved = changed(step, image, seed)
    x, y = np.meshgrid(np.arange(moved.width) + 0.5, np.arange(moved.height) + 0.5)
    source = moved.space_map.to_source(np.stack([x.ravel(), y.ravel()], axis=1)).reshape(moved.height, moved.width, 2)
    # a few pixels inside the old picture: at its edges, what lies beyond is mixed in
    inside = ((source > 4) & (source < np.array([96, 72]) - 4)).all(axis=2)
    assert inside.any()
    red = (source[..., 0] - 0.5) * 255 / 95
    tolerance = 3 + 255 / 95  # half a pixel each way, for rounding and averaging
    assert np.abs(moved.pixels[..., 0][inside] - red[inside]).max() <= tolerance


@given(st.sampled_from(STEPS), st.integers(1, 60), st.integers(1, 60), st.sampled_from([1, 3]), st.integers(0, 99))
@settings(max_examples=80, deadline=None)
def test_pictures_of_every_size_stay_pictures(
    step: RandomMap[Image, Image], width: int, height: int, channels: int, seed: int
) -> None:
    moved = changed(step, Image(picture(width, height, seed=seed).pixels[..., :channels]), seed)
    assert moved.pixels.dtype == np.uint8
    assert moved.pixels.shape[2] == channels
    assert min(moved.pixels.shape) > 0
    if not isinstance(step, CropAtRandom) and not getattr(step, "expand", False):
        assert (moved.width, moved.height) == (width, height)


@given(st.sampled_from([step for step in STEPS if not isinstance(step, CropAtRandom)]), st.integers(0, 500))
@settings(max_examples=50, deadline=None)
def test_boxes_points_and_masks_follow(step: RandomMap[Image, Image], seed: int) -> None:
    mask = np.zeros((72, 96, 1), np.uint8)
    mask[30:40, 40:56] = 9
    moved = changed(step, SMOOTH, seed)
    box, point = [40, 30, 56, 40], [48.0, 35.0]
    sample = Sample("s/a", {"image": moved, "mask": Image(mask)}, {"boxes": [box], "points": [point]})
    result = MoveRegions(min_visible=0.99).map(sample)
    assert isinstance(result, Sample)
    drawn = result.parts["mask"]
    assert isinstance(drawn, Image)
    if not result.meta["boxes"]:  # it was partly moved out
        return
    rows, columns = np.flatnonzero(drawn.pixels.any(axis=(1, 2))), np.flatnonzero(drawn.pixels.any(axis=(0, 2)))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert np.abs(np.array(result.meta["boxes"][0]) - found).max() <= 1.6  # a corner may lie between pixels' centres
    x, y = result.meta["points"][0]
    assert drawn.pixels[int(y), int(x)] == 9


@pytest.mark.parametrize("degrees", [-120, -33, 0.5, 45, 90])
@pytest.mark.parametrize("expand", [False, True])
def test_a_turn_is_that_of_scikit_image(degrees: float, expand: bool) -> None:
    step, width, height = rotating(96, 72, degrees=degrees, expand=expand)
    ours = warp(SMOOTH.pixels, step, width=width, height=height).astype(float)
    rotate: Any = transform.rotate
    theirs = rotate(SMOOTH.pixels, degrees, resize=expand, preserve_range=True, order=1)
    assert abs(width - theirs.shape[1]) <= 1
    if ours.shape == theirs.shape:
        inside = (ours > 0).all(axis=2) & (theirs > 1).all(axis=2)
        # OpenCV weighs in steps of 1/32 px, and with `resize` they may stand half a pixel off the centre
        assert np.abs(ours - theirs)[inside].mean() < 2


def test_a_line_that_would_become_gigabytes_is_refused() -> None:
    line = Image(np.zeros((1, 20_000, 1), np.uint8))
    with pytest.raises(DataError, match=r"20000x1 px would become 14143x14143: more than 100,000,000 pixels"):
        RotateImage(min_deg=45, max_deg=45, expand=True).map(line, rng_for(0))
    assert changed(RotateImage(min_deg=45, max_deg=45), line).width == 20_000


def test_a_quarter_turn_is_exact_and_counterclockwise() -> None:
    step, width, height = rotating(64, 48, degrees=90, expand=True)
    assert (width, height) == (48, 64)
    assert np.array_equal(warp(TEXTURE.pixels, step, width=48, height=64), np.rot90(TEXTURE.pixels))


def test_shrinking_does_not_alias() -> None:
    grating = np.tile(np.array([0, 255], np.uint8), (64, 150))[..., None]
    small = warp(grating, scaling(3.3, 3.3), width=90, height=19)
    assert np.abs(small[2:-2, 2:-2].astype(int) - 127.5).max() < 40


@pytest.mark.parametrize(("beyond", "corner"), [("color", (9, 8, 7)), ("edge", (0, 0, 128)), ("mirror", None)])
def test_what_lies_beyond_is_what_was_asked_for(beyond: str, corner: tuple[int, ...] | None) -> None:
    step: Any = ScaleImage(min_scale=0.25, max_scale=0.25, beyond=beyond, color=(9, 8, 7))  # type: ignore[arg-type]
    pixels = changed(step, SMOOTH).pixels
    if corner is not None:
        assert np.abs(pixels[0, 0].astype(int) - corner).max() <= 6
    else:  # mirrored, the picture goes on from the edge inwards, to near its other end
        assert pixels[36, 0, 0] > 100
        assert pixels[36, 35, 0] < 20


def test_scales_and_shifts_are_drawn_between_their_bounds() -> None:
    step = ScaleImage(min_scale=0.5, max_scale=2, shift=0.1)
    maps = [changed(step, TEXTURE, seed).space_map for seed in range(200)]
    scales = [1 / maps_of.matrix[0] for maps_of in maps]
    assert 0.5 <= min(scales) < 0.56
    assert 1.8 < max(scales) <= 2
    assert 0.85 < float(np.median(scales)) < 1.15  # as many shrink as grow
    centers = np.concatenate([space_map.from_source(np.array([[32.0, 24.0]])) for space_map in maps]) - (32, 24)
    off = np.abs(centers / (64, 48))
    assert 0.09 < off.max() <= 0.1 + 1e-9


def test_angles_are_drawn_between_their_bounds() -> None:
    matrices = [changed(RotateImage(min_deg=-10, max_deg=30), TEXTURE, seed).space_map.matrix for seed in range(200)]
    degrees = [np.degrees(np.arctan2(matrix[3], matrix[0])) for matrix in matrices]
    assert -10 <= min(degrees) < -8
    assert 28 < max(degrees) <= 30


def test_tilted_corners_come_from_within_their_share() -> None:
    for seed in range(50):
        space_map = changed(TiltImage(max_share=0.2), TEXTURE, seed).space_map
        corners = space_map.to_source(np.array([[0.0, 0.0], [64.0, 0.0], [64.0, 48.0], [0.0, 48.0]]))
        inward = np.abs(corners - [[0, 0], [64, 0], [64, 48], [0, 48]]) / (64, 48)
        assert inward.max() <= 0.2 + 1e-4


@given(st.floats(0.05, 1), st.floats(0.05, 1), st.floats(0.2, 5), st.floats(0.2, 5), st.integers(0, 999))
@settings(max_examples=60, deadline=None)
def test_parts_have_a_share_and_an_aspect_within_the_bounds(a: float, b: float, c: float, d: float, seed: int) -> None:
    step = CropAtRandom(
        width_px=None,
        height_px=None,
        min_share=min(a, b),
        max_share=max(a, b),
        min_aspect=min(c, d),
        max_aspect=max(c, d),
    )
    image = picture(90, 60)
    part = changed(step, image, seed)
    left, top = part.space_map.to_source(np.array([[0.0, 0.0]]))[0].astype(int)
    assert np.array_equal(part.pixels, image.pixels[top : top + part.height, left : left + part.width])
    # whole pixels: each side is off by half of one
    assert (part.width + 0.5) / (part.height - 0.5) >= min(c, d)
    assert (part.width - 0.5) / (part.height + 0.5) <= max(c, d)
    assert (part.width - 0.5) * (part.height - 0.5) <= max(a, b) * 5400 or part.height == 60 or part.width == 90


def test_a_part_of_all_is_the_picture_itself() -> None:
    step = CropAtRandom(width_px=None, height_px=None, min_share=1, max_share=1, min_aspect=4 / 3, max_aspect=4 / 3)
    assert changed(step, TEXTURE) is TEXTURE


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (0.3, 70, 170), (1.0, 400, 400)])
@pytest.mark.parametrize("step", [RotateImage, ScaleImage, TiltImage, FlipImage])
def test_the_share_asked_for_is_changed(step: Any, p: float, low: int, high: int) -> None:
    tiny = picture(8, 8)
    n_changed = sum(step(p=p).map(tiny, rng_for(seed, "p")) is not tiny for seed in range(400))
    assert low <= n_changed <= high


@pytest.mark.parametrize(
    ("step", "given_settings", "text"),
    [
        (RotateImage, {"min_deg": 20.0}, r"max_deg \(15.0\) is below min_deg \(20.0\)"),
        (ScaleImage, {"min_scale": 2.0}, r"max_scale \(1.25\) is below min_scale \(2.0\)"),
        (CropAtRandom, {"max_share": 0.01}, r"max_share \(0.01\) is below min_share \(0.08\)"),
        (CropAtRandom, {"min_aspect": 2.0}, r"max_aspect \(1.3\d*\) is below min_aspect \(2.0\)"),
        (CropAtRandom, {"width_px": None}, "give width_px and height_px, or neither: None, 224"),
    ],
)
def test_settings_that_do_not_go_together_are_refused(step: Any, given_settings: dict[str, Any], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        step(**given_settings)


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (FlipImage, {"axis": "diagonal"}),
        (RotateImage, {"max_deg": 361}),
        (RotateImage, {"beyond": "wrap"}),
        (RotateImage, {"color": [0, 0, 300]}),
        (ScaleImage, {"min_scale": 0}),
        (ScaleImage, {"shift": 1.5}),
        (TiltImage, {"max_share": 0.5}),
        (TiltImage, {"p": 1.1}),
        (CropAtRandom, {"min_share": 0}),
        (CropAtRandom, {"width_px": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
