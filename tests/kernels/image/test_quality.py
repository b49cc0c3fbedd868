from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.image.quality import border, level_shares, plain_share
from mmdata.testing.build import picture


@given(st.integers(1, 40), st.integers(1, 40), st.sampled_from([1, 3]), st.integers(0, 255), st.integers(0, 99))
@settings(max_examples=60, deadline=None)
def test_the_plain_share_is_that_of_pixels_near_the_median(
    w: int, h: int, channels: int, tolerance: int, seed: int
) -> None:
    pixels = picture(w, h, seed=seed).pixels[..., :channels]
    median = np.median(pixels.reshape(-1, channels), axis=0)
    near = (np.abs(pixels - median) <= tolerance).all(axis=2)
    assert plain_share(pixels, tolerance=tolerance) == pytest.approx(near.mean(), abs=1e-9)


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 20_000, 3), (20_000, 1, 3)])
def test_odd_forms_are_measured(shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    assert level_shares(pixels).sum() == pytest.approx(1)
    assert 0 < plain_share(pixels, tolerance=8) <= 1
    assert border(pixels, tolerance=0) == (0, 0, shape[1], shape[0])


def test_rows_of_a_border_go_first() -> None:
    """A grey strip across the top, over a picture with black sides: both go."""
    inside = picture(30, 20).pixels
    pixels = np.zeros((25, 40, 3), np.uint8)
    pixels[:5] = 128
    pixels[5:, 6:36] = inside
    assert border(pixels, tolerance=0) == (6, 5, 36, 25)
