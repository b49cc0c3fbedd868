"""Speed, pitch, rooms, bands, codecs, backgrounds and masks: by how much, and where time went."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.augment.audio import (
    BandPass,
    ChangeGain,
    ChangeSpeed,
    ChangeTempo,
    MaskBand,
    MaskSpectrum,
    MaskTime,
    MixBackground,
    Recode,
    Reverberate,
    ShiftPitch,
)
from mmdata.codec.lossy import Lossy
from mmdata.core.arrays import ArraySpec
from mmdata.core.rng import rng_for
from mmdata.core.sample import Array, Audio
from mmdata.core.spans import Span
from mmdata.core.step import RandomMap
from mmdata.errors import ConfigError, DecodeError
from mmdata.kernels.audio import stft
from mmdata.kernels.audio.pace import vocoded
from mmdata.testing.build import click_track, noise, silence, tone, wav_bytes
from mmdata.testing.contracts.steps import Case, StepContract

RATE_HZ = 16_000
EMPTY = Audio(np.zeros((2, 0), np.float32), RATE_HZ)


def spectrum(rows: int = 200, bins: int = 80) -> Array:
    values = rng_for(1, "spectrum").standard_normal((rows, bins), np.float32) + 5
    return Array(values, ArraySpec(dims=("time", "mel"), sizes={"mel": bins}))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two recordings, one below the other's folder, and what is none."""
    root = tmp_path_factory.mktemp("recordings")
    (root / "below").mkdir()
    (root / "a.wav").write_bytes(wav_bytes(noise(0.3, 8000, seed=5)))
    (root / "below" / "b.WAV").write_bytes(wav_bytes(tone(0.5, 3000, 44100, 2)))
    (root / "notes.txt").write_text("no sound")
    return root


@pytest.fixture(scope="module")
def other_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("others")
    (root / "a.wav").write_bytes(wav_bytes(tone(0.2, 2000)))
    return root


CASES = {
    "gain": Case(ChangeGain(), noise(0.1, channels=2), unchanged=silence(), others={"max_db": 3.0}),
    "speed": Case(ChangeSpeed(), noise(0.3, channels=2), unchanged=EMPTY, others={"min_speed": 0.8}),
    "tempo": Case(ChangeTempo(), noise(0.3, channels=2), unchanged=EMPTY, others={"min_speed": 0.8}),
    "pitch": Case(ShiftPitch(), noise(0.3), unchanged=EMPTY),
    "room": Case(Reverberate(), noise(0.3, channels=2), unchanged=silence(), others={"p": 0.5, "min_decay_s": 0.3}),
    "band": Case(BandPass(), noise(0.3), unchanged=silence(), others={"low_hz": (60.0, 70.0), "high_hz": (3e3, 4e3)}),
    "codec": Case(Recode(), noise(0.3, 22050, 2), unchanged=silence(), others={"codecs": ["alaw"], "min_quality": 0.5}),
    "masked spectrum": Case(MaskSpectrum(), spectrum(), unchanged=spectrum(0), others={"max_share": 0.5}),
    "masked time": Case(MaskTime(), noise(0.5), unchanged=silence(), others={"max_share": 0.5}),
    "masked band": Case(MaskBand(), noise(0.5, channels=2), unchanged=silence()),
}


class TestContracts(StepContract):
    @pytest.fixture(params=[*CASES, "background", "recorded room"])
    def case(self, request: pytest.FixtureRequest, folder: Path, other_folder: Path) -> Case:
        others: dict[str, object] = {"folder": str(other_folder), "p": 0.5, "min_decay_s": 0.3}
        if request.param == "background":
            return Case(MixBackground(folder=str(folder)), noise(0.2, channels=2), silence(), others)
        if request.param == "recorded room":
            return Case(Reverberate(folder=str(folder)), noise(0.2), EMPTY, others)
        if request.param == "room":
            return replace(CASES["room"], others=others)
        return CASES[request.param]


def changed(step: RandomMap[Audio, Audio], audio: Audio, seed: int = 0) -> Audio:
    result = step.map(audio, rng_for(seed, "change"))
    assert isinstance(result, Audio)
    return result


def loudest_hz(audio: Audio) -> float:
    power = np.abs(np.fft.rfft(audio.samples[0] * np.hanning(audio.n_samples)))
    return float(power.argmax() * audio.rate_hz / audio.n_samples)


def level_db(samples: np.ndarray) -> float:
    return float(10 * np.log10(np.mean(np.square(samples, dtype=np.float64))))


@pytest.mark.parametrize("speed", [0.25, 0.8, 1.25, 4.0])
@pytest.mark.parametrize(("kind", "hz"), [(ChangeSpeed, 440), (ChangeTempo, None)])
def test_a_tone_is_shorter_and_higher_or_only_shorter(kind: type[ChangeSpeed], hz: float | None, speed: float) -> None:
    sound = changed(kind(min_speed=speed, max_speed=speed), tone(2.0, 440))
    assert sound.n_samples == round(32000 / speed)
    assert loudest_hz(sound) == pytest.approx(440 * (speed if hz else 1), rel=0.01)


@pytest.mark.parametrize("kind", [ChangeSpeed, ChangeTempo])
@given(
    speed=st.floats(0.25, 4),
    first=st.integers(0, 3000),
    last=st.integers(4000, 8000),
    rate_hz=st.sampled_from([1000, 8000, 22050]),
)
@settings(deadline=None, max_examples=20)
def test_time_maps_stay_right_after_a_cut(
    kind: type[ChangeSpeed], speed: float, first: int, last: int, rate_hz: int
) -> None:
    cut = Audio(noise(1.0, 8000).samples, rate_hz).cut(first, last)
    sound = changed(kind(min_speed=speed, max_speed=speed), cut)
    assert sound.clock.length_s == Fraction(sound.n_samples, rate_hz)
    assert sound.clock.to_source(0) == Fraction(first, rate_hz)
    assert sound.clock.to_source(sound.clock.length_s) == Fraction(last, rate_hz)
    assert len(list(sound.clock.spans_from_source(Span(Fraction(first, rate_hz), Fraction(last, rate_hz))))) == 1


@pytest.mark.parametrize("kind", [ChangeSpeed, ChangeTempo])
@pytest.mark.parametrize("speed", [0.7, 1.3])
def test_a_click_is_where_the_map_says(kind: type[ChangeSpeed], speed: float) -> None:
    clicks = click_track(4.0, 30, click_s=0.02).cut(8000, 64000)  # one click is left, at 2 s of the source
    sound = changed(kind(min_speed=speed, max_speed=speed), clicks)
    at = sound.clock.from_source(2.0)
    assert at is not None
    middle = round(float(at) * RATE_HZ)
    near = np.abs(sound.samples[0, middle - 800 : middle + 1200]).max()
    away = np.abs(sound.samples[0, middle + 4800 : middle + 8000]).max()
    assert near > 0.2 > 0.05 > away


@pytest.mark.parametrize("speed", [0.8, 1.0, 1.3])
def test_the_vocoder_turns_phases_as_its_paper_does_frame_by_frame(speed: float) -> None:
    wave = (tone(0.3, 440).samples + noise(0.3).samples)[0]
    spectrum = stft(wave, n_fft=512, window=512, hop=128)
    padded = np.concatenate([spectrum, np.zeros((2, 257), np.complex64)]).astype(np.complex128)
    advance = np.linspace(0, np.pi * 128, 257)
    phase, expected = np.angle(padded[0]), []
    for at in np.arange(0, len(spectrum), speed):
        one, other = padded[int(at)], padded[int(at) + 1]
        level = (1 - at % 1) * np.abs(one) + at % 1 * np.abs(other)
        expected.append(level * np.exp(1j * phase))
        turn = np.angle(other) - np.angle(one) - advance
        phase = phase + advance + turn - 2 * np.pi * np.round(turn / (2 * np.pi))
    ours = vocoded(spectrum, speed=speed, hop=128, n_fft=512)
    np.testing.assert_allclose(ours, expected, atol=2e-3)
    if speed == 1:
        np.testing.assert_allclose(ours, spectrum, atol=2e-3)


@pytest.mark.parametrize("semitones", [-12.0, -2.0, 3.0, 12.0])
def test_pitch_moves_by_semitones_and_time_does_not(semitones: float) -> None:
    step = ShiftPitch(min_semitones=semitones, max_semitones=semitones)
    clip = tone(2.0, 440).cut(1000, 31000)
    sound = changed(step, clip)
    assert (sound.n_samples, sound.clock) == (30000, clip.clock)
    assert loudest_hz(sound) == pytest.approx(440 * 2 ** (semitones / 12), rel=0.01)


@pytest.mark.parametrize(("gain_db", "expected_db"), [(-12.0, -18.0), (3.0, -3.0), (20.0, 0.0)])
def test_gain_is_in_decibels_and_stops_at_full_scale(gain_db: float, expected_db: float) -> None:
    sound = changed(ChangeGain(min_db=gain_db, max_db=gain_db), tone(hz=1000, level_db=-6))
    assert 20 * np.log10(np.abs(sound.samples).max()) == pytest.approx(expected_db, abs=0.01)


def test_what_passes_full_scale_already_is_not_turned_up() -> None:
    loud = tone(level_db=3)
    assert changed(ChangeGain(min_db=6, max_db=6), loud) is loud


@pytest.mark.parametrize("decay_s", [0.2, 1.0])
def test_a_click_in_a_room_decays_as_it_should(decay_s: float) -> None:
    samples = np.zeros((1, 32000), np.float32)
    samples[0, 1000] = 1
    wet = changed(Reverberate(min_decay_s=decay_s, max_decay_s=decay_s), Audio(samples, RATE_HZ)).samples[0]
    assert np.abs(wet).argmax() == 1000
    assert np.abs(wet[:1000]).max() < 1e-6
    tail = wet[1001 : 1001 + round(0.9 * decay_s * RATE_HZ)]
    early, late = np.array_split(tail, 10)[0], np.array_split(tail, 10)[9]
    assert level_db(early) - level_db(late) == pytest.approx(60 * 0.81, abs=3)


def test_a_room_that_was_recorded_is_in_step_with_the_sound(tmp_path: Path) -> None:
    response = np.zeros((1, 800), np.float32)
    response[0, [300, 500]] = 0.9, 0.45  # 300 samples of silence before the direct sound
    (tmp_path / "room.wav").write_bytes(wav_bytes(Audio(response, RATE_HZ)))
    dry = noise(0.5, level_db=-30)
    wet = changed(Reverberate(folder=str(tmp_path)), dry)
    assert level_db(wet.samples) == pytest.approx(-30, abs=0.01)
    expected = dry.samples[0].copy()
    expected[200:] += 0.5 * dry.samples[0, :-200]
    expected *= np.sqrt(np.mean(dry.samples**2) / np.mean(expected**2))
    np.testing.assert_allclose(wet.samples[0], expected, atol=1e-5)


@pytest.mark.parametrize(
    ("hz", "least_db", "most_db"), [(1000, -0.2, 0.1), (50, -99, -45), (7900, -99, -20), (300, -4, -2)]
)
def test_a_band_is_kept_and_no_more(hz: float, least_db: float, most_db: float) -> None:
    sine = tone(1.0, hz)
    sound = changed(BandPass(low_hz=(300, 300), high_hz=(3400, 3400)), sine)
    inner = slice(4000, -4000)
    assert least_db < level_db(sound.samples[:, inner]) - level_db(sine.samples[:, inner]) < most_db


@pytest.mark.parametrize("codec", ["mp3", "vorbis", "opus", "mulaw", "alaw", "gsm"])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 44100])
def test_a_codec_changes_sound_but_not_its_length_nor_its_place(codec: Lossy, rate_hz: int) -> None:
    glide = np.sin(2 * np.pi * np.cumsum(np.linspace(200, 2500, rate_hz)) / rate_hz)
    clip = Audio((0.3 * glide).astype(np.float32)[None].repeat(3, axis=0), rate_hz).cut(10, rate_hz)
    sound = changed(Recode(codecs=(codec,), min_quality=0.5, max_quality=0.5), clip)
    assert (sound.samples.shape, sound.clock) == (clip.samples.shape, clip.clock)
    rest = level_db(sound.samples - clip.samples) - level_db(clip.samples)
    assert -60 < rest < -5  # in step: a shift of a few samples alone would leave more
    spread = np.correlate(sound.samples[0, 2000:-2000], clip.samples[0, 2100:-2100], "valid")
    assert abs(int(spread.argmax()) - 100) <= rate_hz // 8000


@pytest.mark.parametrize("snr_db", [0.0, 20.0])
def test_a_background_is_mixed_in_at_its_ratio_and_goes_round(folder: Path, snr_db: float) -> None:
    clean = tone(1.0, 440, channels=2, level_db=-40)
    sounds = [
        changed(MixBackground(folder=str(folder), min_snr_db=snr_db, max_snr_db=snr_db), clean, s) for s in range(8)
    ]
    kinds = set()
    for sound in sounds:
        behind = sound.samples - clean.samples
        assert level_db(clean.samples) - level_db(behind) == pytest.approx(snr_db, abs=0.05)
        kinds.add(round(loudest_hz(sound.changed(behind)) / 10))
    assert 300 in kinds  # the tone of 3 kHz, and noise
    assert len(kinds) > 1


def test_a_folder_counts_by_what_is_in_it(folder: Path, tmp_path: Path) -> None:
    for path in (folder / "a.wav", folder / "below" / "b.WAV"):
        copy = tmp_path / path.relative_to(folder)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    moved, there = MixBackground(folder=str(tmp_path)), MixBackground(folder=str(folder))
    assert moved.fingerprint() == there.fingerprint()
    (tmp_path / "c.wav").write_bytes(wav_bytes(tone(0.1)))
    assert moved.fingerprint() != there.fingerprint()


def test_a_folder_that_can_not_be_used_is_a_fault_of_the_pipeline(tmp_path: Path) -> None:
    for step in (MixBackground(folder=str(tmp_path / "gone")), Reverberate(folder=str(tmp_path / "gone"))):
        with pytest.raises(ConfigError, match="there is no such folder"):
            step.fingerprint()
    with pytest.raises(ConfigError, match="there is no sound in it"):
        MixBackground(folder=str(tmp_path)).fingerprint()
    (tmp_path / "broken.wav").write_bytes(b"RIFF\0\0\0\0WAVEfmt ")
    with pytest.raises(DecodeError):
        changed(MixBackground(folder=str(tmp_path)), tone())


@pytest.mark.parametrize("fill", ["mean", "least", "zero"])
def test_masks_are_as_many_and_as_large_as_allowed(fill: Any) -> None:
    array = spectrum()
    step = MaskSpectrum(n_times=2, max_rows=30, n_bands=1, max_bins=10, fill=fill)
    expected = {"mean": array.values.mean(), "least": array.values.min(), "zero": 0.0}[fill]
    rows, bins = [], []
    for seed in range(40):
        masked = step.map(array, rng_for(seed, "mask"))
        assert isinstance(masked, Array)
        gone = masked.values != array.values
        np.testing.assert_allclose(masked.values[gone], expected, rtol=1e-6)
        rows.append(int(gone.all(axis=1).sum()))
        bins.append(int(gone.all(axis=0).sum()))
    assert 30 < max(rows) <= 60
    assert 5 < max(bins) <= 10
    assert min(rows) < 15


@given(rows=st.integers(0, 30), bins=st.integers(0, 10), share=st.floats(0, 1), seed=st.integers(0, 99))
@settings(deadline=None, max_examples=40)
def test_a_short_spectrum_is_masked_by_no_more_than_its_share(rows: int, bins: int, share: float, seed: int) -> None:
    array = spectrum(rows, bins)
    masked = MaskSpectrum(n_times=1, n_bands=0, max_share=share).map(array, rng_for(seed, "mask"))
    assert isinstance(masked, Array)
    if array.values.size:
        assert (masked.values != array.values).all(axis=1).sum() <= share * rows


def test_time_and_bands_are_masked_in_a_sound_too() -> None:
    hiss = noise(2.0, channels=2)
    quiet = [changed(MaskTime(n_masks=1, max_s=0.5), hiss, seed) for seed in range(20)]
    spans = [int((sound.samples == 0).all(axis=0).sum()) for sound in quiet]
    assert 3000 < max(spans) <= 0.2 * hiss.n_samples
    holes = [np.abs(np.fft.rfft(changed(MaskBand(n_masks=1), hiss, seed).samples[0])) for seed in range(20)]
    widths = [float((hole < 0.05 * np.median(hole)).sum()) / 2 for hole in holes]
    assert 500 < max(widths) <= 1100
    assert np.mean(widths) == pytest.approx(500, abs=200)


@pytest.mark.parametrize(
    "step",
    [
        *(ChangeGain(), ChangeSpeed(), ChangeTempo(), ShiftPitch(), Reverberate(), BandPass(), MaskTime(), MaskBand()),
        *(Recode(codecs=("opus",)), Recode(codecs=("mp3",)), Recode(codecs=("gsm",))),
    ],
    ids=lambda step: step.name,
)
@pytest.mark.parametrize(
    "audio",
    [
        EMPTY,
        Audio(np.ones((1, 1), np.float32), 1),
        silence(0.1),
        noise(0.05, 192_000, 6),
        Audio(np.ones((1, 3), np.float32), 50),
    ],
    ids=["empty", "one sample at 1 Hz", "silence", "192 kHz in 6 channels", "50 Hz"],
)
def test_odd_sounds_stay_finite_and_keep_their_form(step: RandomMap[Audio, Audio], audio: Audio) -> None:
    sound = changed(step, audio)
    assert (len(sound.samples), sound.rate_hz) == (len(audio.samples), audio.rate_hz)
    assert sound.samples.dtype == np.float32
    assert np.isfinite(sound.samples).all()
    assert sound.clock.length_s == Fraction(sound.n_samples, sound.rate_hz)


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (ChangeGain, {"min_db": 9}, "min_db must not be greater than max_db: 9.0 > 6.0"),
        (ChangeSpeed, {"min_speed": 0.24}, "greater than or equal to 0.25"),
        (ChangeSpeed, {"max_speed": 4.1}, "less than or equal to 4"),
        (ChangeTempo, {"min_speed": 1.2}, "min_speed must not be greater than max_speed: 1.2 > 1.1"),
        (ShiftPitch, {"min_semitones": 3}, "min_semitones must not be greater than max_semitones: 3.0 > 2.0"),
        (ShiftPitch, {"max_semitones": 25}, "less than or equal to 24"),
        (Reverberate, {"min_decay_s": 1}, "min_decay_s must not be greater than max_decay_s: 1.0 > 0.8"),
        (Reverberate, {"p": 1.1}, "less than or equal to 1"),
        (BandPass, {"low_hz": [400, 300]}, "must rise, and not meet"),
        (BandPass, {"high_hz": [400, 3000]}, "must rise, and not meet"),
        (Recode, {"codecs": []}, "at least 1 item"),
        (Recode, {"codecs": ["aac"]}, "'mp3', 'vorbis', 'opus', 'mulaw', 'alaw' or 'gsm'"),
        (Recode, {"min_quality": 0.9}, "min_quality must not be greater than max_quality: 0.9 > 0.8"),
        (
            MixBackground,
            {"folder": "x", "min_snr_db": 30},
            "min_snr_db must not be greater than max_snr_db: 30.0 > 25.0",
        ),
        (MaskSpectrum, {"n_times": -1}, "greater than or equal to 0"),
        (MaskSpectrum, {"fill": "max"}, "'mean', 'least' or 'zero'"),
        (MaskTime, {"max_share": 0}, "greater than 0"),
        (MaskBand, {"n_masks": 0}, "greater than or equal to 1"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)
