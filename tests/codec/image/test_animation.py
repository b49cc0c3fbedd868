from __future__ import annotations

import io
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow

from mmdata.codec.image import DecodeImage, SplitAnimation
from mmdata.codec.image.animation import count_frames
from mmdata.core.sample import Blob, Sample, Text
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.media import jpeg_bytes, png_bytes
from mmdata.testing.pictures import picture

FORMS = ["GIF", "PNG", "WEBP"]
COLORS = [(255, 0, 0), (0, 255, 0), (0, 0, 255), (0, 0, 0)]


def animated(form: str, n_frames: int = 4) -> bytes:
    """Frames of plain colours, each shown for a tenth of a second longer than the one before."""
    stills = [Pillow.new("RGB", (20, 10), COLORS[index % 4]) for index in range(n_frames)]
    file = io.BytesIO()
    durations = [100 * (index + 1) for index in range(n_frames)]
    more: dict[str, Any] = {"lossless": True} if form == "WEBP" else {}
    stills[0].save(file, form, save_all=True, append_images=stills[1:], duration=durations, **more)
    return file.getvalue()


def sample(data: bytes) -> Sample:
    return Sample("s/a", {"image": Blob.of(data), "text": Text("moving")}, {"label": "x"})


def split(data: bytes, **given_settings: Any) -> list[Sample]:
    result = SplitAnimation(**given_settings).split(sample(data))
    assert isinstance(result, list)
    return result


class TestSplitAnimation(StepContract):
    @pytest.fixture(params=[*FORMS, "still"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        data = png_bytes(picture()) if request.param == "still" else animated(request.param)
        return Case(SplitAnimation(), sample(data))


@pytest.mark.parametrize("form", FORMS)
def test_every_frame_becomes_a_sample(form: str) -> None:
    children = split(animated(form))
    assert [child.key for child in children] == [f"s/a@{index}" for index in range(4)]
    assert {child.parent for child in children} == {"s/a"}
    assert [child.parts["text"] for child in children] == [Text("moving")] * 4
    for child, color in zip(children, COLORS, strict=True):
        blob = child.parts["image"]
        assert isinstance(blob, Blob)
        pixels = DecodeImage().map(blob).pixels
        assert pixels.shape == (10, 20, 3)
        assert np.abs(pixels.astype(int) - color).max() <= 1
    assert [child.meta["frame"] for child in children] == [0, 1, 2, 3]
    assert [child.meta["time_s"] for child in children] == pytest.approx([0, 0.1, 0.3, 0.6])
    assert {child.meta["label"] for child in children} == {"x"}


@pytest.mark.parametrize(("every", "frames"), [(1, 12), (2, 6), (5, 3), (12, 1), (100, 1)])
def test_one_frame_of_so_many_is_taken(every: int, frames: int) -> None:
    children = split(animated("GIF", 12), every=every)
    assert [child.meta["frame"] for child in children] == list(range(0, 12, every))
    assert len(children) == frames
    assert [child.key for child in children] == [f"s/a@{index:02d}" for index in range(0, 12, every)]


@pytest.mark.parametrize("data", [png_bytes(picture()), jpeg_bytes(picture()), animated("GIF", 1), b"no picture"])
def test_what_does_not_move_passes_as_it_is(data: bytes) -> None:
    still = sample(data)
    assert SplitAnimation().split(still)[0] is still  # type: ignore[index]


def test_a_sample_without_the_part_passes() -> None:
    bare = Sample("s/a", {"text": Text("x")})
    assert SplitAnimation().split(bare) == [bare]


def test_a_picture_that_was_decoded_is_split_by_its_own_bytes() -> None:
    decoded = DecodeImage().map(Blob.of(animated("GIF")))
    children = SplitAnimation().split(Sample("s/a", {"image": decoded}))
    assert len(children) == 4  # type: ignore[arg-type]


def test_transparency_is_left_to_the_decoder() -> None:
    still = Pillow.fromarray(np.dstack([np.full((8, 8, 3), 90, np.uint8), np.zeros((8, 8), np.uint8)]))
    file = io.BytesIO()
    still.save(file, "PNG", save_all=True, append_images=[Pillow.new("RGBA", (8, 8), (1, 2, 3, 255))], duration=50)
    blob = split(file.getvalue())[0].parts["image"]
    assert isinstance(blob, Blob)
    assert (DecodeImage(background="black").map(blob).pixels == 0).all()
    assert (DecodeImage().map(blob).pixels == 255).all()


@pytest.mark.parametrize(
    ("given_settings", "text"),
    [
        ({"max_frames": 3}, "it has 4 frames, and max_frames is 3"),
        ({"max_pixels": 799}, "it has 800 pixels, and max_pixels is 799"),
    ],
)
@pytest.mark.parametrize("form", FORMS)
def test_limits_are_told_before_anything_is_decoded(form: str, given_settings: dict[str, int], text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        split(animated(form), **given_settings)
    assert len(split(animated(form), max_frames=4, max_pixels=800)) == 4


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(1, 10_000), st.sampled_from(FORMS))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_give_frames_or_a_decode_error(at: int, value: int, end: int, form: str) -> None:
    data = bytearray(animated(form))
    data[at % len(data)] = value
    for each in (bytes(data), bytes(data[: max(1, end % len(data))])):
        with suppress(DecodeError):
            assert len(split(each)) >= 1


def test_frames_are_counted_without_decoding() -> None:
    assert [count_frames(animated(form, 5), f"image/{form.lower()}") for form in FORMS] == [5, 5, 5]
    assert count_frames(b"", "image/jpeg") == 1
