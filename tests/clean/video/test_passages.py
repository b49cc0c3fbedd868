"""Black, frozen and silent passages at known times are found, cut out, and told by their share."""

from __future__ import annotations

import io
from functools import cache
from typing import Any

import av
import numpy as np
import pytest
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.video import CutPassages, KeepEventful
from mmdata.clean.video.passages import Kind, Silences
from mmdata.codec.video import DecodeFrames, OpenVideo, seen
from mmdata.core.sample import Audio, Blob, Frames, Sample, Text, Video
from mmdata.core.step import Drop
from mmdata.core.watch import Heard
from mmdata.errors import DecodeError
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import film_bytes
from mmdata.testing.pictures import drift

FPS = 12
ALL: tuple[Kind, ...] = ("black", "frozen", "silent")
# what is shown, second by second: m moves, b is black, f stands still; and heard: n noise, - silence
SHOWN, HEARD = "bbbmmmmffffmmmbbbb", "nnnnn---nnnnnnnnnn"


@cache
def film(shown: str = SHOWN, sounds: str = HEARD, gop: int = 250) -> Video:
    frames, kept = [], drift(96, 64)
    for second, kind in enumerate(shown):
        for tick in range(FPS):
            if kind == "m":
                kept = drift(96, 64, shift_px=(5.0 * (second * FPS + tick), 0))
            frames.append(np.full_like(kept, 4) if kind == "b" else kept)
    pixels = np.stack(frames)
    audio = None
    if sounds:
        noise = np.random.default_rng(1).normal(0, 0.1, (1, len(sounds) * 16_000)).astype(np.float32)
        audio = Audio(noise * np.repeat([kind == "n" for kind in sounds], 16_000).astype(np.float32), 16_000)
    made = Frames(pixels, np.arange(len(pixels)) / FPS, np.zeros(len(pixels), bool))
    data = film_bytes(made, fps=FPS, gop=gop, audio=audio, options={"crf": "10"})
    return OpenVideo().map(Blob.of(data))


def test_passages_are_found_where_they_are() -> None:
    found, over_s = seen(CutPassages(kinds=ALL), film())
    assert over_s == pytest.approx(18, abs=0.1)
    assert [(round(start, 2), round(end, 2)) for start, end in found["black"]] == [(0, 3), (14, 18)]
    frozen = np.array(found["frozen"])
    np.testing.assert_allclose(frozen, np.array([[0, 3], [7 - 1 / FPS, 11], [14, 18]]), atol=0.01)
    np.testing.assert_allclose(np.array(found["silent"]), np.array([[5, 8]]), atol=0.15)  # AAC's frames are 64 ms here


def test_shorter_passages_do_not_count() -> None:
    found, _ = seen(CutPassages(kinds=ALL, min_s=3.5), film())
    assert [len(found[kind]) for kind in ("black", "frozen", "silent")] == [1, 2, 0]


def sample(video: Video) -> Sample:
    return Sample("a", {"video": video, "text": Text("x")})


@pytest.mark.parametrize(
    ("kinds", "expected"),
    [
        (("black",), [(3, 14)]),
        (("black", "frozen"), [(3, 7 - 1 / FPS), (11, 14)]),
        (("silent",), [(0, 5), (8, 18)]),
        (("frozen", "silent"), [(3, 5), (11, 14)]),
    ],
)
@pytest.mark.parametrize("cut", ["encode", "copy"])
def test_what_is_left_are_clips(kinds: Any, expected: list[tuple[float, float]], cut: Any) -> None:
    step = CutPassages(kinds=kinds, cut=cut, max_change=0.02)  # what stands still flickers at each key frame
    children = step.split(sample(film(gop=12)))
    assert not isinstance(children, Drop)
    found = []
    for child in children:
        video = child.parts["video"]
        assert isinstance(video, Video)
        start = float(video.clock.to_source(0) or 0)
        found.append((start, start + video.duration_s))
        assert len(DecodeFrames().map(video).times_s) == pytest.approx(video.duration_s * FPS, abs=1.01)
    near = 0.15 if cut == "encode" else 0.51  # there is a key frame each second
    np.testing.assert_allclose(np.array(found), np.array(expected), atol=near)


def test_films_of_nothing_else_are_dropped_and_others_left() -> None:
    dark, lively = film("bbb", "n--"), film("mmm", "nnn")
    assert CutPassages().split(sample(dark)) == Drop("no_clip")
    whole = sample(lively)
    assert CutPassages(kinds=("black", "frozen", "silent")).split(whole) == [whole]
    without = Sample("a", {"text": Text("x")})
    assert CutPassages().split(without) == [without]


@pytest.mark.parametrize(
    ("step", "expected"),
    [
        (KeepEventful(max_black=7 / 18 + 0.01, max_frozen=None), True),
        (KeepEventful(max_black=7 / 18 - 0.01, max_frozen=None), Drop("too_black")),
        (KeepEventful(max_black=None, max_frozen=0.63), True),
        (KeepEventful(max_black=None, max_frozen=0.60), Drop("too_frozen")),
        (KeepEventful(max_black=None, max_frozen=None, max_silent=0.2), True),
        (KeepEventful(max_black=None, max_frozen=None, max_silent=0.15), Drop("too_silent")),
        (KeepEventful(max_black=None, max_frozen=None), True),
    ],
)
def test_films_are_judged_by_shares(step: KeepEventful, expected: object) -> None:
    assert step.keep(film()) == expected


def test_a_film_without_sound_is_silent_throughout() -> None:
    silent = film("mmm", "")
    assert KeepEventful(max_silent=0.9).keep(silent) == Drop("too_silent")
    assert KeepEventful().keep(silent) is True


def test_sound_that_begins_late_or_ends_early_leaves_silence() -> None:
    found, _ = seen(CutPassages(kinds=("silent",)), film("mmmmmm", "nn"))
    np.testing.assert_allclose(found["silent"], [[2, 6]], atol=0.15)


def test_sound_that_is_damaged_is_heard_up_to_there() -> None:
    data = bytearray(film("mmmmmm", "---nnn").blob.data())
    with av.open(io.BytesIO(data), "r") as container:
        packets: list[Any] = [packet for packet in container.demux(audio=0) if packet.size and packet.pos is not None]
    for packet in packets:
        if packet.pts * packet.time_base >= 4:
            data[packet.pos : packet.pos + packet.size] = b"\xff" * packet.size
    damaged = OpenVideo().map(Blob.of(bytes(data)))
    with pytest.raises(DecodeError):
        seen(CutPassages(kinds=("silent",)), damaged)
    found, over_s = seen(CutPassages(kinds=("silent",), strict=False), damaged)
    np.testing.assert_allclose(found["silent"], [[0, 3]], atol=0.15)
    assert over_s == pytest.approx(6, abs=0.1)


def test_a_gap_in_the_sound_is_silence() -> None:
    """A Matroska file of which the packets of three seconds of sound were left out."""
    file = io.BytesIO()
    data = io.BytesIO(film("mmmmmmmm", "nnnnnnnn").blob.data())
    with av.open(data, "r") as whole, av.open(file, "w", "matroska") as made:
        into = {track.index: made.add_stream_from_template(track) for track in whole.streams}
        for packet in whole.demux():
            at_s = float((packet.pts or 0) * (packet.time_base or 1))
            if packet.size and (packet.stream.type == "video" or not 2 <= at_s < 5):
                packet.stream = into[packet.stream.index]
                made.mux(packet)
    found, _ = seen(CutPassages(kinds=("silent",)), OpenVideo().map(Blob.of(file.getvalue())))
    np.testing.assert_allclose(np.array(found["silent"]), np.array([[2, 5]]), atol=0.25)


def pieces(*stretches: tuple[float, float, float], rate_hz: int = 1000) -> Silences:
    """Noise of a level from a second to another."""
    sound = Silences(floor_db=-50.0)
    for from_s, to_s, level in stretches:
        wave = np.full((1, round((to_s - from_s) * rate_hz)), level, np.float32)
        sound.add(Heard(wave, rate_hz, round(from_s * rate_hz)))
    return sound


@pytest.mark.parametrize(
    ("stretches", "over_s", "expected"),
    [
        ([], 5.0, [(0, 5)]),
        ([(0, 3, 0.5), (3, 5, 0.5)], 5.0, []),
        ([(1, 3, 0.5)], 5.0, [(0, 1), (3, 5)]),
        ([(0, 1, 0.5), (1, 2, 0.0), (2.5, 3, 0.0), (3, 4, 0.5)], 4.05, [(1, 3)]),
        ([(0, 1, 0.5), (1, 3.95, 0.0)], 4.0, [(1, 4)]),
        ([(0, 1, 0.5), (1, 6, 0.0)], 4.0, [(1, 4)]),
        ([(0, 2, 0.5), (1e9, 1e9 + 1, 0.5)], 4.0, [(2, 4)]),
        ([(0, 2, 0.5), (2.4, 4, 0.5)], 4.0, []),
    ],
)
def test_silence_is_found_piece_by_piece_and_in_gaps(
    stretches: list[tuple[float, float, float]], over_s: float, expected: list[tuple[float, float]]
) -> None:
    found = pieces(*stretches).found(over_s, min_s=0.5)
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.array(found).reshape(-1, 2), np.array(expected).reshape(-1, 2), atol=1e-6)


def test_what_comes_after_damage_is_not_listened_to() -> None:
    sound = pieces((0, 1, 0.5), (1, 2, 0.0))
    sound.add(Heard(np.zeros((1, 0), np.float32), 1000, 2000, "its sound breaks off at 2.00 s"))
    sound.add(Heard(np.zeros((1, 3000), np.float32), 1000, 2000))
    assert sound.is_broken
    assert sound.found(5.0, min_s=0.5) == [(1.0, 2.0)]
    nothing = Silences(floor_db=-50.0, is_broken=True)
    assert nothing.found(5.0, min_s=0.5) == []


OTHERS = {"kinds": ("silent",), "max_clip_s": 5.0, "max_black": 0.1, "max_frozen": 0.2, "max_silent": 0.3}


class TestContracts(StepContract):
    @pytest.fixture(
        params=[Case(CutPassages(), sample(film()), others=OTHERS), Case(KeepEventful(), film(), others=OTHERS)],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def test_a_step_that_cuts_nothing_is_refused() -> None:
    with pytest.raises(ValidationError, match="at least 1"):
        TypeAdapter(CutPassages).validate_python({"kinds": []})
