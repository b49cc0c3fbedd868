from __future__ import annotations

import pytest

from mmdata.codec.limits import read_within, within
from mmdata.core.sample import Blob, Pointer
from mmdata.errors import DecodeError, Unreadable


def _never() -> bytes:
    raise Unreadable("it was read")


def test_what_is_too_large_is_refused_without_reading_it() -> None:
    with pytest.raises(DecodeError, match=r"it has 1,001 bytes, and max_bytes is 1,000"):
        read_within(Blob(Pointer("a"), 1001, _never), 1000)


def test_a_size_that_was_understated_is_seen_once_it_is_read() -> None:
    with pytest.raises(DecodeError, match="it has 5 bytes"):
        read_within(Blob(Pointer("a"), 1, lambda: b"12345"), 4)


def test_what_just_fits_is_read() -> None:
    assert read_within(Blob.of(b"1234"), 4) == b"1234"


def test_nothing_is_no_media() -> None:
    with pytest.raises(DecodeError, match="it is empty"):
        read_within(Blob.of(b""), 4)


def test_what_can_not_be_read_says_so_itself() -> None:
    with pytest.raises(Unreadable):
        read_within(Blob(Pointer("a"), 1, _never), 1000)


def test_a_limit_itself_is_allowed() -> None:
    within("pixels", 4, "max_pixels", 4)
    with pytest.raises(DecodeError, match=r"it has 5,000 pixels, and max_pixels is 4,000"):
        within("pixels", 5000, "max_pixels", 4000)
