from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.kernels.text.repeats import (
    gram_codes,
    longer_places,
    repeated,
    repeated_gram_chars,
    repeated_places,
    top_gram_chars,
    window_sums,
)
from mmdata.kernels.text.tokens import Tokens

WORDS = st.lists(st.sampled_from(["a", "bb", "ccc"]), max_size=40)


@pytest.mark.parametrize(
    ("pieces", "found"), [([], (0, 0)), (["a"], (0, 0)), (["a", "a"], (1, 1)), (["", "", "xy", "xy", "xy"], (3, 4))]
)
def test_pieces_that_came_before_are_counted(pieces: list[str], found: tuple[int, int]) -> None:
    assert repeated(pieces) == found


@given(WORDS, st.integers(1, 6))
def test_equal_runs_have_equal_codes_and_others_not(words: list[str], n: int) -> None:
    codes = list(gram_codes(Tokens(words).codes, 6))[n - 1].tolist()
    runs = [tuple(words[i : i + n]) for i in range(len(words) - n + 1)]
    assert len(codes) == len(runs)
    assert len(set(codes)) == len(set(runs)) == len(set(zip(codes, runs, strict=True)))


@given(WORDS.filter(bool))
def test_the_most_frequent_run_is_the_first_of_equals(words: list[str]) -> None:
    tokens = Tokens(words)
    word, count = Counter(words).most_common(1)[0]
    assert top_gram_chars(tokens.codes, tokens.lengths) == len(word) * count


@given(WORDS, st.integers(1, 4))
def test_runs_that_came_before_are_counted_without_overlap(words: list[str], n: int) -> None:
    tokens = Tokens(words)
    grams = list(gram_codes(tokens.codes, n))[-1]
    seen: set[tuple[str, ...]] = set()
    place = chars = 0
    while place <= len(words) - n:
        run = tuple(words[place : place + n])
        if run in seen:
            chars, place = chars + len("".join(run)), place + n
        else:
            seen.add(run)
            place += 1
    assert repeated_gram_chars(grams, window_sums(tokens.lengths, n), n, repeated_places(grams)) == chars


def test_window_sums_of_fewer_values_than_a_window_are_none() -> None:
    assert window_sums(np.array([1, 2]), 3).tolist() == []
    assert window_sums(np.array([1, 2, 3]), 3).tolist() == [6]


@given(WORDS, st.integers(1, 6), st.integers(0, 6))
def test_longer_runs_repeat_nowhere_but_where_shorter_ones_do(words: list[str], n: int, more: int) -> None:
    codes = list(gram_codes(Tokens(words).codes, 12))
    longer = codes[n + more - 1]
    among = longer_places(repeated_places(codes[n - 1]), more, len(longer))
    assert repeated_places(longer, among).tolist() == repeated_places(longer).tolist()
