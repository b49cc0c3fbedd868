from __future__ import annotations

import subprocess
import sys
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.core.sample import Text
from mmdata.features.text import HashedNgrams, MinHash, TextLength
from mmdata.kernels.hashing import min_hashes
from mmdata.testing.build import caption
from mmdata.testing.contracts.steps import Case, StepContract

WORDS = HashedNgrams(analyzer="word", n_min=1, n_max=2)


class TestTextFeatures(StepContract):
    @pytest.fixture(
        params=[
            Case(HashedNgrams(), caption(1)),
            Case(HashedNgrams(), Text("")),
            Case(WORDS, caption(2)),
            Case(HashedNgrams(n_features=3), Text("\ud800 名前 \0")),
            Case(MinHash(), caption(4)),
            Case(MinHash(n_permutations=3), Text("")),
            Case(TextLength(), caption(3)),
            Case(TextLength(), Text("")),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def similarity(step: HashedNgrams, one: str, other: str) -> float:
    return float(step.extract(Text(one)) @ step.extract(Text(other)))


@given(st.text(max_size=50), st.sampled_from([HashedNgrams(), WORDS, HashedNgrams(n_min=1, n_max=6, n_features=7)]))
def test_every_text_gives_a_vector_of_length_one_or_zeros(text: str, step: HashedNgrams) -> None:
    counts = step.extract(Text(text))
    assert step.columns()["text.ngrams"].fault(counts) is None
    length = np.linalg.norm(counts)
    assert length == pytest.approx(1, abs=1e-5) or not counts.any()


@pytest.mark.parametrize("text", ["", " ", "...", "\n", "!?"])
def test_a_text_without_words_is_all_zeros(text: str) -> None:
    assert not HashedNgrams().extract(Text(text)).any()
    assert not WORDS.extract(Text(text)).any()


def test_case_blanks_and_punctuation_make_no_difference() -> None:
    for step in (HashedNgrams(), WORDS):
        assert similarity(step, "A red disc, on a WALL.", "a red\tdisc  on a wall") == pytest.approx(1, abs=1e-6)


def test_like_texts_are_nearer_than_others() -> None:
    for step in (HashedNgrams(), WORDS):
        near = similarity(step, "a small red disc on a table", "a large red disc on a table")
        far = similarity(step, "a small red disc on a table", "two cats sleeping near the fire")
        assert near > 0.6
        assert near > far + 0.4


def test_characters_bear_with_inflection_where_words_do_not() -> None:
    assert similarity(HashedNgrams(), "running", "runner") > 0.3
    assert similarity(WORDS, "running", "runner") == 0


def test_the_order_of_words_counts_only_for_longer_runs() -> None:
    single = HashedNgrams(analyzer="word", n_min=1, n_max=1)
    assert similarity(single, "dog bites man", "man bites dog") == pytest.approx(1)
    assert similarity(WORDS, "dog bites man", "man bites dog") < 0.7


def test_similarities_are_those_of_scikit_learn() -> None:
    from sklearn.feature_extraction.text import HashingVectorizer

    texts = [caption(seed).text for seed in range(40)]
    ours = np.stack([HashedNgrams(n_features=1 << 16).extract(Text(text)) for text in texts])
    theirs = HashingVectorizer(analyzer="char_wb", ngram_range=(2, 4), n_features=1 << 16)
    # the full stop is left out here: scikit-learn's analyzer keeps punctuation inside words
    their_counts = theirs.transform([text.rstrip(".") for text in texts]).toarray()
    # one or two collisions among a hundred n-grams
    assert np.abs(ours @ ours.T - their_counts @ their_counts.T).max() < 0.05


def test_counts_are_the_same_in_another_process() -> None:
    code = (
        "from mmdata.core.sample import Text; from mmdata.features.text import HashedNgrams; import hashlib;"
        "print(hashlib.md5(HashedNgrams().extract(Text('A red disc on the wall')).tobytes()).hexdigest())"
    )
    seen = {
        subprocess.run(
            [sys.executable, "-c", code], env={"PYTHONHASHSEED": seed}, capture_output=True, check=True
        ).stdout
        for seed in "12"
    }
    assert len(seen) == 1


def test_a_long_text_is_counted_in_seconds() -> None:
    counts = HashedNgrams().extract(Text("a small red disc on a table near the house " * 20_000))
    assert np.linalg.norm(counts) == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize(
    ("text", "chars", "words"), [("", 0, 0), ("a", 1, 1), ("A red disc.", 11, 3), ("é\n名前", 4, 2), ("👍🏽", 2, 1)]
)
def test_lengths_count_code_points_and_words(text: str, chars: int, words: int) -> None:
    assert {name: int(count) for name, count in TextLength().extract(Text(text)).items()} == {
        "chars": chars,
        "words": words,
    }
    assert list(TextLength(on="caption").columns()) == ["caption.length.chars", "caption.length.words"]


def test_n_grams_in_the_wrong_order_are_refused() -> None:
    with pytest.raises(ValueError, match=r"n_max \(2\) is below n_min \(3\)"):
        HashedNgrams(n_min=3, n_max=2)
    assert HashedNgrams(n_min=3, n_max=3).spec().item_bytes == 4096


@pytest.mark.parametrize("settings", [{"n_min": 0}, {"n_features": 1}, {"analyzer": "byte"}])
def test_settings_out_of_range_are_refused(settings: dict[str, object]) -> None:
    with pytest.raises(ValidationError, match=next(iter(settings))):
        TypeAdapter(HashedNgrams).validate_python(settings)


def jaccard(one: set[tuple[str, ...]], other: set[tuple[str, ...]]) -> float:
    return len(one & other) / len(one | other)


@given(st.integers(0, 200), st.integers(0, 10_000))
def test_equal_places_of_signatures_estimate_what_texts_share(n_common: int, seed: int) -> None:
    step = MinHash(n_words=2, n_permutations=256)
    words = [f"word{seed}x{number}" for number in range(400)]
    one, other = words[: 100 + n_common], words[100:300]
    true = jaccard(set(pairwise(one)), set(pairwise(other)))
    signatures = [step.extract(Text(" ".join(each))) for each in (one, other)]
    estimate = float((signatures[0] == signatures[1]).mean())
    assert abs(estimate - true) < 5 * 0.5 / 16  # five standard errors


def test_signatures_disregard_case_order_of_runs_and_repetition() -> None:
    step = MinHash(n_words=1)
    first = step.extract(Text("a red disc, a wall"))
    assert (step.extract(Text("WALL: disc red a")) == first).all()
    assert (step.extract(Text("a red disc")) != first).any()
    assert (MinHash(n_words=1, seed=2).extract(Text("a red disc, a wall")) != first).mean() > 0.9


@pytest.mark.parametrize(
    ("text", "same"),
    [("one two", "one two"), ("one", "ONE!"), ("one two three four five", "one, two three four five.")],
)
def test_texts_shorter_than_a_run_have_a_signature(text: str, same: str) -> None:
    assert (MinHash().extract(Text(text)) == MinHash().extract(Text(same))).all()
    assert (MinHash().extract(Text(text)) < 2**32 - 1).any()
    assert (MinHash().extract(Text(f"{text} more")) != MinHash().extract(Text(text))).any()


def test_no_words_give_the_greatest_number() -> None:
    assert (MinHash().extract(Text(" ... ")) == 2**32 - 1).all()


def test_signatures_are_those_of_plain_loops_over_many_items() -> None:
    items = np.arange(3000, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
    found = min_hashes(items, 5, seed=3)
    halves = [min_hashes(items[:1700], 5, seed=3), min_hashes(items[1700:], 5, seed=3)]
    assert (found == np.minimum(*halves)).all()
    assert found.dtype == np.uint32
