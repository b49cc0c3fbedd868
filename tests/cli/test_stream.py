"""`mmdata stream` over media: what it says and returns."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from mmdata.select import select
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


def test_rows_are_drawn_by_the_weights_of_a_selection(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (8,))
    select(store, "v", balance={"weight": f"(key <= '{key_of(4)}')::int"})
    settings = ("stream", store.url, "key", "--batch-size", 2, "--selection", "v", "--describe", "--json")
    assert mmdata(*settings).json["samples"] == 8
    assert mmdata(*settings, "--weighted").json["samples"] == 5


def test_steps_are_read_from_a_file(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (12,))
    file = tmp_path / "steps.yaml"
    file.write_text("image: [{use: clean.image.CropImage, width_px: 20, height_px: 16}, augment.image.FlipImage]\n")
    settings = ("stream", store.url, "image", "--batch-size", 4, "--steps", file)
    assert mmdata(*settings, "--describe", "--json").json["columns"] == {
        "image": "uint8 [height=16, width=20, channel=3]"
    }
    assert mmdata(*settings).code == 0
    file.write_text("image: [{use: clean.image.CropImag}]\nfilm: {use: x}\n")
    ended = mmdata(*settings)
    assert ended.code == 2
    assert f"{file}: 2 faults" in ended.err
    assert "image[0]: no step 'clean.image.CropImag', did you mean 'clean.image.CropImage'?" in ended.err
    assert "film: expected a list, not" in ended.err
    for text, told in (("[1]", "expected columns"), ("a: [", "is not YAML"), ("zzz: []", "'zzz' is no column")):
        file.write_text(text)
        assert told in mmdata(*settings).err
    assert "can't be read" in mmdata("stream", store.url, "image", "--steps", tmp_path).err


def test_mixtures_can_be_given_by_epochs(mmdata: Mmdata, tmp_path: Path) -> None:
    first, second = gallery(tmp_path / "a", (40,)), gallery(tmp_path / "b", (20,))
    settings = ("stream", first.url, "key", "--batch-size", 4, "--mix", f"{second.url}=2", "--epochs", 1, "--describe")
    described = mmdata(*settings, "--json").json
    assert list(described["part_shares"].values()) == [0.5, 0.5]
    longer = mmdata(*settings, "--until", "all", "--batches", "single", "--json").json
    assert longer["steps"] >= described["steps"]
    ended = mmdata(*settings, "--until", "never")
    assert (ended.code, "until: must be first or all, not 'never'" in ended.err) == (2, True)
    assert "must be STORE=EPOCHS" in mmdata(*settings, "--mix", "x").err
    assert "batches: is for mixtures" in mmdata("stream", first.url, "key", "--batches", "single").err


def test_shares_need_a_budget(mmdata: Mmdata, tmp_path: Path) -> None:
    store = gallery(tmp_path / "store", (6,))
    assert "shares: needs budget, too" in mmdata("stream", store.url, "key", "--shares", 2).err
