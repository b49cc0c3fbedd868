"""What a recording must be like to be kept, and the same as numbers."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.clean.audio import KeepBandwidth, KeepSnr, KeepSounding, KeepUnclipped
from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Filter
from mmdata.features.audio import AudioQuality
from mmdata.kernels.audio import resample
from mmdata.kernels.audio.clipping import clipped_share
from mmdata.kernels.audio.quality import bandwidth_hz, silent_share, snr_db
from mmdata.testing.build import noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 16_000
EMPTY = Audio(np.zeros((2, 0), np.float32), RATE_HZ)


def speech_like(snr: float, seconds: float = 5.0, seed: int = 0) -> Audio:
    """Bursts of noise at -20 dB for three fifths of each second, over steady noise that much below."""
    gate = ((np.arange(round(seconds * RATE_HZ)) % RATE_HZ) < 0.6 * RATE_HZ).astype(np.float32)
    loud, floor = noise(seconds, level_db=-20, seed=seed), noise(seconds, level_db=-20 - snr, seed=seed + 99)
    return Audio(loud.samples * gate + floor.samples, RATE_HZ)


def cut_off(audio: Audio, level: float) -> Audio:
    return audio.changed(np.clip(audio.samples, -level, level))


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(KeepSnr(), speech_like(30)),
            Case(KeepSnr(), noise(channels=2)),
            Case(KeepUnclipped(), cut_off(tone(channels=2), 0.3), others={"max_share": 0.5}),
            Case(KeepUnclipped(), tone(), others={"max_share": 0.5}),
            Case(KeepSounding(), tone(), others={"max_silence": 0.1, "floor_db": -60.0}),
            Case(KeepSounding(), EMPTY, others={"max_silence": 0.1, "floor_db": -60.0}),
            Case(KeepBandwidth(), tone(), others={"floor_db": -60.0}),
            Case(KeepBandwidth(), noise(channels=2), others={"floor_db": -60.0}),
            Case(AudioQuality(), noise(channels=2), others={"silence_db": -60.0, "floor_db": -60.0}),
            Case(AudioQuality(), EMPTY, others={"silence_db": -60.0, "floor_db": -60.0}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


@given(snr=st.floats(0, 50), seed=st.integers(0, 9), gain_db=st.floats(-20, 0))
@settings(deadline=None, max_examples=20)
def test_the_ratio_is_that_of_the_sound_put_together(snr: float, seed: int, gain_db: float) -> None:
    """The bursts fill three fifths of the clip, of which the quietest tenth is set aside: 10 log10(0.6 / 0.9)."""
    audio = speech_like(snr, seed=seed)
    quieter = audio.samples * np.float32(10 ** (gain_db / 20))
    assert snr_db(quieter, rate_hz=RATE_HZ) == pytest.approx(snr - 1.76, abs=1.6)


@pytest.mark.parametrize(("min_db", "kept"), [(15, True), (25, False)])
def test_a_noisy_recording_is_dropped(min_db: float, kept: bool) -> None:
    assert KeepSnr(min_db=min_db).keep(speech_like(22)) == (True if kept else Drop("too_noisy"))


@pytest.mark.parametrize("audio", [silence(), EMPTY, Audio(np.zeros((1, 1), np.float32), 1)])
def test_silence_has_the_worst_of_everything(audio: Audio) -> None:
    found = AudioQuality().extract(audio)
    assert {name: float(value) for name, value in found.items()} == {
        "snr_db": -20.0,
        "clipped": 0.0,
        "silent": 1.0,
        "bandwidth_hz": 0.0,
        "offset": 0.0,
    }


@pytest.mark.parametrize(("level", "share"), [(0.9, 2 * np.arccos(0.9) / np.pi), (0.5, 2 * np.arccos(0.5) / np.pi)])
def test_the_clipped_share_of_a_sine_is_known(level: float, share: float) -> None:
    sine = cut_off(tone(1.0, 101, 44100, 2, level_db=0), level)
    assert clipped_share(sine.samples) == pytest.approx(share, abs=0.01)
    assert KeepUnclipped(max_share=share - 0.02).keep(sine) == Drop("clipped")
    assert KeepUnclipped(max_share=share + 0.02).keep(sine) is True


@pytest.mark.parametrize("audio", [tone(level_db=0), noise(level_db=-10), silence(), EMPTY, tone(1.0, 50, 48000)])
def test_a_sound_that_is_whole_is_not_clipped(audio: Audio) -> None:
    assert clipped_share(audio.samples) == 0


def test_the_worst_channel_decides() -> None:
    both = Audio(np.concatenate([tone().samples, cut_off(tone(), 0.2).samples]), RATE_HZ)
    assert KeepUnclipped().keep(both) == Drop("clipped")


@pytest.mark.parametrize(("max_silence", "kept"), [(0.5, True), (0.49, False)])
def test_both_sides_of_the_share_of_silence(max_silence: float, kept: bool) -> None:
    half = Audio(np.concatenate([noise().samples, silence().samples], axis=1), RATE_HZ)
    assert KeepSounding(max_silence=max_silence).keep(half) == (True if kept else Drop("too_silent"))


@given(before=st.integers(0, 50), loud=st.integers(0, 50))
@settings(deadline=None, max_examples=30)
def test_the_silent_share_counts_frames(before: int, loud: int) -> None:
    samples = np.concatenate([np.zeros(160 * before), np.full(160 * loud, 0.1)]).astype(np.float32)[None]
    expected = before / (before + loud) if before + loud else 1.0
    assert silent_share(samples, rate_hz=RATE_HZ, floor_db=-50) == pytest.approx(expected)


@pytest.mark.parametrize("low_hz", [8000, 11025, 16000, 22050])
@pytest.mark.parametrize("high_hz", [32000, 44100, 48000])
def test_an_upsampled_file_is_found(low_hz: int, high_hz: int) -> None:
    low = noise(1.0, low_hz, level_db=-30)
    up = resample(low.samples, from_hz=low_hz, to_hz=high_hz)
    assert bandwidth_hz(up, rate_hz=high_hz, floor_db=-70) == pytest.approx(low_hz / 2, rel=0.06)
    assert bandwidth_hz(noise(1.0, high_hz).samples, rate_hz=high_hz, floor_db=-70) == pytest.approx(
        high_hz / 2, rel=0.01
    )


@pytest.mark.corpus
def test_telephone_prompts_are_narrow_at_any_rate_of_their_files(prompts: Path) -> None:
    import soundfile

    for path in sorted(prompts.rglob("*.wav"))[2::80]:
        wave, rate_hz = soundfile.read(path, dtype="float32")
        if np.abs(wave).max() > 0.1:
            up = Audio(resample(wave[None], from_hz=rate_hz, to_hz=16000), 16000)
            quantised = up.changed(np.round(up.samples * 32767).astype(np.float32) / 32767)
            assert KeepBandwidth().keep(quantised) == Drop("narrow_band")
            assert KeepSnr().keep(quantised) is True


@pytest.mark.parametrize(("min_hz", "kept"), [(990.0, True), (1100.0, False)])
def test_both_sides_of_the_bandwidth(min_hz: float, kept: bool) -> None:
    sine = tone(1.0, 1000)
    assert KeepBandwidth(min_hz=min_hz).keep(sine) == (True if kept else Drop("narrow_band"))


def test_the_offset_is_the_greatest_of_the_channels() -> None:
    both = np.concatenate([silence().samples + np.float32(0.01), silence().samples - np.float32(0.25)])
    assert AudioQuality().extract(Audio(both, RATE_HZ))["offset"] == pytest.approx(0.25)


@pytest.mark.parametrize("step", [KeepSnr(), KeepUnclipped(), KeepSounding(), KeepBandwidth()])
@pytest.mark.parametrize("rate_hz", [1, 7, 192_000])
@pytest.mark.parametrize("n_samples", [0, 1, 2, 3, 999])
def test_a_clip_of_any_form_is_decided_on(step: Filter[Audio], rate_hz: int, n_samples: int) -> None:
    audio = Audio(noise(0.1, channels=6).samples[:, :n_samples].copy(), rate_hz)
    assert step.keep(audio) is True or isinstance(step.keep(audio), Drop)


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (KeepSnr, {"min_db": 101}, "less than or equal to 100"),
        (KeepUnclipped, {"max_share": 1.1}, "less than or equal to 1"),
        (KeepUnclipped, {"max_share": -0.1}, "greater than or equal to 0"),
        (KeepSounding, {"max_silence": 1.1}, "less than or equal to 1"),
        (KeepSounding, {"floor_db": 1}, "less than or equal to 0"),
        (KeepBandwidth, {"min_hz": -1}, "greater than or equal to 0"),
        (KeepBandwidth, {"floor_db": 0}, "less than 0"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
