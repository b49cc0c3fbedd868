"""Words with times, moved with their sound."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.align.speech import TrimTranscript, Word, WordTimes, heard, words_of
from mmdata.align.speech.words import to_source, words_meta
from mmdata.align.timeline import WordTrack
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.spans import TimeMap
from mmdata.core.step import Drop
from mmdata.errors import DataError
from mmdata.testing.contracts.steps import Case, StepContract

WORDS = [Word("one", 0.5, 1.0, 0.9), Word("two,", 1.0, 1.5, 0.8), Word("three", 2.0, 3.0, 0.7)]


def clip(seconds: float = 4.0, clock: TimeMap | None = None) -> Audio:
    return Audio(np.zeros((1, round(seconds * 1000)), np.float32), 1000, clock)


def sample(audio: Audio, words: object = None) -> Sample:
    listed = words_meta(WORDS) if words is None else words
    return Sample("k", {"audio": audio, "text": Text("one two, three")}, {"words": listed, "words_score": -0.25})


class TestWordTimes(StepContract):
    @pytest.fixture(params=[None, TimeMap.identity(4).cut(Fraction(3, 4), 4)], ids=["whole", "cut"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        clock: TimeMap | None = request.param
        return Case(WordTimes(), sample(clip(4.0 if clock is None else 3.25, clock)))


class TestTrimTranscript(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(TrimTranscript(), sample(clip().cut(0, 1600)), unchanged=sample(clip()))


class TestWordTrack(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(WordTrack(), sample(clip()))


def test_times_are_those_of_the_clip_as_it_is() -> None:
    times = WordTimes().extract(sample(clip().cut(1000, 4000)))
    assert times["number"].tolist() == [1, 2]
    assert times["start_s"].tolist() == [0.0, 1.0]
    assert times["end_s"].tolist() == [0.5, 2.0]
    np.testing.assert_allclose(times["confidence"], [0.8, 0.7])
    assert times["score"] == -0.25


def test_half_a_word_is_one_where_so_much_must_be_left() -> None:
    cut = clip().cut(750, 4000)
    assert WordTimes(min_left=0.5).extract(sample(cut))["number"].tolist() == [0, 1, 2]
    assert WordTimes(min_left=0.51).extract(sample(cut))["number"].tolist() == [1, 2]


def test_what_is_played_twice_is_heard_twice_and_what_is_cut_out_of_a_word_is_gone() -> None:
    whole = TimeMap.identity(4)
    twice = whole.cut(0, Fraction(3, 2)).followed_by(whole.cut(1, Fraction(3, 2)))
    assert [(n, w.start_s, w.end_s) for n, w in heard(WORDS, clip(2, twice))] == [
        (0, 0.5, 1.0), (1, 1.0, 1.5), (1, 1.5, 2.0),
    ]  # fmt: skip
    holed = whole.cut(0, Fraction(9, 4)).followed_by(whole.cut(Fraction(11, 4), 4))
    assert [(n, w.start_s, w.end_s) for n, w in heard(WORDS, clip(3.5, holed))][-1] == (2, 2.0, 2.5)


def test_phones_go_along() -> None:
    word = Word("ab", 1.0, 2.0, 1.0, (("A", 1.0, 1.5), ("B", 1.5, 2.0)))
    ((_, moved),) = heard([word], clip(2, TimeMap.identity(4).stretched(2)))
    assert moved == Word("ab", 0.5, 1.0, 1.0, (("A", 0.5, 0.75), ("B", 0.75, 1.0)))


@settings(deadline=None, max_examples=100)
@given(
    start=st.integers(0, 2000), length=st.integers(100, 2000),
    speed=st.sampled_from([Fraction(1, 2), Fraction(9, 10), Fraction(3, 2)]),
    at=st.integers(0, 1000), size=st.integers(1, 500),
)  # fmt: skip
def test_the_way_to_the_source_and_back_is_the_way_one_came(
    start: int, length: int, speed: Fraction, at: int, size: int
) -> None:
    clock = TimeMap.identity(4).cut(Fraction(start, 1000), Fraction(start + length, 1000)).stretched(speed)
    audio = clip(float(clock.length_s), clock)
    most = min(audio.duration_s, float(clock.length_s))  # a clip is of whole samples
    begin = min(at / 1000, most)
    end = min(begin + size / 1000, most)
    if end - begin < 0.002:
        return
    word = Word("w", *to_source(audio, begin, end))
    ((_, back),) = heard([word], audio)
    assert [back.start_s, back.end_s] == pytest.approx([begin, end], abs=1e-5)


def test_a_transcript_says_what_is_left() -> None:
    found = TrimTranscript().map(sample(clip().cut(900, 4000)))
    assert isinstance(found, Sample)
    assert found.parts["text"] == Text("two, three")
    assert [word.text for word in words_of(found)] == ["two,", "three"]
    assert words_of(found)[0].start_s == 1.0  # still on the clock of the source
    assert TrimTranscript().map(sample(clip().cut(3100, 4000))) == Drop("no_words_left")


def test_a_track_says_which_word_is_said() -> None:
    track = WordTrack(hop_s=0.25).extract(sample(clip().cut(250, 3750)))
    assert track.tolist() == [-1, 0, 0, 1, 1, -1, -1, 2, 2, 2, 2, -1, -1, -1]


@pytest.mark.parametrize(
    "words",
    [
        3, [3], [{"text": "a"}], [{"text": "a", "start_s": 2, "end_s": 1}], [{"text": "a", "start_s": "x", "end_s": 1}],
        [{"text": "a", "start_s": float("nan"), "end_s": 1}], [{"text": "a", "start_s": 0, "end_s": 1, "phones": [1]}],
    ],
)  # fmt: skip
def test_metadata_of_another_form_is_named(words: Any) -> None:
    with pytest.raises(DataError, match="metadata 'words' must list words"):
        WordTimes().extract(sample(clip(), words))


def test_missing_words_say_which_step_makes_them() -> None:
    with pytest.raises(DataError, match=r"align\.speech\.AlignSpeech"):
        WordTimes().extract(Sample("k", {"audio": clip()}))
    with pytest.raises(DataError, match="no sound 'audio'"):
        WordTimes().extract(Sample("k", {}, {"words": []}))


def test_no_words_give_empty_rows() -> None:
    times = WordTimes().extract(Sample("k", {"audio": clip()}, {"words": []}))
    assert [times[name].shape for name in ("start_s", "end_s", "confidence", "number")] == [(0,)] * 4
    assert np.isnan(times["score"])
