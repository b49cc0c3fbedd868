"""Spectra of many clips at once, against librosa and the steps that compute them one by one."""

from __future__ import annotations

import librosa
import numpy as np
import pytest

from mmdata.core.sample import Audio
from mmdata.features.audio import LogMel, Mfcc
from mmdata.features.embed import BatchLogMel, BatchMfcc
from mmdata.testing.build import click_track, noise, silence, tone
from mmdata.testing.contracts.steps import Case, StepContract

SOUNDS = [
    noise(0.5),
    tone(1.3, 440),
    click_track(0.7, 90),
    noise(0.4, 22050, 2),
    silence(0.3),
    Audio(noise(0.1).samples[:, :1], 16_000),
    Audio(np.zeros((2, 0), np.float32), 8_000),
]
OTHERS = {"n_fft": 4096, "max_hz": 7000.0}


class TestContracts(StepContract):
    @pytest.fixture(
        params=[
            Case(BatchLogMel(), SOUNDS[0], beside=SOUNDS[1:], others=OTHERS),
            Case(BatchMfcc(n_fft=2049), SOUNDS[0], beside=SOUNDS[1:], others={**OTHERS, "window_s": 0.1}),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


def together(step: BatchLogMel | BatchMfcc) -> list[np.ndarray]:
    model = step.load("cpu")
    return list(step.extract(model, [step.prepare(sound) for sound in SOUNDS]))


def same(ours: np.ndarray, theirs: np.ndarray) -> None:
    """Within 1e-3 of the size of the numbers, which are logarithms: both sides round their FFTs in other places."""
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max(initial=1e-9))


def test_many_clips_are_what_each_is_by_itself() -> None:
    for batch, single in (
        (BatchLogMel(), LogMel()),
        (BatchMfcc(), Mfcc()),
        (BatchMfcc(top_db=None), Mfcc(top_db=None)),
    ):
        assert batch.spec() == single.spec()
        for sound, found in zip(SOUNDS, together(batch), strict=True):
            same(found, single.extract(sound))


def test_many_clips_are_what_librosa_makes_of_each() -> None:
    logmel, mfcc = together(BatchLogMel()), together(BatchMfcc())
    for sound, ours, cepstrum in list(zip(SOUNDS, logmel, mfcc, strict=True))[:3]:
        wave = sound.samples[0]
        power = librosa.feature.melspectrogram(y=wave, sr=16_000, n_fft=400, hop_length=160, n_mels=80)
        same(ours, np.log(np.maximum(power, 1e-10)).T)
        same(cepstrum, librosa.feature.mfcc(y=wave, sr=16_000, n_fft=2048, hop_length=512).T)


def test_settings_that_can_not_be_are_refused_as_for_one_clip() -> None:
    with pytest.raises(ValueError, match="n_mfcc must be at most n_mels"):
        BatchMfcc(n_mels=10)
    with pytest.raises(ValueError, match="n_fft must be at least"):
        BatchLogMel(n_fft=100)
