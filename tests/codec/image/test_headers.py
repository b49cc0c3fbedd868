from __future__ import annotations

import io
import struct
import zlib
from typing import Any

import PIL.Image
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.image.headers import READERS, Header, exif_orientation, png_chunks, read_header
from mmdata.codec.sniff import media_type
from mmdata.errors import DecodeError

Made = dict[str, bytes]


def saved(mode: str, form: str, **settings: Any) -> bytes:
    """A 9 x 7 picture as Pillow writes it."""
    file = io.BytesIO()
    PIL.Image.new(mode, (9, 7)).save(file, form, **settings)
    return file.getvalue()


def header_of(data: bytes) -> Header:
    header = read_header(data, media_type(data))
    assert header is not None
    return header


def test_sizes_of_every_format_are_read(pictures: Made) -> None:
    assert {name: (header_of(data).width, header_of(data).height) for name, data in pictures.items()} == dict.fromkeys(
        pictures, (64, 48)
    )


@pytest.mark.parametrize(
    ("mode", "form", "settings", "alpha"),
    [
        ("RGB", "PNG", {}, False),
        ("RGBA", "PNG", {}, True),
        ("LA", "PNG", {}, True),
        ("P", "PNG", {}, False),
        ("P", "PNG", {"transparency": 3}, True),
        ("RGB", "JPEG", {}, False),
        ("CMYK", "JPEG", {}, False),
        ("RGB", "JPEG", {"progressive": True}, False),
        ("RGB", "WEBP", {}, False),
        ("RGBA", "WEBP", {}, True),
        ("RGB", "WEBP", {"lossless": True}, False),
        ("RGBA", "WEBP", {"lossless": True}, True),
        ("RGBA", "TIFF", {}, True),
        ("L", "TIFF", {}, False),
        ("RGB", "TIFF", {"big_tiff": True}, False),
        ("RGB", "AVIF", {}, False),
        ("RGBA", "AVIF", {}, True),
        ("RGB", "JPEG2000", {}, False),
        ("RGBA", "JPEG2000", {}, True),
        ("RGB", "JPEG2000", {"no_jp2": True}, False),
        ("RGB", "BMP", {}, False),
        ("1", "PPM", {}, False),
        ("P", "GIF", {}, True),
    ],
)
def test_pillow_agrees_on_size_and_alpha(mode: str, form: str, settings: dict[str, Any], alpha: bool) -> None:
    header = header_of(saved(mode, form, **settings))
    assert (header.width, header.height, header.alpha) == (9, 7, alpha)


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_found_in_each_format_that_has_it(form: str, orientation: int) -> None:
    exif = PIL.Image.Exif()
    exif[274] = orientation
    assert header_of(saved("RGB", form, exif=exif)).orientation == orientation


@pytest.mark.parametrize("value", [0, 9, 65535])
def test_an_orientation_out_of_range_is_none(value: int) -> None:
    assert exif_orientation(struct.pack("<2sHIHHHIHHI", b"II", 42, 8, 1, 274, 3, 1, value, 0, 0)) == 1


@pytest.mark.parametrize("exif", [b"", b"II", b"XX*\0", b"II*\0\xff\xff\xff\xff", b"MM\0*\0\0\0\x08\xff\xff"])
def test_broken_exif_turns_nothing(exif: bytes) -> None:
    assert exif_orientation(exif) == 1


def test_a_bmp_from_the_top_down_has_a_positive_height() -> None:
    assert header_of(b"BM" + bytes(12) + struct.pack("<Iii", 40, 9, -7)).height == 7


def test_an_old_bmp_has_short_sizes() -> None:
    assert header_of(b"BM" + bytes(12) + struct.pack("<IHH", 12, 9, 7)) == Header(9, 7)


def test_comments_in_pnm_are_passed_over() -> None:
    assert header_of(b"P5\n# made by hand\n9 # wide\n7\n255\n" + bytes(63)) == Header(9, 7)


def test_the_chunks_of_a_png_are_walked_to_its_end(pictures: Made) -> None:
    kinds = [kind for kind, _, _ in png_chunks(pictures["png"] + b"what follows is not looked at")]
    assert (kinds[0], kinds[-1]) == (b"IHDR", b"IEND")


def test_damage_to_any_byte_of_a_png_is_told() -> None:
    data = saved("RGB", "PNG")
    for at in range(8, len(data)):
        changed = data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]
        with pytest.raises(DecodeError, match=r"damaged|cut short"):
            header_of(changed)


@pytest.mark.parametrize("left", range(1, 12))
def test_a_png_without_its_end_is_cut_short(left: int) -> None:
    with pytest.raises(DecodeError, match="it is cut short: a PNG that does not reach its IEND chunk"):
        header_of(saved("RGB", "PNG")[:-left])


def test_the_missing_bytes_of_a_png_are_counted(pictures: Made) -> None:
    with pytest.raises(DecodeError, match=r"its IDAT chunk goes on for [\d,]+ bytes"):
        header_of(pictures["png"][:200])


def test_a_size_of_nothing_is_refused() -> None:
    with pytest.raises(DecodeError, match="a size of 0x7 pixels"):
        header_of(b"GIF89a" + struct.pack("<HH", 0, 7))


@pytest.mark.parametrize("kind", sorted(READERS))
@given(data=st.binary(max_size=200))
def test_any_header_is_read_or_is_a_decode_error(kind: str, data: bytes) -> None:
    try:
        header = read_header(data, kind)
    except DecodeError:
        return
    assert header is not None
    assert 1 <= header.orientation <= 8


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF", "JPEG2000", "BMP", "GIF", "PPM"])
def test_a_header_cut_anywhere_is_read_or_is_a_decode_error(form: str) -> None:
    data = saved("RGB", form)
    kind = media_type(data)
    for size in range(min(len(data), 300)):
        try:
            assert read_header(data[:size], kind) is not None
        except DecodeError:
            continue


def test_no_chunk_size_makes_a_reader_run_for_ever() -> None:
    webp = b"RIFF" + struct.pack("<I", 30) + b"WEBPVP8X" + struct.pack("<I", 0) + b"\x08" + bytes(30)
    assert header_of(webp).orientation == 1
    loop = b"\xff\xd8" + b"\xff\xe0\0\0" * 3
    with pytest.raises(DecodeError):
        header_of(loop)
    png = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I4s", 0, kind) + struct.pack(">I", zlib.crc32(kind)) for kind in (b"IHDR", b"IEND")
    )
    with pytest.raises(DecodeError):
        header_of(png)
