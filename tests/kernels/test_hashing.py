from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.kernels.hashing import code_points, hamming_bits, hash_spans, mix, signed_counts


def reference(text: str) -> int:
    """The same hash, spelled out in whole numbers."""
    base, value = 0x9E3779B97F4A7C15, 0
    for place, character in enumerate(text):
        value = (value + (ord(character) + 1) * pow(base, place, 1 << 64)) % (1 << 64)
    for shift, factor in ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB)):
        value = ((value ^ (value >> shift)) * factor) % (1 << 64)
    return value ^ (value >> 31)


def hashes_of(*texts: str) -> list[int]:
    codes = code_points("".join(texts))
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    return [int(value) for value in hash_spans(codes, ends - [len(text) for text in texts], ends)]


@given(st.text(max_size=20), st.text(max_size=8), st.text(max_size=20))
def test_a_stretch_has_the_same_hash_wherever_it_lies(before: str, text: str, after: str) -> None:
    assert hashes_of(before, text, after)[1] == hashes_of(text)[0]


@given(st.lists(st.text(max_size=6), min_size=1, max_size=40, unique=True))
def test_different_texts_have_different_hashes(texts: list[str]) -> None:
    assert len(set(hashes_of(*texts))) == len(texts)


def test_empty_zero_and_surrogate_characters_differ() -> None:
    assert len(set(hashes_of("", "\0", "\0\0", "\ud800", "\U0010ffff"))) == 5


def test_hashes_are_the_same_in_another_process() -> None:
    code = "from mmdata.kernels.hashing import *; import numpy as np; c = code_points('red disc');" + (
        "print(*hash_spans(c, np.array([0, 4]), np.array([3, 8])))"
    )
    printed = subprocess.run([sys.executable, "-c", code], env={"PYTHONHASHSEED": "1"}, capture_output=True, check=True)
    here = hash_spans(code_points("red disc"), np.array([0, 4]), np.array([3, 8]))
    assert [int(word) for word in printed.stdout.split()] == [int(value) for value in here]


def test_hashes_are_those_of_every_other_machine() -> None:
    assert hashes_of("red", "", "名前 disc") == [reference("red"), reference(""), reference("名前 disc")]
    assert hashes_of("red") == [14562104747023228317]


def test_mixing_is_splitmix() -> None:
    # first output of the reference generator (Vigna's splitmix64.c) from state 0, whose state is then the increment
    assert int(mix(np.array([0x9E3779B97F4A7C15], np.uint64))[0]) == 0xE220A8397B1DCDAF


def test_counts_fall_evenly_into_bins_with_either_sign() -> None:
    hashes = mix(np.arange(64_000, dtype=np.uint64))
    n_bins = 10
    bins = np.bincount((hashes % np.uint64(1 << 63) % np.uint64(n_bins)).astype(int), minlength=n_bins)
    assert abs(bins - 6400).max() < 4 * np.sqrt(6400)
    signed = signed_counts(hashes, n_bins)
    assert abs(signed).max() < 4 * np.sqrt(6400)
    assert signed.min() < 0 < signed.max()


def test_counting_keeps_every_hash_once() -> None:
    top = np.uint64(1 << 63)
    counts = signed_counts(np.array([3, 3, 10, np.uint64(3) + top, np.uint64(5) + top], np.uint64), 7)
    assert counts.tolist() == [0, 0, 0, 2, 0, -1, 0]
    assert counts.dtype == np.float32
    assert signed_counts(np.zeros(0, np.uint64), 3).tolist() == [0, 0, 0]


@pytest.mark.parametrize(
    ("one", "other", "bits"),
    [([0, 0], [0, 0], 0), ([255, 0], [0, 0], 8), ([1, 128], [2, 128], 2), ([255, 255], [0, 0], 16)],
)
def test_hamming_distance_counts_bits(one: list[int], other: list[int], bits: int) -> None:
    assert int(hamming_bits(np.array(one, np.uint8), np.array(other, np.uint8))) == bits


def test_hamming_distance_broadcasts() -> None:
    hashes = np.arange(256, dtype=np.uint8)[:, None]
    distances = hamming_bits(hashes[:, None], hashes[None])
    assert distances.shape == (256, 256)
    assert distances[0].tolist() == [value.bit_count() for value in range(256)]
