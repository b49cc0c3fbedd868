"""Passages of films that have them at known seconds."""

from __future__ import annotations

from functools import cache

import numpy as np
import pytest

from mmdata.clean.video import KeepEventful
from mmdata.codec.video import OpenVideo, decoded
from mmdata.core.sample import Blob, Frames, Video
from mmdata.core.step import Drop
from mmdata.core.watch import watched
from mmdata.features.video import VideoPassages
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.films import film_bytes
from mmdata.testing.pictures import drift

FPS = 12


@cache
def film(shown: str = "bbbmmmffffmmmbb") -> Video:
    """Second by second: b is black, m moves, f stands still."""
    frames = []
    for tick in range(len(shown) * FPS):
        kind = shown[tick // FPS]
        still = drift(96, 64, shift_px=(4.0 * (tick if kind == "m" else 0), 0))
        frames.append(np.zeros_like(still) if kind == "b" else still)
    pixels = np.stack(frames)
    shot = Frames(pixels, np.arange(len(pixels)) / FPS, np.zeros(len(pixels), bool))
    data = film_bytes(shot, fps=FPS, gop=250, options={"crf": "10"})
    return OpenVideo().map(Blob.of(data))


def test_passages_are_given_with_their_shares() -> None:
    video, step = film(), VideoPassages()
    found = watched(step.watch(video), (frames for _, frames in decoded(video, [step.view(video)])))
    assert isinstance(found, dict)
    np.testing.assert_allclose(found["black"], np.array([[0, 3], [13, 15]]), atol=0.01)
    np.testing.assert_allclose(found["frozen"], np.array([[0, 3], [6, 10], [13, 15]]), atol=0.01)
    assert float(found["black_share"]) == pytest.approx(5 / 15, abs=1e-3)
    assert float(found["frozen_share"]) == pytest.approx(9 / 15, abs=1e-3)
    assert KeepEventful(max_black=0.34, max_frozen=0.61).keep(video) is True
    assert KeepEventful(max_black=0.34, max_frozen=0.59).keep(video) == Drop("too_frozen")


def test_a_film_without_passages_has_none() -> None:
    video, step = film("mmm"), VideoPassages()
    found = watched(step.watch(video), (frames for _, frames in decoded(video, [step.view(video)])))
    assert isinstance(found, dict)
    assert {name: array.shape for name, array in found.items()} == {
        "black": (0, 2),
        "frozen": (0, 2),
        "black_share": (),
        "frozen_share": (),
    }
    assert float(found["black_share"]) == float(found["frozen_share"]) == 0.0


class TestContract(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(VideoPassages(), film("bbm"))
