from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageOps
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.image import CropImage, CutBorders, LetterboxImage, ResizeImage
from mmdata.core.sample import Image
from mmdata.core.step import Drop, Map
from mmdata.errors import DataError
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

TEXTURE = picture(64, 48)
GREY = Image(TEXTURE.pixels[..., :1])


def framed(image: Image, left: int, top: int, right: int, bottom: int, level: int = 0) -> Image:
    """A picture within plain borders."""
    return Image(np.pad(image.pixels, ((top, bottom), (left, right), (0, 0)), constant_values=level))


class TestFraming(StepContract):
    @pytest.fixture(
        params=[
            Case(CropImage(width_px=20, height_px=30), TEXTURE, unchanged=picture(20, 30)),
            Case(CropImage(width_px=20, height_px=30, resize="never"), GREY, unchanged=picture(20, 30)),
            Case(
                LetterboxImage(width_px=40, height_px=50),
                TEXTURE,
                unchanged=picture(40, 50),
                others={"color": (9, 9, 9)},
            ),
            Case(LetterboxImage(width_px=40, height_px=50, enlarge=False), GREY, others={"color": (9, 9, 9)}),
            Case(CutBorders(), framed(TEXTURE, 3, 4, 5, 6), unchanged=TEXTURE),
            Case(CutBorders(), Image(np.full((5, 6, 3), 90, np.uint8))),
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


def size(image: Image) -> tuple[int, int]:
    return image.width, image.height


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (CropImage(width_px=32, height_px=32), (32, 32)),
        (CropImage(width_px=64, height_px=48), (64, 48)),
        (CropImage(width_px=65, height_px=48), (65, 48)),
        (CropImage(width_px=128, height_px=128), (128, 128)),
        (CropImage(width_px=128, height_px=128, enlarge=False), (48, 48)),
        (CropImage(width_px=128, height_px=64, enlarge=False), (64, 32)),
        (CropImage(width_px=48, height_px=48, enlarge=False), (48, 48)),
        (CropImage(width_px=49, height_px=49, enlarge=False), (48, 48)),
        (CropImage(width_px=10, height_px=100, resize="never"), (10, 48)),
        (CropImage(width_px=1, height_px=1), (1, 1)),
    ],
    ids=str,
)
def test_crops_have_the_size_asked_for(step: CropImage, expected: tuple[int, int]) -> None:
    assert size(changed(step, TEXTURE)) == expected


@pytest.mark.parametrize(
    ("at", "left", "top"),
    [
        ("center", 22, 14),
        ("top_left", 0, 0),
        ("top", 22, 0),
        ("bottom_right", 44, 28),
        ("left", 0, 14),
        ("right", 44, 14),
    ],
)
def test_a_crop_keeps_the_part_asked_for_and_says_where_it_was(at: str, left: int, top: int) -> None:
    crop = changed(CropImage(width_px=20, height_px=20, resize="never", at=at), TEXTURE)  # type: ignore[arg-type]
    assert np.array_equal(crop.pixels, TEXTURE.pixels[top : top + 20, left : left + 20])
    assert crop.space_map.to_source(np.array([[0.0, 0.0]])).tolist() == [[left, top]]


@given(st.integers(1, 80), st.integers(1, 80), st.integers(1, 60), st.integers(1, 60), st.booleans())
@settings(max_examples=60, deadline=None)
def test_a_covering_crop_has_no_distortion_and_lies_within_the_picture(
    w: int, h: int, to_w: int, to_h: int, enlarge: bool
) -> None:
    image = Image(np.full((h, w, 3), 7, np.uint8))
    crop = changed(CropImage(width_px=to_w, height_px=to_h, enlarge=enlarge), image)
    corners = crop.space_map.to_source(np.array([[0.0, 0.0], [crop.width, crop.height]]))
    assert (corners >= -1e-9).all()
    assert (corners <= np.array([w, h]) + 1e-9).all()
    if enlarge:
        assert size(crop) == (to_w, to_h)
    part = (corners[1] - corners[0]).round(6)
    across, down = part / size(crop)
    # the part's sides are whole pixels, at least one: one of them is off by half of one at most
    assert part.min() == 1 or across / down == pytest.approx(1, rel=0.51 / (part.min() - 0.5))
    assert enlarge or max(across, down) >= 1
    assert enlarge or (crop.width <= to_w and crop.height <= to_h)


@pytest.mark.parametrize("shape", [(20_000, 1, 3), (1, 20_000, 1)])
def test_a_line_is_cropped_without_a_picture_of_gigabytes_on_the_way(shape: tuple[int, ...]) -> None:
    line = Image(np.zeros(shape, np.uint8))
    assert size(changed(CropImage(), line)) == (256, 256)
    assert min(size(changed(LetterboxImage(), line))) == 256
    grown = ResizeImage(side="shortest", enlarge=True)
    with pytest.raises(DataError, match=r"px would become .*: more than 100,000,000 pixels"):
        grown.map(line)


@pytest.mark.parametrize(("width", "height"), [(40, 50), (50, 40), (64, 48), (64, 47), (200, 60), (7, 90)])
def test_a_letterbox_is_pillows(width: int, height: int) -> None:
    ours = changed(LetterboxImage(width_px=width, height_px=height, color=(200, 10, 20)), TEXTURE)
    theirs = ImageOps.pad(Pillow.fromarray(TEXTURE.pixels), (width, height), Pillow.Resampling.BOX, color=(200, 10, 20))
    assert size(ours) == theirs.size
    bars = (ours.pixels == (200, 10, 20)).all(axis=2)
    # they round the placing, and so a bar may be wider by a line
    assert np.mean(bars != (np.asarray(theirs) == (200, 10, 20)).all(axis=2)) <= 1 / min(width, height) + 0.01


def test_a_letterbox_shows_all_of_the_picture_and_says_where() -> None:
    box = changed(LetterboxImage(width_px=128, height_px=128, color=(1, 2, 3)), TEXTURE)
    corners = box.space_map.from_source(np.array([[0.0, 0.0], [64.0, 48.0]]))
    assert corners.tolist() == [[0, 16], [128, 112]]
    assert (box.pixels[:16] == (1, 2, 3)).all()
    assert (box.pixels[112:] == (1, 2, 3)).all()


def test_a_letterbox_leaves_small_pictures_their_size_where_asked() -> None:
    box = changed(LetterboxImage(width_px=100, height_px=50, enlarge=False, at="bottom_right"), TEXTURE)
    assert np.array_equal(box.pixels[2:, 36:], TEXTURE.pixels)
    assert not box.pixels[:2].any()
    grey = changed(LetterboxImage(width_px=100, height_px=50, color=(255, 0, 0)), GREY)
    assert grey.pixels.shape == (50, 100, 1)
    assert grey.pixels[0, 0, 0] == 76  # BT.601's luma of red


@given(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.sampled_from([0, 128, 255]))
@settings(max_examples=60, deadline=None)
def test_borders_of_every_width_are_cut_off_and_nothing_else(
    left: int, top: int, right: int, bottom: int, v: int
) -> None:
    whole = framed(TEXTURE, left, top, right, bottom, v)
    cut = changed(CutBorders(), whole)
    assert np.array_equal(cut.pixels, TEXTURE.pixels)
    assert cut.space_map.to_source(np.array([[0.0, 0.0]])).tolist() == [[left, top]]


@pytest.mark.parametrize(("off", "is_cut"), [(9, True), (10, True), (11, False)])
def test_a_border_may_differ_by_the_tolerance(off: int, is_cut: bool) -> None:
    whole = framed(TEXTURE, 0, 4, 0, 0, 100)
    whole.pixels[:4, 30] = 100 + off
    assert (changed(CutBorders(tolerance=10), whole).height == 48) == is_cut


def test_borders_of_two_colours_are_both_cut() -> None:
    whole = framed(framed(TEXTURE, 5, 0, 0, 0, 255), 0, 3, 0, 2, 0)
    assert np.array_equal(changed(CutBorders(tolerance=0), whole).pixels, TEXTURE.pixels)


@pytest.mark.parametrize("shape", [(2, 2, 3), (1, 200, 3), (30, 30, 1)])
def test_a_picture_that_is_only_border_is_dropped(shape: tuple[int, ...]) -> None:
    assert CutBorders().map(Image(np.full(shape, 9, np.uint8))) == Drop("only_border")


@pytest.mark.parametrize(
    ("step", "given_settings"),
    [
        (CropImage, {"width_px": 0}),
        (CropImage, {"at": "middle"}),
        (CropImage, {"resize": "stretch"}),
        (LetterboxImage, {"height_px": 0}),
        (LetterboxImage, {"color": [0, 0, 256]}),
        (CutBorders, {"tolerance": -1}),
        (CutBorders, {"tolerance": 256}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, given_settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(given_settings))):
        TypeAdapter(step).validate_python(given_settings)
