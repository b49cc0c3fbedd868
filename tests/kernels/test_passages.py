"""Black and frozen passages of films that have them at known frames, and FFmpeg's own filters on the same frames."""

from __future__ import annotations

from fractions import Fraction
from itertools import pairwise
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.passages import (
    BlackBorders,
    BlackFrames,
    FrozenFrames,
    between,
    joined,
    passages,
    still_passages,
)
from mmdata.testing.pictures import drift

RATE = 8  # and 128 x 64 pixels: freezedetect as PyAV has it says nothing of frames below 64 a side


def filtered(pixels: np.ndarray, name: str, settings: str, *keys: str) -> list[float]:
    """What a filter of FFmpeg says of grey frames at 8 a second: the seconds in its metadata, in order."""
    graph = av.filter.Graph()
    height, width = pixels.shape[1:3]
    form = av.VideoFormat("gray", width, height)
    buffer = graph.add_buffer(width=width, height=height, format=form, time_base=Fraction(1, RATE))
    detector, sink = graph.add(name, settings), graph.add("buffersink")
    buffer.link_to(detector)
    detector.link_to(sink)
    graph.configure()
    found = []
    for index, frame in enumerate(pixels):
        given = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame[..., 0]), format="gray")
        given.pts, given.time_base = index, Fraction(1, RATE)
        given.color_range = 2
        graph.push(given)
        said = graph.pull().metadata
        found += [float(said[key]) for key in keys if key in said]
    return found


def film(codes: list[int]) -> np.ndarray:
    """Grey frames by code: 0 is black, 1 a little grain on black, 2 the picture before again, others new pictures."""
    rng = np.random.default_rng(5)
    frames: list[np.ndarray] = []
    for index, code in enumerate(codes):
        if code == 0:
            frame = np.zeros((64, 128, 1), np.uint8)
        elif code == 1:
            frame = rng.integers(0, 26, (64, 128, 1), dtype=np.uint8)
        elif code == 2 and frames:
            frame = frames[-1]
        else:
            frame = drift(128, 64, shift_px=(9.0 * index, 4.0))[..., :1]
        frames.append(frame)
    return np.stack(frames)


def run(kind: Any, pixels: np.ndarray, chunk: int = 5) -> Any:
    for first in range(0, len(pixels), chunk):
        kind.add(pixels[first : first + chunk])
    return kind


CODES = st.lists(st.sampled_from([0, 0, 0, 1, 2, 2, 2, 3]), min_size=2, max_size=40)


@given(CODES)
@settings(deadline=None, max_examples=60)
def test_black_passages_are_those_of_ffmpeg(codes: list[int]) -> None:
    pixels = film([*codes, 3])  # it ends bright: FFmpeg tells of no passage before it is over
    times_s, end_s = np.arange(len(pixels)) / RATE, len(pixels) / RATE
    mine = passages(run(BlackFrames(), pixels).found, times_s, end_s, min_s=0.5)
    said = filtered(pixels, "blackdetect", "d=0.5", "lavfi.black_start", "lavfi.black_end")
    # it marks the start and end of shorter ones, too
    theirs = [(a, b) for a, b in zip(said[::2], said[1::2], strict=True) if b - a >= 0.5]
    assert mine == theirs


@given(CODES)
@settings(deadline=None, max_examples=60)
def test_frozen_passages_are_those_of_ffmpeg(codes: list[int]) -> None:
    pixels = np.concatenate([film(codes), np.full((1, 64, 128, 1), 255, np.uint8)])
    times_s, end_s = np.arange(len(pixels)) / RATE, len(pixels) / RATE
    mine = still_passages(run(FrozenFrames(), pixels).since, times_s, end_s, min_s=0.5)
    keys = ("lavfi.freezedetect.freeze_start", "lavfi.freezedetect.freeze_end")
    said = filtered(pixels, "freezedetect", "d=0.5", *keys)
    assert mine == list(zip(said[::2], said[1::2], strict=True))


def test_a_slow_fade_is_not_still() -> None:
    pixels = np.repeat(np.arange(80, 120, dtype=np.uint8), 2)[:, None, None, None] * np.ones((1, 6, 6, 3), np.uint8)
    assert (run(FrozenFrames(), pixels).since == np.repeat(np.arange(0, 80, 2), 2)).all()


def test_a_passage_lasts_until_the_next_frame_or_the_end() -> None:
    found = np.array([True, True, False, True])
    times_s = np.array([0.0, 1.0, 3.0, 3.5])
    assert passages(found, times_s, 9.0, min_s=3.0) == [(0.0, 3.0), (3.5, 9.0)]
    assert passages(found, times_s, 9.0, min_s=3.01) == [(3.5, 9.0)]
    assert passages(found[:0], times_s[:0], 0.0, min_s=0) == []
    assert still_passages(np.array([0, 0, 2, 3]), times_s, 9.0, min_s=1.0) == [(0.0, 3.0)]
    assert still_passages(np.array([], np.int64), times_s[:0], 0.0, min_s=0) == []


SPANS = st.lists(st.tuples(st.integers(0, 20), st.integers(1, 5)).map(lambda at: (at[0], at[0] + at[1])), max_size=6)


@given(SPANS, SPANS)
def test_joined_and_between_part_the_whole(one: list[Any], other: list[Any]) -> None:
    whole = joined(one, other)
    covered = {second for start, end in one + other for second in range(start, end)}
    assert {second for start, end in whole for second in range(round(start), round(end))} == covered
    assert all(before[1] < after[0] for before, after in pairwise(whole))
    left = {second for start, end in between(whole, 30) for second in range(round(start), round(end))}
    assert left == set(range(30)) - covered


@pytest.mark.parametrize(("left", "top", "right", "bottom"), [(0, 0, 40, 30), (0, 4, 40, 26), (6, 3, 31, 29)])
def test_borders_are_what_is_never_bright(left: int, top: int, right: int, bottom: int) -> None:
    pixels = np.full((9, 30, 40, 3), 9, np.uint8)
    for index in range(9):  # dark at times, and lit in one half at others
        inner = drift(right - left, bottom - top, shift_px=(3.0 * index, 0))
        pixels[index, top:bottom, left:right] = inner // (1 if index % 3 else 16)
    assert run(BlackBorders(), pixels).inside() == (left, top, right, bottom)


def test_a_film_of_nothing_but_black_has_no_inside() -> None:
    assert run(BlackBorders(), np.zeros((3, 8, 8, 3), np.uint8)).inside() is None
    assert run(BlackBorders(), np.zeros((0, 8, 8, 3), np.uint8)).inside() is None


@pytest.mark.parametrize("shape", [(1, 1, 1, 3), (4, 1, 1, 1), (0, 5, 5, 3)])
def test_the_least_of_films_are_judged(shape: tuple[int, ...]) -> None:
    pixels = np.zeros(shape, np.uint8)
    assert run(BlackFrames(), pixels).found.tolist() == [True] * shape[0]
    assert run(FrozenFrames(), pixels).since.tolist() == [0] * shape[0]
