from __future__ import annotations

import codecs
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.sniff import HEAD_BYTES, extension, holds, media_type, modality, modality_of_name

Made = dict[str, bytes]


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        (b"", "application/x-empty"),
        (b"\x00", "application/octet-stream"),
        (b"\x01\x02\x03\xff\xfe", "application/octet-stream"),
        (b"hello", "text/plain"),
        ("żółw 🐢".encode(), "text/plain"),
        (codecs.BOM_UTF8 + b"hello", "text/plain"),
        ("hello".encode("utf-16"), "text/plain"),
        (b"bell\x07", "application/octet-stream"),
        (b'{"a": 1}', "application/json"),
        (b" [\n{}]", "application/json"),
        (b"[Music] la la", "text/plain"),
        (b"{braces} in a caption", "text/plain"),
        (b"<p>a</p>", "text/plain"),
        (b"<!DOCTYPE html><html>", "text/html"),
        (b"<!-- c -->\n<HTML lang='en'>", "text/html"),
        (b"<svg xmlns='x'/>", "image/svg+xml"),
        (
            b'<?xml version="1.0"?>\n<!-- made\nby hand -->\n<!DOCTYPE svg PUBLIC "-//W3C" [<!ENTITY a "b">]>',
            "image/svg+xml",
        ),
        (b'<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "b">]><svg:svg >', "image/svg+xml"),
        (b'<?xml version="1.0"?><rss>', "text/plain"),
        (b"\x1f\x8b\x08", "application/gzip"),
        (b"PAR1....", "application/vnd.apache.parquet"),
        (bytes(257) + b"ustar\x0000", "application/x-tar"),
        (b"RIFF\0\0\0\0WAVEfmt ", "audio/wav"),
        (b"RF64\xff\xff\xff\xffWAVEds64", "audio/wav"),
        (b"RIFF\0\0\0\0AVI LIST", "video/x-msvideo"),
        (b"RIFF\0\0\0\0XXXX", "application/octet-stream"),
        (b"\0\0\0\x14ftypM4A \0\0\0\0isom", "audio/mp4"),
        (b"\0\0\0\x14ftypisom\0\0\0\0isom", "video/mp4"),
        (b"\0\0\0\x14ftypisom\0\0\0\0isom....moov....soun", "audio/mp4"),
        (b"\0\0\0\x14ftypisom\0\0\0\0isom....moov....soun....vide", "video/mp4"),
        (b"\0\0\0\x18ftypmif1\0\0\0\0avifmif1", "image/heic"),
        (b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "video/quicktime"),
        (b"\0\0\0\x14ftyp3gp5\0\0\0\0isom", "video/3gpp"),
        (b"\xff\xf1\x50\x80", "audio/aac"),
        (b"\xff\xfb\x90\x64", "audio/mpeg"),
        (b"\xff\xfb\xf0\x64", "application/octet-stream"),  # no such bit rate
        (b"ID3\x04", "audio/mpeg"),
        (b"BM" + bytes(12) + struct.pack("<I", 40), "image/bmp"),
        (b"BM is a company", "text/plain"),
        (b"P6 2 2 255\n", "image/x-portable-anymap"),
        (b"P6", "text/plain"),
        (b"OggS" + bytes(24) + b"\x80theora", "video/ogg"),
    ],
)
def test_media_types_are_told_from_content(data: bytes, expected: str) -> None:
    assert media_type(data) == expected


def test_files_of_every_format_are_known(pictures: Made, sounds: Made, films: Made) -> None:
    pictured = {name: media_type(data).removeprefix("image/") for name, data in pictures.items()}
    others = {"jpg": "jpeg", "ppm": "x-portable-anymap"}
    assert pictured == {name: others.get(name, name) for name in pictures}
    heard = {name: media_type(data) for name, data in sounds.items()}
    assert heard.pop("m4a") == "video/mp4", "its brand is isom and its tracks are named at its end: a head can't tell"
    others = {
        "24.wav": "wav",
        "float.wav": "wav",
        "rf64": "wav",
        "opus": "ogg",
        "mp3": "mpeg",
        "au": "basic",
        "caf": "x-caf",
        "tta": "x-tta",
        "wv": "x-wavpack",
        "w64": "x-w64",
        "alac.m4a": "mp4",
    }
    assert heard == {name: f"audio/{others.get(name, name)}" for name in heard}
    shown = {name: media_type(data) for name, data in films.items()}
    others = {"mkv": "x-matroska", "avi": "x-msvideo", "mov": "quicktime", "ts": "mp2t", "mpg": "mpeg", "flv": "x-flv"}
    assert shown == {name: f"video/{others.get(name, name.rpartition('.')[2])}" for name in films}


def test_a_character_that_the_head_cuts_is_still_text() -> None:
    data = b"a" * (HEAD_BYTES - 1) + "é".encode()
    assert media_type(data) == media_type(data[:HEAD_BYTES]) == "text/plain"


@pytest.mark.parametrize(
    ("kind", "expected"),
    [
        ("image/png", "image"),
        ("audio/wav", "audio"),
        ("video/mp4", "video"),
        ("text/html", "text"),
        ("application/json", None),
        ("application/x-empty", None),
        ("imagery/x", None),
    ],
)
def test_a_media_type_has_a_modality_or_none(kind: str, expected: str | None) -> None:
    assert modality(kind) == expected


@pytest.mark.parametrize(
    ("name", "ending", "expected"),
    [
        ("a.jpg", "jpg", "image"),
        ("A.JPEG", "jpeg", "image"),
        ("x/y.z/a.tar.gz", "gz", None),
        ("x.png/readme", "", None),
        (".png", "", None),
        ("..png", "", None),
        ("a.", "", None),
        ("", "", None),
        ("a.ogg", "ogg", "audio"),
        ("a.ogv", "ogv", "video"),
        ("a.txt", "txt", "text"),
        ("a.json", "json", None),
        ("a.svg", "svg", "image"),
    ],
)
def test_a_name_hints_at_a_modality_by_its_extension(name: str, ending: str, expected: str | None) -> None:
    assert (extension(name), modality_of_name(name)) == (ending, expected)


@pytest.mark.parametrize(
    ("data", "name", "expected"),
    [
        (b"", "a.jpg", "it is empty"),
        (b"Hello world", "a.jpg", 'it is named .jpg but holds text ("Hello world")'),
        (b"Hello\n\n  world, and all", "", 'it holds text ("Hello world, and all")'),
        (b'{"error": 404}', "a.mp4", 'it is named .mp4 but holds JSON ("{"error": 404}")'),
        (b"<html>404", "a.mp4", 'it is named .mp4 but holds HTML ("<html>404")'),
        (b"GIF89a", "a.jpg", "it holds image/gif"),
        (b"\0\1\2", "a.wav", "it is named .wav but holds bytes of no known kind (00 01 02)"),
        ("hi".encode("utf-16"), "", "it holds text/plain"),
    ],
)
def test_what_bytes_are_is_said_in_words(data: bytes, name: str, expected: str) -> None:
    assert holds(data, name) == expected


@given(st.binary(max_size=600), st.text(max_size=20))
def test_any_bytes_have_a_type(data: bytes, name: str) -> None:
    assert "/" in media_type(data)
    assert holds(data, name).startswith("it ")
