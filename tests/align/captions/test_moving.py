"""Captions shifted, and moved to where trims, cuts and changes of speed left what they say."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata import api
from mmdata.align.captions import MoveCaptions, ShiftCaptions
from mmdata.align.captions.moving import moved
from mmdata.augment.audio import ChangeSpeed
from mmdata.clean.audio import SplitOnSilence, TrimSilence
from mmdata.config.load import load
from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio, Captions, Sample
from mmdata.core.spans import Span, TimeMap
from mmdata.core.step import Drop
from mmdata.errors import ConfigError
from mmdata.testing.build import noise, silence
from mmdata.testing.captions import CUES, captions
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 8000


def bursts(*spans: tuple[float, float], seconds: float = 6.0) -> Audio:
    """Noise in the spans, given in seconds, and silence elsewhere."""
    samples = silence(seconds, RATE_HZ).samples.copy()
    for place, (start_s, end_s) in enumerate(spans):
        loud = noise(end_s - start_s, RATE_HZ, seed=place).samples
        samples[:, round(start_s * RATE_HZ) : round(end_s * RATE_HZ)] = loud
    return Audio(samples, RATE_HZ)


def told(part: object) -> list[tuple[int, int, str]]:
    assert isinstance(part, Captions)
    return [(cue.start_ms, cue.end_ms, cue.text) for cue in part.cues]


SAID = captions((1000, 2000, "one"), (3000, 4000, "two"), (4500, 5000, "three"))
SPOKEN = bursts((1, 2), (3, 4), (4.5, 5))


class TestShiftCaptions(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        return Case(ShiftCaptions(offset_s=0.5, rate=1.25), captions())


class TestMoveCaptions(StepContract):
    @pytest.fixture
    def case(self) -> Case:
        cut = SPOKEN.cut(RATE_HZ, 5 * RATE_HZ)
        return Case(
            MoveCaptions(),
            Sample("k", {"audio": cut, "captions": SAID}),
            unchanged=Sample("k", {"audio": SPOKEN, "captions": SAID}),
            others={"captions": "words", "onto": "video"},
        )


def test_what_captions_are_moved_onto_has_to_be_there(tmp_path: Path) -> None:
    file = tmp_path / "p.yaml"
    source = 'source: {use: source.files.Files, parts: {video: "{stem}.mp4", captions: "{stem}.srt"}}'
    file.write_text(f"{source}\ningest: [align.captions.MoveCaptions]\n")
    with pytest.raises(ConfigError, match="there is no part 'audio' here; there are 'captions', 'video'"):
        api.check(load(file, source="films"))
    file.write_text(f"{source}\ningest: [{{use: align.captions.MoveCaptions, onto: video}}]\n")
    api.check(load(file, source="films"))


@pytest.mark.parametrize(
    ("step", "cues"),
    [
        (ShiftCaptions(offset_s=0.25), [(1250, 2250, "a"), (2250, 4250, "b")]),
        (ShiftCaptions(offset_s=-1.5), [(0, 500, "a"), (500, 2500, "b")]),
        (ShiftCaptions(offset_s=-2.0), [(0, 2000, "b")]),
        (ShiftCaptions(rate=25 / 24), [(1042, 2083, "a"), (2083, 4167, "b")]),
        (ShiftCaptions(rate=2, offset_s=-1), [(1000, 3000, "a"), (3000, 7000, "b")]),
    ],
)
def test_captions_are_shifted_and_stretched(step: ShiftCaptions, cues: list[tuple[int, int, str]]) -> None:
    assert told(step.map(captions((1000, 2000, "a"), (2000, 4000, "b")))) == cues


def test_nothing_to_shift_is_left_as_it_is() -> None:
    given = captions()
    assert ShiftCaptions().map(given) is given


def test_captions_follow_a_trim() -> None:
    trimmed = TrimSilence().map(SPOKEN)
    assert isinstance(trimmed, Audio)
    there = MoveCaptions().map(Sample("k", {"audio": trimmed, "captions": SAID}))
    assert isinstance(there, Sample)
    assert told(there.parts["captions"]) == [(0, 1000, "one"), (2000, 3000, "two"), (3500, 4000, "three")]
    assert MoveCaptions().map(there) is there  # it knows that they are there


def test_captions_follow_cuts_and_changes_of_speed_one_after_the_other() -> None:
    pieces = SplitOnSilence(min_silence_s=0.6, margin_s=0).split(Sample("k", {"audio": SPOKEN, "captions": SAID}))
    assert not isinstance(pieces, Drop)
    _, second = pieces
    faster = ChangeSpeed(min_speed=2, max_speed=2).map(second.parts["audio"], rng_for(0, "k"))  # type: ignore[arg-type]
    assert isinstance(faster, Audio)
    there = MoveCaptions().map(second.with_part("audio", faster))
    assert isinstance(there, Sample)
    assert told(there.parts["captions"]) == [(0, 500, "two"), (750, 1000, "three")]
    assert faster.duration_s == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize(("min_left", "cues"), [(0.5, [(0, 500, "one")]), (0.51, []), (0, [(0, 500, "one")])])
def test_too_little_of_a_caption_is_nothing(min_left: float, cues: list[tuple[int, int, str]]) -> None:
    cut = SPOKEN.cut(round(1.5 * RATE_HZ), round(2.5 * RATE_HZ))
    there = moved(SAID, cut.time_map, min_left=min_left)
    assert told(there) == cues


def test_what_plays_twice_is_said_twice_and_a_cut_within_is_closed() -> None:
    whole = TimeMap.identity(6)
    twice = whole.cut(1, 2).followed_by(whole.cut(1, 2))
    assert told(moved(SAID, twice, min_left=0.5)) == [(0, 2000, "one")]  # the two touch
    apart = whole.cut(0, 2).followed_by(whole.cut(0, 2))
    assert told(moved(SAID, apart, min_left=0.5)) == [(1000, 2000, "one"), (3000, 4000, "one")]
    gap = whole.cut(0, Fraction(5, 4)).followed_by(whole.cut(Fraction(7, 4), 6))
    assert told(moved(SAID, gap, min_left=0.5))[0] == (1000, 1500, "one")


def test_captions_of_a_sample_without_sound_stay() -> None:
    sample = Sample("k", {"captions": SAID})
    assert MoveCaptions().map(sample) is sample


@settings(deadline=None)
@given(
    start=st.integers(0, 4000), length=st.integers(1, 4000), speed=st.fractions(Fraction(1, 2), 2, max_denominator=8)
)
def test_moving_there_and_back_changes_what_was_not_cut_by_rounding_alone(
    start: int, length: int, speed: Fraction
) -> None:
    clock = TimeMap.identity(8).cut(Fraction(start, 1000), Fraction(start + length, 1000)).stretched(speed)
    there = moved(SAID, clock, min_left=1)
    back = moved(there, None, min_left=0)
    inside = [cue for cue in SAID.cues if start <= cue.start_ms and cue.end_ms <= start + length]
    assert [cue.text for cue in back.cues] == [cue.text for cue in inside]
    for cue, original in zip(back.cues, inside, strict=True):
        assert abs(cue.start_ms - original.start_ms) <= 2
        assert abs(cue.end_ms - original.end_ms) <= 2


def test_spans_go_to_the_source_and_back() -> None:
    clock = TimeMap.identity(10).cut(2, 8).stretched(2)
    assert list(clock.spans_to_source(Span.of(1, 2))) == [Span.of(4, 6)]
    assert list(clock.spans_to_source(Span.of(3, 5))) == []
    joined = clock.followed_by(TimeMap.identity(10).cut(0, 1))
    assert list(joined.spans_to_source(Span.of(2.5, 3.5))) == [Span.of(7, 8), Span.of(0, 0.5)]


def test_the_texts_of_all_cues_are_one_text() -> None:
    assert captions().text == "Hello & welcome\ntwo lines of text\nżółw <3"
    assert np.all([cue.span.length_s > 0 for cue in CUES])
