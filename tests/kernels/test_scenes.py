"""Cuts of films whose cuts are known, and PySceneDetect on the same frames."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.scenes import ContentValues, adaptive_cuts, adaptive_ratios, content_cuts
from mmdata.testing.films import shots

scenedetect = pytest.importorskip("scenedetect", reason="PySceneDetect is the reference; it comes with the extra dev")


def values_of(pixels: np.ndarray, *, chunk: int = 7, **settings: Any) -> np.ndarray:
    content = ContentValues(**settings)
    for first in range(0, len(pixels), chunk):
        content.add(pixels[first : first + chunk])
    return content.values


def reference(detector: Any, pixels: np.ndarray) -> tuple[list[int], list[float]]:
    """Cuts and content values of PySceneDetect, given the frames one by one."""
    from scenedetect import FrameTimecode

    rate, cuts, values = Fraction(24), [], []
    for index, frame in enumerate(pixels):
        at = FrameTimecode(index, rate)
        cuts += detector.process_frame(at, np.ascontiguousarray(frame[..., ::-1]))
        values.append(detector._frame_score)
    cuts += detector.post_process(FrameTimecode(len(pixels) - 1, rate))
    return [cut.frame_num for cut in cuts], values


@pytest.mark.parametrize("weights", [(1.0, 1.0, 1.0, 0.0), (0.0, 0.0, 1.0, 0.0), (1.0, 0.5, 2.0, 1.0)])
def test_values_are_those_of_pyscenedetect(weights: tuple[float, float, float, float]) -> None:
    pixels = shots((20, 17, 25), seed=3)[0].pixels
    detector = scenedetect.ContentDetector(weights=scenedetect.ContentDetector.Components(*weights))
    np.testing.assert_allclose(
        values_of(pixels, weights=weights, working_px=None), reference(detector, pixels)[1], rtol=1e-12
    )


def test_cuts_are_found_where_they_are() -> None:
    frames, starts = shots((20, 17, 25, 18))
    values = values_of(frames.pixels)
    assert content_cuts(values).tolist() == starts[1:].tolist()
    assert adaptive_cuts(values).tolist() == starts[1:].tolist()


def as_frames(values: list[float]) -> np.ndarray:
    """Grey frames whose content value, by value alone, is `values`, as far as levels go."""
    levels, level = [], 0.0
    for index, value in enumerate(values):
        level = 0.0 if index == 0 else level + value if level + value <= 255 else level - value
        levels.append(abs(level))
    return np.array(levels).astype(np.uint8)[:, None, None, None].repeat(3, axis=3)


MOST = st.lists(st.sampled_from([0, 0, 0, 0, 1, 3, 20, 26, 27, 28, 60]), min_size=1, max_size=80)


@given(MOST, st.integers(0, 20), st.sampled_from([20.0, 27.0, 60.0]))
@settings(deadline=None)
def test_every_course_of_values_gives_the_same_content_cuts(values: list[float], least: int, threshold: float) -> None:
    pixels = as_frames(values)
    expected, _ = reference(scenedetect.ContentDetector(threshold, least, luma_only=True), pixels)
    mine = values_of(pixels, weights=(0.0, 0.0, 1.0, 0.0))
    assert content_cuts(mine, threshold=threshold, min_length=least).tolist() == expected


@given(MOST, st.integers(0, 20), st.integers(1, 4), st.sampled_from([1.5, 3.0]))
@settings(deadline=None)
def test_every_course_of_values_gives_the_same_adaptive_cuts(
    values: list[float], least: int, window: int, threshold: float
) -> None:
    pixels = as_frames(values)
    detector = scenedetect.AdaptiveDetector(threshold, least, window, luma_only=True)
    expected, _ = reference(detector, pixels)
    mine = values_of(pixels, weights=(0.0, 0.0, 1.0, 0.0))
    assert adaptive_cuts(mine, threshold=threshold, min_length=least, window=window).tolist() == expected


def test_a_length_in_seconds_goes_by_the_clock() -> None:
    values = np.array([0, 0, 50, 0, 50, 0, 0, 50, 0, 0], float)
    clock = np.array([0.0, 1, 2, 2.1, 2.2, 3, 4, 5, 6, 7])
    assert content_cuts(values, min_length=2.0, clock=clock).tolist() == [2, 7]
    assert content_cuts(values, min_length=0).tolist() == [2, 4, 7]
    with pytest.raises(ValueError, match="10 values and 3 times"):
        content_cuts(values, clock=clock[:3])


@pytest.mark.parametrize("shape", [(0, 4, 4, 3), (1, 1, 1, 3), (3, 1, 1, 3), (2, 5, 3, 1), (2, 1, 700, 3)])
def test_few_and_small_frames_have_values_and_no_cuts(shape: tuple[int, ...]) -> None:
    values = values_of(np.full(shape, 9, np.uint8), weights=(1.0, 1.0, 1.0, 1.0))
    assert values.tolist() == [0.0] * shape[0]
    assert not content_cuts(values).size
    assert not adaptive_cuts(values).size
    assert adaptive_ratios(values).tolist() == [0.0] * shape[0]


def test_weights_of_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match="one weight at least"):
        ContentValues(weights=(0, 0, 0, 0))
