"""Every feature of frames but the mels, against librosa 0.11 on sounds of all kinds.

librosa compiles itself when first used, so the tests that need that stand here alone.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import librosa
import numpy as np
import pytest

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio
from mmdata.features.audio import (
    Chroma,
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
)
from mmdata.features.audio.framing import Framing
from mmdata.testing.build import click_track, noise, tone

Reference = Callable[[np.ndarray, int], np.ndarray]


def chord(rate_hz: int) -> Audio:
    """Three notes struck twice a second, 17 cents sharp, over a little noise."""
    time_s = np.arange(4 * rate_hz) / rate_hz
    notes = [261.63 * 2 ** ((step + 0.17) / 12) for step in (0, 4, 7)]
    wave = sum(np.sin(2 * np.pi * hz * time_s) for hz in notes) * np.exp(-3 * (time_s * 2 % 1)) * 0.2
    wave = wave + 0.01 * rng_for(5, "chord").standard_normal(time_s.size)
    return Audio(wave.astype(np.float32)[None], rate_hz)


def glide() -> Audio:
    """A voice-like glide from 100 Hz up to 1.5 kHz, with a pause."""
    hz = np.geomspace(100, 1500, 32000)
    wave = 0.5 * np.sin(2 * np.pi * np.cumsum(hz) / 16000)
    wave[12000:18000] = 0
    return Audio(wave.astype(np.float32)[None], 16000)


SOUNDS = {
    "noise": noise(1.5),
    "tone": tone(1.2, 440),
    "clicks": click_track(4.0, 100),
    "glide": glide(),
    "chord": chord(16000),
    "chord at 22050": chord(22050),
}
REFERENCES: dict[type[Framing], Reference] = {
    Stft: lambda y, sr: librosa.stft(y).T.view(np.float32).reshape(-1, 1025, 2),
    Chroma: lambda y, sr: librosa.feature.chroma_stft(y=y, sr=sr).T,
    SpectralCentroid: lambda y, sr: librosa.feature.spectral_centroid(y=y, sr=sr)[0],
    SpectralBandwidth: lambda y, sr: librosa.feature.spectral_bandwidth(y=y, sr=sr)[0],
    SpectralRolloff: lambda y, sr: librosa.feature.spectral_rolloff(y=y, sr=sr)[0],
    SpectralFlatness: lambda y, sr: librosa.feature.spectral_flatness(y=y)[0],
    SpectralContrast: lambda y, sr: librosa.feature.spectral_contrast(y=y, sr=sr, n_bands=6 if sr > 12800 else 5).T,
    ZeroCrossings: lambda y, sr: librosa.feature.zero_crossing_rate(y)[0],
    Rms: lambda y, sr: librosa.feature.rms(y=y)[0],
    OnsetStrength: lambda y, sr: librosa.onset.onset_strength(y=y, sr=sr),
    Onsets: lambda y, sr: librosa.onset.onset_detect(y=y, sr=sr, units="time"),
    Tempo: lambda y, sr: librosa.feature.tempo(y=y, sr=sr)[0],
}


def librosas(step: type[Framing], rate_hz: int) -> Framing:
    """A step with the frames that librosa has at a rate: 2,048 and 512 samples."""
    more: dict[str, Any] = {"n_bands": 5} if step is SpectralContrast and rate_hz <= 12800 else {}
    return step(rate_hz=rate_hz, window_s=2048 / rate_hz, hop_s=512 / rate_hz, **more)


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-3, of numbers above 1 within 1e-3 of their size."""
    assert ours.shape == np.shape(theirs)
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3)


@pytest.mark.filterwarnings("ignore:Trying to estimate tuning")
@pytest.mark.parametrize("step", REFERENCES, ids=lambda step: step.__name__)
def test_a_feature_of_a_batch_is_that_of_librosa(step: type[Framing]) -> None:
    for rate_hz in (16000, 22050):
        batch = [audio for audio in SOUNDS.values() if audio.rate_hz == rate_hz]
        assert batch
        for audio, ours in zip(batch, librosas(step, rate_hz).extract_many(batch), strict=True):
            same(np.asarray(ours), REFERENCES[step](audio.samples[0], rate_hz))


@pytest.mark.corpus
def test_features_of_speech_are_those_of_librosa(prompts: Path) -> None:
    import soundfile

    read = [soundfile.read(path, dtype="float32") for path in sorted(prompts.rglob("*.wav"))[::150]]
    rate_hz = read[0][1]
    batch = [Audio(wave[None], rate_hz) for wave, _ in read]
    for step, reference in REFERENCES.items():
        for audio, ours in zip(batch, librosas(step, rate_hz).extract_many(batch), strict=True):
            same(np.asarray(ours), reference(audio.samples[0], rate_hz))


def test_pitch_of_a_batch_is_that_of_librosa() -> None:
    batch = [SOUNDS[name] for name in ("tone", "glide", "chord")]
    for audio, ours in zip(batch, Pitch().together(batch), strict=True):
        pitch, _, voiced = librosa.pyin(audio.samples[0], sr=16000, fmin=65.40639132514966, fmax=2093.004522404789)
        same(ours[""], np.nan_to_num(pitch))
        same(ours["voiced"], voiced)
        assert (ours[""] > 0).any()


@pytest.mark.parametrize("hop_s", [0.005, 0.01])
def test_pitch_in_small_steps_is_that_of_librosa(hop_s: float) -> None:
    """Onsets and pitches that move by several bins a frame, or by none."""
    audio = glide().cut(6000, 20000)
    ours = Pitch(window_s=0.064, hop_s=hop_s, min_hz=80, max_hz=800).extract(audio)
    pitch, _, voiced = librosa.pyin(
        audio.samples[0], sr=16000, fmin=80, fmax=800, frame_length=1024, hop_length=round(hop_s * 16000)
    )
    same(ours[""], np.nan_to_num(pitch))
    same(ours["voiced"], voiced)


@pytest.mark.parametrize("hop_s", [0.005, 0.01])
def test_onsets_in_small_steps_are_those_of_librosa(hop_s: float) -> None:
    hop = round(hop_s * 16000)
    for audio in (SOUNDS["chord"], SOUNDS["clicks"]):
        settings: dict[str, Any] = {"window_s": 0.064, "hop_s": hop_s}
        strength = librosa.onset.onset_strength(y=audio.samples[0], sr=16000, n_fft=1024, hop_length=hop)
        same(OnsetStrength(**settings).extract(audio), strength)
        onsets = librosa.onset.onset_detect(onset_envelope=strength, sr=16000, hop_length=hop, units="time")
        same(Onsets(**settings).extract(audio), onsets)
        tempo = librosa.feature.tempo(onset_envelope=strength, sr=16000, hop_length=hop)[0]
        same(np.asarray(Tempo(**settings).extract(audio)), tempo)
