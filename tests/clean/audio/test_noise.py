"""Noise, hum, clipping, offset and peaks: mended by how much, and what is left alone."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.audio import Denoise, LimitPeak, PickChannel, RemoveHum, RemoveOffset, RepairClipping
from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Map
from mmdata.kernels.audio.hum import mains_hz
from mmdata.kernels.loudness import true_peak
from mmdata.testing.build import click_track, noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 16_000


def bursts(level_db: float = -12.0) -> Audio:
    """A tone of 700 Hz that sounds for half of each second, four seconds long."""
    gate = (np.arange(4 * RATE_HZ) % RATE_HZ) < RATE_HZ // 2
    return Audio(tone(4.0, 700, level_db=level_db).samples * gate.astype(np.float32), RATE_HZ)


def humming(audio: Audio, hz: float = 50.0, level_db: float = -30.0) -> Audio:
    hum = sum(tone(audio.duration_s, hz * k, audio.rate_hz, level_db=level_db - 3 * k).samples for k in range(1, 6))
    return audio.changed(audio.samples + hum)


def clipped(audio: Audio, level: float) -> Audio:
    return audio.changed(np.clip(audio.samples, -level, level))


def off(audio: Audio, offset: float) -> Audio:
    return audio.changed(audio.samples + np.float32(offset))


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(Denoise(), noise(0.5, channels=2), unchanged=silence(), others={"reduction": 0.5}),
            Case(Denoise(moves=True), noise(0.5), others={"reduction": 0.5}),
            Case(RemoveHum(), humming(noise(2.0, level_db=-40)), unchanged=noise(2.0), others={"hum_hz": 60.0}),
            Case(RemoveHum(hum_hz=60), noise(0.1, channels=2), unchanged=silence(0.0)),
            Case(RepairClipping(), clipped(tone(channels=2), 0.3), unchanged=tone()),
            Case(RemoveOffset(), off(tone(channels=2), 0.1), unchanged=tone()),
            Case(LimitPeak(), tone(level_db=0), unchanged=tone(level_db=-6), others={"max_peak_db": -2.0}),
            Case(PickChannel(channel=1), noise(channels=2), unchanged=None),
            Case(PickChannel(channel=-1), noise(channels=3), unchanged=noise()),
            Case(PickChannel(channel=2), noise(channels=2)),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def mended(step: Map[Audio, Audio], audio: Audio) -> Audio:
    result = step.map(audio)
    assert isinstance(result, Audio)
    return result


def snr_db(clean: Audio, dirty: Audio) -> float:
    rest = dirty.samples.astype(np.float64) - clean.samples
    return float(10 * np.log10(np.mean(clean.samples.astype(np.float64) ** 2) / np.mean(rest**2)))


@pytest.mark.parametrize(("moves", "gain_db"), [(False, 10), (True, 10)])
@pytest.mark.parametrize("noise_db", [-40.0, -30.0])
def test_denoising_raises_the_ratio_of_sound_to_noise(moves: bool, gain_db: float, noise_db: float) -> None:
    clean = bursts()
    dirty = clean.changed(clean.samples + noise(4.0, level_db=noise_db).samples)
    quiet = mended(Denoise(moves=moves), dirty)
    assert snr_db(clean, quiet) > snr_db(clean, dirty) + gain_db
    assert quiet.samples.shape == dirty.samples.shape


def test_noise_that_grows_needs_a_gate_that_moves() -> None:
    """Noise that doubles: a fixed gate takes the loud half of it for sound."""
    clean, hiss = bursts(), noise(4.0, level_db=-40).samples
    dirty = clean.changed(clean.samples + hiss * np.geomspace(0.3, 10, 4 * RATE_HZ, dtype=np.float32))
    fixed, moving = mended(Denoise(), dirty), mended(Denoise(moves=True), dirty)
    assert snr_db(clean, moving) > snr_db(clean, fixed) + 1


@pytest.mark.parametrize("reduction", [0.5, 0.9])
def test_noise_alone_is_turned_down_by_the_reduction(reduction: float) -> None:
    hiss = noise(3.0)
    quiet = mended(Denoise(reduction=reduction, strength=6.0), hiss)
    inner = slice(4000, -4000)
    left = np.sqrt(np.mean(quiet.samples[:, inner] ** 2) / np.mean(hiss.samples[:, inner] ** 2))
    assert left == pytest.approx(1 - reduction, abs=0.03)


@pytest.mark.parametrize("n_samples", [1, 2, 15, 100, 1025])
@pytest.mark.parametrize("rate_hz", [1, 8000, 192_000])
@pytest.mark.parametrize("step", [Denoise(), Denoise(moves=True), RemoveHum(hum_hz=50), RemoveHum(), RepairClipping()])
def test_a_clip_of_any_length_and_rate_stays_as_long_and_finite(
    step: Map[Audio, Audio], n_samples: int, rate_hz: int
) -> None:
    audio = Audio(noise(0.2, 8000, 2).samples[:, :n_samples].copy(), rate_hz)
    sound = mended(step, audio)
    assert sound.samples.shape == (2, n_samples)
    assert sound.samples.dtype == np.float32
    assert np.isfinite(sound.samples).all()
    assert sound.clock == audio.clock


@pytest.mark.parametrize("hz", [50.0, 60.0])
@pytest.mark.parametrize("rate_hz", [8000, 44100])
def test_hum_is_found_and_taken_out(hz: float, rate_hz: int) -> None:
    clean = noise(3.0, rate_hz, level_db=-35)
    dirty = humming(clean, hz)
    assert mains_hz(dirty.samples[0], rate_hz=rate_hz) == hz
    quiet = mended(RemoveHum(), dirty)
    assert snr_db(clean, quiet) > snr_db(clean, dirty) + 8
    assert mains_hz(quiet.samples[0], rate_hz=rate_hz) is None


@pytest.mark.parametrize(
    "audio",
    [noise(2.0), tone(2.0, 440), click_track(2.0), silence(2.0), silence(0.0), humming(noise(0.4)), noise(2.0, 150)],
    ids=["noise", "tone", "clicks", "silence", "nothing", "too short to tell", "too low a rate"],
)
def test_what_does_not_hum_is_left_alone(audio: Audio) -> None:
    assert RemoveHum().map(audio) is audio


def test_a_notch_is_where_it_is_told_and_nowhere_else() -> None:
    step = RemoveHum(hum_hz=100, n_harmonics=2)
    for hz, left in ((100, 0.01), (200, 0.01), (300, 0.95), (150, 0.95)):
        sine = tone(4.0, hz)
        inner = slice(16000, -16000)
        ratio = np.abs(mended(step, sine).samples[:, inner]).max() / np.abs(sine.samples[:, inner]).max()
        assert (ratio < left) if left < 0.5 else (ratio > left), hz


@pytest.mark.parametrize(("level", "gain_db"), [(0.8, 12), (0.6, 8)])
@pytest.mark.parametrize("hz", [100, 440, 1000])
def test_flat_tops_are_bridged(level: float, gain_db: float, hz: float) -> None:
    whole = tone(0.5, hz, 44100, level_db=0)
    cut = clipped(whole, level)
    repaired = mended(RepairClipping(), cut)
    scale = np.float32(np.abs(repaired.samples).max() / max(1.0, np.abs(repaired.samples).max()))
    assert snr_db(whole, repaired.changed(repaired.samples * scale)) > snr_db(whole, cut) + gain_db
    assert np.abs(repaired.samples).max() <= 1


def test_what_was_turned_down_after_it_clipped_is_repaired_too() -> None:
    cut = clipped(tone(0.5, 440, 44100, level_db=0), 0.7)
    quiet = cut.changed(cut.samples * np.float32(0.25))
    assert np.abs(mended(RepairClipping(), quiet).samples).max() > 0.25 * 0.9


def test_a_top_too_long_to_know_stays() -> None:
    cut = clipped(tone(0.5, 10, level_db=0), 0.5)
    assert RepairClipping().map(cut) is cut
    constant = Audio(np.ones((1, 1000), np.float32), RATE_HZ)
    assert RepairClipping().map(constant) is constant


@given(offset=st.floats(-0.5, 0.5), channels=st.integers(1, 3), n_samples=st.integers(0, 500))
@settings(deadline=None, max_examples=40)
def test_an_offset_is_taken_off_and_only_once(offset: float, channels: int, n_samples: int) -> None:
    audio = off(noise(0.5, channels=channels, level_db=-30).cut(0, n_samples), offset)
    even = mended(RemoveOffset(), audio)
    assert np.abs(even.samples.mean(axis=1, dtype=np.float64)).max(initial=0) <= 1e-4 if n_samples else True
    assert RemoveOffset().map(even) is even


@pytest.mark.parametrize(("offset", "same"), [(0.0099, True), (0.0101, False), (-0.0101, False)])
def test_an_offset_within_the_tolerance_stays(offset: float, same: bool) -> None:
    audio = off(silence(), offset)
    assert (RemoveOffset(tolerance=0.01).map(audio) is audio) == same


@pytest.mark.parametrize("limit_db", [-1.0, -6.0, 0.0])
def test_a_peak_between_samples_is_kept_below_the_limit(limit_db: float) -> None:
    """A quarter of the rate, shifted by 45 degrees: the samples stand 3 dB below the wave."""
    wave = 1.4 * np.sin(np.pi / 2 * np.arange(16000) + np.pi / 4) * np.hanning(16000) ** 0.1
    sound = mended(LimitPeak(max_peak_db=limit_db), Audio(wave.astype(np.float32)[None], RATE_HZ))
    assert 20 * np.log10(true_peak(sound.samples, rate_hz=RATE_HZ)) == pytest.approx(limit_db, abs=1e-3)
    assert LimitPeak(max_peak_db=limit_db).map(sound) is sound


@pytest.mark.parametrize(("channel", "place"), [(0, 0), (2, 2), (-1, 2), (-3, 0)])
def test_a_channel_is_picked_from_either_end(channel: int, place: int) -> None:
    three = noise(0.1, channels=3)
    np.testing.assert_array_equal(mended(PickChannel(channel=channel), three).samples, three.samples[place : place + 1])


@pytest.mark.parametrize("channel", [3, -4])
def test_a_clip_without_the_channel_is_dropped(channel: int) -> None:
    assert PickChannel(channel=channel).map(noise(0.1, channels=3)) == Drop("no_such_channel")


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (Denoise, {"reduction": 0}, "greater than 0"),
        (Denoise, {"reduction": 1.1}, "less than or equal to 1"),
        (Denoise, {"strength": -0.1}, "greater than or equal to 0"),
        (RemoveHum, {"hum_hz": 9.9}, "greater than or equal to 10"),
        (RemoveHum, {"n_harmonics": 0}, "greater than 0"),
        (RemoveHum, {"q": 0}, "greater than 0"),
        (RemoveHum, {"q": 201}, "less than or equal to 200"),
        (RemoveOffset, {"tolerance": -1}, "greater than or equal to 0"),
        (LimitPeak, {"max_peak_db": 0.1}, "less than or equal to 0"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
