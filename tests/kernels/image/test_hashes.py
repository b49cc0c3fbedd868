from __future__ import annotations

from collections.abc import Callable

import imagehash
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image as Pillow
from skimage import data

from mmdata.kernels.hashing import hamming_bits
from mmdata.kernels.image import average_hash, difference_hash, perceptual_hash, resize, wavelet_hash
from mmdata.kernels.image.lanczos import lanczos
from mmdata.testing.build import picture

Hash = Callable[[np.ndarray], np.ndarray]
PAIRS: list[tuple[Hash, Callable[[Pillow.Image], imagehash.ImageHash]]] = [
    (perceptual_hash, imagehash.phash),
    (average_hash, imagehash.average_hash),
    (difference_hash, imagehash.dhash),
    (wavelet_hash, imagehash.whash),
]
HASHES = [ours for ours, _ in PAIRS]


def photograph(name: str) -> np.ndarray:
    """A picture that comes with scikit-image (public domain or CC0)."""
    return np.asarray(getattr(data, name)())


@pytest.mark.parametrize("name", ["astronaut", "cat", "coffee", "rocket", "camera", "coins", "text", "moon"])
@pytest.mark.parametrize(("ours", "theirs"), PAIRS, ids=lambda hash_of: getattr(hash_of, "__name__", ""))
def test_every_bit_is_that_of_imagehash(
    name: str, ours: Hash, theirs: Callable[[Pillow.Image], imagehash.ImageHash]
) -> None:
    pixels = photograph(name)
    bits = np.unpackbits(ours(pixels if pixels.ndim == 3 else pixels[..., None]))
    assert np.array_equal(bits, theirs(Pillow.fromarray(pixels)).hash.ravel())


@given(st.integers(8, 150), st.integers(8, 150), st.integers(0, 50))
@settings(max_examples=25, deadline=None)
def test_pictures_of_every_size_have_the_bits_of_imagehash(width: int, height: int, seed: int) -> None:
    pixels = picture(width, height, "shapes", seed=seed).pixels
    for ours, theirs in PAIRS:
        bits = np.unpackbits(ours(pixels)) != theirs(Pillow.fromarray(pixels)).hash.ravel()
        # cells that equal the median (whole numbers, so often) lie above it for them by what wavelets' rounding leaves
        assert bits.sum() <= (3 if ours is wavelet_hash else 0)


@pytest.mark.parametrize("hash_of", HASHES)
def test_a_picture_at_another_size_or_lighter_is_near_and_another_picture_far(hash_of: Hash) -> None:
    photo = photograph("astronaut")
    lighter = np.clip(photo * 0.9 + 20, 0, 255).astype(np.uint8)
    for near in (resize(photo, width=300, height=310), lighter):
        assert hamming_bits(hash_of(photo), hash_of(near)) <= 6
    assert hamming_bits(hash_of(photo), hash_of(photograph("coffee"))) >= 14


@pytest.mark.parametrize("hash_of", HASHES)
@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 1, 3), (1, 20_000, 3), (20_000, 1, 1), (7, 9, 3)])
def test_pictures_of_odd_forms_have_eight_bytes(hash_of: Hash, shape: tuple[int, ...]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8)
    bits = hash_of(pixels)
    assert bits.shape == (8,)
    assert bits.dtype == np.uint8


@pytest.mark.parametrize("level", [0, 77, 255])
def test_nothing_stands_out_of_a_flat_picture(level: int) -> None:
    flat = np.full((50, 70, 3), level, np.uint8)
    assert [hash_of(flat).any() for hash_of in (average_hash, difference_hash, wavelet_hash)] == [False] * 3


def test_each_hash_tells_what_it_is_of() -> None:
    """Right half lighter: average and wavelet see the half, difference the one step in each row."""
    pixels = np.zeros((64, 64, 1), np.uint8)
    pixels[:, 32:] = 200
    assert average_hash(pixels).tolist() == [0b00001111] * 8
    assert wavelet_hash(pixels).tolist() == [0b00001111] * 8
    rising = np.repeat(np.arange(0, 180, 20, dtype=np.uint8), 8)[None, :, None].repeat(64, axis=0)
    assert difference_hash(rising).tolist() == [255] * 8
    assert difference_hash(rising[:, ::-1]).tolist() == [0] * 8


@given(st.integers(1, 300), st.integers(1, 300), st.integers(1, 70), st.integers(1, 70), st.integers(0, 50))
@settings(max_examples=60, deadline=None)
def test_lanczos_gives_every_level_that_pillow_gives(
    width: int, height: int, to_width: int, to_height: int, seed: int
) -> None:
    levels = np.random.default_rng(seed).integers(0, 256, (height, width), dtype=np.uint8)
    theirs = Pillow.fromarray(levels).resize((to_width, to_height), Pillow.Resampling.LANCZOS)
    assert np.array_equal(lanczos(levels, width=to_width, height=to_height), np.asarray(theirs))
