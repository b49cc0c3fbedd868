from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.clean.image import CropImage, FixOrientation, LetterboxImage, MoveRegions, ResizeImage
from mmdata.core.sample import Blob, Image, Sample
from mmdata.errors import DataError
from mmdata.kernels.image import turn_upright
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract

W, H = 64, 48
BOX, POINT = [10.0, 8.0, 30.0, 20.0], [12.0, 30.0]


def sample(image: Image | Blob, **parts: Image | Blob) -> Sample:
    meta = {"boxes": [BOX, {"box": [0, 0, 64, 48], "label": "all"}], "points": [POINT, None, {"point": [1, 1]}]}
    return Sample("s/a", {"image": image, **parts}, {**meta, "other": 7})


def resized() -> Image:
    result = ResizeImage(size_px=32).map(picture(W, H))
    assert isinstance(result, Image)
    return result


class TestMoveRegions(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        mask = Image(picture(W, H).pixels[..., :1])
        return Case(MoveRegions(), sample(resized(), mask=mask), unchanged=sample(picture(W, H)))


def moved(given_sample: Sample, **given_settings: Any) -> Sample:
    result = MoveRegions(**given_settings).map(given_sample)
    assert isinstance(result, Sample)
    return result


def test_boxes_and_points_are_halved_with_the_picture() -> None:
    meta = moved(sample(resized())).meta
    assert meta["boxes"] == [[5, 4, 15, 10], {"box": [0, 0, 32, 24], "label": "all"}]
    assert meta["points"] == [[6, 15], None, {"point": [0.5, 0.5]}]
    assert meta["other"] == 7


def test_a_box_is_cut_at_the_edges_and_left_out_where_too_little_is_left() -> None:
    crop = CropImage(width_px=20, height_px=48, resize="never", at="left").map(picture(W, H))
    assert isinstance(crop, Image)
    half = sample(crop)  # of the box's 20 columns, 10 are left; of the whole picture's 64, 20
    assert moved(half, min_visible=0.5).meta["boxes"] == [[10, 8, 20, 20]]
    assert moved(half, min_visible=0.51).meta["boxes"] == []
    assert len(moved(half, min_visible=0.3125).meta["boxes"]) == 2
    assert len(moved(half, min_visible=0.3126).meta["boxes"]) == 1


def test_points_outside_become_null_and_keep_the_numbers_of_the_others() -> None:
    crop = CropImage(width_px=20, height_px=20, resize="never", at="top_left").map(picture(W, H))
    assert isinstance(crop, Image)
    assert moved(sample(crop)).meta["points"] == [None, None, {"point": [1, 1]}]


@given(
    st.integers(1, 8),
    st.integers(8, 60),
    st.integers(8, 60),
    st.tuples(st.integers(0, 20), st.integers(0, 20), st.integers(10, 30), st.integers(10, 25)),
)
@settings(max_examples=40, deadline=None)
def test_regions_follow_a_picture_through_turns_sizes_and_frames(
    orientation: int, width: int, height: int, box: tuple[int, int, int, int]
) -> None:
    """A mask, drawn anew, covers the pixels that the box of the same region covers."""
    left, top, w, h = box
    levels = np.zeros((H, W, 1), np.uint8)
    levels[top : top + h, left : left + w] = 7
    image = Image(picture(W, H).pixels, orientation)
    for step in (FixOrientation(), LetterboxImage(width_px=width, height_px=height)):
        image = step.map(image)  # type: ignore[assignment]
    given_sample = Sample(
        "s/a", {"image": image, "mask": Image(levels, orientation)}, {"boxes": [[*box[:2], left + w, top + h]]}
    )
    result = moved(given_sample)
    mask = result.parts["mask"]
    assert isinstance(mask, Image)
    assert mask.pixels.shape[:2] == image.pixels.shape[:2]
    rows, columns = np.flatnonzero(mask.pixels.any(axis=(1, 2))), np.flatnonzero(mask.pixels.any(axis=(0, 2)))
    found = [columns[0], rows[0], columns[-1] + 1, rows[-1] + 1]
    assert np.abs(np.array(result.meta["boxes"][0]) - found).max() <= 0.51  # pixels are in or out by their centres


def test_a_mask_is_turned_pixel_by_pixel_and_never_mixed() -> None:
    classes = np.random.default_rng(0).integers(0, 200, (H, W, 1)).astype(np.uint8)
    upright = FixOrientation().map(Image(picture(W, H).pixels, 6))
    assert isinstance(upright, Image)
    mask = moved(sample(upright, mask=Image(classes, 6))).parts["mask"]
    assert isinstance(mask, Image)
    assert np.array_equal(mask.pixels, turn_upright(classes, 6)[0])
    assert mask.orientation == 1


def test_what_a_mask_never_had_is_outside() -> None:
    box = LetterboxImage(width_px=64, height_px=64).map(picture(W, H))
    assert isinstance(box, Image)
    full = Image(np.full((H, W, 1), 3, np.uint8))
    mask = moved(sample(box, mask=full), outside=255).parts["mask"]
    assert isinstance(mask, Image)
    assert np.array_equal(np.unique(mask.pixels[:8]), [255])
    assert np.array_equal(np.unique(mask.pixels[8:-8]), [3])


def test_a_sample_without_the_picture_passes() -> None:
    bare = Sample("s/a", {}, {"boxes": [BOX]})
    assert moved(bare) is bare


@pytest.mark.parametrize("bad", [[[1, 2, 3]], [{"label": "x"}], ["left"], 5, [[1, 2, 3, "x"]]])
def test_metadata_that_is_no_list_of_boxes_is_refused(bad: object) -> None:
    wrong = Sample("s/a", {"image": resized()}, {"boxes": bad})
    with pytest.raises(DataError, match=re.escape("metadata 'boxes' must list 4 numbers a box, not ")):
        moved(wrong)


def test_a_mask_that_is_not_decoded_is_refused() -> None:
    with pytest.raises(DataError, match=r"the mask 'mask' is not decoded: put codec\.image\.DecodeImage on it"):
        moved(sample(resized(), mask=Blob.of(b"x")))
