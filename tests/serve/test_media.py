"""Bytes: ranges, types, and nothing that becomes a document."""

from __future__ import annotations

from typing import Any

import pytest

from mmdata.codec.sniff import media_type

Shown = Any  # the fixtures' classes; conftest can't be imported
Ask = Any


@pytest.fixture(scope="module")
def film(shown: Shown) -> bytes:
    data: bytes = (shown.source / "films" / "drift.mp4").read_bytes()
    return data


def test_a_part_comes_whole_with_its_own_type(ask: Ask, shown: Shown, film: bytes) -> None:
    got = ask("media", key=shown.film, part="film")
    assert (got.status, got.body) == (200, film)
    assert got.headers["content-type"] == "video/mp4"
    assert got.headers["accept-ranges"] == "bytes"
    assert got.headers["content-length"] == str(len(film))
    head = ask("media", key=shown.film, part="film", method="HEAD")
    assert (head.status, head.body, head.headers["content-length"]) == (200, b"", str(len(film)))


@pytest.mark.parametrize(
    ("given", "first", "last"),
    [
        ("bytes=0-0", 0, 0),
        ("bytes=10-19", 10, 19),
        ("bytes=-5", -5, -1),
        ("bytes=7-", 7, -1),
        ("bytes=9-999999999", 9, -1),
    ],
)
def test_a_range_is_what_was_asked_for(ask: Ask, shown: Shown, film: bytes, given: str, first: int, last: int) -> None:
    first, last = first % len(film), last % len(film)
    got = ask("media", key=shown.film, part="film", headers={"Range": given})
    assert (got.status, got.body) == (206, film[first : last + 1])
    assert got.headers["content-range"] == f"bytes {first}-{last}/{len(film)}"


@pytest.mark.parametrize("given", ["bytes=0-1,4-5", "bytes=5-2", "bytes=-", "lines=0-1", "bytes=a-b", "bytes=1-2-3"])
def test_several_ranges_and_what_is_none_give_the_whole(ask: Ask, shown: Shown, film: bytes, given: str) -> None:
    got = ask("media", key=shown.film, part="film", headers={"Range": given})
    assert (got.status, got.body) == (200, film)


@pytest.mark.parametrize("given", ["bytes=999999999-", "bytes=-0"])
def test_a_range_past_the_end_is_refused(ask: Ask, shown: Shown, film: bytes, given: str) -> None:
    got = ask("media", key=shown.film, part="film", headers={"Range": given})
    assert (got.status, got.headers["content-range"]) == (416, f"bytes */{len(film)}")


def test_a_range_of_what_was_before_gives_the_whole(ask: Ask, shown: Shown, film: bytes) -> None:
    etag = ask("media", key=shown.film, part="film").headers["etag"]
    for given, status in ((etag, 206), ('"other"', 200)):
        got = ask("media", key=shown.film, part="film", headers={"Range": "bytes=0-3", "If-Range": given})
        assert got.status == status
    for given, status in ((etag, 304), (f'"x", W/{etag}', 304), ("*", 304), ('"other"', 200)):
        assert ask("media", key=shown.film, part="film", headers={"If-None-Match": given}).status == status


def test_a_part_that_a_browser_could_run_is_a_file_to_save(ask: Ask, shown: Shown) -> None:
    got = ask("media", key=shown.page, part="page")
    assert got.body.startswith(b"<!doctype html>")
    assert got.headers["content-type"] == "application/octet-stream"
    assert got.headers["content-disposition"].startswith("attachment")
    text = ask("media", key=shown.hostile, part="text")
    assert text.headers["content-disposition"].startswith("attachment")


def test_every_answer_keeps_a_browser_in_bounds(ask: Ask, shown: Shown) -> None:
    for got in (
        ask(""),
        ask("samples"),
        ask("nothing"),
        ask("static/serve.js"),
        ask("media", key=shown.film, part="film"),
        ask("thumb", key=shown.hostile, part="image"),
        ask("source", key=shown.page, part="page"),
    ):
        assert got.headers["x-content-type-options"] == "nosniff"
        assert "default-src 'none'" in got.headers["content-security-policy"]
        assert "unsafe" not in got.headers["content-security-policy"]
        assert got.headers["cross-origin-resource-policy"] == "same-origin"
    for path in ("media", "source"):
        got = ask(path, key=shown.page, part="page")
        assert "sandbox" in got.headers["content-security-policy"]
        assert got.headers["content-disposition"].startswith("attachment")


def test_names_can_t_end_a_header(ask: Ask, shown: Shown) -> None:
    got = ask("media", key=shown.hostile, part="image")
    assert got.headers["content-disposition"].partition("''")[2].isascii()
    assert not set(got.headers["content-disposition"].partition("''")[2]) & set("<>\"' ;")


def test_small_pictures_are_made_of_pictures_and_films_and_nothing_else(ask: Ask, shown: Shown) -> None:
    for key, part in ((shown.hostile, "image"), (shown.film, "film")):
        got = ask("thumb", key=key, part=part)
        assert (got.headers["content-type"], media_type(got.body)) == ("image/jpeg", "image/jpeg")
    assert ask("thumb", key=shown.page, part="page").headers["content-type"] == "image/svg+xml"
    assert b"script" not in ask("thumb", key=shown.page, part="page").body


def test_features_of_two_axes_are_pictures(ask: Ask, shown: Shown) -> None:
    key = shown.spoken
    got = ask("feature", key=key, column="speech.logmel")
    assert media_type(got.body) == "image/png"
    assert ask("feature", key=key, column="image.sharpness").status == 404
    assert ask("feature", key="nothing", column="speech.logmel").status == 404


def test_what_is_not_there_is_not_found(ask: Ask, shown: Shown) -> None:
    assert ask("media", key=shown.film, part="nothing").status == 404
    assert ask("media", key="../../etc/passwd", part="film").status == 404
    assert ask("media").status == 404
    assert ask("static/../serve.py").status == 404
    assert ask("static/..%2f..%2fcli%2fserve.py").status == 404
    assert ask("shown", key=shown.film, at="99", side="after").status == 404
    assert ask("source", key=shown.film, part="../../p.yaml").status == 400
