from __future__ import annotations

import io
import os
import struct
import time
import zlib
from pathlib import Path
from typing import Any

import numpy as np
import PIL.Image
import PIL.ImageOps
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.image import DecodeImage
from mmdata.codec.image.decode import fitted, opencv
from mmdata.core.sample import Blob, Image
from mmdata.errors import DecodeError
from mmdata.kernels.image import turn_upright
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.damage import bomb_bytes
from mmdata.testing.media import jpeg_bytes, png_bytes
from mmdata.testing.pictures import picture

Made = dict[str, bytes]


class TestDecodeImage(StepContract):
    @pytest.fixture(params=[{}, {"max_px": 32, "grey": True, "background": "black"}], ids=str)
    def case(self, request: pytest.FixtureRequest) -> Case:
        value = Blob.of(jpeg_bytes(picture()), name="a.jpg")
        return Case(DecodeImage(**request.param), value, others={"max_px": 40, "background": (1, 2, 3)})


def decoded(data: bytes, **settings: Any) -> Image:
    return DecodeImage(**settings).map(Blob.of(data))


def saved(pixels: np.ndarray, mode: str, form: str, **settings: Any) -> bytes:
    file = io.BytesIO()
    PIL.Image.fromarray(pixels, mode).save(file, form, **settings)
    return file.getvalue()


def rgba(seed: int = 0) -> np.ndarray:
    """Smooth colours under every level of alpha: uint8 [16, 16, 4]."""
    pixels = np.concatenate([picture(16, 16, seed=seed).pixels, np.arange(256, dtype=np.uint8).reshape(16, 16, 1)], 2)
    return np.ascontiguousarray(pixels)


def over(pixels: np.ndarray, colour: tuple[int, int, int]) -> np.ndarray:
    alpha = pixels[..., 3:] / 255
    return np.asarray(pixels[..., :3] * alpha + np.array(colour) * (1 - alpha))


@pytest.mark.parametrize(
    ("name", "mean_level"),
    [("png", 0), ("bmp", 0), ("tiff", 0), ("ppm", 0), ("webp", 2), ("jpg", 3), ("jp2", 3), ("avif", 8), ("gif", 16)],
)
def test_every_format_gives_the_picture_in_rgb(pictures: Made, name: str, mean_level: float) -> None:
    """Lossless formats exactly; the others within what chroma at half size, or 256 colours, cost a fine texture."""
    image = decoded(pictures[name])
    assert image.pixels.shape == (48, 64, 3)
    assert image.pixels.dtype == np.uint8
    assert np.abs(image.pixels.astype(int) - picture(64, 48).pixels).mean() <= mean_level
    assert image.origin is not None


@pytest.mark.parametrize("mode", ["L", "P", "1", "CMYK", "I;16"])
def test_whatever_its_form_a_picture_comes_in_rgb(mode: str) -> None:
    if mode == "I;16":
        file = PIL.Image.fromarray((np.arange(63, dtype=np.uint16) * 1040).reshape(7, 9))
    else:
        file = PIL.Image.fromarray(picture(9, 7).pixels).convert(mode)
    made = io.BytesIO()
    file.save(made, "TIFF" if mode == "CMYK" else "PNG")
    pixels = decoded(made.getvalue()).pixels
    expected = np.asarray(file) // 256 if mode == "I;16" else np.asarray(file.convert("RGB"))
    expected = expected if expected.ndim == 3 else np.repeat(expected[..., None], 3, axis=2)
    assert np.abs(pixels.astype(int) - expected).max() <= (2 if mode == "CMYK" else 0)  # two formulas for black


@pytest.mark.parametrize(
    ("background", "colour"), [("white", (255,) * 3), ("black", (0,) * 3), ((10, 200, 90), (10, 200, 90))]
)
@pytest.mark.parametrize("form", ["PNG", "WEBP", "TIFF"])
def test_what_is_transparent_shows_the_background(
    form: str, background: str | tuple[int, int, int], colour: tuple[int, int, int]
) -> None:
    settings = {"lossless": True, "exact": True} if form == "WEBP" else {}
    image = decoded(saved(rgba(), "RGBA", form, **settings), background=background)
    # each product is rounded to whole levels; two of them where the colour is neither black nor white
    assert np.abs(image.pixels - over(rgba(), colour)).max() <= 1
    assert (image.origin is not None) == (background == "white")


def test_transparency_of_every_other_kind_is_seen() -> None:
    white, grey = np.full(3, 255), np.arange(256, dtype=np.uint8).reshape(16, 16)
    made = {
        "grey with alpha": saved(np.stack([grey, 255 - grey], 2), "LA", "PNG"),
        "a clear grey": saved(grey, "L", "PNG", transparency=7),
        "a clear colour": saved(np.repeat(grey[..., None], 3, 2), "RGB", "PNG", transparency=(7, 7, 7)),
        "a clear entry": saved(np.zeros((2, 2, 3), np.uint8), "RGB", "GIF", transparency=0),
    }
    assert (
        np.abs(
            decoded(made["grey with alpha"]).pixels[..., 0]
            - over(np.stack([grey] * 3 + [255 - grey], 2), (255,) * 3)[..., 0]
        ).max()
        <= 1
    )
    for name in ("a clear grey", "a clear colour"):
        pixels = decoded(made[name]).pixels
        assert (pixels[0, 7] == white).all(), name
        assert (pixels[0, 8] == 8).all(), name
    assert (decoded(made["a clear entry"]).pixels == 255).all()


def test_a_clear_grey_of_16_bits_is_compared_in_full() -> None:
    levels = np.array([[0x1234, 0x1235, 0x12FF]], np.uint16)
    data = bytes(opencv().imencode(".png", levels)[1])
    body = b"tRNS" + struct.pack(">H", 0x1234)
    chunk = struct.pack(">I", 2) + body + struct.pack(">I", zlib.crc32(body))
    assert decoded(data[:33] + chunk + data[33:]).pixels[0, :, 0].tolist() == [255, 0x12, 0x12]


def test_grey_is_one_channel() -> None:
    image = decoded(png_bytes(picture()), grey=True)
    assert image.pixels.shape == (48, 64, 1)
    luma = picture().pixels @ np.array([0.299, 0.587, 0.114])
    assert np.abs(image.pixels[..., 0] - luma).max() <= 1
    assert image.origin is None
    assert decoded(saved(rgba(), "RGBA", "PNG"), grey=True).pixels.shape == (16, 16, 1)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_passed_on_and_not_applied(orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    for form in ("JPEG", "PNG", "WEBP", "TIFF", "AVIF"):
        data = saved(picture().pixels, "RGB", form, exif=exif)
        image = decoded(data)
        assert (image.orientation, image.pixels.shape) == (orientation, (48, 64, 3)), form
        with PIL.Image.open(io.BytesIO(data)) as file:  # Pillow turns TIFF and AVIF itself
            theirs = np.asarray(PIL.ImageOps.exif_transpose(file).convert("RGB")).astype(int)
        assert np.abs(turn_upright(image.pixels, orientation)[0] - theirs).mean() < 4, form  # two decoders of chroma


@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("mode", ["L", "RGBA"])
def test_a_tiff_of_every_kind_is_read_as_its_pixels_lie(mode: str, big: bool) -> None:
    pixels = rgba()[..., 0] if mode == "L" else rgba()
    made = [saved(pixels, mode, "TIFF", big_tiff=big, tiffinfo={274: turn}) for turn in (1, 6)]
    upright, turned = (decoded(data) for data in made)
    assert np.array_equal(upright.pixels, turned.pixels)
    assert turned.orientation == 6


@pytest.mark.parametrize(
    ("max_px", "size"),
    [
        (None, (640, 480)),
        (641, (640, 480)),
        (640, (640, 480)),
        (639, (639, 479)),
        (320, (320, 240)),
        (159, (159, 119)),
        (1, (1, 1)),
    ],
)
@pytest.mark.parametrize("form", ["jpg", "png"])
def test_a_picture_is_scaled_down_to_its_longest_side(max_px: int | None, size: tuple[int, int], form: str) -> None:
    original = picture(640, 480)
    data = jpeg_bytes(original) if form == "jpg" else png_bytes(original)
    image = decoded(data, max_px=max_px)
    assert (image.width, image.height) == size
    assert (image.origin is not None) == (size == (640, 480)) == image.space_map.is_identity
    corner = image.space_map.to_source(np.array([[*size]], float))
    np.testing.assert_allclose(corner, [[640, 480]])


@pytest.mark.parametrize("max_px", [320, 319, 300, 160, 159, 80, 79, 40, 39])
def test_scaling_inside_the_jpeg_codec_equals_averaging_afterwards(max_px: int) -> None:
    """Both average, the codec in its transform: they agree within two levels on what the smaller grid can show."""
    cv2 = opencv()
    side = min(160, max_px)
    coarse = cv2.resize(picture(640, 480).pixels, (side, side * 3 // 4), interpolation=cv2.INTER_AREA)
    data = jpeg_bytes(Image(cv2.resize(coarse, (640, 480), interpolation=cv2.INTER_CUBIC)))
    image = decoded(data, max_px=max_px)
    averaged = cv2.resize(decoded(data).pixels, (image.width, image.height), interpolation=cv2.INTER_AREA)
    assert np.abs(image.pixels.astype(int) - averaged).mean() < 2


@given(st.integers(1, 20_000), st.integers(1, 20_000), st.integers(1, 3000))
def test_a_fitted_size_keeps_shape_and_limit(width: int, height: int, max_px: int) -> None:
    across, down = fitted(width, height, max_px)
    assert 1 <= across <= width
    assert 1 <= down <= height
    assert max(across, down) == min(max(width, height), max_px)
    assert abs(across * height - down * width) <= max(width, height)


def test_a_bomb_is_refused_by_its_header_alone() -> None:
    data = bomb_bytes()
    start = time.process_time()
    with pytest.raises(DecodeError, match=r"it has 900,000,000 pixels, and max_pixels is 100,000,000"):
        decoded(data)
    assert time.process_time() - start < 0.5


def test_a_header_that_disagrees_with_its_pixels_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.codec.image.decode._opencv_pixels", lambda *_: np.zeros((49, 64, 3), np.uint8))
    with pytest.raises(DecodeError, match="its header promises 64x48 pixels, and it holds 64x49"):
        decoded(png_bytes(picture(64, 48)))


def test_limits_hold_on_both_sides() -> None:
    data = png_bytes(picture(64, 48))
    assert decoded(data, max_pixels=64 * 48, max_bytes=len(data)).width == 64
    with pytest.raises(DecodeError, match="max_pixels"):
        decoded(data, max_pixels=64 * 48 - 1)
    with pytest.raises(DecodeError, match="max_bytes"):
        decoded(data, max_bytes=len(data) - 1)


@pytest.mark.parametrize(
    ("data", "name", "message"),
    [
        (b"", "a.jpg", "it is empty"),
        (b"Hello world", "a.jpg", r'no picture: it is named \.jpg but holds text \("Hello world"\)'),
        (b"<svg/>", "a.svg", "it holds image/svg\\+xml, a drawing without pixels: render it first"),
        (b"\0\0\x01\0", "a.ico", "it holds image/x-icon, which is not decoded here; avif, bmp, gif"),
        (b"RIFF\0\0\0\0WAVEfmt ", "a.png", r"no picture: it is named \.png but holds audio/wav"),
        (b"\xff\xd8\xff\xd9" + bytes(9), "a.jpg", "its JPEG header gives no size"),
        (b"\xff\xd8\xff\xe0\0\x10", "a.jpg", "its image/jpeg header breaks off"),
    ],
)
def test_what_is_no_picture_is_named(data: bytes, name: str, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        DecodeImage().map(Blob.of(data, name=name))


@pytest.mark.parametrize("share", [0.3, 0.9, 0.999])
def test_what_is_cut_short_is_refused(pictures: Made, share: float) -> None:
    for data in pictures.values():
        with pytest.raises(DecodeError, match=r"cut short|breaks off"):
            decoded(data[: int(len(data) * share)])


def test_a_jpeg_cut_short_is_half_grey_where_that_is_asked_for() -> None:
    data = jpeg_bytes(picture(64, 64))
    image = decoded(data[: len(data) // 2], strict=False)
    assert image.pixels.shape == (64, 64, 3)
    assert image.origin is None
    assert np.ptp(image.pixels[-1]) <= 2, "what is missing is plain"
    assert decoded(data, strict=False).origin is not None


def test_what_a_png_says_of_its_colours_is_not_warned_of(capfd: pytest.CaptureFixture[str]) -> None:
    """libpng writes "known incorrect sRGB profile" and its like on standard error."""
    profile = zlib.compress(b"no profile at all")
    body = b"iCCPbroken\0\0" + profile
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = png_bytes(picture())
    image = decoded(data[:33] + chunk + data[33:])
    assert np.array_equal(image.pixels, picture().pixels)
    assert capfd.readouterr().err == ""


@pytest.mark.corpus
def test_all_tux_paint_stamps_are_read(stamps: Path) -> None:
    files = sorted(stamps.rglob("*.png"))
    assert len(files) > 700
    for path in files[::10]:
        data = path.read_bytes()
        with PIL.Image.open(path) as file:
            expected = over(np.asarray(file.convert("RGBA")), (255, 255, 255))
        assert np.abs(decoded(data).pixels - expected).max() <= 1, os.fspath(path)
