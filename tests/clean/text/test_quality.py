from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.text import KeepC4Lines, KeepFineWebQuality, KeepGopherQuality, KeepGopherRepetition
from mmdata.core.sample import Text
from mmdata.core.step import Drop, Filter
from mmdata.errors import CorpusUnavailable
from mmdata.testing.contracts.steps import Case, StepContract
from mmdata.testing.writings import digest, sampled_writings

VERDICTS = Path(__file__).with_name("verdicts.json")
STEPS = (KeepC4Lines(), KeepGopherQuality(), KeepGopherRepetition(), KeepFineWebQuality())
PROSE = "\n".join(
    f"The {thing} of the house number {number} have to be painted with {color} color, and that is all of it."
    for number, (thing, color) in enumerate(
        [
            ("door", "red"),
            ("roof", "grey"),
            ("gate", "a green"),
            ("fence", "brown"),
            ("wall", "white"),
            ("stairs", "no"),
        ]
    )
)


class TestQualitySteps(StepContract):
    @pytest.fixture(
        params=[
            Case(KeepC4Lines(), Text(f"Menu\n{PROSE}"), unchanged=Text(PROSE)),
            Case(KeepGopherQuality(), Text(PROSE), others={"stop_words": ("a",)}),
            Case(KeepGopherRepetition(), Text(PROSE), others={"top_grams": (), "repeated_grams": ((5, 0.1),)}),
            Case(KeepFineWebQuality(), Text(PROSE)),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def verdict(step: Any, text: str) -> str:
    """The reason of a drop, "" for a text that is kept."""
    result = step.keep(Text(text)) if isinstance(step, Filter) else step.map(Text(text))
    return result.reason if isinstance(result, Drop) else ""


@pytest.mark.corpus
def test_2600_real_texts_are_judged_as_by_datatrove() -> None:
    try:
        texts = list(sampled_writings().values())
    except CorpusUnavailable as error:
        pytest.skip(str(error))
    recorded = json.loads(VERDICTS.read_text("utf-8"))
    if digest(texts) != recorded["texts"]:
        pytest.skip("the corpora are of another version than the recorded verdicts")
    letters = {**recorded["reasons"], "": " "}
    for step in STEPS:
        said = [verdict(step, text) for text in texts]
        name = type(step).__name__
        wrong = [
            (n, a) for n, (a, b) in enumerate(zip(said, recorded["verdicts"][name], strict=True)) if letters[a] != b
        ]
        assert wrong == [], name
    left = [result.text for text in texts if isinstance(result := KeepC4Lines().map(Text(text)), Text)]
    assert digest(left) == recorded["left"]


def c4(text: str, **settings: Any) -> str:
    result = KeepC4Lines(min_sentences=0, **settings).map(Text(text))
    return result.reason if isinstance(result, Drop) else result.text


@pytest.mark.parametrize(
    ("line", "left"),
    [
        ("Three words here.", "Three words here."),
        ("Two words.", ""),
        ("No mark at all", ""),
        ('She said "yes and no"', 'She said "yes and no"'),
        ("Is it so now?", "Is it so now?"),
        ("And so on it goes...", ""),
        ("A claim with proof.[12]", "A claim with proof."),
        ("It is so [edit] and not.", "It is so  and not."),
        ("Please enable JavaScript to go on.", ""),
        ("We use cookies on this site.", ""),
        ("Lorem Ipsum dolor sit amet.", "lorem_ipsum"),
        ("lorem ipsum without a mark", ""),
        ("if (x) { return y; }.", "curly_bracket"),
        (f"A word of {'x' * 1000} is kept.", f"A word of {'x' * 1000} is kept."),
        (f"A word of {'x' * 1001} is not.", ""),
        ("", ""),
    ],
)
def test_c4_judges_line_by_line(line: str, left: str) -> None:
    assert c4(line) == left


@pytest.mark.parametrize(
    ("rule", "line"),
    [
        ("terminal_mark", "no mark at all"),
        ("citations", "A claim with proof [12]."),
        ("lorem_ipsum", "Some lorem ipsum dolor sit."),
        ("javascript", "Please enable JavaScript now."),
        ("curly_bracket", "A set {1} and more."),
        ("policy", "Read our privacy policy here."),
    ],
)
def test_each_rule_of_c4_can_be_switched_off(rule: str, line: str) -> None:
    assert c4(line, **{rule: False}) == line
    assert c4(line) != line


def test_c4_counts_sentences_of_what_is_left() -> None:
    four = "One is here. Two are here. Three were here. Four will be."
    assert verdict(KeepC4Lines(), four) == "too_few_sentences"
    assert verdict(KeepC4Lines(), f"{four}\nFive is in it.") == ""
    assert verdict(KeepC4Lines(), f"{four}\nmenu") == "too_few_sentences"
    assert verdict(KeepC4Lines(min_sentences=4), four) == ""


WORDS = "the of and river stone tree cloud wind water light house garden paper letter number window table green"


def words(n: int, word: str = "stone") -> str:
    return " ".join(["the", "of", *[word] * (n - 2)])


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "gopher_short_doc"),
        (words(49), "gopher_short_doc"),
        (words(50), ""),
        (words(49) + " . , !", "gopher_short_doc"),
        (words(100, "xy"), "gopher_below_avg_threshold"),
        (words(100, "xyz"), "gopher_below_avg_threshold"),
        (words(1000, "abc") + " window", ""),
        (words(100, "abcdefghij"), ""),
        (words(100, "abcdefghijkl"), "gopher_above_avg_threshold"),
        (words(89) + " #" * 9, ""),
        (words(89) + " #" * 10, "gopher_too_many_hashes"),
        (words(89) + " ..." * 9 + " stone", ""),
        (words(89) + " …" * 10, "gopher_too_many_ellipsis"),
        ("\n".join(["- " + words(12)] * 9 + [words(12)]), ""),
        ("\n".join(["• " + words(12)] * 10), "gopher_too_many_bullets"),
        ("\n".join([words(30) + "..."] * 3 + [words(30)] * 7), ""),
        ("\n".join([words(30) + " …"] * 4 + [words(30)] * 6), "gopher_too_many_end_ellipsis"),
        (words(80) + " 1234" * 20, ""),
        (words(79) + " 1234" * 21, "gopher_below_alpha_threshold"),
        ("stone the " * 40, "gopher_enough_stop_words"),
        ("stone the of " * 40, ""),
    ],
)
def test_gopher_quality_on_both_sides_of_each_bound(text: str, reason: str) -> None:
    assert verdict(KeepGopherQuality(), text) == reason


def test_gopher_quality_has_an_upper_bound_of_words() -> None:
    assert verdict(KeepGopherQuality(max_words=60), words(60)) == ""
    assert verdict(KeepGopherQuality(max_words=60), words(61)) == "gopher_long_doc"


def test_rules_that_are_none_let_all_pass() -> None:
    off = dict.fromkeys(TypeAdapter(KeepGopherQuality).json_schema()["properties"])
    del off["on"], off["stop_words"]
    for text in ("", "#", "...", "- \n- ", "1 2 3"):
        assert verdict(KeepGopherQuality(**off), text) == ""  # type: ignore[arg-type]


def different(n: int) -> list[str]:
    """So many lines that share no run of two words."""
    return [f"alpha{i} beta{i} gamma{i} delta{i} omega{i}" for i in range(n)]


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "empty"),
        ("\n".join(different(10)), ""),
        ("\n\n".join(different(6) + ["x"] * 4), ""),
        ("\n\n".join(different(6) + ["x"] * 5), "dup_para_frac"),
        ("\n\n".join(different(8) + different(3)), "dup_para_char_frac"),
        ("\n".join(different(6) + ["x"] * 4), ""),
        ("\n".join(different(6) + ["x"] * 5), "dup_line_frac"),
        ("\n".join(different(8) + different(3)), "dup_line_char_frac"),
        ("two words", "top_2_gram"),
        ("ab cd " * 3 + " ".join(different(1)), "top_2_gram"),
        ("ab cd ef " * 3 + " ".join(different(2)), "top_3_gram"),
        ("ab cd ef gh " * 3 + " ".join(different(4)), "top_4_gram"),
        (" ".join([*different(4)[:4], *different(8)[4:], *different(8)[4:]]), "duplicated_5_n_grams"),
    ],
)
def test_gopher_repetition_names_the_rule(text: str, reason: str) -> None:
    assert verdict(KeepGopherRepetition(), text) == reason


def test_n_grams_are_cut_from_a_setting_and_checked() -> None:
    text = "ab cd " * 3 + " ".join(different(3))
    assert verdict(KeepGopherRepetition(top_grams=(), repeated_grams=()), text) == ""
    assert verdict(KeepGopherRepetition(top_grams=((2, 1.0),), repeated_grams=()), text) == ""
    for wrong in ((0, 0.1), (2, 1.5), (2, -0.1)):
        with pytest.raises(ValueError, match="top_grams are pairs of n, at least 1, and a share of 0 to 1"):
            KeepGopherRepetition(top_grams=(wrong,))


@given(st.text(alphabet="ab \n.", max_size=60))
def test_gopher_repetition_counts_as_plain_loops_do(text: str) -> None:
    """The reference is datatrove's algorithm, written out without arrays."""
    words = [word for stretch in text.split() for word in _pieces(stretch)]
    step = KeepGopherRepetition(
        max_line_ratio=None, max_line_char_ratio=None, max_paragraph_ratio=None, max_paragraph_char_ratio=None,
        top_grams=((2, 0.3),), repeated_grams=((3, 0.2),),
    )  # fmt: skip
    pairs = [" ".join(words[i : i + 2]) for i in range(len(words) - 1)]
    top = max(((pairs.count(pair), -pairs.index(pair), len(pair)) for pair in pairs), default=(0, 0, 0))
    seen, place, chars = set(), 0, 0
    while place < len(words) - 2:
        gram = tuple(words[place : place + 3])
        chars, place = (chars + sum(map(len, gram)), place + 3) if gram in seen else (chars, place + 1)
        seen.add(gram)
    wanted = "top_2_gram" if top[0] * top[2] > 0.3 * len(text) else ""
    wanted = wanted or ("duplicated_3_n_grams" if chars > 0.2 * len(text) else "")
    assert verdict(step, text) == (wanted if text else "empty")


def _pieces(stretch: str) -> list[str]:
    from mmdata.kernels.text.tokens import tokenize

    return tokenize(stretch).words


def long(n: int, end: str = ".") -> list[str]:
    """Lines of more than thirty characters."""
    return [f"a line of more than thirty characters, number {i}{end}" for i in range(n)]


SHORT = [f"short {i}" for i in range(5)]
ENDLESS = [f"thisoneisanevenlongerwordthanthatotheronewas{i}!" for i in range(9)]


@pytest.mark.parametrize(
    ("lines", "reason"),
    [
        ([], "empty"),
        (["", " "], "empty"),
        (long(7, "") + long(1), ""),
        (long(8, "") + long(1), "line_punct_ratio"),
        (["thirty-one characters are there."] * 1 + long(1), ""),
        (long(3)[1:] + SHORT[:4], ""),
        (long(2) + SHORT, "short_line_ratio"),
        (long(2) + long(1), "char_dup_ratio"),
        (ENDLESS, "list_ratio"),
    ],
)
def test_fineweb_judges_lines(lines: list[str], reason: str) -> None:
    assert verdict(KeepFineWebQuality(), "\n".join(lines)) == reason


def test_fineweb_keeps_what_lies_on_the_bound() -> None:
    lines = [f"this is a line of forty characters, {number:03}." for number in range(99)]
    assert verdict(KeepFineWebQuality(), "\n".join([*lines, lines[0]])) == ""
    assert verdict(KeepFineWebQuality(), "\n".join([*lines[:98], lines[0]])) == "char_dup_ratio"


def test_fineweb_takes_marks_of_any_script_and_of_a_setting() -> None:
    chinese = "\n".join(
        f"这是一个足够长的句子，它有三十多个字符，因此它不是一个短行，请注意这一点{i}。" for i in range(4)
    )
    assert verdict(KeepFineWebQuality(max_break_ratio=9), chinese) == ""
    assert verdict(KeepFineWebQuality(max_break_ratio=9, marks="!"), chinese) == "line_punct_ratio"


@pytest.mark.parametrize(
    ("step", "settings"),
    [
        (KeepC4Lines, {"min_sentences": -1}),
        (KeepGopherQuality, {"max_bullet_ratio": 1.1}),
        (KeepGopherRepetition, {"max_line_ratio": -0.1}),
        (KeepFineWebQuality, {"short_chars": -1}),
    ],
)
def test_settings_out_of_range_are_refused(step: type, settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(step).validate_python(settings)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize(
    "text",
    [
        "\ud800",
        "\0",
        "e\u0301" * 200,
        "שלום עולם. " * 30,
        "\u202e" * 99,
        "😀" * 99,
        "." * 5000,
        "(" * 5000,
        "\n" * 5000,
        "a" * 5000,
    ],
    ids=ascii,
)
def test_odd_texts_are_kept_or_dropped(step: Any, text: str) -> None:
    assert isinstance(verdict(step, text), str)


@pytest.mark.slow
@pytest.mark.parametrize("unit", ["the stone, ", "(", "x-"])
def test_ten_megabytes_of_one_line_come_to_an_end(unit: str) -> None:
    """What takes the square of its length would be stopped by the time limit of a test."""
    for step in STEPS:
        assert isinstance(verdict(step, unit * (10_000_000 // len(unit))), str)
