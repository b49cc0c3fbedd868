"""Names in keys and pointers."""

from __future__ import annotations

import os
import posixpath

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from mmdata.core.sample import Pointer
from mmdata.source.names import checked_name, escapes, key_text, quoted, unquoted

PATHS = st.binary(min_size=1).filter(lambda raw: 0 not in raw).map(os.fsdecode)


@given(PATHS)
@example("100%41")
@example("a#bytes=1-2")
def test_a_pointer_leads_back_to_any_path_that_a_disk_allows(path: str) -> None:
    for pointer in (
        Pointer(quoted(path)),
        Pointer(quoted(path), 3, 4),
        Pointer(quoted(path), row=1, column=quoted(path)),
    ):
        quoted(path).encode()
        again = Pointer.parse(str(pointer))
        assert again == pointer
        assert unquoted(again.uri) == path


@given(PATHS)
def test_keys_are_valid_unicode_and_stay_as_they_are(path: str) -> None:
    key_text(path).encode()
    assert key_text(key_text(path)) == key_text(path)


@given(st.text("a./\0", max_size=12))
def test_what_does_not_escape_stays_inside(path: str) -> None:
    if not escapes(path):
        assert posixpath.normpath(f"/root/{path}").startswith("/root")


@pytest.mark.parametrize("path", ["a", "a/b", "..a", "a..", "a/...", ".", "a/./b", "-", "~"])
def test_plain_paths_do_not_escape(path: str) -> None:
    assert not escapes(path)


@pytest.mark.parametrize(
    ("name", "location", "expected"),
    [
        ("", "data/stamps", "stamps"),
        ("", "data/stamps//", "stamps"),
        ("", "s3://bucket/stamps/", "stamps"),
        ("", "s3://bucket", "bucket"),
        ("", "zip://inner::/data/a.zip", "inner"),
        ("mine", "data/stamps", "mine"),
        ("cafe\u0301", "x", "café"),
        ("", os.fsdecode(b"x/a\xff"), "a%FF"),
    ],
)
def test_a_source_is_named_by_its_location(name: str, location: str, expected: str) -> None:
    assert checked_name(name, location) == expected
