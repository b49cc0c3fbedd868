"""What is said for what is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.align.numbers import number_ways, number_words
from mmdata.kernels.align.pronounce import pronunciations, word_ways
from mmdata.kernels.align.spoken import is_foreign, readings, tokens


def first(text: str) -> str:
    return " ".join(readings(text)[0])


@pytest.mark.parametrize(
    ("written", "said"),
    [
        ("1984", "nineteen eighty four"), ("2000", "two thousand"), ("1900", "nineteen hundred"),
        ("1905,", "nineteen oh five"), ("1,984", "one thousand nine hundred eighty four"), ("007", "zero zero seven"),
        ("3.14", "three point one four"), ("-5", "minus five"), ("50%", "fifty percent"), ("$5", "five dollars"),
        ("$5.50", "five dollars fifty"), ("$5.00", "five dollars"), ("21st", "twenty first"), ("12th", "twelfth"),
        ("20th", "twentieth"), ("1980s", "nineteen eighties"), ("12:30", "twelve thirty"), ("9:05", "nine oh five"),
        ("7:00", "seven o'clock"), ("0", "zero"), ("12345678901234567890", " ".join(
            ["one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "zero"] * 2)),
        ("Dr.", "doctor"), ("Dr", "doctor"), ("Mrs.", "missus"), ("St.", "saint"), ("no", "no"), ("No.", "number"),
        ("etc.", "et cetera"), ("e.g.", "for example"), ("U.S.A.", "u s a"), ("rock-n-roll", "rock n roll"),
        ("AT&T", "AT and t"), ("#1", "pound one"), ("don’t", "don't"), ("café", "cafe"), ("“Hello,”", "hello"),
        ("H.323", "h three hundred twenty three"), ("A4", "a four"),
    ],
)  # fmt: skip
def test_written_tokens_are_read(written: str, said: str) -> None:
    assert first(written) == said


def test_several_readings_are_told() -> None:
    assert [" ".join(way) for way in readings("1984")] == [
        "nineteen eighty four", "one thousand nine hundred eighty four", "one thousand nine hundred and eighty four",
        "one nine eight four", "nineteen hundred eighty four", "nineteen hundred and eighty four",
    ]  # fmt: skip
    assert ["street"] in readings("St.")


@pytest.mark.parametrize("text", ["", "x", "--", "٣", "1.2.3.4e", "½"])
def test_what_is_no_numeral_has_no_reading_as_one(text: str) -> None:
    assert number_ways(text) == []


@settings(deadline=None)
@given(st.integers(0, 10**15 - 1))
def test_every_number_has_words_that_say_it(number: int) -> None:
    small = {number_words(n)[0]: n for n in range(20)} | {number_words(10 * n)[0]: 10 * n for n in range(2, 10)}
    scales = {"hundred": 100, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
    total = group = 0
    for word in number_words(number):
        if word == "hundred":
            group *= 100
        elif word in scales:
            total, group = total + group * scales[word], 0
        else:
            group += small[word]
    assert total + group == number


def test_tokens_know_their_characters_and_leave_out_what_is_not_said() -> None:
    text = "Press # [beep] 1. Enter <b>it</b> -- & go…"
    found = tokens(text)
    assert [token.text for token in found] == ["Press", "#", "1.", "Enter", "it", "&", "go…"]
    assert all(text[token.first : token.last] == token.text for token in found)


@settings(deadline=None, max_examples=300)
@given(st.text(max_size=40))
def test_any_text_has_tokens_and_readings_without_an_error(text: str) -> None:
    for token in tokens(text):
        assert text[token.first : token.last] == token.text
        assert len(readings(token.text)) <= 8
        assert len(pronunciations(token.text)) <= 32


@pytest.mark.parametrize("text", ["Привет", "日本", "日本go", "שלום", "٣٤"])
def test_another_script_is_not_pronounced(text: str) -> None:
    assert is_foreign(text)
    assert pronunciations(text) == []


@pytest.mark.parametrize(
    ("word", "phones"),
    [
        ("hello", "HH AH L OW"), ("voicemailbox's", "V OY S M EY L B AA K S IH Z"), ("unmute", "AH N M Y UW T"),
        ("pbx", "P B K S"), ("PBX", "P IY B IY EH K S"), ("blorfing", "B L AO R F IH NG"), ("shmeeple", "SH M IY P L"),
    ],
)  # fmt: skip
def test_words_that_the_dictionary_lacks_are_made_of_known_ones_or_of_letters(word: str, phones: str) -> None:
    assert " ".join(word_ways(word)[0]) == phones


def test_a_word_in_capitals_may_be_spelled_out() -> None:
    ways = {" ".join(way) for way in pronunciations("ID")}
    assert {"AY D IY"} <= ways
    assert len(ways) > 1
