"""`mmdata stream` over media: what it says and returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.loader.gallery import gallery, key_of, same_size

Mmdata = Callable[..., Any]


def spoiled(number: int) -> bytes:
    return b"no picture" if number == 4 else same_size(number)


def test_media_are_described_and_read(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (20, 10))
    described = mmdata("stream", store.url, "image", "--batch-size", 5, "--describe", "--json").json
    assert described["columns"] == {"image": "uint8 [height, width, channel=3]"}
    tars = sum(tar.stat().st_size for tar in (tmp_path / "store" / "media").glob("*.tar"))
    assert tars / 30 < described["bytes_a_sample"] < tars / 30 + 1000
    read = mmdata("stream", store.url, "image", "text.text", "--batch-size", 5)
    assert (read.code, "samples/s on this rank" in read.out, "bad samples" in read.out) == (0, True, False)


def test_what_was_replaced_is_told(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (20,), image=spoiled)
    told = mmdata("stream", store.url, "image", "--batch-size", 5).out
    assert f"bad samples replaced: 1 (decode 1); the last: {key_of(4)}: no picture" in told
    assert mmdata("stream", store.url, "image", "--batch-size", 5, "--json").json["replaced"] == 1


def test_an_unknown_part_ends_with_what_there_is(mmdata: Mmdata, tmp_path: Path) -> None:
    ended = mmdata("stream", gallery(tmp_path / "store", (5,)).url, "imege", "--batch-size", 5)
    assert (ended.code, "did you mean 'image'?" in ended.err) == (2, True)


def test_a_cache_keeps_copies_where_the_command_says(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (6,))
    read = mmdata("stream", store.url, "image", "--batch-size", 2, "--cache", tmp_path / "cache")
    assert (read.code, len(list((tmp_path / "cache" / "copies").iterdir()))) == (
        0,
        1,
    )  # rows; a tar on this machine is read there
    (tmp_path / "file").write_text("")
    ended = mmdata("stream", store.url, "image", "--cache", tmp_path / "file" / "cache")
    assert (ended.code, "can't be used" in ended.err) == (2, True)
