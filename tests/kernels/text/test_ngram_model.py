from __future__ import annotations

import itertools
import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from mmdata.kernels.text import ngram_model as module
from mmdata.kernels.text.ngram_model import NgramModel, ngram_model

ARPA = """made by hand

\\data\\
ngram 1=6
ngram 2=5
ngram 3=2

\\1-grams:
-1.0\t<unk>
-99\t<s>\t-0.5
-0.7\t</s>
-0.6\tthe\t-0.3
-0.9\tcat\t-0.2
-1.2\tsat\t-0.1

\\2-grams:
-0.2\t<s> the\t-0.15
-0.4\tthe cat\t-0.25
-0.5\tcat sat\t-0.35
-0.3\tsat </s>
-0.8\tsat the

\\3-grams:
-0.1\t<s> the cat
-0.05\tcat sat </s>

\\end\\
"""


def model(folder: Path, text: str = ARPA) -> NgramModel:
    (folder / "model.arpa").write_text(text, "utf-8", "surrogateescape")
    return ngram_model(str(folder / "model.arpa"))


@pytest.mark.parametrize(
    ("line", "scores"),
    [
        # <s> the; <s> the cat; the cat sat is not there: backs off by that of "the cat"; cat sat </s>
        ("the cat sat", [-0.2, -0.1, -0.25 - 0.5, -0.05]),
        # <s> cat is not there: back-off of <s>; "cat the": of "cat"; "the sat" with "cat the": of "the" alone
        ("cat the sat", [-0.5 - 0.9, -0.2 - 0.6, -0.3 - 1.2, -0.3]),
        # an unknown word backs off what stood before, and leaves nothing to go on
        ("the zebra sat", [-0.2, -0.15 - 0.3 - 1.0, -1.2, -0.3]),
        ("sat the", [-0.5 - 1.2, -0.8, -0.3 - 0.7]),
        # marks that stand in a text are unknown words
        ("</s> <s> <unk>", [-0.5 - 1.0, -1.0, -1.0, -0.7]),
        ("", [-0.5 - 0.7]),
    ],
)
def test_scores_are_those_of_the_definition(tmp_path: Path, line: str, scores: list[float]) -> None:
    found, known = model(tmp_path).scores([line.split()])
    np.testing.assert_allclose(found, scores, atol=1e-6)
    assert known.tolist() == [*(word in ("the", "cat", "sat") for word in line.split()), True]


def test_a_perplexity_counts_the_end_of_each_line(tmp_path: Path) -> None:
    lines = [["the", "cat", "sat"], [], ["sat", "zebra"]]
    perplexity, unknown = model(tmp_path).perplexity(lines)
    total = -0.2 - 0.1 - 0.25 - 0.5 - 0.05 + (-0.5 - 1.2) + (-0.1 - 1.0) - 0.7
    assert math.isclose(perplexity, 10 ** (-total / 7), rel_tol=1e-6)
    assert unknown == 1 / 5
    assert model(tmp_path).perplexity([[], []]) == (0.0, 0.0)
    assert model(tmp_path).perplexity([]) == (0.0, 0.0)


def test_a_word_that_a_model_has_no_sign_for_is_next_to_impossible(tmp_path: Path) -> None:
    without = ARPA.replace("-1.0\t<unk>\n", "").replace("ngram 1=6", "ngram 1=5")
    scores, known = model(tmp_path, without).scores([["the", "zebra", "sat"]])
    np.testing.assert_allclose(scores, [-0.2, -0.15 - 0.3 - 100, -1.2, -0.3], atol=1e-5)
    assert known.tolist() == [True, False, True, True]


def test_long_texts_are_looked_up_in_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    lines = [["the", "cat", "sat"], ["cat"], ["sat", "the", "cat"]] * 9
    whole = model(tmp_path).perplexity(lines)
    monkeypatch.setattr(module, "MOST_WORDS", 4)
    np.testing.assert_allclose(model(tmp_path).perplexity(lines), whole, rtol=1e-12)


def by_definition(grams: dict[tuple[str, ...], tuple[float, float]], words: list[str], n: int) -> list[float]:
    """The recursion as it is written down, a word at a time."""

    def score(word: str, before: tuple[str, ...]) -> float:
        if (*before, word) in grams:
            return grams[*before, word][0]
        return grams.get(before, (0.0, 0.0))[1] + score(word, before[1:])

    line = ["<s>", *words, "</s>"]
    return [score(word, tuple(line[max(0, at - n + 1) : at])) for at, word in enumerate(line) if at]


@settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=25)
@given(st.data(), st.integers(1, 3))
def test_any_model_scores_by_the_definition(tmp_path: Path, data: st.DataObject, n: int) -> None:
    numbers = st.floats(-5, 0, width=16)
    grams: dict[tuple[str, ...], tuple[float, float]] = {}
    letters = ["<s>", "</s>", "a", "b", "c"]
    for order in range(1, n + 1):
        shorter = [gram for gram in grams if len(gram) == order - 1]
        longer = [(*gram, word) for gram in shorter for word in letters] if order > 1 else [(word,) for word in letters]
        for gram in longer:
            if order == 1 or data.draw(st.booleans()):
                grams[gram] = data.draw(numbers), data.draw(numbers)
    by_order = {order: [gram for gram in grams if len(gram) == order] for order in range(1, n + 1)}
    text = "\\data\\\n" + "".join(f"ngram {order}={len(found)}\n" for order, found in by_order.items())
    for order, found in by_order.items():
        rows = [f"{grams[gram][0]!r} {' '.join(gram)} {grams[gram][1]!r}\n" for gram in reversed(found)]
        text += f"\n\\{order}-grams:\n" + "".join(rows)
    lines = data.draw(st.lists(st.lists(st.sampled_from(["a", "b", "c"]), max_size=6), min_size=1, max_size=4))
    found_scores, _ = model(tmp_path, f"{text}\\end\\\n").scores(lines)
    wanted = itertools.chain.from_iterable(by_definition(grams, line, n) for line in lines)
    np.testing.assert_allclose(found_scores, list(wanted), atol=1e-5)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        (ARPA, "", "is no ARPA file, or is cut off"),
        (ARPA, "\0\xff" * 9, "is no ARPA file, or is cut off"),
        ("\\end\\\n", "", "ends without"),
        ("\\end", "\\fin", r"line 27: expected \\end\\, found"),
        ("ngram 2=5", "ngram 2=4", r"expected \\3-grams:, found b'-0.8"),
        ("ngram 2=5", "ngram 2=99999999999999999999", "line 23: expected a number, 2 words and perhaps a number"),
        ("ngram 2=5", "ngram 3=5", "expected ngram 2=NUMBER, found b'ngram 3=5'"),
        ("ngram 2=5", "ngram 2=-5", "expected ngram 2=NUMBER"),
        ("ngram 1=6\nngram 2=5\nngram 3=2\n", "", "line 3: expected n-grams of 1 to at most 16 words, found 0"),
        ("\\2-grams:", "\\1-grams:", r"expected \\2-grams:, found"),
        ("-0.2\t<s> the\t-0.15", "-0.2\t<s>", "expected a number, 2 words and perhaps a number"),
        ("-0.2\t<s> the", "nan\t<s> the", "expected the logarithm of a probability, found b'nan'"),
        ("-0.2\t<s> the", "0.2\t<s> the", "expected the logarithm of a probability, found b'0.2'"),
        ("-0.2\t<s> the\t-0.15", "-0.2\t<s> the\tinf", "expected the logarithm of a probability, found b'inf'"),
        ("<s> the\t", "<s> dog\t", "the word 'dog' is not among those of one word"),
        ("sat the", "sat </s>", "a 2-gram above stands there twice"),
        ("-0.9\tcat", "-0.9\tthe", "a 1-gram above stands there twice"),
        ("-0.1\t<s> the cat", "-0.1\tthe sat cat", "a 3-gram above has a beginning that the model lacks"),
        ("-99\t<s>", "-99\t<x>", "there is no <s> or no </s>"),
        ("\tcat\t", f"\t{'x' * 70_000}\t", "line 13: is longer than 65536 bytes"),
    ],
)
def test_damaged_and_hostile_models_are_refused(tmp_path: Path, old: str, new: str, message: str) -> None:
    assert old in ARPA
    with pytest.raises(ValueError, match=message):
        model(tmp_path, ARPA.replace(old, new, 1))


def test_a_model_that_is_cut_anywhere_is_refused(tmp_path: Path) -> None:
    for end in range(0, len(ARPA) - 1, 5):
        with pytest.raises(ValueError, match=r"model\.arpa"):
            model(tmp_path, ARPA[:end])


def test_words_of_any_bytes_are_told_apart(tmp_path: Path) -> None:
    odd = ARPA.replace("cat", "\udcff").replace("sat", "\udcfe")
    assert len(model(tmp_path, odd).words) == 6
