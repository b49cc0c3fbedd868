"""Pieces between silences, and between what is no speech: where they were, and what they are called."""

from __future__ import annotations

from collections.abc import Sequence
from fractions import Fraction
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.audio import KeepSpeech, SplitOnSilence, SplitOnSpeech, TrimToSpeech
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.step import Drop
from mmdata.testing.build import noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 16_000


def row(*pieces: float, rate_hz: int = RATE_HZ, channels: int = 1) -> Audio:
    """Stretches of so many seconds, silent and loud in turn, silence first."""
    clips = [(noise if place % 2 else silence)(seconds, rate_hz, channels) for place, seconds in enumerate(pieces)]
    return Audio(np.concatenate([clip.samples for clip in clips], axis=1), rate_hz)


def of(audio: Audio) -> Sample:
    return Sample("k", {"audio": audio, "text": Text("words")}, {"lang": "en"})


def pieces_of(step: SplitOnSilence | SplitOnSpeech, sample: Sample) -> Sequence[Sample]:
    found = step.split(sample)
    assert not isinstance(found, Drop)
    return found


def sound(sample: Sample) -> Audio:
    audio = sample.parts["audio"]
    assert isinstance(audio, Audio)
    return audio


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(SplitOnSilence(), of(row(0.5, 1.0, 0.8, 0.5)), unchanged=None, others={"max_piece_s": 0.5}),
            Case(SplitOnSilence(), of(silence()), others={"max_piece_s": 0.5}),
            Case(SplitOnSpeech(), of(silence()), others={"threshold": 0.6}),
            Case(TrimToSpeech(), tone(), others={"threshold": 0.6}),
            Case(KeepSpeech(), noise(0.5, 44100, 2), others={"threshold": 0.6, "min_share": 0.1}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        pytest.importorskip("onnxruntime")
        case: Case = request.param
        return case


@pytest.mark.parametrize("rate_hz", [8000, 44100])
@pytest.mark.parametrize("channels", [1, 2])
def test_pieces_know_where_they_were(rate_hz: int, channels: int) -> None:
    whole = row(0.5, 1.0, 0.8, 0.5, 0.6, rate_hz=rate_hz, channels=channels)
    found = pieces_of(SplitOnSilence(margin_s=0), of(whole))
    assert [piece.key for piece in found] == ["k@0.500-1.500", "k@2.300-2.800"]
    for piece, (start_s, length_s) in zip(found, [(0.5, 1.0), (2.3, 0.5)], strict=True):
        assert (piece.parent, piece.parts["text"], piece.meta) == ("k", Text("words"), {"lang": "en"})
        audio = sound(piece)
        assert float(audio.clock.to_source(0) or 0) == pytest.approx(start_s, abs=0.011)
        assert audio.duration_s == pytest.approx(length_s, abs=0.021)
        first = round((audio.clock.to_source(0) or 0) * rate_hz)
        np.testing.assert_array_equal(audio.samples, whole.samples[:, first : first + audio.n_samples])


@pytest.mark.parametrize(("gap_s", "n_pieces"), [(0.48, 1), (0.5, 2), (0.6, 2)])
def test_a_short_pause_does_not_divide(gap_s: float, n_pieces: int) -> None:
    found = pieces_of(SplitOnSilence(min_silence_s=0.5), of(row(0.2, 0.5, gap_s, 0.5, 0.2)))
    assert len(found) == n_pieces


@pytest.mark.parametrize(("loud_s", "n_pieces"), [(0.09, 1), (0.1, 2)])
def test_a_short_piece_is_left_out(loud_s: float, n_pieces: int) -> None:
    found = pieces_of(SplitOnSilence(min_piece_s=0.1), of(row(0.6, loud_s, 0.6, 0.5, 0.6)))
    assert len(found) == n_pieces


def test_margins_meet_in_the_middle_and_stop_at_the_ends() -> None:
    found = pieces_of(SplitOnSilence(margin_s=9), of(row(0.3, 0.5, 0.8, 0.5, 0.2)))
    assert [piece.key for piece in found] == ["k@0.000-1.200", "k@1.200-2.300"]


def test_a_clip_without_silence_stays_itself() -> None:
    whole = of(noise())
    assert pieces_of(SplitOnSilence(), whole) == [whole]
    part = Sample("k", {"text": Text("no sound")})
    assert pieces_of(SplitOnSilence(), part) == [part]
    assert pieces_of(SplitOnSpeech(), part) == [part]


def test_a_long_piece_is_cut_where_it_is_quietest() -> None:
    loud = noise(3.0, level_db=-10).samples.copy()
    loud[:, 24000:25600] *= 0.02  # from 1.5 s for 0.1 s: quiet, but no silence
    found = pieces_of(SplitOnSilence(max_piece_s=2.0, margin_s=0), of(Audio(loud, RATE_HZ)))
    assert len(found) == 2
    assert 1.5 <= sound(found[0]).duration_s <= 1.6


@pytest.mark.parametrize("audio", [silence(), silence(0.0), Audio(np.zeros((2, 1), np.float32), 1)])
def test_what_is_silent_throughout_is_dropped(audio: Audio) -> None:
    assert SplitOnSilence().split(of(audio)) == Drop("silent")


@given(
    lengths=st.lists(st.integers(1, 120), min_size=1, max_size=9),
    margin=st.integers(0, 60),
    most=st.one_of(st.none(), st.integers(40, 90)),
)
@settings(deadline=None, max_examples=50)
def test_no_sound_is_lost_or_there_twice(lengths: list[int], margin: int, most: int | None) -> None:
    """Hundredths of a second, silent and loud in turn."""
    whole = row(*(length / 100 for length in lengths), rate_hz=1000)
    step = SplitOnSilence(
        min_silence_s=0.2, min_piece_s=0, margin_s=margin / 100, max_piece_s=None if most is None else most / 100
    )
    found = step.split(of(whole))
    loud = float(np.abs(whole.samples).sum())
    if isinstance(found, Drop):
        assert loud == 0
        return
    assert len({piece.key for piece in found}) == len(found)
    assert sum(float(np.abs(sound(piece).samples).sum()) for piece in found) == pytest.approx(loud, rel=1e-4)
    ends = [(sound(piece).clock.to_source(0) or Fraction(0), sound(piece).clock.length_s) for piece in found]
    assert all(start + length <= after for (start, length), (after, _) in pairwise(ends))
    if most is not None:
        assert max(length for _, length in ends) <= Fraction(most + 2 * margin, 100)


@pytest.fixture(scope="module")
def prompt(prompts: Path) -> Audio:
    """A sentence of the prompts, two seconds and more."""
    import soundfile

    pytest.importorskip("silero_vad")
    path = max(sorted(prompts.rglob("*.wav"))[:60], key=lambda each: each.stat().st_size)
    wave, rate_hz = soundfile.read(path, dtype="float32")
    return Audio(wave[None, : 4 * rate_hz], rate_hz)


def padded(audio: Audio, before_s: float, after_s: float) -> Audio:
    """Speech between stretches of a loud tone, which is no speech."""
    ends = [tone(seconds, 1500, audio.rate_hz, level_db=-20).samples for seconds in (before_s, after_s)]
    return Audio(np.concatenate([ends[0], audio.samples, ends[1]], axis=1), audio.rate_hz)


@pytest.mark.corpus
def test_speech_is_told_from_other_sound(prompt: Audio) -> None:
    trimmed = TrimToSpeech(margin_s=0).map(padded(prompt, 2.0, 3.0))
    assert isinstance(trimmed, Audio)
    start = float(trimmed.clock.to_source(0) or 0)
    assert 1.9 < start < 3.0
    assert start + trimmed.duration_s < 2.0 + prompt.duration_s + 0.3
    first = round(start * prompt.rate_hz)
    np.testing.assert_array_equal(
        trimmed.samples, padded(prompt, 2.0, 3.0).samples[:, first : first + trimmed.n_samples]
    )


@pytest.mark.corpus
def test_stretches_of_speech_are_those_of_the_package_itself(prompt: Audio) -> None:
    import silero_vad
    import torch

    from mmdata.kernels.audio import resample
    from mmdata.kernels.audio.voice import speech_probability, speech_spans

    wave = resample(prompt.samples, from_hz=prompt.rate_hz, to_hz=16_000)[0]
    ours = speech_spans(speech_probability(wave), threshold=0.5, min_speech=8, min_silence=4)
    model = silero_vad.load_silero_vad(onnx=True)
    theirs = silero_vad.get_speech_timestamps(torch.from_numpy(wave), model, speech_pad_ms=0)
    assert [(first * 512, min(last * 512, wave.size)) for first, last in ours] == [
        (each["start"], each["end"]) for each in theirs
    ]


@pytest.mark.corpus
def test_two_sentences_become_two_samples(prompt: Audio) -> None:
    gap = silence(1.5, prompt.rate_hz).samples
    both = Audio(np.concatenate([prompt.samples, gap, prompt.samples], axis=1), prompt.rate_hz)
    found = pieces_of(SplitOnSpeech(min_silence_s=1.2), of(both))
    assert len(found) == 2
    assert float(sound(found[1]).clock.to_source(0) or 0) > prompt.duration_s + 0.75
    spoken = sum(sound(piece).duration_s for piece in found) / both.duration_s
    assert KeepSpeech(min_share=spoken - 0.35).keep(both) is True
    assert KeepSpeech(min_share=spoken + 0.1).keep(both) == Drop("too_little_speech")


@pytest.mark.parametrize(
    "audio",
    [silence(), silence(0.0), tone(), noise(), Audio(np.ones((1, 1), np.float32), 1), noise(0.1, 192_000, 4)],
    ids=["silence", "nothing", "tone", "noise", "one sample", "192 kHz"],
)
def test_what_is_no_speech_is_dropped(audio: Audio) -> None:
    pytest.importorskip("silero_vad")
    assert TrimToSpeech().map(audio) == Drop("no_speech")
    assert SplitOnSpeech().split(of(audio)) == Drop("no_speech")
    assert KeepSpeech().keep(audio) == Drop("too_little_speech")


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (SplitOnSilence, {"floor_db": 1}, "less than or equal to 0"),
        (SplitOnSilence, {"min_silence_s": 0}, "greater than 0"),
        (
            SplitOnSilence,
            {"max_piece_s": 0.03},
            "max_piece_s must be at least 0.04 and twice min_piece_s: 0.2 s, not 0.03",
        ),
        (SplitOnSilence, {"margin_s": -1}, "greater than or equal to 0"),
        (TrimToSpeech, {"threshold": 0}, "greater than 0"),
        (TrimToSpeech, {"threshold": 1}, "less than 1"),
        (SplitOnSpeech, {"min_speech_s": -1}, "greater than or equal to 0"),
        (KeepSpeech, {"min_share": 1.1}, "less than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
