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


def test_representatives_stand_for_each_group_whatever_its_size() -> None:
    rng = rng_for(3, "groups")
    centres = np.eye(4, dtype=np.float32)[[0, 1, 2]] * 5
    groups = np.repeat([0, 1, 2], [40, 3, 12])
    rows = (centres[groups] + rng.normal(0, 0.1, (55, 4))).astype(np.float32)
    taken = kernels.representatives(rows, n=3)
    assert groups[taken].tolist() == [0, 1, 2]
    for row in taken:
        members = rows[groups == groups[row]]
        nearest = np.linalg.norm(members - members.mean(axis=0), axis=1).min()
        assert np.linalg.norm(rows[row] - members.mean(axis=0)) == pytest.approx(nearest, rel=1e-4)


@given(n_rows=st.integers(0, 20), n=st.integers(1, 6), seed=st.integers(0, 99))
def test_representatives_are_some_of_the_rows(n_rows: int, n: int, seed: int) -> None:
    rows = rng_for(seed, "rows").dirichlet(np.ones(4), n_rows).astype(np.float32)
    taken = kernels.representatives(rows, n=n).tolist()
    assert taken == sorted(set(taken))
    assert len(taken) == min(n, n_rows)
    assert kernels.representatives(np.repeat(rows[:1], 5, axis=0), n=n).tolist() == [0][: len(rows)]


def test_speeds_are_shared_out_by_doublings() -> None:
    speeds = np.array([0, 0.001, 0.124, 0.125, 0.2, 0.25, 0.6, 1.0, 7.0], np.float32)
    assert (kernels.speed_shares(speeds, n_bins=5) * 9).round(6).tolist() == [3, 2, 1, 1, 2]
    assert kernels.speed_shares(np.zeros(4), n_bins=3).tolist() == [1, 0, 0]


def test_lengths_are_of_vectors() -> None:
    flow = np.array([[[3, 4], [0, -2]]], np.float32)
    assert kernels.lengths(flow).tolist() == [[5, 2]]


def test_a_frame_hash_changes_by_few_bits_with_size_and_light_and_by_half_with_the_picture() -> None:
    first, other = (kernels.grey(picture(256, 192, seed=seed).pixels) for seed in (1, 2))
    own, quality, frequencies = kernels.frame_hash(first)
    assert (own.shape, str(own.dtype), frequencies.shape) == ((32,), "uint8", (256,))
    assert quality > 0.5
    assert np.linalg.norm(frequencies) == pytest.approx(1)
    np.testing.assert_array_equal(np.unpackbits(own), frequencies > 0)

    def bits(luma: np.ndarray) -> int:
        return int(np.bitwise_count(kernels.frame_hash(luma)[0] ^ own).sum())

    assert bits(cv2.resize(first, (128, 96), interpolation=cv2.INTER_AREA)) <= 10
    assert bits(np.clip(first * 0.8 + 20, 0, 255).astype(np.uint8)) <= 20
    assert bits(255 - first) > 200
    assert bits(other) > 60
    assert kernels.frame_hash(np.full((48, 64), 9, np.uint8))[1] == 0


def test_films_match_at_the_offset_at_which_most_of_the_shorter_is_in_the_longer() -> None:
    rng = rng_for(4, "hashes")
    long = rng.integers(0, 256, (60, 32), np.uint8)
    short, clock = long[20:40].copy(), np.arange(60) / 2
    short[:, 0] ^= 7  # three bits
    for first, second, offset_s in ((long, short, -10.0), (short, long, 10.0)):
        found = kernels.match(first, clock[: len(first)], second, clock[: len(second)])
        assert (found.share, found.offset_s) == (1.0, offset_s)
    assert kernels.match(long, clock, short[:0], clock[:0]) == kernels.Match(0.0, 0.0)
    assert kernels.match(long, clock, rng.integers(0, 256, (60, 32), np.uint8), clock).share == 0
    shuffled = long[rng.permutation(60)]
    assert kernels.match(long, clock, shuffled, clock).share < 0.2  # the same frames, in another order
    assert kernels.match(long, clock, np.repeat(long[:1], 50, axis=0), clock[:50]).share < 0.1
