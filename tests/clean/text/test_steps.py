"""Steps on characters, markup, languages, lists, lengths and private data."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata import api
from mmdata.clean.text import (
    DropListedWords,
    HtmlToText,
    KeepLanguage,
    KeepLetters,
    KeepWordCount,
    MarkdownToText,
    RedactPrivate,
    RemoveCharacters,
    RemoveHidden,
    RemoveRepeatedLines,
    RemoveRepeatedRuns,
    RemoveWords,
    ReplacePattern,
    SplitText,
    TellLanguage,
)
from mmdata.core.pipeline import Pipeline
from mmdata.core.sample import Sample, Text
from mmdata.core.step import Drop, Map
from mmdata.engine.check import check
from mmdata.errors import ConfigError
from mmdata.kernels.text.private import NATIONAL, USUAL
from mmdata.source.files import Files
from mmdata.testing.contracts.steps import Case, StepContract

ENGLISH = Text("The house on the hill was sold to a family from the city last summer.")


class TestTextSteps(StepContract):
    @pytest.fixture(
        params=[
            Case(RemoveHidden(), Text("a\u200bb\x00"), unchanged=Text("ab")),
            Case(RemoveCharacters(kinds=("punctuation",)), Text("a, b"), Text("a b"),
                 others={"kinds": ("digits",), "longest_run": 2}),
            Case(RemoveCharacters(longest_run=2), Text("a!!!!"), Text("a!!"), others={"kinds": ("digits",)}),
            Case(KeepLetters(), Text("1234 a"), others={"scripts": ("LATIN",)}),
            Case(ReplacePattern(pattern=r"(\d)\d", by=r"\1"), Text("12"), Text("1")),
            Case(HtmlToText(), Text("<p>a"), Text("a"), others={"skip": ("nav",)}),
            Case(MarkdownToText(), Text("# a"), Text("a")),
            Case(RedactPrivate(), Text("a@b.org"), Text("nobody"), others={"kinds": ("email",)}),
            Case(DropListedWords(words=("free",)), Text("Free!"), others={"words": ("x",), "file": __file__}),
            Case(RemoveWords(words=("red",)), Text("a red disc"), Text("a disc"),
                 others={"words": ("x",), "file": __file__, "stop_words": "en"}),
            Case(RemoveWords(stop_words="en"), Text("the disc"),
                 others={"words": ("x",), "file": __file__, "stop_words": "de"}),
            Case(KeepLanguage(languages=("en",)), ENGLISH, others={"languages": ("de",)}),
            Case(TellLanguage(), Sample("k", {"text": ENGLISH})),
            Case(TellLanguage(), Sample("k", {}), Sample("k", {"image": Text("no text part")})),
            Case(KeepWordCount(max_words=9), Text("one"), others={"max_words": 8}),
            Case(RemoveRepeatedRuns(n_words=2), Text("a b c a b"), unchanged=Text("a b c a")),
            Case(RemoveRepeatedLines(), Text("a line of text\n" * 2), Text("a\na")),
        ],
        ids=str,
    )  # fmt: skip
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def mapped(step: Map[Text, Text], text: str) -> str:
    result = step.map(Text(text))
    return result.reason if isinstance(result, Drop) else result.text


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("tab\tline\nend\r", "tab\tline\nend\r"),
        ("nul\x00 esc\x1b del\x7f c1\x85", "nul esc del c1"),
        ("a\u202eb\u2066c\u200fd\u061c", "abcd"),
        ("so\u00adft zero\u200bwidth \ufeffbom word\u2060joiner", "soft zerowidth bom wordjoiner"),
        ("می\u200cخواهم क्\u200dष 👩\u200d🚀", "می\u200cخواهم क्\u200dष 👩\u200d🚀"),
        ("\u200da \u200cb c\u200d d\u200c", "a b c d"),
        ("tag\U000e0061", "tag"),
        ("שלום e\u0301", "שלום e\u0301"),
        ("\ud800", "\ud800"),
    ],
)
def test_what_nobody_sees_is_taken_out(text: str, kept: str) -> None:
    assert mapped(RemoveHidden(), text) == kept


def test_each_kind_of_hidden_characters_is_a_setting() -> None:
    text = "\x00\u202e\u200b"
    assert mapped(RemoveHidden(controls=False), text) == "\x00"
    assert mapped(RemoveHidden(directions=False), text) == "\u202e"
    assert mapped(RemoveHidden(invisible=False), text) == "\u200b"
    assert mapped(RemoveHidden(controls=False), "a\x00") == "a\x00"


@pytest.mark.parametrize(
    ("settings", "text", "kept"),
    [
        ({"kinds": ("punctuation",)}, "a, b! ¿c? 「d」 $5", "a b c d $5"),
        ({"kinds": ("symbols",)}, "a+b = €5 😀 →", "ab  5  "),
        ({"kinds": ("digits",)}, "a1 ٣ ½", "a  ½"),
        ({"kinds": ("marks",)}, "e\u0301 é", "e é"),
        ({"chars": "xy", "by": "-"}, "xylophone", "--lophone"),
        ({"longest_run": 3}, "no!!!!!! yes!!! ..... aaaaa", "no!!! yes!!! ... aaaaa"),
        ({"kinds": ("punctuation", "digits"), "by": " "}, "a,1", "a  "),
    ],
)
def test_characters_go_by_kind(settings: dict[str, Any], text: str, kept: str) -> None:
    assert mapped(RemoveCharacters(**settings), text) == kept


@pytest.mark.parametrize(
    ("step", "text", "reason"),
    [
        (KeepLetters(min_ratio=0.5), "ab 12", None),
        (KeepLetters(min_ratio=0.5), "a 12", "too_few_letters"),
        (KeepLetters(), "", "too_few_letters"),
        (KeepLetters(min_ratio=0), "", None),
        (KeepLetters(), "हिन्दी में", None),
        (KeepLetters(scripts=("LATIN",)), "привет мир", "too_few_letters"),
        (KeepLetters(scripts=("CYRILLIC",)), "привет мир", None),
        (KeepWordCount(min_words=2, max_words=3), "one", "too_few_words"),
        (KeepWordCount(min_words=2, max_words=3), "one two", None),
        (KeepWordCount(min_words=2, max_words=3), "one, two; three", None),
        (KeepWordCount(min_words=2, max_words=3), "one two three four", "too_many_words"),
        (KeepWordCount(), "...", "too_few_words"),
        (DropListedWords(words=("free",)), "carefree", None),
        (DropListedWords(words=("free",)), "It's FREE!", "listed_words"),
        (DropListedWords(words=("free",), max_count=1), "free", None),
        (DropListedWords(words=("free", "win big"), max_count=1), "free: Win, big", "listed_words"),
        (DropListedWords(words=("win big",)), "big win", None),
        (KeepLanguage(languages=("en",)), ENGLISH.text, None),
        (KeepLanguage(languages=("de",)), ENGLISH.text, "other_language"),
        (
            KeepLanguage(languages=("de", "fr")),
            "Das Haus auf dem Hügel wurde im Sommer an eine Familie verkauft.",
            None,
        ),
        (KeepLanguage(languages=("ru",)), "Дом на холме был продан прошлым летом.", None),
        (KeepLanguage(), ENGLISH.text, None),
        (KeepLanguage(), "", "unsure_language"),
        (KeepLanguage(min_confidence=0), "12 \ud800", None),
        (KeepLanguage(min_confidence=1.0), "house Haus maison", "unsure_language"),
    ],
)
def test_texts_are_kept_or_dropped(step: Any, text: str, reason: str | None) -> None:
    assert step.keep(Text(text)) == (True if reason is None else Drop(reason))


def test_language_is_told_of_a_text_that_no_other_step_decodes(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "a.txt").write_text(ENGLISH.text, "utf-8")
    pipeline = Pipeline(source=Files(root=str(tmp_path / "in"), parts={"text": "{stem}.txt"}), ingest=(TellLanguage(),))
    assert api.run(pipeline, store=str(tmp_path / "out"), executor="inline").counts.stored == 1
    assert api.open(str(tmp_path / "out")).sample("in/a").meta["language"] == "en"
    with pytest.raises(ConfigError, match=r"ingest\[0\]: there is no part 'txt' here"):
        check(replace(pipeline, ingest=(TellLanguage(part="txt"),)))


def test_language_is_written_into_metadata() -> None:
    told = TellLanguage().map(Sample("k", {"text": ENGLISH}, {"label": "x"}))
    assert isinstance(told, Sample)
    assert (told.meta["language"], told.meta["label"]) == ("en", "x")
    assert 0.8 < told.meta["language_confidence"] <= 1
    odd = TellLanguage().map(Sample("k", {"text": Text("\0\n...")}))
    assert isinstance(odd, Sample)
    assert (odd.meta["language"], odd.meta["language_confidence"]) == ("", 0.0)


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("plain < text & more", "plain < text & more"),
        ("<p>One<p>Two", "One\n\nTwo"),
        ("a <b>b</b><i> c</i>d", "a b cd"),
        ("<div>a<div>b</div></div>c", "a\nb\nc"),
        ("a<br><br>b", "a\n\nb"),
        ("<ul><li>a<li>b</ul>", "a\nb"),
        ("<table><tr><td>1<td>2<tr><td>3</table>", "1\t2\n3"),
        ("<pre>a\n  b</pre>", "a\n  b"),
        ("<script>x</script><style>y</style><title>z</title>w", "w"),
        ("<!-- no -->yes", "yes"),
        ("&lt;b&gt; &eacute;&#x41;&nbsp;!", "<b> éA !"),
        ("<nav>menu</nav><p>text", "menu\n\ntext"),
        ("שלום <b>e\u0301</b>", "שלום e\u0301"),
    ],
)
def test_pages_become_what_is_read_on_them(html: str, text: str) -> None:
    assert mapped(HtmlToText(), html) == text


def test_parts_of_a_page_may_be_skipped_and_long_pages_dropped() -> None:
    assert mapped(HtmlToText(skip=("nav",)), "<nav>menu<p>more</nav><p>text") == "text"
    assert mapped(HtmlToText(max_chars=3), "abc") == "abc"
    assert mapped(HtmlToText(max_chars=3), "abcd") == "too_long"
    assert mapped(HtmlToText(), "lone \ud800") == "lone ?"
    assert mapped(HtmlToText(), "<b>" * 100_000 + "x") == "x"


@pytest.mark.parametrize(
    ("markdown", "text"),
    [
        ("", ""),
        ("# Title\nSome *words*, `code` and **more**.", "Title\n\nSome words, code and more."),
        ("[a link](http://x.org) ![a picture](p.png)", "a link a picture"),
        ("- one\n- two\n  - three\n\nend", "one\ntwo\nthree\n\nend"),
        ("|a|b|\n|-|-|\n|1|2|", "a\tb\n1\t2"),
        ("```py\nx = 1\n\ny\n```", "x = 1\n\ny"),
        ("soft\nbreak", "soft break"),
        ("hard  \nbreak", "hard\nbreak"),
        ("> quoted", "quoted"),
        ("1 < 2 & 3", "1 < 2 & 3"),
        ("<div>in <b>html</b></div>", "in html"),
        ("~~gone~~", "gone"),
    ],
)
def test_markdown_loses_its_signs(markdown: str, text: str) -> None:
    assert mapped(MarkdownToText(), markdown) == text
    assert mapped(MarkdownToText(max_chars=1), "ab") == "too_long"


def test_words_are_taken_out_with_the_blank_before_them(tmp_path: Path) -> None:
    words = tmp_path / "words.txt"
    words.write_text("# colours\nred\n\ndark blue\n", "utf-8")
    step = RemoveWords(file=str(words))
    assert mapped(step, "A red disc, a RED ring, a dark blue bar, blue") == "A disc, a ring, a bar, blue"
    assert mapped(RemoveWords(stop_words="en"), "The house is on the hill") == " house hill"
    before = step.fingerprint()
    words.write_text("green\n", "utf-8")
    assert step.fingerprint() != before
    assert mapped(step, "A red, a green") == "A red, a"
    moved = tmp_path / "moved.txt"
    moved.write_text("green\n", "utf-8")
    assert RemoveWords(file=str(moved)).fingerprint() == step.fingerprint()


def test_unknown_stop_words_are_named() -> None:
    with pytest.raises(ValueError, match="no list of stop words for 'tlh'; there are af, "):
        RemoveWords(stop_words="tlh").map(Text("a"))


@pytest.mark.parametrize("step", [RemoveWords, DropListedWords, RemoveCharacters, ReplacePattern])
def test_a_step_without_anything_to_do_is_refused(step: type) -> None:
    with pytest.raises(ValueError, match=r"there are no words|there is nothing to remove|pattern is empty"):
        step()


def test_a_wrong_pattern_is_refused() -> None:
    with pytest.raises(ValueError, match=r"pattern '\(' is no regular expression: missing \)"):
        ReplacePattern(pattern="(")


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("a long enough line\nother\na long enough line ", "a long enough line\nother"),
        ("short\nshort", "short\nshort"),
        ("ten chars.\nten chars.", "ten chars."),
        ("nine char\nnine char", "nine char\nnine char"),
        ("", ""),
    ],
)
def test_repeated_lines_are_taken_out_but_for_the_first(text: str, kept: str) -> None:
    assert mapped(RemoveRepeatedLines(), text) == kept


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("", ""),
        ("a b c d", "a b c d"),
        ("a b c x a b c y", "a b c x y"),
        ("a b c  A B\tC y", "a b c  y"),
        ("a b c a b", "a b c a b"),
        ("a b c a b c", "a b c"),
        ("a b c a b c a b c a b", "a b c"),
        ("a a a a a a a", "a a a"),
        ("a b c\nx\na b c\n\ny", "a b c\nx\n\ny"),
        ("a b\nc\nx a b c\ny", "a b\nc\nx\ny"),
        ("x a b c y a b c z", "x a b c y z"),
        ("a b c, d a b c", "a b c, d a b c"),
        ("e\u0301 b c e\u0301 b c \ud800", "e\u0301 b c \ud800"),
    ],
)
def test_repeated_runs_of_words_are_taken_out_but_for_the_first(text: str, kept: str) -> None:
    assert mapped(RemoveRepeatedRuns(n_words=3), text) == kept


@given(st.lists(st.sampled_from("abc"), max_size=24), st.integers(2, 4))
def test_no_run_is_left_twice_where_it_was_taken_out(words: list[str], n: int) -> None:
    runs = [tuple(words[at : at + n]) for at in range(len(words) - n + 1)]
    goes = {place for at, run in enumerate(runs) if runs.index(run) + n <= at for place in range(at, at + n)}
    left = [word for place, word in enumerate(words) if place not in goes]
    assert mapped(RemoveRepeatedRuns(n_words=n), " ".join(words)).split() == left


def pieces(step: SplitText, text: str) -> dict[str, str]:
    found = step.split(Sample("k", {"text": Text(text), "other": Text("kept")}))
    assert not isinstance(found, Drop)
    assert all(piece.parts["other"] == Text("kept") for piece in found)
    return {piece.key: piece.parts["text"].text for piece in found if isinstance(piece.parts["text"], Text)}


def test_texts_are_split_after_sentences_and_at_blanks() -> None:
    text = "One is here. Two is there. Three."
    assert pieces(SplitText(max_chars=33), text) == {"k": text}
    assert pieces(SplitText(max_chars=28), text) == {"k@0-26": "One is here. Two is there.", "k@26-33": "Three."}
    assert pieces(SplitText(max_chars=10), text)["k@0-7"] == "One is"
    assert pieces(SplitText(max_chars=3), "abcdefg") == {"k@0-3": "abc", "k@3-6": "def", "k@6-7": "g"}
    assert list(pieces(SplitText(by="sentences"), text).values()) == ["One is here.", "Two is there.", "Three."]
    assert pieces(SplitText(by="sentences"), "Dr. No left.") == {"k": "Dr. No left."}
    assert pieces(SplitText(by="sentences"), "It is 5 ft. tall.") == {"k": "It is 5 ft. tall."}
    assert len(pieces(SplitText(by="sentences"), "It is 5 ft. Tall.")) == 2
    assert pieces(SplitText(by="sentences"), "这是。那是。") == {"k@0-3": "这是。", "k@3-6": "那是。"}
    assert pieces(SplitText(max_chars=2), "") == {"k": ""}
    assert pieces(SplitText(max_chars=2), "     ") == {"k": "     "}


def test_a_sample_without_text_is_not_split() -> None:
    sample = Sample("k", {})
    assert SplitText().split(sample) == [sample]


@given(st.text(alphabet="ab .!\n", max_size=80), st.integers(1, 12))
def test_pieces_are_short_and_lose_no_letter(text: str, most: int) -> None:
    found = pieces(SplitText(max_chars=most), text)
    if len(text) > most:
        assert all(len(piece) <= most for piece in found.values()) or not text.strip()
    assert "".join("".join(found.values()).split()) == "".join(text.split())


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("Mail a.b+c@mail.example.org.", "Mail <EMAIL>."),
        ("no@dot, @x.org, a@-b.org", "no@dot, @x.org, a@-b.org"),
        ("https://me:secret@x.org/p and ftp://me@x.org", "https://<CREDENTIALS>@x.org/p and ftp://<CREDENTIALS>@x.org"),
        ("https://x.org/@me", "https://x.org/@me"),
        ("call +49 30 901820 or (555) 123-4567", "call <PHONE> or <PHONE>"),
        ("555-123-4567, 1-800-555-1234; +4930901820", "<PHONE>, <PHONE>; <PHONE>"),
        ("01 23 45 67 89 and 030/9018-20", "<PHONE> and <PHONE>"),
        ("in 2024, on 2024-01-02 or 01.02.2024", "in 2024, on 2024-01-02 or 01.02.2024"),
        ("pi is 3.14159265358979 and 0.12 0.15", "pi is 3.14159265358979 and 0.12 0.15"),
        ("4111 1111 1111 1111 and 4111111111111111", "<CARD> and <CARD>"),
        ("3782-822463-10005", "<CARD>"),
        ("4111 1111 1111 1112", "4111 1111 1111 1112"),
        ("0000 0000 0000 0000", "0000 0000 0000 0000"),
        ("to DE89 3704 0044 0532 0130 00 now", "to <IBAN> now"),
        ("GB82WEST12345698765432", "<IBAN>"),
        ("DE88370400440532013000", "DE88370400440532013000"),
        ("DE89370400440532013001", "DE89370400440532013001"),
        ("at 192.168.0.1, not 192.168.0.256", "at <IP>, not 192.168.0.256"),
        ("fe80::1ff:fe23:4567:890a and 12:30:45", "<IP> and 12:30:45"),
        ("v1.2.3.4", "v1.2.3.4"),
        ("std::string a::b", "std::string a::b"),
        ("", ""),
        ("١٢٣٤ \ud800 שלום", "١٢٣٤ \ud800 שלום"),
    ],
)
def test_private_data_are_replaced_by_their_kind(text: str, found: str) -> None:
    assert mapped(RedactPrivate(), text) == found


@pytest.mark.parametrize(
    ("kind", "right", "wrong"),
    [
        ("us_ssn", "123-45-6789", "000-45-6789"),
        ("us_ssn", "899-45-6789", "900-45-6789"),
        ("uk_nino", "AB 12 34 56 C", "GB 12 34 56 C"),
        ("es_dni", "12345678Z", "12345678A"),
        ("es_dni", "X1234567L", "X1234567A"),
        ("fr_nir", "2 55 08 14 168 025 38", "2 55 08 14 168 025 39"),
        ("it_cf", "RSSMRA85T10A562S", "RSSMRA85F10A562S"),
    ],
)
def test_national_numbers_are_found_on_request(kind: Any, right: str, wrong: str) -> None:
    step = RedactPrivate(kinds=(kind,), by="[{kind}]")
    assert mapped(step, f"no. {right}.") == f"no. [{kind.upper()}]."
    assert mapped(step, f"no. {wrong}.") == f"no. {wrong}."
    assert kind.upper() not in mapped(RedactPrivate(by="[{kind}]"), f"no. {right}.")


@given(st.lists(st.sampled_from(["a@b.org", "+4930901820", "10.0.0.1", "4111111111111111", "word", "12"]), max_size=8))
def test_what_was_replaced_is_not_found_again(words: list[str]) -> None:
    once = mapped(RedactPrivate(), " ".join(words))
    assert mapped(RedactPrivate(), once) == once
    assert len(re.findall("<[A-Z]+>", once)) == len([word for word in words if word not in ("word", "12")])


HOSTILE = [
    "a",
    "1",
    "1 ",
    "+1",
    "+1 ",
    "(0",
    "a@",
    "a.",
    "@",
    ":",
    "://",
    "a1:",
    "AA11 ",
    "1.",
    "0-",
    "\u200d",
    "!",
    " ",
    "\n",
    "a. ",
    "。",
]


@pytest.mark.timeout(60)
@pytest.mark.parametrize("unit", HOSTILE, ids=ascii)
def test_no_text_takes_time_that_grows_faster_than_it(unit: str) -> None:
    """A pattern that is quadratic would take minutes."""
    text = unit * (300_000 // len(unit))
    every = (*USUAL, *NATIONAL)
    steps: list[Map[Text, Text]] = [
        RedactPrivate(kinds=every), RemoveHidden(), RemoveCharacters(kinds=("symbols",), longest_run=3),
        RemoveWords(words=("zebra", "a zebra")), RemoveRepeatedLines(),
        RemoveRepeatedRuns(),
    ]  # fmt: skip
    for step in steps:
        mapped(step, text)
    pieces(SplitText(max_chars=1000), text)
    assert DropListedWords(words=("zebra",)).keep(Text(text)) is True


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        (KeepLanguage, {"min_confidence": 1.1}),
        (KeepLetters, {"min_ratio": -0.1}),
        (RedactPrivate, {"kinds": ["shoe_size"]}),
        (RemoveCharacters, {"longest_run": 0}),
        (SplitText, {"max_chars": 0}),
        (RemoveRepeatedLines, {"min_chars": 0}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(step).validate_python(settings)


def test_bounds_that_keep_nothing_are_refused() -> None:
    with pytest.raises(ValueError, match=r"max_words \(2\) is below min_words \(3\)"):
        KeepWordCount(min_words=3, max_words=2)
