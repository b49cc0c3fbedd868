from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.text import KeepLength, KeepLines, NormalizeText
from mmdata.core.sample import Text
from mmdata.core.step import Drop
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract


class TestTextSteps(StepContract):
    @pytest.fixture(
        params=[
            Case(NormalizeText(), Text(" schÃ¶n "), unchanged=Text("schön")),
            Case(NormalizeText(mend=False, keep_lines=False), Text("a\nb")),
            Case(KeepLength(), Text("a")),
            Case(KeepLength(min_chars=2, max_chars=3), Text("abcd")),
            Case(KeepLines(), Text("cat\nchat"), unchanged=Text("cat\n")),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        if isinstance(case.step, KeepLength):
            return Case(case.step, case.value, others={"max_chars": 77})
        return case


def normal(text: str, step: NormalizeText | None = None) -> str:
    result = (step or NormalizeText()).map(Text(text))
    assert isinstance(result, Text)
    return result.text


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("", ""),
        ("  a \t b ", "a b"),
        ("schÃ¶n", "schön"),
        ("L&amp;&ouml;w", "L&öw"),
        ("a\r\nb\rc\u2028d", "a\nb\nc\nd"),
        ("cafe\u0301", "café"),
        ("\x1b[36;44mblue\x1b[0m", "blue"),
        ("nul\x00l\x07", "null"),
        ("\ufeffmarked", "marked"),
        ("“curly” ‘quotes’", "“curly” ‘quotes’"),
        ("ＬＯＵＤ ﬁne", "ＬＯＵＤ ﬁne"),
        ("\ud83d\ude00", "😀"),
        ("lone \ud83d", "lone \ufffd"),
        ("名前は？", "名前は？"),
        ("می\u200cخواهم", "می\u200cخواهم"),
    ],
)
def test_texts_are_mended(text: str, mended: str) -> None:
    assert normal(text) == mended


def test_without_mending_only_form_and_blanks_change() -> None:
    assert normal(" schÃ¶n &amp; cafe\u0301\x07 ", NormalizeText(mend=False)) == "schÃ¶n &amp; café\x07"


def test_nfkc_makes_compatible_characters_plain() -> None:
    assert normal("ＬＯＵＤ ﬁne ①", NormalizeText(form="NFKC")) == "LOUD fine 1"


def test_lines_may_be_joined() -> None:
    assert normal("one\n\n two", NormalizeText(keep_lines=False)) == "one two"


@given(st.text(max_size=60), st.booleans())
def test_normal_texts_have_one_form_and_no_double_blanks(text: str, keep_lines: bool) -> None:
    result = normal(text, NormalizeText(keep_lines=keep_lines))
    assert unicodedata.is_normalized("NFC", result)
    assert result == result.strip()
    assert "  " not in result
    assert keep_lines or "\n" not in result


def test_a_long_text_is_normalised_in_time_that_grows_with_its_length() -> None:
    assert len(normal(" é" * 500_000)) == 999_999


@pytest.mark.parametrize(
    ("length", "reason"), [(0, "too_short"), (2, "too_short"), (3, None), (4, None), (5, None), (6, "too_long")]
)
def test_lengths_on_the_bounds_are_kept(length: int, reason: str | None) -> None:
    verdict = KeepLength(min_chars=3, max_chars=5).keep(Text("é" * length))
    assert verdict == (True if reason is None else Drop(reason))


def test_by_default_only_the_empty_text_is_dropped() -> None:
    assert KeepLength().keep(Text("")) == Drop("too_short")
    assert KeepLength().keep(Text("a" * 1_000_000)) is True


def test_bounds_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_chars \(2\) is below min_chars \(3\)"):
        KeepLength(min_chars=3, max_chars=2)
    assert KeepLength(min_chars=3, max_chars=3).keep(Text("abc")) is True


@pytest.mark.parametrize(
    ("step", "settings"), [(KeepLength, {"min_chars": -1}), (KeepLines, {"first": 0}), (NormalizeText, {"form": "NFX"})]
)
def test_settings_out_of_range_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(step).validate_python(settings)


def test_the_first_line_of_a_caption_with_translations_is_kept() -> None:
    english = caption(3).text
    translated = Text(f"{english}\nfr.utf8=Un chat.\nde.utf8=Eine Katze.\n")
    assert KeepLines().map(translated) == Text(english)
    assert KeepLines(first=2).map(translated) == Text(f"{english}\nfr.utf8=Un chat.")
