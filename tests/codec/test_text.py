from __future__ import annotations

import codecs

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.text import DecodeText
from mmdata.core.sample import Blob
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.media import jpeg_bytes
from mmdata.testing.pictures import picture


class TestDecodeText(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(DecodeText(), Blob.of("żółw".encode(), name="a.txt"), others={"encoding": "latin-1"})


@pytest.mark.parametrize("codec", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_unicode_is_read_in_each_of_its_forms_that_can_be_told(codec: str) -> None:
    data = "żółw\r\n🐢 ".encode(codec)
    part = DecodeText().map(Blob.of(data))
    assert part.text == "żółw\r\n🐢 "
    assert part.origin is not None


@pytest.mark.parametrize("mark", [codecs.BOM_UTF16_BE, codecs.BOM_UTF32_BE])
def test_big_endian_marks_are_known(mark: bytes) -> None:
    codec = "utf-16-be" if len(mark) == 2 else "utf-32-be"
    assert DecodeText().map(Blob.of(mark + "aé".encode(codec))).text == "aé"


def test_an_empty_file_is_an_empty_text() -> None:
    assert DecodeText().map(Blob.of(b"")).text == ""


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (
            b"caf\xe9 au lait",
            r"byte 3 \(0xe9\) is not utf-8: invalid continuation byte; give DecodeText its `encoding`",
        ),
        (b"caf\xc3", r"byte 3 \(0xc3\) is not utf-8: unexpected end of data"),
        ("hé".encode("utf-16-le"), r"byte 2 \(0xe9\) is not utf-8"),
        ("hi".encode("utf-16-le"), r"character 1 is NUL, so it is not utf-8 text; give DecodeText its `encoding`"),
        (codecs.BOM_UTF16_LE + b"\0\xd8", r"is not utf-16"),
        (b"\xed\xa0\x80", r"byte 0 \(0xed\) is not utf-8"),  # a lone surrogate
    ],
)
def test_bytes_that_are_no_text_are_named(data: bytes, message: str) -> None:
    with pytest.raises(DecodeError, match=message):
        DecodeText().map(Blob.of(data, name="a.txt"))


def test_a_picture_named_text_is_told_for_what_it_is() -> None:
    with pytest.raises(DecodeError, match=r"it is named \.txt but holds image/jpeg"):
        DecodeText().map(Blob.of(jpeg_bytes(picture()), name="a.txt"))


def test_other_encodings_are_taken_on_the_users_word() -> None:
    part = DecodeText(encoding="latin-1").map(Blob.of(b"caf\xe9"))
    assert part.text == "café"
    assert part.origin is None, "the usual decoder would refuse these bytes"
    assert DecodeText(encoding="latin-1").map(Blob.of(b"cafe")).origin is not None


def test_a_mark_wins_over_the_setting() -> None:
    assert DecodeText(encoding="latin-1").map(Blob.of(codecs.BOM_UTF8 + "é".encode())).text == "é"


@pytest.mark.parametrize("encoding", ["latin-7777", "base64", "zlib"])
def test_an_encoding_that_is_none_is_refused_at_once(encoding: str) -> None:
    with pytest.raises(ValueError, match=f"Python has no text codec '{encoding}'"):
        DecodeText(encoding=encoding)


def test_the_limit_on_bytes_holds_on_both_sides() -> None:
    assert DecodeText(max_bytes=4).map(Blob.of(b"1234")).text == "1234"
    with pytest.raises(DecodeError, match="max_bytes"):
        DecodeText(max_bytes=3).map(Blob.of(b"1234"))


@given(st.binary(max_size=200))
def test_any_bytes_are_text_or_a_decode_error(data: bytes) -> None:
    try:
        part = DecodeText().map(Blob.of(data))
    except DecodeError:
        return
    assert part.text.encode() in data.decode("utf-8", "replace").encode() or data[:2] in (
        b"\xff\xfe",
        b"\xfe\xff",
        b"\0\0",
    )


@given(st.text(alphabet=st.characters(exclude_characters="\0", exclude_categories=["Cs"])))
def test_text_comes_back_as_it_was_written(text: str) -> None:
    assert DecodeText().map(Blob.of(text.encode())).text == text.removeprefix("\ufeff")
