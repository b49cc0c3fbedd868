from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.kernels.text import tokens
from mmdata.kernels.text.tokens import ALPHA, SYMBOL, Tokens, count_sentences, tokenize


# spaCy 3.8's English tokenizer gives the same
@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", ""),
        (" \n\t ", ""),
        ("plain words", "plain words"),
        ("end.", "end ."),
        ("(see below).", "( see below ) ."),
        ("wait...", "wait ..."),
        ("“Quoted,” she said", "“ Quoted , ” she said"),
        ("Don't, can't; it's Ann's", "Do n't , ca n't ; it 's Ann 's"),
        ("cannot gonna", "can not gon na"),
        ("I’m they’ll", "I ’m they ’ll"),
        ("e.g. U.S. Dr. x. NATO.", "e.g. U.S. Dr. x. NATO ."),
        ("state-of-the-art 16-bit -5", "state - of - the - art 16 - bit -5"),
        ("and/or his/her", "and/or his / her"),
        ("3.5km 10% $20 5€", "3.5 km 10 % $ 20 5 €"),
        ("1,000 a,b one.Two", "1,000 a , b one . Two"),
        ("8am at 5p.m.", "8 am at 5 p.m."),
        ("see http://a.example.org/x-y?z=1, ok", "see http://a.example.org/x-y?z=1 , ok"),
        ("snake_case #tag @you a@b.org", "snake_case # tag @you a@b.org"),
        ("fine :-) (n.)", "fine :-) ( n. )"),
        ("Größe: 5", "Größe : 5"),
        ("« déjà »", "« déjà »"),
    ],
)
def test_english_is_cut_as_spacy_cuts_it(text: str, words: str) -> None:
    assert tokenize(text).words == words.split()


@given(st.text(max_size=80))
def test_tokens_hold_every_character_but_blanks(text: str) -> None:
    assert "".join(tokenize(text).words) == "".join(text.split())


@given(st.text(alphabet="a(.'\"n-:)’t8", max_size=25))
def test_marks_of_any_order_lose_nothing(text: str) -> None:
    assert "".join(tokenize(text).words) == text


def test_what_is_asked_of_tokens() -> None:
    found = Tokens(["ab", "--", "x1", "12", "“", "ab"])
    assert found.lengths.tolist() == [2, 2, 2, 2, 1, 2]
    assert (found.marks & SYMBOL).astype(bool).tolist() == [False, True, False, False, True, False]
    assert (found.marks & ALPHA).astype(bool).tolist() == [True, False, True, False, False, True]
    assert found.codes[0] == found.codes[5]
    assert len(set(found.codes.tolist())) == 5
    assert Tokens([]).lengths.dtype == np.int64


def test_the_tokens_of_the_last_text_are_kept_but_not_those_of_a_huge_one() -> None:
    assert tokenize("one text") is tokenize("one text")
    huge = "one text " * 120_000
    assert tokenize(huge) is not tokenize(huge)


def test_memory_of_stretches_is_bounded() -> None:
    tokenize(" ".join(f"word{number}" for number in range(tokens.MOST_KEPT + 10)))
    assert len(tokens._CUTS) <= tokens.MOST_KEPT
    tokenize("x" * 1000)
    assert "x" * 1000 not in tokens._CUTS


def test_what_is_too_long_to_be_a_word_is_cut_at_every_mark() -> None:
    assert tokenize("it's-" * 401).words[:4] == ["it", "'", "s", "-"]


@pytest.mark.parametrize(
    ("text", "n"),
    [
        ("", 0),
        ("...", 1),
        ("one", 1),
        ("One. Two", 2),
        ("One! Two? Three.", 3),
        ('He said: "Stop." Then', 2),
        ("Wait... what?", 1),
        ("Dr. No came.", 1),
        ("What?! No.", 2),
        ("End. , and", 2),
        ("End.  , and", 2),
        ("End . ,", 1),
        ("End .  ,", 2),
        ("这是。那是。", 1),
        ("这是 。 那是 。", 2),
    ],
)
def test_sentences_are_counted_by_their_stops(text: str, n: int) -> None:
    assert count_sentences(text) == n
