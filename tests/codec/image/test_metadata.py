from __future__ import annotations

import io
import struct
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms, PngImagePlugin

from mmdata.codec.image import DecodeImage, StripMetadata
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Blob
from mmdata.engine.check import compile_for
from mmdata.errors import ConfigError, DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.media import jpeg_bytes, png_bytes
from mmdata.testing.pictures import picture

SECRET = b"Cafe Secreto 48.8584N"
PROFILE = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
FORMS = ["JPEG", "progressive", "PNG", "WEBP", "lossless", "GIF", "TIFF", "AVIF", "PPM"]


def exif(orientation: int) -> Pillow.Exif:
    made = Pillow.Exif()
    made[274], made[271] = orientation, SECRET.decode()
    made.get_ifd(34853)[29] = SECRET.decode()  # GPSDateStamp
    return made


def saved(form: str, orientation: int = 1, frames: int = 1) -> bytes:
    """A picture that tells where it was made in every way that its format has."""
    file, stills = io.BytesIO(), [Pillow.fromarray(picture(24, 16, seed=seed).pixels) for seed in range(frames)]
    given_settings: dict[str, Any] = {
        "exif": exif(orientation),
        "icc_profile": PROFILE,
        "xmp": b"<x>" + SECRET + b"</x>",
    }
    name = {"progressive": "JPEG", "lossless": "WEBP"}.get(form, form)
    if name == "JPEG":
        given_settings |= {"comment": SECRET, "progressive": form == "progressive"}
    elif name == "PNG":
        note = PngImagePlugin.PngInfo()
        note.add_text("Author", SECRET.decode())
        note.add_itxt("Place", SECRET.decode())
        given_settings = {"exif": exif(orientation), "icc_profile": PROFILE, "pnginfo": note}
    elif name == "WEBP":
        given_settings |= {"lossless": form == "lossless"}
    elif name == "GIF":
        given_settings = {"comment": SECRET}
    elif name == "TIFF":
        given_settings = {"description": SECRET.decode(), "exif": exif(orientation)}
    elif name == "PPM":
        given_settings = {}
    if frames > 1:
        given_settings |= {"save_all": True, "append_images": stills[1:], "duration": 100}
    stills[0].save(file, name, **given_settings)
    data = file.getvalue()
    if name == "PPM":
        return data.replace(b"P6\n", b"P6\n# " + SECRET + b"\n", 1)
    return data + SECRET if name in ("JPEG", "PNG") else data


def stripped(data: bytes) -> bytes:
    return StripMetadata().map(Blob.of(data)).data()


class TestStripMetadata(StepContract):
    @pytest.fixture(params=["JPEG", "PNG", "TIFF"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        clean = Blob.of(jpeg_bytes(picture()) if request.param == "JPEG" else png_bytes(picture()))
        return Case(StripMetadata(), Blob.of(saved(request.param)), unchanged=clean)


@pytest.mark.parametrize("form", FORMS)
def test_nothing_is_told_but_the_picture(form: str) -> None:
    data = saved(form)
    assert SECRET in data or form == "AVIF"
    bare = stripped(data)
    assert SECRET not in bare
    assert b"Secreto" not in bare
    before, after = (DecodeImage().map(Blob.of(each)) for each in (data, bare))
    assert np.array_equal(before.pixels, after.pixels)
    assert bare == stripped(bare)


@pytest.mark.parametrize("form", ["JPEG", "progressive", "PNG", "WEBP", "lossless", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", [3, 6])
def test_the_orientation_is_kept(form: str, orientation: int) -> None:
    bare = stripped(saved(form, orientation))
    assert SECRET not in bare
    assert DecodeImage().map(Blob.of(bare)).orientation == orientation
    with Pillow.open(io.BytesIO(bare)) as theirs:
        assert dict(theirs.getexif()) == {274: orientation}


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP"])
def test_the_colour_profile_is_kept(form: str) -> None:
    with Pillow.open(io.BytesIO(stripped(saved(form)))) as theirs:
        assert theirs.info["icc_profile"] == PROFILE


@pytest.mark.parametrize("form", ["GIF", "PNG", "WEBP"])
def test_animations_still_move(form: str) -> None:
    data = saved(form, frames=3)
    with Pillow.open(io.BytesIO(data)) as before, Pillow.open(io.BytesIO(stripped(data))) as after:
        assert after.n_frames == before.n_frames == 3  # type: ignore[attr-defined]
        for index in range(3):
            before.seek(index)
            after.seek(index)
            assert np.array_equal(np.asarray(before.convert("RGB")), np.asarray(after.convert("RGB")))
    assert SECRET not in stripped(data)


def test_what_follows_a_jpeg_and_its_previews_go() -> None:
    """A second picture after the first is how phones store depth, bursts and films."""
    plain = jpeg_bytes(picture())
    assert stripped(plain + jpeg_bytes(picture(seed=3))) == plain
    segment = struct.pack(">BBH", 0xFF, 0xE2, 10) + b"MPF\0abcd"
    assert stripped(plain[:2] + segment + plain[2:]) == plain


@pytest.mark.parametrize("data", [png_bytes(picture()), jpeg_bytes(picture())], ids=["png", "jpeg"])
def test_a_file_without_metadata_is_left_alone(data: bytes) -> None:
    blob = Blob.of(data)
    assert StripMetadata().map(blob) is blob


def test_a_bitmap_has_no_place_for_metadata() -> None:
    file = io.BytesIO()
    Pillow.fromarray(picture().pixels).save(file, "BMP")
    blob = Blob.of(file.getvalue())
    assert StripMetadata().map(blob) is blob


@pytest.mark.parametrize(("data", "text"), [(b"hello", "no picture"), (b"", "it is empty")])
def test_what_is_no_picture_is_refused(data: bytes, text: str) -> None:
    with pytest.raises(DecodeError, match=text):
        stripped(data)


@given(st.integers(0, 10_000), st.integers(0, 255), st.integers(0, 10_000), st.sampled_from(FORMS))
@settings(max_examples=100, deadline=None)
def test_damaged_bytes_give_bytes_or_a_decode_error(at: int, value: int, end: int, form: str) -> None:
    data = bytearray(saved(form))
    data[at % len(data)] = value
    for each in (bytes(data), bytes(data[: max(1, end % len(data))])):
        with suppress(DecodeError):
            assert isinstance(stripped(each), bytes)


def test_a_stripped_picture_can_not_be_stored_as_a_pointer_to_the_file() -> None:
    pipeline = Pipeline(ingest=(StripMetadata(), DecodeImage()), store={"image": "reference"})
    with pytest.raises(ConfigError, match="steps change 'image'"):
        compile_for(pipeline, ["image"])
    assert compile_for(Pipeline(ingest=(DecodeImage(),), store={"image": "reference"}), ["image"])
