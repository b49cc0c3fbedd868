"""Features of frames: what holds for all of them, known answers, and that spectra are computed once."""

from __future__ import annotations

import gc
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.core.sample import Audio
from mmdata.features.audio import (
    Chroma,
    LogMel,
    Mfcc,
    Onsets,
    OnsetStrength,
    Pitch,
    Rms,
    SpectralBandwidth,
    SpectralCentroid,
    SpectralContrast,
    SpectralFlatness,
    SpectralRolloff,
    Stft,
    Tempo,
    ZeroCrossings,
    framing,
)
from mmdata.features.audio.framing import Framing, Shared
from mmdata.kernels.audio import power_spectra
from mmdata.testing.build import click_track, noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

ALL = [
    *(Stft(), Stft(values="power"), Chroma(), SpectralCentroid(), SpectralBandwidth(), SpectralRolloff()),
    *(SpectralFlatness(), SpectralContrast(), ZeroCrossings(), Rms(), Pitch(), OnsetStrength(), Onsets(), Tempo()),
]
SERIES = [step for step in ALL if not isinstance(step, Onsets | Tempo)]
OTHERS = {"n_fft": 4096, "max_hz": 7000.0, "share": 0.5, "n_bands": 5}


class TestContracts(StepContract):
    @pytest.fixture(params=[Case(step, noise(0.3, 22050, 2), others=OTHERS) for step in ALL], ids=str)
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def arrays(step: Framing, audio: Audio) -> dict[str, np.ndarray]:
    return step.named(step.extract(audio))


@pytest.mark.parametrize("step", ALL, ids=lambda step: step.name)
@pytest.mark.parametrize(
    "audio",
    [
        Audio(np.zeros((2, 0), np.float32), 44100),
        Audio(np.ones((1, 1), np.float32), 16000),
        Audio(np.ones((1, 3), np.float32), 1),
        silence(0.3),
        noise(0.1, 192_000, 8),
        Audio(np.full((1, 4000), 1e-30, np.float32), 16000),
        Audio(np.full((1, 4000), 1e6, np.float32), 16000),
    ],
    ids=["empty", "one sample", "1 Hz", "silence", "192 kHz in 8 channels", "next to nothing", "far too loud"],
)
def test_odd_sounds_give_finite_arrays_of_the_promised_form(step: Framing, audio: Audio) -> None:
    columns = step.columns()
    for name, array in arrays(step, audio).items():
        assert columns[name].fault(array) is None
        assert np.isfinite(array).all()


@given(
    n_samples=st.integers(0, 6000), hop=st.integers(40, 700), window=st.integers(64, 800), channels=st.integers(1, 3)
)
@settings(deadline=None, max_examples=25)
def test_all_features_of_one_framing_have_equally_many_rows(
    n_samples: int, hop: int, window: int, channels: int
) -> None:
    audio = noise(1.0, 6000, channels).cut(0, n_samples)
    audio = Audio(audio.samples[:, :n_samples], 16000)
    window += window % 2
    for kind in (Stft, Chroma, SpectralCentroid, ZeroCrossings, Rms, OnsetStrength, SpectralFlatness):
        rows = np.asarray(kind(window_s=window / 16000, hop_s=hop / 16000).extract(audio))
        assert len(rows) == (1 + n_samples // hop if n_samples else 0)
        assert np.isfinite(rows).all()


def middle(step: Framing, audio: Audio) -> float:
    """The median of a series: away from both ends, where half a frame is silence."""
    return float(np.median(np.asarray(step.extract(audio))))


def test_a_tone_is_where_it_is() -> None:
    sine = tone(1.0, 1000)
    assert middle(SpectralCentroid(), sine) == pytest.approx(1000, abs=1)
    assert middle(SpectralBandwidth(), sine) < 30
    assert middle(SpectralRolloff(), sine) == pytest.approx(1000, abs=8)
    assert middle(SpectralFlatness(), sine) < 1e-6
    assert middle(ZeroCrossings(), sine) == pytest.approx(2 * 1000 / 16000, abs=1e-3)
    assert middle(Rms(), sine) == pytest.approx(10 ** (-6 / 20) / np.sqrt(2), abs=1e-3)


def test_noise_is_everywhere() -> None:
    hiss = noise(1.0)
    assert middle(SpectralCentroid(), hiss) == pytest.approx(4000, rel=0.05)
    assert middle(SpectralFlatness(), hiss) == pytest.approx(0.56, abs=0.05)  # exp(-0.5772), of exponential powers
    assert middle(ZeroCrossings(), hiss) == pytest.approx(0.5, abs=0.03)


@pytest.mark.parametrize(("hz", "pitch_class"), [(261.63, 0), (440.0, 9), (880.0, 9), (493.88, 11)])
def test_a_note_is_of_its_class(hz: float, pitch_class: int) -> None:
    rows = Chroma().extract(tone(1.0, hz))
    assert set(rows[3:-3].argmax(axis=1)) == {pitch_class}
    assert rows.max() == 1


@pytest.mark.parametrize("hz", [80.0, 220.0, 1000.0])
def test_the_pitch_of_a_tone_is_its_frequency(hz: float) -> None:
    found = Pitch().extract(tone(1.0, hz))
    inner = slice(4, -4)
    np.testing.assert_allclose(found[""][inner], hz, rtol=0.008)  # bins are a tenth of a semitone apart
    assert (found["voiced"][inner] > 0.5).all()


def test_silence_and_noise_have_no_pitch() -> None:
    assert not Pitch().extract(silence())[""].any()
    assert Pitch().extract(noise())["voiced"].mean() < 0.2


@pytest.mark.parametrize("bpm", [90, 120, 150])
def test_clicks_have_onsets_and_a_tempo(bpm: int) -> None:
    clicks = click_track(8.0, bpm)
    onsets = Onsets(window_s=0.064, hop_s=0.01).extract(clicks)
    expected = np.arange(1, len(onsets) + 1) * 60 / bpm  # the first begins before there is anything to compare it with
    np.testing.assert_allclose(onsets, expected, atol=0.03)
    assert len(onsets) >= 8 * bpm / 60 - 2
    assert Tempo(window_s=0.064, hop_s=0.01).extract(clicks) == pytest.approx(bpm, rel=0.02)


def test_silence_has_no_onsets_and_the_tempo_of_the_prior() -> None:
    assert Onsets().extract(silence()).shape == (0,)
    assert Tempo().extract(silence()) == pytest.approx(120, abs=5)


def test_features_with_the_same_frames_share_one_spectrum(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []
    usual = power_spectra

    def counted(waves: Sequence[np.ndarray], **given: Any) -> list[np.ndarray]:
        made.append(given)
        return usual(waves, **given)

    monkeypatch.setattr(framing, "power_spectra", counted)
    audio = noise(0.5, 22050, 2)
    steps: list[Framing] = [Mfcc(), OnsetStrength(), Tempo(), LogMel(window_s=0.128, hop_s=0.032)]
    steps += [SpectralCentroid(), SpectralRolloff(), SpectralFlatness(), Chroma(), Stft(values="power")]
    for step in steps:
        step.extract(audio)
    assert len(made) == 1
    for step in (SpectralContrast(), SpectralBandwidth()):
        step.extract(audio)
    assert [each["precise"] for each in made] == [False, True]
    Mfcc().extract(noise(0.5, 22050, 2))  # equal, but another sound
    Mfcc(hop_s=0.01).extract(audio)
    assert len(made) == 4


def test_what_is_shared_goes_with_its_sound_and_never_passes_the_limit() -> None:
    shared, one, other = Shared(1000), silence(0.01), silence(0.01)
    first = shared.get(one, "a", lambda: np.zeros(150, np.float32))
    assert shared.get(one, "a", lambda: np.ones(1)) is first
    assert shared.get(other, "a", lambda: np.ones(150, np.float32)).all()  # no room for it, so made each time
    assert shared.n_bytes == 600
    assert shared.get(other, "a", lambda: np.zeros(100, np.float32)).size == 100
    assert shared.n_bytes == 1000
    del one
    gc.collect()
    assert shared.n_bytes == 400


def test_what_nobody_asks_for_twice_is_no_longer_kept_until_somebody_does() -> None:
    shared, sounds = Shared(1000, n_tried=3), [silence(0.01) for _ in range(5)]
    for sound in sounds:
        shared.get(sound, "a", lambda: np.zeros(10, np.float32))
    assert shared.n_bytes == 3 * 40
    assert shared.get(sounds[0], "b", lambda: np.zeros(10, np.float32)).size == 10  # each key by itself
    assert shared.n_bytes == 4 * 40
    again = shared.get(sounds[4], "a", lambda: np.ones(10, np.float32))  # was not kept, so is made again
    assert again.all()
    assert shared.get(sounds[4], "a", lambda: np.zeros(10, np.float32)) is again
    late = [silence(0.01) for _ in range(4)]
    for sound in late:
        shared.get(sound, "a", lambda: np.zeros(10, np.float32))
    assert shared.n_bytes == 4 * 40 + 40 + 4 * 40
    del sounds, late, sound
    gc.collect()
    assert shared.n_bytes == 0


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (Stft, {"window_s": 0.00001}, r"at least 2 and 1 samples of 1/16000 s, not 0 and 512"),
        (Stft, {"hop_s": 0.00001}, r"at least 2 and 1 samples of 1/16000 s, not 2048 and 0"),
        (Stft, {"n_fft": 2047}, "n_fft must be at least the window's 2048 samples, not 2047"),
        (Stft, {"values": "phase"}, "'complex', 'magnitude' or 'power'"),
        (SpectralRolloff, {"share": 0}, "greater than 0"),
        (SpectralRolloff, {"share": 1}, "less than 1"),
        (SpectralContrast, {"n_bands": 7}, "the last band begins at 12800.0 Hz, and 8000.0 Hz is the highest there is"),
        (SpectralContrast, {"min_hz": 5}, r"bins are 7.8125 Hz wide: min_hz must be as much, not 5.0"),
        (Pitch, {"max_hz": 8001}, "min_hz < max_hz <= 8000.0 must hold, not 65.4.* and 8001.0"),
        (Pitch, {"min_hz": 2100}, "min_hz < max_hz <= 8000.0 must hold"),
        (Pitch, {"min_hz": 7}, "window_s must hold a period of 7.0 Hz and more, not 0.128"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)


@pytest.mark.parametrize(
    "step",
    [SpectralContrast(n_bands=6, min_hz=249), SpectralContrast(min_hz=7.8125), Pitch(min_hz=8), Pitch(max_hz=8000)],
)
def test_a_setting_at_its_bound_is_taken(step: Framing) -> None:
    columns = step.columns()
    assert all(columns[name].fault(array) is None for name, array in arrays(step, tone(0.1)).items())
