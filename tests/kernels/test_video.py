"""Frame kernels, on films whose motion and cuts are known."""

from __future__ import annotations

from itertools import combinations, product

import cv2
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.rng import rng_for
from mmdata.kernels import video as kernels
from mmdata.testing.build import moving_shapes, picture, shots


def test_grey_is_opencvs_luma_and_one_channel_itself() -> None:
    pixels = picture(20, 10).pixels
    np.testing.assert_array_equal(kernels.grey(pixels), cv2.cvtColor(pixels, cv2.COLOR_RGB2GRAY))
    np.testing.assert_array_equal(kernels.grey(pixels[..., :1]), pixels[..., 0])


def test_a_thumbnail_is_the_mean_of_what_it_covers() -> None:
    pixels = picture(64, 32).pixels
    blocks = pixels.reshape(8, 4, 8, 8, 3).mean(axis=(1, 3))
    np.testing.assert_allclose(kernels.thumbnail(pixels, size_px=8), blocks, atol=0.51)


@pytest.mark.parametrize(("width", "height"), [(1, 1), (3, 200), (8, 8)])
@pytest.mark.parametrize("channels", [1, 3])
def test_a_thumbnail_has_its_size_whatever_it_is_made_of(width: int, height: int, channels: int) -> None:
    pixels = picture(width, height).pixels[..., :channels]
    thumbnail = kernels.thumbnail(pixels, size_px=8)
    assert (thumbnail.shape, str(thumbnail.dtype)) == ((8, 8, 3), "uint8")


def test_histograms_count_colours_by_cell() -> None:
    red, blue = np.zeros((2, 64, 64, 3), np.uint8)
    red[..., 0], blue[..., 2] = 255, 255
    half = np.where(np.arange(64)[None, :, None] < 32, red, blue)  # red on the left
    histograms = kernels.color_histograms(np.stack([red, half, half[:, ::-1]]), n_cells=2, n_levels=2)
    assert histograms.shape == (3, 2 * 2 * 8)
    np.testing.assert_array_equal(np.flatnonzero(histograms[0]), [4, 12, 20, 28])
    np.testing.assert_array_equal(np.flatnonzero(histograms[1]), [4, 9, 20, 25])
    np.testing.assert_array_equal(np.flatnonzero(histograms[2]), [1, 12, 17, 28])
    np.testing.assert_allclose(histograms.sum(axis=1), 1)


@given(n_in=st.integers(0, 50), n_out=st.integers(0, 50))
def test_an_even_choice_rises_and_leaves_like_gaps(n_in: int, n_out: int) -> None:
    chosen = kernels.evenly(n_in, n_out)
    assert len(chosen) == min(n_in, n_out)
    assert all(0 <= index < n_in for index in chosen)
    if len(chosen) > 1:
        gaps = np.diff(chosen)
        assert gaps.min() >= 1
        assert gaps.max() - gaps.min() <= 1


@pytest.mark.parametrize(
    ("n_in", "n_out", "expected"), [(9, 3, [1, 4, 7]), (3, 3, [0, 1, 2]), (10, 1, [5]), (2, 5, [0, 1])]
)
def test_an_even_choice_takes_middles(n_in: int, n_out: int, expected: list[int]) -> None:
    assert kernels.evenly(n_in, n_out).tolist() == expected


@given(n_rows=st.integers(0, 12), n=st.integers(0, 6), seed=st.integers(0, 99), least=st.floats(0, 1))
def test_distinct_rows_are_apart_and_the_rest_is_near_them(n_rows: int, n: int, seed: int, least: float) -> None:
    features = rng_for(seed, "rows").dirichlet(np.ones(4), n_rows).astype(np.float32)
    taken = kernels.most_distinct(features, n=n, min_distance=least).tolist()
    distance = np.abs(features[:, None] - features[None]).sum(axis=2) / 2
    assert taken == sorted(set(taken))
    assert len(taken) <= n
    assert all(distance[a, b] > least for a, b in combinations(taken, 2))
    if n_rows and n:
        assert taken[0] == 0
        spread = min((distance[a, b] for a, b in combinations(taken, 2)), default=np.inf)
        reach = max(min(distance[row, a] for a in taken) for row in range(n_rows))
        assert reach <= (least if len(taken) < n else spread) + 1e-6


def test_differences_are_means_of_absolute_differences() -> None:
    frames, starts = shots()
    wide = frames.pixels.astype(np.float64)
    differences = kernels.mean_differences(frames.pixels)
    np.testing.assert_allclose(differences, np.abs(np.diff(wide, axis=0)).mean(axis=(1, 2, 3)) / 255, rtol=1e-5)
    assert set(np.argsort(differences)[-2:] + 1) == set(starts[1:])


def test_black_to_white_is_a_difference_of_one() -> None:
    pixels = np.zeros((2, 4, 4, 3), np.uint8)
    pixels[1] = 255
    assert kernels.mean_differences(pixels).tolist() == [1.0]


@pytest.mark.parametrize("n_frames", [0, 1])
def test_fewer_than_two_frames_have_no_pairs(n_frames: int) -> None:
    pixels = np.zeros((n_frames, 20, 30, 3), np.uint8)
    assert kernels.mean_differences(pixels).shape == (0,)
    assert list(kernels.optical_flow(pixels, method=kernels.flow_method("dis", "fast"))) == []


@pytest.mark.parametrize("motion_px", [(3.0, 1.0), (-2.5, 0.75), (0.0, -6.0)])
@pytest.mark.parametrize(
    ("method", "preset", "error_px"),
    [
        ("dis", "medium", 0.1),
        ("dis", "fast", 0.3),
        ("dis", "ultrafast", 0.3),
        ("farneback", "medium", 0.1),
        ("farneback", "ultrafast", 0.2),
    ],
)
def test_flow_is_the_exact_motion_of_a_texture(
    motion_px: tuple[float, float], method: kernels.Method, preset: kernels.Preset, error_px: float
) -> None:
    """Within what the methods reach on this texture: ground that comes into view at the edges can't be known."""
    frames, exact = moving_shapes(3, 160, 120, camera_px=motion_px)
    flow = np.stack(list(kernels.optical_flow(frames.pixels, method=kernels.flow_method(method, preset))))
    assert (flow.shape, str(flow.dtype)) == (exact.shape, "float32")
    assert np.linalg.norm(flow - exact, axis=-1)[:, 10:-10, 10:-10].mean() < error_px


def test_dis_is_more_exact_the_more_careful_it_is() -> None:
    frames, exact = moving_shapes(3, 160, 120, camera_px=(3, 1))
    errors = [
        np.abs(next(kernels.optical_flow(frames.pixels, method=kernels.flow_method("dis", preset))) - exact[0]).mean()
        for preset in ("medium", "fast")
    ]
    assert errors[0] < errors[1] / 2


@pytest.mark.parametrize(("width", "height"), [*product([1, 5, 11, 12], repeat=2), (300, 4), (4, 300)])
@pytest.mark.parametrize("method", ["dis", "farneback"])
@pytest.mark.parametrize("channels", [1, 3])
def test_tiny_frames_have_a_flow_too(width: int, height: int, method: kernels.Method, channels: int) -> None:
    pixels = np.stack([picture(width, height, seed=seed).pixels for seed in range(3)])[..., :channels]
    flows = list(kernels.optical_flow(pixels, method=kernels.flow_method(method, "fast")))
    assert [flow.shape for flow in flows] == [(height, width, 2)] * 2
    assert all(np.isfinite(flow).all() for flow in flows)


@pytest.mark.parametrize(("width", "height"), [(16, 12), (17, 13), (3, 2), (1, 1)])
def test_blocks_are_means_and_keep_the_mean_of_all(width: int, height: int) -> None:
    flow = rng_for(1, "flow").standard_normal((height, width, 2), np.float32)
    means = kernels.block_means(flow, n_rows=3, n_columns=4)
    assert means.shape == (3, 4, 2)
    if (width, height) == (16, 12):
        np.testing.assert_allclose(means, flow.reshape(3, 4, 4, 4, 2).mean(axis=(1, 3)), atol=1e-6)
    if width > 4:
        np.testing.assert_allclose(means.mean(axis=(0, 1)), flow.mean(axis=(0, 1)), atol=1e-5)


def test_directions_go_clockwise_from_the_right() -> None:
    steps = np.array([[[3, 0], [0, 2], [-1, 0], [0, -4]]], np.float32)  # right, down, left, up
    np.testing.assert_allclose(kernels.directions(steps, n_bins=4), [3, 2, 1, 4], rtol=1e-4)


@pytest.mark.parametrize("degrees", [-44, 0, 44])
def test_a_direction_bin_is_centred(degrees: float) -> None:
    step = np.array([[[np.cos(np.deg2rad(degrees)), np.sin(np.deg2rad(degrees))]]], np.float32)
    np.testing.assert_allclose(kernels.directions(step, n_bins=4), [1, 0, 0, 0], atol=1e-4)
