from __future__ import annotations

from fractions import Fraction

import numpy as np
import pytest

from mmdata.codec.frames import _rate, ffv1_bytes, h264_bytes, read_frames
from mmdata.core.sample import Blob, Frames
from mmdata.errors import DataError
from mmdata.testing.films import moving_shapes


def uneven(n_frames: int = 7, width: int = 47, height: int = 31) -> Frames:
    """Frames of noise at times that no container's clock could hold."""
    rng = np.random.default_rng(7)
    pixels = rng.integers(0, 256, (n_frames, height, width, 3), dtype=np.uint8)
    return Frames(pixels, np.cumsum(rng.random(n_frames)) / 3, rng.random(n_frames) < 0.5)


@pytest.mark.parametrize("n_frames", [1, 2, 7])
@pytest.mark.parametrize("size", [(47, 31), (48, 32), (1, 1), (2, 1)])
def test_ffv1_gives_every_bit_back(n_frames: int, size: tuple[int, int]) -> None:
    frames = uneven(n_frames, *size)
    read = read_frames(Blob.of(ffv1_bytes(frames)))
    assert np.array_equal(read.pixels, frames.pixels)
    assert np.array_equal(read.times_s, frames.times_s)
    assert np.array_equal(read.is_key, frames.is_key)


def test_h264_gives_much_the_same_frames_at_the_very_times() -> None:
    frames, _ = moving_shapes(n_frames=6, width=64, height=48)
    good, poor = (read_frames(Blob.of(h264_bytes(frames, crf))) for crf in (10, 40))
    assert np.array_equal(good.times_s, frames.times_s)
    assert np.array_equal(good.is_key, frames.is_key)
    fault, worse = (np.abs(read.pixels.astype(int) - frames.pixels).mean() for read in (good, poor))
    assert fault < 4 < worse


def test_odd_sizes_are_kept_in_h264() -> None:
    assert read_frames(Blob.of(h264_bytes(uneven(), 20))).pixels.shape == (7, 31, 47, 3)


@pytest.mark.parametrize("write", [ffv1_bytes, lambda frames: h264_bytes(frames, 20)])
def test_the_same_frames_give_the_same_bytes(write: object) -> None:
    assert callable(write)
    assert write(uneven()) == write(uneven())


def test_a_film_of_others_has_its_containers_times(films: dict[str, bytes]) -> None:
    frames = read_frames(Blob.of(films["mp4"]))
    np.testing.assert_allclose(frames.times_s, np.arange(48) / 24)


def test_marks_that_do_not_fit_the_frames_are_not_believed() -> None:
    data = ffv1_bytes(uneven(3))
    marks = data.replace(b'"is_key": "', b'"is_key": x')
    assert len(read_frames(Blob.of(marks)).times_s) == 3


@pytest.mark.parametrize(
    ("pixels", "message"),
    [
        (np.zeros((0, 4, 4, 3), np.uint8), r"not uint8 \(0, 4, 4, 3\)"),
        (np.zeros((2, 4, 4, 1), np.uint8), r"not uint8 \(2, 4, 4, 1\)"),
        (np.zeros((2, 4, 4, 3), np.float32), r"not float32 \(2, 4, 4, 3\)"),
    ],
)
def test_frames_of_another_form_are_refused(pixels: np.ndarray, message: str) -> None:
    with pytest.raises(DataError, match=message):
        ffv1_bytes(Frames(pixels, np.arange(len(pixels)) / 8, np.zeros(len(pixels), bool)))


@pytest.mark.parametrize(
    ("times_s", "rate"),
    [
        ([3.0], Fraction(1)),
        ([0, 0.25, 0.5], Fraction(4)),
        ([0, 1 / 24], Fraction(24)),
        ([0, 1e-9], Fraction(500)),
        ([1, 1], 1),
    ],
)
def test_the_rate_for_players_is_the_mean(times_s: list[float], rate: Fraction) -> None:
    assert _rate(np.array(times_s, float)) == rate
