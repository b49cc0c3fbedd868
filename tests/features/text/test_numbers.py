from __future__ import annotations

import math
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.clean.text import RedactPrivate
from mmdata.core.sample import Text
from mmdata.features.text import PrivateCounts, Readability, TextMeasures
from mmdata.kernels.text.measures import syllables
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract


class TestNumbers(StepContract):
    @pytest.fixture(
        params=[
            Case(TextMeasures(), caption(1)),
            Case(TextMeasures(), Text("")),
            Case(TextMeasures(), Text("\ud800 שלום e\u0301\n")),
            Case(Readability(), caption(2)),
            Case(Readability(), Text("")),
            Case(PrivateCounts(), Text("a@b.org"), others={"kinds": ("email",)}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def measures(text: str) -> dict[str, float]:
    return {name: float(value) for name, value in TextMeasures().extract(Text(text)).items()}


def test_measures_of_a_known_text() -> None:
    text = "Ab ab, 12!\nOne more. Two."
    found = measures(text)
    assert (found["lines"], found["sentences"]) == (2, 3)
    assert found["word_chars"] == pytest.approx((2 + 2 + 2 + 3 + 4 + 3) / 6)
    assert found["unique"] == pytest.approx(5 / 6)
    solid = "".join(text.split())
    assert found["letters"] == pytest.approx(14 / len(solid))
    assert found["capitals"] == pytest.approx(3 / len(solid))
    assert found["digits"] == pytest.approx(2 / len(solid))
    assert found["punctuation"] == pytest.approx(4 / len(solid))
    assert found["compression"] == pytest.approx(len(zlib.compress(text.encode(), 6)) / len(text))


def test_an_empty_text_has_zeros_and_a_compression_of_one() -> None:
    assert measures("") == dict.fromkeys(measures(""), 0.0) | {"compression": 1.0}


def test_repetition_compresses_and_variety_has_entropy() -> None:
    assert measures("abc " * 500)["compression"] < 0.05
    assert measures("aaaa")["entropy"] == 0
    assert measures("abcd")["entropy"] == 2
    assert measures("שלום")["entropy"] == 2


@given(st.text(max_size=60))
def test_measures_stay_in_their_bounds(text: str) -> None:
    found = measures(text)
    for name in ("unique", "letters", "capitals", "digits", "punctuation"):
        assert 0 <= found[name] <= 1
    assert 0 <= found["entropy"] <= math.log2(max(len(set(text)), 1)) + 1e-5
    assert all(np.isfinite(value) for value in found.values())


def test_readability_is_that_of_the_formulas() -> None:
    # 6 words, 1 sentence, 17 letters, 6 syllables
    found = {name: float(value) for name, value in Readability().extract(Text("The cat sat on the mat.")).items()}
    assert found["flesch"] == pytest.approx(206.835 - 1.015 * 6 - 84.6, abs=1e-3)
    assert found["flesch_kincaid"] == pytest.approx(0.39 * 6 + 11.8 - 15.59, abs=1e-3)
    assert found["ari"] == pytest.approx(4.71 * 17 / 6 + 0.5 * 6 - 21.43, abs=1e-3)
    assert found["coleman_liau"] == pytest.approx(5.88 * 17 / 6 - 29.6 / 6 - 15.8, abs=1e-3)


def test_longer_words_and_sentences_are_harder() -> None:
    easy = Readability().extract(Text("I see a dog. It can run. We like it."))
    hard = Readability().extract(
        Text("Interdisciplinary considerations necessitate comprehensive methodological reflection")
    )
    assert easy["flesch"] > hard["flesch"] + 50
    assert easy["ari"] < hard["ari"] - 10


@pytest.mark.parametrize(
    ("word", "n"),
    [
        *(("a", 1), ("cat", 1), ("make", 1), ("table", 2), ("houses", 2), ("jumped", 1), ("wanted", 2), ("the", 1)),
        *(("readability", 5), ("x", 1)),
    ],
)
def test_syllables_are_groups_of_vowels(word: str, n: int) -> None:
    assert syllables(word) == n


def test_private_things_are_counted_before_and_after_redaction() -> None:
    text = Text("a@b.org, c@d.org or +4930901820; 10.0.0.1")
    after = RedactPrivate().map(text)
    assert isinstance(after, Text)
    for each in (text, after):
        counts = {name: int(count) for name, count in PrivateCounts().extract(each).items()}
        assert counts == {"credentials": 0, "email": 2, "iban": 0, "card": 0, "ip": 1, "phone": 1}
    assert int(PrivateCounts(by="").extract(after)["email"]) == 0
