"""Damaged bytes of every format give a sound part or a DecodeError, nothing else."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdata.codec.decoders import decode
from mmdata.core.sample import Audio, Blob, Frames, Image, Text
from mmdata.errors import DecodeError

Made = dict[str, bytes]
SMOKE = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(max_examples=100, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@st.composite
def damage(draw: st.DrawFn) -> list[tuple[str, float, float, bytes]]:
    """What is done to a file, in shares of its length: bytes changed, a stretch cut out, moved, or written over."""
    place = st.floats(0, 1, exclude_max=True)
    # half of the time near the head, where each bit decides
    near = st.one_of(place, place.map(lambda share: share**4))
    one = st.tuples(st.sampled_from(["change", "cut", "move", "end"]), near, near, st.binary(min_size=1, max_size=4))
    return draw(st.lists(one, min_size=1, max_size=3))


def damaged(data: bytes, steps: list[tuple[str, float, float, bytes]]) -> bytes:
    for what, first_share, second_share, new in steps:
        first, second = int(first_share * len(data)), int(second_share * len(data))
        low, high = sorted((first, second))
        if what == "change":
            data = data[:first] + new + data[first + len(new) :]
        elif what == "cut":
            data = data[:low] + data[high:]
        elif what == "move":
            data = data[:low] + data[high:] + data[low:high]
        else:
            data = data[:first]
    return data


def check(data: bytes, kind: type) -> None:
    try:
        part = decode(Blob.of(data), kind)
    except DecodeError as error:
        message = str(error)
        assert message
        return
    if isinstance(part, Image):
        assert part.pixels.shape[2] == 3
        assert part.pixels.dtype == np.uint8
    elif isinstance(part, Audio):
        assert np.isfinite(part.samples).all()
        assert part.samples.dtype == np.float32
    elif isinstance(part, Frames):
        assert len(part.pixels) == len(part.times_s) == len(part.is_key) > 0
        assert (np.diff(part.times_s) > 0).all()
    else:
        assert isinstance(part, Text)


PICTURES = ("jpg", "png", "webp", "gif", "bmp", "tiff", "avif", "jp2", "ppm")
SOUNDS = ("wav", "24.wav", "float.wav", "flac", "ogg", "opus", "mp3", "aiff", "au", "caf", "m4a", "webm", "aac")
FILMS = ("mkv", "webm", "avi", "mov", "ts", "mpg", "flv", "mp4", "sound.mp4")


@pytest.mark.parametrize("name", PICTURES)
@given(steps=damage())
@SMOKE
def test_damaged_pictures(
    pictures: Made, capfd: pytest.CaptureFixture[str], name: str, steps: list[tuple[str, float, float, bytes]]
) -> None:
    check(damaged(pictures[name], steps), Image)
    # libjpeg warns of what it mends on standard error, and OpenCV gives no way to stop it
    assert name == "jpg" or capfd.readouterr().err == ""


@pytest.mark.parametrize("name", SOUNDS)
@given(steps=damage())
@SMOKE
def test_damaged_sounds(
    sounds: Made, capfd: pytest.CaptureFixture[str], name: str, steps: list[tuple[str, float, float, bytes]]
) -> None:
    check(damaged(sounds[name], steps), Audio)
    said = capfd.readouterr().err.splitlines()  # mpg123 tells of odd headers, whoever asks
    assert [line for line in said if name != "mp3" or "Xing stream size" not in line] == []


@pytest.mark.parametrize("name", FILMS)
@given(steps=damage())
@SMOKE
def test_damaged_films(
    films: Made, capfd: pytest.CaptureFixture[str], name: str, steps: list[tuple[str, float, float, bytes]]
) -> None:
    check(damaged(films[name], steps), Frames)
    assert capfd.readouterr().err == ""


@pytest.mark.fuzz
@pytest.mark.slow
@pytest.mark.parametrize(
    ("kind", "name"), [(Image, n) for n in PICTURES] + [(Audio, n) for n in SOUNDS] + [(Frames, n) for n in FILMS]
)
@given(steps=damage())
@LONG
def test_damage_for_long(
    pictures: Made, sounds: Made, films: Made, kind: type, name: str, steps: list[tuple[str, float, float, bytes]]
) -> None:
    check(damaged({Image: pictures, Audio: sounds, Frames: films}[kind][name], steps), kind)


@given(data=st.binary(max_size=400), kind=st.sampled_from([Text, Image, Audio, Frames]))
def test_any_bytes(data: bytes, kind: type) -> None:
    check(data, kind)
