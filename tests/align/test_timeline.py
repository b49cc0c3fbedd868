"""Timed features on one clock."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.align.speech import Word
from mmdata.align.timeline import Timeline, Track, token_times
from mmdata.core.arrays import ArraySpec

HOWS = ("hold", "mean", "max", "linear")


@settings(deadline=None, max_examples=100)
@given(
    how=st.sampled_from(HOWS), dtype=st.sampled_from(["float32", "float16", "float64", "int32", "uint8", "bool"]),
    n_rows=st.integers(0, 6), duration=st.floats(0, 3), hop=st.sampled_from([0.05, 0.1, 1 / 3]),
    shape=st.sampled_from([(), (3,), (2, 2)]),
)  # fmt: skip
def test_what_comes_has_the_promised_form(
    how: str, dtype: str, n_rows: int, duration: float, hop: float, shape: tuple[int, ...]
) -> None:
    values = np.random.default_rng(n_rows).integers(0, 2, (n_rows, *shape)).astype(dtype)
    dims = ("time", "time_of_day", "feature")[: 1 + len(shape)]
    spec = ArraySpec(dims=dims, sizes=dict(zip(dims[1:], shape, strict=True)), dtype=dtype, hop_s=0.25)
    line = Timeline(hop_s=hop, tracks={"a": how})  # type: ignore[dict-item]
    if dtype == "bool" and how in ("mean", "linear"):
        values = values.astype("uint8")
    specs, found = line.specs({"a": spec}), line.of({"a": Track.every(values, 0.25)}, duration_s=duration)
    assert list(found) == list(specs) == ["a", "a.mask"]
    assert {name: specs[name].fault(array) for name, array in found.items()} == {"a": None, "a.mask": None}
    assert specs["a"].hop_s == hop
    assert len({len(array) for array in found.values()}) == 1


def test_features_of_several_rates_meet() -> None:
    line = Timeline(hop_s=0.5, tracks={"mfcc": "mean", "frames": "hold", "words": "max", "pitch": "linear"})
    found = line.of(
        {
            "mfcc": Track.every(np.arange(8.0)[:, None], 0.25),
            "frames": Track.at(np.array([[2], [1], [3]]), np.array([0.6, 0.0, 1.4]), end_s=2.0),
            "words": Track.between(np.array([5, 9]), np.array([0.1, 0.2]), np.array([0.4, 0.7])),
            "pitch": None,
        },
        duration_s=2.0,
    )
    assert found["mfcc"][:, 0].tolist() == [0.5, 2.5, 4.5, 6.5]
    assert found["frames"][:, 0].tolist() == [1, 2, 2, 3]
    assert found["words"].tolist() == [9, 9, 0, 0]
    assert found["words.mask"].tolist() == [True, True, False, False]
    assert "pitch" not in found


def test_features_shorter_than_the_clip_are_masked_at_its_end() -> None:
    line = Timeline(hop_s=0.1, tracks={"a": "hold"})
    found = line.of({"a": Track.every(np.ones(5, np.float32), 0.1)}, duration_s=0.75)
    assert found["a.mask"].tolist() == [True] * 5 + [False] * 3


def test_forms_without_rows_are_refused() -> None:
    with pytest.raises(ValueError, match="track 'a' has no form"):
        Timeline(hop_s=0.1, tracks={"a": "hold"}).specs({"b": ArraySpec(dims=("time",))})
    with pytest.raises(ValueError, match="track 'a' has no form"):
        Timeline(hop_s=0.1, tracks={"a": "hold"}).specs({"a": ArraySpec()})
    with pytest.raises(ValueError, match="2 rows and 1 moments"):
        Track.at(np.ones(2), np.ones(1), end_s=1)


WORDS = [Word("Hello", 1.0, 2.0), Word("you.", 3.0, 3.4)]
TEXT = "Hello  you."


def test_tokens_have_their_share_of_a_word() -> None:
    spans = np.array([[0, 5], [0, 2], [2, 5], [5, 7], [7, 10], [10, 11], [3, 9], [6, 9], [0, 11], [5, 5]])
    starts, ends = token_times(TEXT, WORDS, spans)
    expected = [
        (1.0, 2.0), (1.0, 1.4), (1.4, 2.0), (0, 0), (3.0, 3.3), (3.3, 3.4), (1.6, 3.2), (3.0, 3.2), (1.0, 3.4), (0, 0),
    ]  # fmt: skip
    np.testing.assert_allclose(np.stack([starts, ends], axis=1), expected)


def test_words_that_touch_in_the_text_keep_their_own_times() -> None:
    starts, ends = token_times("ab", [Word("a", 0.0, 1.0), Word("b", 5.0, 6.0)], np.array([[0, 1], [1, 2], [0, 2]]))
    assert starts.tolist() == [0.0, 5.0, 0.0]
    assert ends.tolist() == [1.0, 6.0, 6.0]


def test_tokens_without_words_are_never_said() -> None:
    starts, ends = token_times("  ", [], np.array([[0, 1]]))
    assert (starts.tolist(), ends.tolist()) == ([0.0], [0.0])
    starts, ends = token_times(TEXT, WORDS, np.empty((0, 2), int))
    assert starts.shape == ends.shape == (0,)


def test_words_of_another_transcript_are_named() -> None:
    with pytest.raises(ValueError, match=r"'you\.' does not follow"):
        token_times("you. Hello", WORDS, np.array([[0, 1]]))


@settings(deadline=None, max_examples=100)
@given(
    st.lists(st.tuples(st.text("abc", min_size=1, max_size=4), st.integers(1, 9)), min_size=1, max_size=5), st.data()
)
def test_tokens_that_split_a_text_split_its_time(pairs: list[tuple[str, int]], data: st.DataObject) -> None:
    words, at = [], 0.0
    for text, length in pairs:
        words.append(Word(text, at, at + length / 10))
        at += length / 10 + 0.1
    transcript = " ".join(text for text, _ in pairs)
    cuts = sorted(data.draw(st.sets(st.integers(0, len(transcript)), max_size=6)) | {0, len(transcript)})
    starts, ends = token_times(transcript, words, np.array(list(pairwise(cuts))))
    said = ends > starts
    assert (np.diff(starts[said]) > 0).all()
    assert (ends[said][:-1] <= starts[said][1:] + 1e-9).all()
    total = sum(word.end_s - word.start_s for word in words)
    gaps = sum(
        0.1
        for low, high in pairwise(cuts)
        for word, after in pairwise(words)
        if starts[cuts.index(low)] < word.end_s - 1e-9 and ends[cuts.index(low)] > after.start_s + 1e-9
    )
    assert (ends - starts).sum() == pytest.approx(total + gaps)
