"""Transcripts put on the clock of their sound, and those that don't fit."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest

from mmdata.align.speech import AlignSpeech, WordTimes
from mmdata.core.packages import missing_packages
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.step import Drop
from mmdata.errors import ConfigError
from mmdata.kernels.audio import resample
from mmdata.testing.contracts.steps import Case, StepContract
from tests.align.speech.conftest import Said

pytestmark = pytest.mark.skipif(bool(missing_packages("align")), reason="needs the extra align")
Clips = Callable[[str], Said]


class TestAlignSpeech(StepContract):
    @pytest.fixture
    def case(self, said: Clips) -> Case:
        return Case(
            AlignSpeech(phones=True), said("market").sample, unchanged=Sample("k", {"text": Text("no sound")}),
            others={"model": "elsewhere", "revision": "main", "min_score": -2.0},
        )  # fmt: skip

    def test_every_setting_changes_the_fingerprint(self, case: Case) -> None:
        """All but the model's name, as there is none here by another one: its files count (test_ctc.py)."""
        before = case.step.fingerprint()
        for name, value in {"min_score": -2.0, "window_s": 20.0, "phones": False, "words": "said", "text": "t"}.items():
            assert replace(case.step, **{name: value}).fingerprint() != before  # type: ignore[arg-type]


def aligned(sample: Sample, **settings: object) -> Sample:
    found = AlignSpeech(**settings).map(sample)  # type: ignore[arg-type]
    assert isinstance(found, Sample), found
    return found


@pytest.mark.parametrize("name", ["miller", "market"])
def test_words_are_where_they_are_said(said: Clips, name: str) -> None:
    clip = said(name)
    words = aligned(clip.sample).meta["words"]
    assert " ".join(word["text"] for word in words) == clip.text
    off = [abs(word["start_s"] - start) for word, start in zip(words, clip.starts_s, strict=True)]
    off += [abs(word["end_s"] - end) for word, end in zip(words, clip.ends_s, strict=True)]
    assert np.median(off) < 0.03
    assert max(off) < 0.2
    assert all(0 < word["confidence"] <= 1 for word in words)
    assert all(a["end_s"] <= b["start_s"] for a, b in pairwise(words))


def test_phones_fill_their_words(said: Clips) -> None:
    for word in aligned(said("market").sample, phones=True).meta["words"]:
        phones = word["phones"]
        assert (phones[0][1], phones[-1][2]) == (word["start_s"], word["end_s"])
        assert all(a[2] == b[1] for a, b in pairwise(phones))
    assert [name for name, _, _ in phones][:3] == ["F", "R", "AY"]
    assert "phones" not in aligned(said("market").sample).meta["words"][0]


@pytest.mark.parametrize(
    ("transcript", "reason"),
    [
        ("", "no_transcript"), (" \n - [laughs] ... ", "no_transcript"), ("Привет, мир", "unpronounceable"),
        ("fresh bread 日本", "unpronounceable"), ("Nothing of what is written here was ever said.", "does_not_fit"),
        ("word " * 400, "too_short"), ("word " * 300_000, "too_short"), ("a" * 100_000, "unpronounceable"),
        ("1" * 100_000, "unpronounceable"),
    ],
)  # fmt: skip
def test_transcripts_that_can_not_be_aligned_say_why(said: Clips, transcript: str, reason: str) -> None:
    sample = said("market").sample.with_part("text", Text(transcript))
    assert AlignSpeech().map(sample) == Drop(reason)


def test_each_of_two_clips_refuses_the_transcript_of_the_other(said: Clips) -> None:
    for one, other in (("market", "miller"), ("miller", "market")):
        swapped = said(one).sample.with_part("text", Text(said(other).text))
        assert AlignSpeech().map(swapped) == Drop("does_not_fit")
        score = aligned(swapped, min_score=-1000.0).meta["words_score"]
        assert score < aligned(said(one).sample).meta["words_score"] - 1


@pytest.mark.parametrize(
    ("samples", "reason"),
    [
        (np.zeros((1, 16_000)), "silent"), (np.zeros((1, 0)), "silent"), (np.zeros((2, 100)), "silent"),
        (np.full((1, 16_000), np.nan), "not_finite"), (np.full((1, 16_000), np.inf), "not_finite"),
        (np.full((1, 16_000), 1e38), "not_finite"),
        (np.full((1, 200), 0.5), "too_short"), (np.random.default_rng(0).normal(0, 0.1, (1, 32_000)), "does_not_fit"),
    ],
)  # fmt: skip
def test_sounds_without_speech_say_why(samples: np.ndarray, reason: str) -> None:
    sample = Sample("k", {"audio": Audio(samples.astype(np.float32), 16_000), "text": Text("hello there everybody")})
    assert AlignSpeech().map(sample) == Drop(reason)


def test_samples_without_sound_or_text_pass_by(silence: Audio) -> None:
    for parts in ({"audio": silence}, {"text": Text("hello")}):
        sample = Sample("k", dict(parts))
        assert AlignSpeech().map(sample) is sample


def test_other_rates_and_channels_are_heard_alike(said: Clips) -> None:
    clip = said("market")
    stereo = np.repeat(resample(clip.audio.samples, from_hz=16_000, to_hz=44_100), 2, axis=0)
    words = aligned(clip.sample.with_part("audio", Audio(stereo, 44_100))).meta["words"]
    before = aligned(clip.sample).meta["words"]
    for word, was in zip(words, before, strict=True):
        assert word["start_s"] == pytest.approx(was["start_s"], abs=0.021)


def test_the_result_of_a_clip_does_not_hang_on_the_one_before(said: Clips) -> None:
    first = aligned(said("market").sample)
    aligned(said("miller").sample)
    assert aligned(said("market").sample).meta == first.meta


def trimmed_and_faster(audio: Audio) -> Audio:
    """Without its first 0.9 s, and then played 1.25 times as fast, as a tape would."""
    cut = audio.cut(14_400, audio.n_samples)
    wave = resample(cut.samples, from_hz=20_000, to_hz=16_000)
    return cut.changed(wave, time_map=cut.clock.stretched(Fraction(cut.n_samples, wave.shape[1])))


def test_words_are_carried_through_trims_and_speeds_before_and_after(said: Clips) -> None:
    clip = said("market")
    moved = trimmed_and_faster(clip.audio)
    after = aligned(clip.sample).with_part("audio", moved)
    late = clip.sample.with_part("audio", moved).with_part("text", Text("bread at the market every Friday."))
    before = aligned(late, min_score=-1000.0)
    times = WordTimes().extract(after)
    assert times["number"].tolist() == list(range(3, 9))
    expected = (np.array(clip.starts_s[3:]) - 0.9) / 1.25
    np.testing.assert_allclose(times["start_s"], expected, atol=0.1)
    source = [word["start_s"] for word in before.meta["words"]]
    np.testing.assert_allclose(source, clip.starts_s[3:], atol=0.2)  # faster speech sounds higher: less exact


def test_a_model_that_is_not_there_is_named() -> None:
    with pytest.raises(ConfigError, match="there is no such file"):
        AlignSpeech(model="./nowhere").fingerprint()
