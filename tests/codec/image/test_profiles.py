from __future__ import annotations

import io
import struct
import threading
import zlib
from contextlib import suppress
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from PIL import ImageCms

from mmdata.codec.image import DecodeImage
from mmdata.codec.image.profiles import profile_of
from mmdata.core.sample import Blob, Image
from mmdata.errors import DecodeError
from mmdata.testing.pictures import picture

SRGB = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
# colorants of Display P3 (SMPTE EG 432-1), adapted to D50, as Apple's profile has them
P3 = ((0.5151, 0.2412, -0.0011), (0.2920, 0.6922, 0.0419), (0.1571, 0.0666, 0.7841))
SRGB_COLORANTS = ((0.4361, 0.2225, 0.0139), (0.3851, 0.7169, 0.0971), (0.1431, 0.0606, 0.7139))
FORMS = ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JPEG2000"]


def profile(space: bytes, tags: dict[bytes, bytes]) -> bytes:
    """An ICC profile of version 2.4 (ICC.1:2001-04)."""
    body, table = b"", struct.pack(">I", len(tags))
    start = 128 + 4 + 12 * len(tags)
    for name, data in tags.items():
        table += struct.pack(">4sII", name, start + len(body), len(data))
        body += data + b"\0" * (-len(data) % 4)
    head = struct.pack(
        ">I4sI4s4s4s12s4s", start + len(body), b"none", 0x02400000, b"mntr", space, b"XYZ ", b"\0" * 12, b"acsp"
    )
    head += b"\0" * 28 + struct.pack(">iii", 0xF6D6, 0x10000, 0xD32D)  # D50
    return head.ljust(128, b"\0") + table + body


def xyz(values: tuple[float, ...]) -> bytes:
    return b"XYZ \0\0\0\0" + struct.pack(">iii", *(round(value * 65536) for value in values))


def gamma(value: float) -> bytes:
    return b"curv\0\0\0\0" + struct.pack(">IHxx", 1, round(value * 256))


def rgb_profile(colorants: tuple[tuple[float, ...], ...] = P3, curve: float = 2.2) -> bytes:
    tags = {b"wtpt": xyz((0.9642, 1.0, 0.8249))}
    tags |= {name: xyz(values) for name, values in zip((b"rXYZ", b"gXYZ", b"bXYZ"), colorants, strict=True)}
    return profile(b"RGB ", tags | dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(curve)))


def grey_profile(curve: float) -> bytes:
    return profile(b"GRAY", {b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"kTRC": gamma(curve)})


SWAPPED = rgb_profile((SRGB_COLORANTS[2], SRGB_COLORANTS[1], SRGB_COLORANTS[0]))  # red is blue and blue is red


def saved(pixels: np.ndarray, form: str, icc: bytes, mode: str = "RGB", **given_settings: Any) -> bytes:
    file = io.BytesIO()
    if form == "JPEG":
        given_settings = {"quality": 98, "subsampling": 0, **given_settings}
    elif form in ("WEBP", "AVIF"):
        given_settings = {"quality": 100, "lossless": form == "WEBP"}
    Pillow.fromarray(pixels, mode).save(file, form, icc_profile=icc, **given_settings)
    return with_box(file.getvalue(), icc) if form == "JPEG2000" and icc else file.getvalue()


def with_box(data: bytes, icc: bytes) -> bytes:
    """A JPEG 2000 file, into which Pillow writes no profile, with one in place of its box `colr`."""
    at, header = data.index(b"colr") - 4, data.index(b"jp2h") - 4
    size = int.from_bytes(data[at : at + 4], "big")
    box = struct.pack(">I4sBBB", 11 + len(icc), b"colr", 2, 0, 0) + icc
    grown = int.from_bytes(data[header : header + 4], "big") - size + len(box)
    return data[:header] + struct.pack(">I", grown) + data[header + 4 : at] + box + data[at + size :]


def decoded(data: bytes, **given_settings: Any) -> Image:
    return DecodeImage(**given_settings).map(Blob.of(data))


def flat(*color: int) -> np.ndarray:
    return np.full((8, 8, len(color)), color, np.uint8)


@pytest.mark.parametrize("form", FORMS)
def test_a_profile_that_swaps_two_primaries_swaps_what_is_seen(form: str) -> None:
    red = decoded(saved(flat(255, 0, 0), form, SWAPPED))
    assert (
        np.abs(red.pixels.astype(int) - (0, 0, 255)).max() <= 8
    )  # the plain gamma against sRGB's curve, and the codec
    assert red.origin is not None
    stored = decoded(saved(flat(255, 0, 0), form, SWAPPED), colors="stored")
    assert np.abs(stored.pixels.astype(int) - (255, 0, 0)).max() <= 4
    assert stored.origin is None


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize("icc", [rgb_profile(), rgb_profile(curve=1.8), SWAPPED], ids=["p3", "1.8", "swapped"])
def test_colours_are_those_of_littlecms(form: str, icc: bytes) -> None:
    pixels = picture(40, 30).pixels
    theirs = ImageCms.profileToProfile(
        Pillow.fromarray(pixels),
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    # they leave out black point compensation, which changes nothing for profiles whose black is black
    assert np.abs(decoded(saved(pixels, form, icc)).pixels.astype(int) - np.asarray(theirs)).max() <= 1


def test_greys_keep_being_grey_and_gamma_is_told_apart() -> None:
    ramp = np.arange(256, dtype=np.uint8).reshape(16, 16)
    linear = decoded(saved(ramp, "PNG", grey_profile(1.0), "L")).pixels
    level = np.arange(256) / 255
    srgb = np.where(level <= 0.0031308, 12.92 * level, 1.055 * level ** (1 / 2.4) - 0.055) * 255  # IEC 61966-2-1
    assert np.abs(linear[..., 0].ravel() - srgb).max() <= 1.5
    assert np.array_equal(linear[..., 0], linear[..., 2])
    assert decoded(saved(ramp, "PNG", grey_profile(1.0), "L"), grey=True).pixels.shape == (16, 16, 1)


@pytest.mark.parametrize("form", FORMS)
def test_srgb_changes_nothing_and_needs_no_conversion(form: str) -> None:
    kind = f"image/{form.lower().replace('jpeg2000', 'jp2')}"
    assert profile_of(saved(flat(9, 99, 200), form, SRGB), kind) is None
    assert profile_of(saved(flat(9, 99, 200), form, rgb_profile()), kind) is not None
    plain, named = (decoded(saved(picture(16, 16).pixels, form, icc)).pixels for icc in (b"", SRGB))
    assert np.array_equal(plain, named)


def test_transparency_is_laid_over_the_background_after_the_colours() -> None:
    clear = np.dstack(
        [np.broadcast_to(np.array([255, 0, 0], np.uint8), (1, 3, 3)), np.array([[0, 128, 255]], np.uint8)]
    )
    pixels = decoded(saved(clear, "PNG", SWAPPED, "RGBA"), background=(0, 255, 0)).pixels[0]
    assert np.abs(pixels.astype(int) - [(0, 255, 0), (0, 127, 128), (0, 0, 255)]).max() <= 8


def cmyk_profile() -> bytes:
    """Inks to Lab by a table of two points an axis: paper is white, cyan and black are all the inks there are."""
    nodes = b""
    for corner in range(16):
        cyan, _, _, black = (corner >> 3) & 1, (corner >> 2) & 1, (corner >> 1) & 1, corner & 1
        nodes += bytes(
            [0 if black else 150 if cyan else 255, 128 - 40 * cyan * (1 - black), 128 - 40 * cyan * (1 - black)]
        )
    line = bytes(range(256))
    table = b"mft1\0\0\0\0" + struct.pack(">BBBx9i", 4, 3, 2, 65536, 0, 0, 0, 65536, 0, 0, 0, 65536)
    table += line * 4 + nodes + line * 3
    made = profile(b"CMYK", {b"wtpt": xyz((0.9642, 1.0, 0.8249)), b"A2B0": table, b"A2B1": table})
    return made[:12] + b"prtr" + made[16:20] + b"Lab " + made[24:]


@pytest.mark.parametrize("form", ["JPEG", "TIFF"])
def test_inks_are_seen_as_their_profile_says(form: str) -> None:
    inks = np.zeros((8, 32, 4), np.uint8)
    inks[:, 8:16, 0] = 255
    inks[:, 16:24, 3] = 255
    inks[:, 24:, 1] = 255  # magenta, of which this printer has none
    data = saved(inks, form, cmyk_profile(), "CMYK")
    pixels = decoded(data).pixels[4, 4::8].astype(int)
    assert np.abs(pixels[0] - 255).max() <= 3
    assert pixels[1, 2] > pixels[1, 0] + 60  # bluish
    assert pixels[2].max() <= 12
    assert np.abs(pixels[3] - 255).max() <= 3
    plain = decoded(data, colors="stored").pixels[4, 28].astype(int)
    assert plain[1] < 60  # by the plain formula, magenta takes green away
    half = decoded(data, max_px=16)
    assert half.pixels.shape == (4, 16, 3)
    assert half.space_map.to_source(np.array([[16.0, 4.0]])).tolist() == [[32, 8]]


def test_a_profile_in_many_parts_is_put_together() -> None:
    long = rgb_profile() + b"\0" * 200_000  # a JPEG segment holds 65,519 bytes of it
    long = struct.pack(">I", len(long)) + long[4:]
    data = saved(flat(255, 0, 0), "JPEG", long)
    assert data.count(b"ICC_PROFILE\0") == 4
    assert profile_of(data, "image/jpeg") is not None


@pytest.mark.parametrize(
    "icc",
    [b"", b"x" * 50, rgb_profile()[:200], SWAPPED[:16] + b"Lab " + SWAPPED[20:], cmyk_profile(), b"\xff" * 500],
    ids=["none", "short", "cut", "another space", "inks", "noise"],
)
def test_a_profile_that_is_broken_or_of_another_space_counts_as_none(icc: bytes) -> None:
    pixels = picture(16, 12).pixels
    assert np.array_equal(decoded(saved(pixels, "PNG", icc)).pixels, pixels)


def test_a_profile_of_greys_on_a_picture_with_colours_counts_as_none() -> None:
    pixels = picture(16, 12).pixels
    assert np.array_equal(decoded(saved(pixels, "PNG", grey_profile(1.0))).pixels, pixels)


def test_a_profile_that_unpacks_to_gigabytes_is_not_unpacked() -> None:
    packed = zlib.compress(b"\0" * (64 << 20), 9)
    body = b"iCCP" + b"bomb\0\0" + packed
    chunk = struct.pack(">I", len(body) - 4) + body + struct.pack(">I", zlib.crc32(body))
    data = saved(flat(1, 2, 3), "PNG", b"")
    assert (decoded(data[:33] + chunk + data[33:]).pixels == (1, 2, 3)).all()


@given(st.integers(0, 10_000), st.integers(0, 255), st.sampled_from(["JPEG", "PNG", "WEBP", "TIFF", "JPEG2000"]))
@settings(max_examples=60, deadline=None)
def test_damaged_bytes_give_a_picture_or_a_decode_error(at: int, value: int, form: str) -> None:
    data = bytearray(saved(flat(200, 30, 60), form, rgb_profile()))
    data[at % len(data)] = value
    with suppress(DecodeError):
        assert decoded(bytes(data)).pixels.dtype == np.uint8


def test_threads_that_share_a_profile_get_the_same_colours() -> None:
    data = saved(picture(200, 150).pixels, "PNG", rgb_profile())
    expected, found = decoded(data).pixels, []
    threads = [threading.Thread(target=lambda: found.append(decoded(data).pixels)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [np.array_equal(pixels, expected) for pixels in found] == [True] * 8
