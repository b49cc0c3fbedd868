from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.kernels.hashing import code_points
from mmdata.kernels.text import char_grams, first_lines, split_words, squeeze_blanks, word_grams
from mmdata.kernels.text.words import SEPARATORS, word_codes


@pytest.mark.parametrize(
    ("text", "lines", "line"),
    [
        ("", "", ""),
        (" \n\t ", "", ""),
        ("a", "a", "a"),
        ("a\u00a0\u3000b", "a b", "a b"),
        ("a \n b", "a\nb", "a b"),
        ("a\n\nb", "a\n\nb", "a b"),
        ("a\n \n\t\nb", "a\n\nb", "a b"),
        ("a\r\nb", "a\nb", "a b"),
        ("a\u200bb", "a\u200bb", "a\u200bb"),
    ],
)
def test_blanks_become_single_spaces(text: str, lines: str, line: str) -> None:
    assert squeeze_blanks(text) == lines
    assert squeeze_blanks(text, keep_lines=False) == line


@given(st.text(alphabet=" \n\t\r\u00a0\u2028ab", max_size=40), st.booleans())
def test_squeezing_twice_changes_nothing_and_loses_no_letter(text: str, keep_lines: bool) -> None:
    once = squeeze_blanks(text, keep_lines=keep_lines)
    assert squeeze_blanks(once, keep_lines=keep_lines) == once
    assert once.split() == text.split()
    assert "  " not in once
    assert "\n\n\n" not in once


@pytest.mark.parametrize(
    ("text", "n_lines", "kept"),
    [
        ("cat\nchat\nKatze", 1, "cat"),
        ("cat\nchat\nKatze", 2, "cat\nchat"),
        ("cat\nchat\nKatze", 3, "cat\nchat\nKatze"),
        ("cat\r\nchat", 1, "cat"),
        ("cat\rchat", 1, "cat"),
        ("\nchat", 1, ""),
        ("cat\n\nKatze", 2, "cat\n"),
        ("cat\n", 1, "cat\n"),
        ("", 1, ""),
    ],
)
def test_first_lines_are_kept_as_they_are(text: str, n_lines: int, kept: str) -> None:
    assert first_lines(text, n_lines) == kept


@given(st.text(alphabet="a\n\r\u2028 ", max_size=30), st.integers(1, 5))
def test_first_lines_are_those_that_splitlines_gives(text: str, n_lines: int) -> None:
    kept, lines = first_lines(text, n_lines), text.splitlines()
    assert text.startswith(kept)
    if len(lines) > n_lines:
        assert (kept + "\u2029").splitlines() == lines[:n_lines]
    else:
        assert kept == text


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", []),
        (" ... ", []),
        ("one", ["one"]),
        ("Two words.", ["Two", "words"]),
        ("naïve re\u0301sume\u0301", ["naïve", "re\u0301sume\u0301"]),
        ("हिन्दी, भाषा।", ["हिन्दी", "भाषा"]),
        ("مرحبا، بالعالم؟", ["مرحبا", "بالعالم"]),
        ("می\u200cخواهم", ["می\u200cخواهم"]),
        ("猫が、好き。", ["猫が", "好き"]),
        ("a_b-c/d", ["a", "b", "c", "d"]),
        ("«привет» — мир", ["привет", "мир"]),
        ("3.14 €", ["3", "14"]),
        ("日本々〆", ["日本々〆"]),
    ],
)
def test_words_of_many_scripts_stay_whole(text: str, words: list[str]) -> None:
    assert split_words(text) == words


def grams_of(words: str, starts: np.ndarray, ends: np.ndarray) -> list[str]:
    return sorted(words[start:end] for start, end in zip(starts, ends, strict=True))


def test_character_grams_stay_inside_words_with_a_blank_at_each_end() -> None:
    padded = " ab c "
    codes = code_points(padded)
    assert grams_of(padded, *char_grams(codes, 1, 1)) == ["a", "b", "c"]
    assert grams_of(padded, *char_grams(codes, 2, 2)) == [" a", " c", "ab", "b ", "c "]
    assert grams_of(padded, *char_grams(codes, 3, 9)) == [" ab", " ab ", " c ", "ab "]


def test_character_grams_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import CountVectorizer

    words = " the small red disc on a wall near 42 houses "
    analyze = CountVectorizer(analyzer="char_wb", ngram_range=(2, 4)).build_analyzer()
    # of a word shorter than n scikit-learn takes the whole once for the first such n, which the shorter n hold already
    assert grams_of(words, *char_grams(code_points(words), 2, 4)) == sorted(analyze(words))


def test_word_grams_are_runs_of_whole_words() -> None:
    padded = " a bc d "
    codes = code_points(padded)
    assert grams_of(padded, *word_grams(codes, 1, 2)) == ["a", "a bc", "bc", "bc d", "d"]
    assert grams_of(padded, *word_grams(codes, 3, 9)) == ["a bc d"]
    assert grams_of(padded, *word_grams(codes, 4, 9)) == []


@given(st.text(alphabet=st.characters(max_codepoint=127), max_size=60))
def test_plain_ascii_is_cut_as_any_text_is(text: str) -> None:
    assert split_words(text) == split_words(f"{text} é")[:-1]


@given(
    st.text(max_size=60)
    | st.text(st.sampled_from("aB \t\x1c,.!\u00e9\u00df\u0130\u3000\u2014\ud800\U0001f600\0"), max_size=20)
)
def test_codes_are_those_of_the_words_one_space_apart(text: str) -> None:
    words = split_words(text.casefold())
    wanted = code_points(f" {' '.join(words)} ") if words else code_points("")
    assert word_codes(text).tolist() == wanted.tolist()


def test_no_code_point_above_the_table_stands_between_words() -> None:
    assert not any(SEPARATORS.match(chr(code)) for code in range(0xFFFF, 0x110000))
