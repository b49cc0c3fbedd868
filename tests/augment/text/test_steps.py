from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.augment.text import (
    AddMisreadings,
    AddTypos,
    ChangeCase,
    DeleteWords,
    InsertWords,
    ReplaceByVectors,
    ReplaceWords,
    SwapWords,
)
from mmdata.augment.text.characters import BESIDE
from mmdata.core.rng import rng_for
from mmdata.core.sample import Text
from mmdata.core.step import RandomMap
from mmdata.errors import ConfigError
from mmdata.testing.contracts.steps import Case, StepContract

LINE = Text("A small red disc stands on the wall of a house near the old river.")
TABLE = (("small", "little", "tiny"), ("house", "building"))
STEPS: list[RandomMap[Text, Text]] = [
    SwapWords(share=0.5), DeleteWords(share=0.5), InsertWords(share=0.5), ReplaceWords(table=TABLE, share=1),
    AddTypos(share=0.5), AddMisreadings(share=0.5), ChangeCase(p=1, kinds=("upper",)),
]  # fmt: skip


class TestTextAugmentation(StepContract):
    @pytest.fixture(params=STEPS, ids=lambda step: type(step).__name__)
    def case(self, request: pytest.FixtureRequest) -> Case:
        others: dict[str, object] = {"words": ("a",), "table": (("a", "b"),), "file": __file__, "kinds": ("lower",)}
        others["kinds"] = ("extra",) if isinstance(request.param, AddTypos) else ("lower",)
        return Case(request.param, LINE, unchanged=Text(""), others=others)


def changed(step: RandomMap[Text, Text], text: str, seed: int = 0) -> str:
    result = step.map(Text(text), rng_for(seed, "augment"))
    assert isinstance(result, Text)
    return result.text


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
def test_every_step_changes_a_text_and_a_share_of_zero_changes_none(step: Any) -> None:
    assert changed(step, LINE.text) != LINE.text
    zero = type(step)(**({"p": 0} if isinstance(step, ChangeCase) else {"share": 0}), **(
        {"table": TABLE} if isinstance(step, ReplaceWords) else {}
    ))  # fmt: skip
    assert zero.map(LINE, rng_for(0, "x")) is LINE


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@given(text=st.text(max_size=40), seed=st.integers(0, 99))
def test_any_text_can_be_changed(step: Any, text: str, seed: int) -> None:
    assert isinstance(changed(step, text, seed), str)


@given(st.lists(st.sampled_from(["a", "bb", "c,"]), max_size=12), st.integers(0, 99))
def test_swapping_keeps_words_and_blanks(words: list[str], seed: int) -> None:
    text = "\n ".join(words)
    after = changed(SwapWords(share=0.7), text, seed)
    assert Counter(after.split()) == Counter(words)
    assert len(after) == len(text)


@given(st.lists(st.sampled_from(["a", "bb", "c,"]), min_size=1, max_size=12), st.integers(0, 99), st.floats(0, 1))
def test_deleting_keeps_the_order_and_one_word_at_least(words: list[str], seed: int, share: float) -> None:
    left = iter(words)
    after = changed(DeleteWords(share=share), " ".join(words), seed).split()
    assert after
    assert all(word in left for word in after)


def test_so_many_words_are_deleted_as_the_share_says() -> None:
    words = [f"word{number}" for number in range(2000)]
    n = len(changed(DeleteWords(share=0.25), " ".join(words)).split())
    assert abs(n - 1500) < 5 * np.sqrt(2000 * 0.25 * 0.75)


def test_words_are_put_in_from_the_text_or_a_list() -> None:
    after = changed(InsertWords(share=1), "one two").split()
    assert len(after) == 4
    assert after[0] == "one"
    assert set(after) <= {"one", "two"}
    assert changed(InsertWords(share=1, words=("x",)), "one\ntwo") == "one x\ntwo x"
    assert changed(InsertWords(share=1, words=("x",)), "") == ""


def test_words_are_replaced_by_those_of_their_row(tmp_path: Path) -> None:
    step = ReplaceWords(table=TABLE, share=1)
    assert changed(step, "House, (small) mouse") in ("Building, (little) mouse", "Building, (tiny) mouse")
    file = tmp_path / "table.txt"
    file.write_text("# comment\nred, scarlet\n", "utf-8")
    step = ReplaceWords(file=str(file), share=1)
    assert changed(step, "RED. Reddish red") == "Scarlet. Reddish scarlet"
    before = step.fingerprint()
    file.write_text("red, crimson\n", "utf-8")
    assert step.fingerprint() != before
    assert changed(step, "red") == "crimson"


@pytest.mark.parametrize(
    ("settings", "message"), [({}, "give table or file"), ({"table": (("a",),)}, "needs two words")]
)
def test_a_table_without_choice_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ReplaceWords(**settings)


def test_keys_lie_beside_each_other_both_ways() -> None:
    assert set(BESIDE["s"]) == set("adwezx")
    assert set(BESIDE["q"]) == set("wa")
    assert all(key in BESIDE[other] for key, near in BESIDE.items() for other in near)


@pytest.mark.parametrize(
    ("kind", "test"),
    [
        (
            "beside",
            lambda text: len(text) == 4 and all(new in BESIDE[old] for new, old in zip(text, "sing", strict=True)),
        ),
        ("extra", lambda text: len(text) == 8 and text[::2] == "sing"),
        ("missing", lambda text: text == ""),
        ("order", lambda text: sorted(text) == sorted("sing") and text != "sing"),
    ],
)
def test_each_kind_of_typo(kind: Any, test: Any) -> None:
    assert test(changed(AddTypos(share=1, kinds=(kind,)), "sing"))
    assert changed(AddTypos(share=1, kinds=(kind,)), "12 שלום é") == "12 שלום é"


def test_typos_keep_capitals() -> None:
    assert changed(AddTypos(share=1, kinds=("beside",)), "SING").isupper()


def test_print_is_misread() -> None:
    assert changed(AddMisreadings(share=1), "m O B") == "rn 0 8"
    assert changed(AddMisreadings(share=1), "שלום x") == "שלום x"
    assert (
        0 < sum(a != b for a, b in zip("e" * 1000, changed(AddMisreadings(share=0.1), "e" * 1000), strict=True)) < 200
    )


@pytest.mark.parametrize(
    ("kind", "text"), [("lower", "one two é"), ("upper", "ONE TWO É"), ("title", "One Two É"), ("swap", "oNE two é")]
)
def test_each_way_of_case(kind: Any, text: str) -> None:
    assert changed(ChangeCase(p=1, kinds=(kind,)), "One TWO É") == text


@pytest.mark.parametrize("step", [AddTypos, ChangeCase])
def test_no_kinds_are_refused(step: type) -> None:
    with pytest.raises(ValueError, match="kinds is empty"):
        step(kinds=())


@pytest.mark.parametrize("settings", [{"share": 1.1}, {"share": -0.1}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match="share"):
        TypeAdapter(DeleteWords).validate_python(settings)


@pytest.mark.parametrize("step", STEPS, ids=lambda step: type(step).__name__)
@pytest.mark.parametrize("unit", ["a ", "m", " ", ".", "small "])
def test_a_long_text_comes_to_an_end(step: Any, unit: str) -> None:
    """What takes the square of its length would be stopped by the time limit of a test."""
    assert isinstance(changed(step, unit * (300_000 // len(unit))), str)


@pytest.fixture
def table(tmp_path: Path) -> str:
    rows = ["small 1 0 0", "little 0.9 0.1 0", "Small 1 0 0", "tiny_bit 0.8 0.3 0", "house 0 1 0", "red 0 0 1"]
    (tmp_path / "glove.txt").write_text("\n".join(rows) + "\n")
    return str(tmp_path / "glove.txt")


class TestReplaceByVectors(StepContract):
    @pytest.fixture
    def case(self, table: str, tmp_path: Path) -> Case:
        (tmp_path / "other.txt").write_text("small 1 0\nlittle 1 0\n")
        others: dict[str, object] = {"file": str(tmp_path / "other.txt"), "max_words": 3}
        return Case(ReplaceByVectors(file=table, share=1), LINE, unchanged=Text("the red dog"), others=others)


def test_words_are_replaced_by_their_neighbours(table: str) -> None:
    step = ReplaceByVectors(file=table, share=1, n_nearest=1)
    assert changed(step, "A small, SMALL (Small) houses house.") == "A little, Little (Little) houses house."
    seen = {changed(ReplaceByVectors(file=table, share=1), "small", seed) for seed in range(30)}
    assert seen == {"little", "tiny bit"}
    assert changed(ReplaceByVectors(file=table, share=1, min_cosine=0.999), "small") == "small"
    assert changed(ReplaceByVectors(file=table, share=1, max_words=1), "small") == "small"
    assert changed(ReplaceByVectors(file=table, share=1, min_cosine=0), "red") != "red"


def test_a_table_that_is_none_is_a_fault_of_the_configuration(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        ReplaceByVectors(file=str(tmp_path / "none")).fingerprint()
    with pytest.raises(ConfigError, match="can't be read: No such file"):
        ReplaceWords(file=str(tmp_path / "none")).fingerprint()
    (tmp_path / "no.bin").write_bytes(b"9 300\nno table")
    with pytest.raises(ConfigError, match="is damaged: it says 9 words"):
        ReplaceByVectors(file=str(tmp_path / "no.bin")).fingerprint()


@pytest.mark.timeout(120)
def test_marks_around_a_word_take_no_time_of_their_own() -> None:
    """A pattern that tries each place of a word as its end would take hours."""
    words = "a" + "." * 1_000_000 + "a"
    assert changed(ReplaceWords(table=TABLE, share=1), f"{words} «house»") == f"{words} «building»"
