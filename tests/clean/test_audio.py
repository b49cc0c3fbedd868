"""Cleaning sound: what is mended, what is dropped, and where time went."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.audio import KeepDuration, MixDown, NormalizeLoudness, Resample, TrimSilence
from mmdata.core.sample import Audio
from mmdata.core.step import Drop
from mmdata.kernels.loudness import loudness_lufs, true_peak
from mmdata.testing.build import click_track, noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract


def joined(*clips: Audio) -> Audio:
    return Audio(np.concatenate([clip.samples for clip in clips], axis=1), clips[0].rate_hz)


def mended(result: Audio | Drop) -> Audio:
    assert isinstance(result, Audio)
    return result


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(MixDown(), noise(channels=2), unchanged=noise()),
            Case(Resample(rate_hz=8000), tone(channels=2), unchanged=tone(rate_hz=8000)),
            Case(TrimSilence(), joined(silence(0.5), tone(0.5), silence(0.1)), unchanged=tone()),
            Case(TrimSilence(), silence()),
            Case(NormalizeLoudness(), tone(), unchanged=tone(hz=1000, level_db=-20)),
            Case(NormalizeLoudness(), silence()),
            Case(KeepDuration(min_s=0.5), tone(), others={"max_s": 2.0}),
            Case(KeepDuration(min_s=2), tone(), others={"max_s": 3.0}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def test_channels_are_mixed_to_their_mean() -> None:
    left, right = tone(hz=300).samples, tone(hz=500).samples
    mixed = mended(MixDown().map(Audio(np.concatenate([left, right]), 16000)))
    np.testing.assert_allclose(mixed.samples, (left + right) / 2, atol=1e-7)


@pytest.mark.parametrize("rate_hz", [5000, 8000, 22050, 48000])
def test_a_tone_keeps_pitch_and_length_at_another_rate(rate_hz: int) -> None:
    sound = mended(Resample(rate_hz=16000).map(tone(1.0, 440, rate_hz)))
    assert (sound.rate_hz, sound.samples.shape) == (16000, (1, 16000))
    np.testing.assert_allclose(sound.samples[0, 800:-800], tone(1.0, 440).samples[0, 800:-800], atol=1e-4)


def test_resampling_keeps_the_time_map() -> None:
    cut = tone(2.0, rate_hz=8000).cut(8000, 16000)
    assert mended(Resample(rate_hz=16000).map(cut)).clock == cut.clock


@pytest.mark.parametrize("channels", [1, 2])
@pytest.mark.parametrize("rate_hz", [8000, 44100])
def test_silence_is_cut_from_both_ends_and_the_time_map_says_where(channels: int, rate_hz: int) -> None:
    inner = noise(0.5, rate_hz, channels)
    sound = mended(TrimSilence().map(joined(silence(0.25, rate_hz, channels), inner, silence(0.75, rate_hz, channels))))
    assert float(sound.clock.to_source(0) or 0) == pytest.approx(0.25, abs=0.01)
    assert sound.duration_s == pytest.approx(0.5, abs=0.02)
    first = round((Fraction(1, 4) - (sound.clock.to_source(0) or 0)) * rate_hz)
    np.testing.assert_array_equal(sound.samples[:, first : first + inner.n_samples], inner.samples)


def test_one_loud_channel_is_enough() -> None:
    quiet, loud = silence(1.0).samples, joined(silence(0.5), tone(0.5)).samples
    sound = mended(TrimSilence().map(Audio(np.concatenate([quiet, loud]), 16000)))
    assert (sound.n_samples, sound.clock.to_source(0)) == (8000, Fraction(1, 2))


def test_silence_inside_is_kept() -> None:
    clicks = click_track(2.0, 60)
    sound = mended(TrimSilence().map(clicks))
    assert sound.clock.to_source(0) == 0
    assert sound.duration_s == 1.01


@pytest.mark.parametrize(("level_db", "kept"), [(-47.1, True), (-46.9, True), (-47.9, False)])
def test_the_floor_is_of_the_mean_square(level_db: float, kept: bool) -> None:
    """A sine's mean square is 3.01 dB below its peak; 100 Hz is one whole period a frame."""
    result = TrimSilence(floor_db=-50.5).map(tone(hz=100, level_db=level_db))
    assert result == Drop("silent") if not kept else isinstance(result, Audio)


@pytest.mark.parametrize(("margin_s", "start_s", "length_s"), [(0.0, 0.5, 0.5), (0.1, 0.4, 0.7), (9.0, 0, 1.5)])
def test_a_margin_stays_where_there_is_so_much(margin_s: float, start_s: float, length_s: float) -> None:
    sound = mended(TrimSilence(margin_s=margin_s).map(joined(silence(0.5), noise(0.5), silence(0.5))))
    assert sound.clock.to_source(0) == Fraction(str(start_s))
    assert sound.duration_s == pytest.approx(length_s)


@pytest.mark.parametrize("n_samples", [0, 1, 159, 160, 161])
def test_a_silent_clip_of_any_length_is_dropped(n_samples: int) -> None:
    assert TrimSilence().map(Audio(np.zeros((2, n_samples), np.float32), 16000)) == Drop("silent")


@pytest.mark.parametrize("n_samples", [1, 159, 161, 325])
def test_a_loud_clip_of_any_length_stays_whole(n_samples: int) -> None:
    audio = Audio(np.ones((1, n_samples), np.float32), 16000)
    assert TrimSilence().map(audio) is audio


@given(
    before=st.integers(0, 3000),
    length=st.integers(1, 3000),
    after=st.integers(0, 3000),
    rate=st.sampled_from([50, 8000]),
)
@settings(deadline=None)
def test_trimming_loses_no_sound_and_trims_to_a_frame(before: int, length: int, after: int, rate: int) -> None:
    samples = np.concatenate([np.zeros(before), np.ones(length), np.zeros(after)]).astype(np.float32)[None]
    sound = mended(TrimSilence(floor_db=-90).map(Audio(samples, rate)))
    assert sound.samples.sum() == length
    assert sound.n_samples < length + 2 * max(1, rate // 100)
    assert TrimSilence(floor_db=-90).map(sound) is sound or sound.n_samples > length


@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
@pytest.mark.parametrize("seconds", [0.1, 0.39, 0.4, 3.0])
@pytest.mark.parametrize("level_db", [-45.0, -10.0])
def test_loudness_becomes_the_target(rate_hz: int, seconds: float, level_db: float) -> None:
    sound = mended(NormalizeLoudness(target_lufs=-20).map(noise(seconds, rate_hz, level_db=level_db)))
    assert loudness_lufs(sound.samples, rate_hz=rate_hz) == pytest.approx(-20, abs=0.01)


def test_one_gain_is_all_that_changes() -> None:
    before = noise(1.0, channels=2, level_db=-30)
    after = mended(NormalizeLoudness().map(before))
    gains = after.samples / before.samples
    np.testing.assert_allclose(gains, gains[0, 0], rtol=1e-5)


@pytest.mark.parametrize("level_db", [-30.0, 0.0, 12.0])
def test_the_true_peak_stays_below_its_limit(level_db: float) -> None:
    clicks = click_track(3.0, 30, click_s=0.005)
    clicks = clicks.changed(clicks.samples * np.float32(10 ** (level_db / 20)))
    sound = mended(NormalizeLoudness(target_lufs=-5, max_peak_db=-3).map(clicks))
    assert 20 * np.log10(true_peak(sound.samples, rate_hz=16000)) == pytest.approx(-3, abs=1e-3)
    assert loudness_lufs(sound.samples, rate_hz=16000) < -5


@pytest.mark.parametrize(("off_lu", "same"), [(0.0, True), (0.09, True), (-0.09, True), (0.11, False), (-0.11, False)])
def test_a_clip_near_enough_is_left_alone(off_lu: float, same: bool) -> None:
    clip = mended(NormalizeLoudness(target_lufs=-23 + off_lu, tolerance_lu=0).map(noise(2.0, level_db=-40)))
    assert (NormalizeLoudness().map(clip) is clip) == same


def test_a_clip_near_enough_but_too_high_is_turned_down() -> None:
    clip = mended(NormalizeLoudness(target_lufs=-12, max_peak_db=-0.95).map(click_track(3.0, 30, click_s=0.005)))
    sound = mended(NormalizeLoudness(target_lufs=-12, max_peak_db=-1.0).map(clip))
    assert 20 * np.log10(true_peak(sound.samples, rate_hz=16000)) == pytest.approx(-1, abs=1e-3)


@pytest.mark.parametrize("clip", [silence(), silence(0.0), silence(0.1), tone(hz=1000, level_db=-90)])
def test_what_the_gate_does_not_hear_is_dropped(clip: Audio) -> None:
    assert NormalizeLoudness().map(clip) == Drop("silent")


@given(level_db=st.floats(-60, 0), target=st.floats(-40, -5), seed=st.integers(0, 9), seconds=st.floats(0.01, 1.5))
@settings(deadline=None, max_examples=40)
def test_a_second_time_changes_nothing(level_db: float, target: float, seed: int, seconds: float) -> None:
    step = NormalizeLoudness(target_lufs=target)
    once = mended(step.map(noise(seconds, level_db=level_db, seed=seed)))
    assert step.map(once) is once


@pytest.mark.parametrize(
    ("seconds", "expected"),
    [
        (0.0, Drop("too_short")),
        (0.9999, Drop("too_short")),
        (1.0, True),
        (2.0, True),
        (2.0001, Drop("too_long")),
    ],
)
def test_both_bounds_of_a_duration_are_kept(seconds: float, expected: object) -> None:
    assert KeepDuration(min_s=1, max_s=2).keep(silence(seconds)) == expected


@pytest.mark.parametrize(
    ("step", "expected"),
    [(KeepDuration(), True), (KeepDuration(min_s=6), Drop("too_short")), (KeepDuration(max_s=4), Drop("too_long"))],
)
def test_a_bound_that_is_not_given_binds_nothing(step: KeepDuration, expected: object) -> None:
    assert step.keep(silence(5)) == expected


@given(seconds=st.floats(0, 5), low=st.floats(0, 5), high=st.floats(0, 5))
def test_a_clip_is_kept_exactly_when_within_the_bounds(seconds: float, low: float, high: float) -> None:
    low, high = min(low, high), max(low, high)
    clip = silence(seconds)
    assert (KeepDuration(min_s=low, max_s=high).keep(clip) is True) == (low <= clip.duration_s <= high)


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (Resample, {"rate_hz": 0}, "greater than 0"),
        (TrimSilence, {"floor_db": 1}, "less than or equal to 0"),
        (TrimSilence, {"floor_db": -100.5}, "greater than or equal to -100"),
        (TrimSilence, {"margin_s": -1}, "greater than or equal to 0"),
        (NormalizeLoudness, {"target_lufs": 1}, "less than or equal to 0"),
        (NormalizeLoudness, {"target_lufs": -71}, "greater than or equal to -70"),
        (NormalizeLoudness, {"max_peak_db": 0.1}, "less than or equal to 0"),
        (NormalizeLoudness, {"tolerance_lu": -0.1}, "greater than or equal to 0"),
        (KeepDuration, {"min_s": -1}, "greater than or equal to 0"),
        (KeepDuration, {"min_s": 2, "max_s": 1}, "min_s must not be greater than max_s: 2.0 > 1.0"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
