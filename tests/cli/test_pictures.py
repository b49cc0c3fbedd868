"""Pictures and sounds in a terminal."""

from __future__ import annotations

import base64
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from typing import Any

import numpy as np
import pytest

from mmdata.cli.pictures import blocks, iterm2, kitty, protocol_of, wave
from mmdata.codec.image import DecodeImage
from mmdata.core.sample import Blob, Image


def picture(height: int = 64, width: int = 96, orientation: int = 1) -> Image:
    """Red above, blue below."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[: height // 2, :, 0] = 255
    pixels[height // 2 :, :, 2] = 255
    return Image(pixels, orientation)


@pytest.mark.parametrize(
    ("environment", "protocol"),
    [
        ({"TERM": "xterm-256color"}, "blocks"),
        ({"TERM": "xterm-kitty"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm"}, "kitty"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "xterm", "TMUX": "/tmp/x"}, "blocks"),
        ({"KITTY_WINDOW_ID": "1", "TERM": "screen-256color"}, "blocks"),
        ({"TERM_PROGRAM": "iTerm.app"}, "iterm2"),
        ({"TERM_PROGRAM": "WezTerm"}, "iterm2"),
        ({"LC_TERMINAL": "iTerm2"}, "iterm2"),
        ({}, "blocks"),
    ],
)
def test_a_terminal_is_known_by_its_variables(environment: dict[str, str], protocol: str) -> None:
    assert protocol_of(environment) == protocol


def test_both_protocols_carry_the_very_picture() -> None:
    noise = Image(np.random.default_rng(0).integers(0, 256, (64, 96, 3), np.uint8))
    chunks = re.findall(r"\x1b_G(.*?)m=(\d);(.*?)\x1b\\", kitty(noise, 9))
    assert [more for _, more, _ in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    assert len(chunks) > 1
    assert chunks[0][0] == "a=T,f=100,r=9,"
    assert all(len(data) <= 4096 for *_, data in chunks)
    sent = base64.b64decode("".join(data for *_, data in chunks))
    assert (DecodeImage().map(Blob.of(sent)).pixels == noise.pixels).all()
    found = re.fullmatch(r"\x1b\]1337;File=inline=1;size=(\d+);height=9:(.*)\x07", iterm2(noise, 9))
    assert found
    assert base64.b64decode(found[2]) == sent
    assert int(found[1]) == len(sent)


@pytest.mark.parametrize(
    ("image", "size"),
    [
        (picture(64, 64), (32, 16)),
        (picture(10, 1000), (40, 1)),
        (picture(1000, 10), (1, 16)),
        (picture(1, 1), (1, 1)),
        (picture(4, 6), (6, 2)),
    ],
)
def test_blocks_fit_and_keep_the_form(image: Image, size: tuple[int, int]) -> None:
    rows = list(blocks(image, 40, 16))
    assert (len(rows[0]), len(rows)) == size


def test_blocks_have_the_picture_s_colours_and_stand_upright() -> None:
    rows = list(blocks(picture(), 40, 16))
    assert rows[0][0] == ((255, 0, 0), (255, 0, 0))
    assert rows[-1][0] == ((0, 0, 255), (0, 0, 255))
    turned = list(blocks(picture(orientation=3), 40, 16))
    assert turned[0][0] == ((0, 0, 255), (0, 0, 255))
    grey = list(blocks(Image(np.full((8, 8, 1), 7, np.uint8)), 40, 16))
    assert grey[0][0] == ((7, 7, 7), (7, 7, 7))


def test_a_wave_is_as_long_as_there_is_room_and_swallows_what_is_no_number() -> None:
    assert len(wave(np.zeros((2, 10_000), np.float32), 30)) == 30
    assert wave(np.zeros((1, 0), np.float32)) == " "
    assert wave(np.array([[np.nan, 1.0, -1.0]], np.float32), 3) == " ██"


def in_terminal(*arguments: str, term: str) -> str:
    """What a command says on a terminal of its own."""
    ours, theirs = pty.openpty()
    environment = {name: value for name, value in os.environ.items() if name not in ("NO_COLOR", "TMUX")}
    environment |= {"TERM": term, "COLUMNS": "100", "LINES": "40"}
    with subprocess.Popen(
        [sys.executable, "-m", "mmdata", *arguments], stdout=theirs, stderr=theirs, env=environment
    ) as process:
        os.close(theirs)
        said = b""
        with suppress(OSError):  # the other end is closed
            while data := os.read(ours, 65536):
                said += data
        assert process.wait(120) == 0
    os.close(ours)
    return said.decode()


@pytest.mark.parametrize(("term", "drawn"), [("xterm-256color", True), ("dumb", False)])
def test_a_trace_has_pictures_in_a_terminal_that_shows_them(made: Any, term: str, drawn: bool) -> None:
    key = subprocess.run(
        [sys.executable, "-m", "mmdata", "ls", str(made.store), "--limit", "1", "--columns", "key"],
        capture_output=True, text=True, check=True,
    ).stdout.splitlines()[1]  # fmt: skip
    text = in_terminal("trace", str(made.store), key, term=term)
    assert "stored part" in text
    assert ("▀" in text) == drawn
    assert ("█" in text) == drawn


def test_show_draws_as_many_samples_as_are_asked_for(made: Any) -> None:
    text = in_terminal("show", str(made.store), "--pictures", "2", term="xterm-256color")
    _, _, drawn = text.partition(" run")
    assert "▀" in drawn
    assert len([line for line in drawn.splitlines() if line.startswith("media/")]) == 2
