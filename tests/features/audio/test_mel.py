"""Mel spectra and cepstra, against librosa."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from mmdata.core.sample import Audio
from mmdata.errors import DataError
from mmdata.features.audio import AudioDuration, LogMel, Mfcc, MfccStats
from mmdata.testing.build import click_track, noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract


def same_coefficients(ours: np.ndarray, theirs: np.ndarray, *, atol: float = 1e-3) -> None:
    """Within what float32 can hold.

    librosa's FFT is float64, ours float32, whose rounding stands some 130 dB below a frame's loudest bin. So 1e-3
    where levels are cut off 80 dB below the top; the first coefficient, a sum of 128 decibels, to 2e-6 of itself.
    """
    np.testing.assert_allclose(ours, theirs, atol=atol, rtol=2e-6)


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(LogMel(), noise(0.5, 22050, 2), others={"n_fft": 1024, "max_hz": 7000.0}),
            Case(Mfcc(), noise(0.5), others={"n_fft": 4096, "max_hz": 7000.0, "deltas": 1}),
            Case(MfccStats(), noise(0.5), others={"n_fft": 4096, "max_hz": 7000.0, "deltas": 1}),
            Case(Mfcc(deltas=1), silence(0.1), others={"n_fft": 4096, "max_hz": 7000.0, "deltas": 2}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def sounds(rate_hz: int) -> list[Audio]:
    """A tone, noise, clicks in digital silence, and one that fades through all levels."""
    fading = noise(1.3, rate_hz).samples * np.geomspace(1, 1e-6, round(1.3 * rate_hz), dtype=np.float32)
    return [tone(1.1, 440, rate_hz), noise(0.9, rate_hz), click_track(2.0, 90, rate_hz), Audio(fading, rate_hz)]


@pytest.mark.parametrize("rate_hz", [8000, 16000, 22050, 44100])
def test_mfcc_of_any_rate_is_that_of_librosa_with_its_defaults(rate_hz: int) -> None:
    step = Mfcc(rate_hz=rate_hz, window_s=2048 / rate_hz, hop_s=512 / rate_hz)
    for audio in sounds(rate_hz):
        theirs = librosa.feature.mfcc(y=audio.samples[0], sr=rate_hz).T
        same_coefficients(step.extract(audio), theirs)


@pytest.mark.parametrize(("top_db", "atol"), [(80.0, 1e-3), (30.0, 1e-3), (None, 2e-2)])
def test_mfcc_with_other_settings_is_that_of_librosa(top_db: float | None, atol: float) -> None:
    step = Mfcc(window_s=0.025, hop_s=0.010, n_fft=512, n_mels=40, n_mfcc=13, min_hz=20, max_hz=7600, top_db=top_db)
    for audio in sounds(16000):
        mel = librosa.feature.melspectrogram(
            y=audio.samples[0], sr=16000, n_fft=512, win_length=400, hop_length=160, n_mels=40, fmin=20, fmax=7600
        )
        theirs = librosa.feature.mfcc(S=librosa.power_to_db(mel, top_db=top_db), n_mfcc=13).T
        same_coefficients(step.extract(audio), theirs, atol=atol)


@pytest.mark.parametrize("rate_hz", [16000, 22050])
def test_log_mel_is_that_of_librosa(rate_hz: int) -> None:
    step = LogMel(rate_hz=rate_hz, window_s=400 / rate_hz, hop_s=160 / rate_hz)
    for audio in sounds(rate_hz):
        mel = librosa.feature.melspectrogram(y=audio.samples[0], sr=rate_hz, n_fft=400, hop_length=160, n_mels=80)
        theirs, ours = np.log(np.maximum(mel, 1e-10)).T, step.extract(audio)
        np.testing.assert_allclose(ours, theirs, atol=2e-2)
        audible = theirs > theirs.max() - 80 / 10 * np.log(10)
        np.testing.assert_allclose(ours[audible], theirs[audible], atol=1e-3)


@pytest.mark.parametrize("rate_hz", [8000, 22050, 48000])
def test_a_clip_of_another_rate_is_resampled_first(rate_hz: int) -> None:
    for audio in sounds(rate_hz):
        wave = librosa.resample(audio.samples[0], orig_sr=rate_hz, target_sr=16000, res_type="soxr_hq")
        theirs = librosa.feature.mfcc(y=wave, sr=16000).T
        ours = Mfcc().extract(audio)
        assert abs(len(ours) - len(theirs)) <= 1  # librosa rounds the length up
        n_rows = min(len(ours), len(theirs)) - 4  # its last sample reaches as far as a window
        same_coefficients(ours[:n_rows], theirs[:n_rows])


@pytest.mark.corpus
def test_mfcc_of_speech_is_that_of_librosa(prompts: Path) -> None:
    import soundfile

    for path in sorted(prompts.rglob("*.wav"))[::60]:
        wave, rate_hz = soundfile.read(path, dtype="float32")
        step = Mfcc(rate_hz=rate_hz, window_s=2048 / rate_hz, hop_s=512 / rate_hz)
        theirs = librosa.feature.mfcc(y=wave, sr=rate_hz).T
        same_coefficients(step.extract(Audio(wave[None], rate_hz)), theirs)


@pytest.mark.parametrize("order", [1, 2])
@pytest.mark.parametrize("n_rows", [9, 10, 40])
def test_deltas_are_those_of_librosa(order: int, n_rows: int) -> None:
    step = Mfcc(deltas=order, hop_s=0.01)
    found = step.extract(noise((n_rows - 1) * 0.01))
    plain = found[:, :20]
    assert found.shape == (n_rows, 20 * (1 + order))
    for each in range(1, order + 1):
        theirs = librosa.feature.delta(plain.T, order=each).T
        np.testing.assert_allclose(found[:, 20 * each : 20 * (each + 1)], theirs, atol=1e-3)


def test_a_clip_too_short_for_a_slope_has_none() -> None:
    found = Mfcc(deltas=2).extract(noise(0.25))
    assert found.shape == (8, 60)
    assert np.any(found[:, :20] != 0)
    np.testing.assert_array_equal(found[:, 20:], 0)


def test_channels_are_listened_to_as_their_mean() -> None:
    left, right = noise(0.5, seed=1).samples, noise(0.5, seed=2).samples
    both, mean = Audio(np.concatenate([left, right]), 16000), Audio((left + right) / 2, 16000)
    np.testing.assert_allclose(LogMel().extract(both), LogMel().extract(mean), atol=1e-4)


@pytest.mark.parametrize("at_s", [0.0, 0.25, 0.5])
def test_a_row_is_centred_on_its_time(at_s: float) -> None:
    samples = np.zeros((1, 16000), np.float32)
    samples[0, round(at_s * 16000)] = 1
    spec, rows = LogMel().spec(), LogMel().extract(Audio(samples, 16000))
    assert rows.sum(axis=1).argmax() == round(at_s / (spec.hop_s or 0))


@pytest.mark.parametrize(
    ("step", "hop_s", "n_rows"),
    [
        (LogMel(), 0.01, 101),
        (Mfcc(), 0.032, 32),
        (LogMel(rate_hz=22050), 220 / 22050, 101),  # 10 ms are 220.5 samples: the promise is of what is done
    ],
)
def test_the_promised_hop_is_the_one_that_is_kept(step: LogMel | Mfcc, hop_s: float, n_rows: int) -> None:
    assert step.spec().hop_s == hop_s
    assert len(step.extract(noise(1.0, step.rate_hz))) == n_rows


@given(n_samples=st.integers(0, 5000), rate_hz=st.sampled_from([8000, 16000, 44100]), channels=st.integers(1, 2))
@settings(deadline=None, max_examples=50)
def test_any_clip_gives_finite_rows_as_many_as_promised(n_samples: int, rate_hz: int, channels: int) -> None:
    audio = Audio(noise(1.0, 5000, channels).samples[:, :n_samples], rate_hz)
    for step in (LogMel(), Mfcc()):
        rows = step.extract(audio)
        heard = round(n_samples * 16000 / rate_hz)
        assert len(rows) == (1 + heard // step.hop if heard else 0)
        assert np.isfinite(rows).all()
        assert step.spec().fault(rows) is None


def test_silence_is_the_floor() -> None:
    np.testing.assert_allclose(LogMel().extract(silence(0.1)), np.log(1e-10), rtol=1e-6)
    mfcc = Mfcc().extract(silence(0.1))
    np.testing.assert_allclose(mfcc[:, 0], -100 * np.sqrt(128), rtol=1e-5)
    np.testing.assert_allclose(mfcc[:, 1:], 0, atol=1e-3)


def test_statistics_are_means_then_deviations() -> None:
    audio = noise(1.0)
    mfcc = Mfcc().extract(audio)
    np.testing.assert_allclose(MfccStats().extract(audio), np.concatenate([mfcc.mean(0), mfcc.std(0)]), rtol=1e-6)


def test_a_clip_without_samples_has_no_statistics() -> None:
    with pytest.raises(DataError, match="no samples"):
        MfccStats().extract(silence(0.0))


def test_a_family_follows_its_part() -> None:
    assert list(MfccStats(on="speech").columns()) == ["speech.mfcc_stats"]
    assert list(AudioDuration(on="speech").columns()) == ["speech.duration_s"]


@pytest.mark.parametrize(
    ("step", "given_settings", "fault"),
    [
        (LogMel, {"rate_hz": 0}, "greater than 0"),
        (LogMel, {"window_s": 0.00001}, r"at least 2 and 1 samples of 1/16000 s, not 0 and 160"),
        (LogMel, {"hop_s": 0.00001}, r"at least 2 and 1 samples of 1/16000 s, not 400 and 0"),
        (LogMel, {"n_fft": 399}, "n_fft must be at least the window's 400 samples, not 399"),
        (LogMel, {"max_hz": 8001}, r"min_hz < max_hz <= 8000.0 must hold, not 0.0 and 8001.0"),
        (LogMel, {"min_hz": 8000}, r"min_hz < max_hz <= 8000.0 must hold, not 8000.0 and None"),
        (LogMel, {"min_hz": -1}, "greater than or equal to 0"),
        (LogMel, {"n_mels": 0}, "greater than 0"),
        (Mfcc, {"n_mfcc": 129}, "n_mfcc must be at most n_mels: 129 > 128"),
        (Mfcc, {"top_db": -1}, "greater than or equal to 0"),
        (Mfcc, {"deltas": 3}, "less than or equal to 2"),
    ],
)
def test_a_wrong_setting_is_refused(step: type, given_settings: dict[str, Any], fault: str) -> None:
    with pytest.raises(ValidationError, match=fault):
        TypeAdapter(step).validate_python(given_settings)


@pytest.mark.parametrize("step", [LogMel(n_fft=400), LogMel(max_hz=8000), Mfcc(n_mfcc=128), LogMel(min_hz=7999)])
def test_a_setting_at_its_bound_is_taken(step: LogMel | Mfcc) -> None:
    assert step.spec().fault(step.extract(tone(0.1))) is None
