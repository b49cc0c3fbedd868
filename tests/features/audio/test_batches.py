"""Features of several sounds at once: the same to the bit as one by one, whoever is in the batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest

from mmdata.core.sample import Audio
from mmdata.core.step import Extract
from mmdata.errors import DataError
from mmdata.features import audio as features
from mmdata.features.audio import framing
from mmdata.features.audio.framing import Framing
from mmdata.kernels.audio import power_spectra
from mmdata.testing.build import click_track, noise, silence, tone

FRAMES: list[Framing] = [
    *(features.Stft(), features.Stft(values="magnitude"), features.Stft(values="power"), features.Chroma()),
    *(features.LogMel(), features.Mfcc(deltas=2), features.Mfcc(top_db=None, n_fft=4096)),
    *(features.SpectralCentroid(), features.SpectralBandwidth(), features.SpectralRolloff()),
    *(features.SpectralFlatness(), features.SpectralContrast(), features.ZeroCrossings(), features.Rms()),
    *(features.Pitch(), features.OnsetStrength(), features.Onsets(), features.Tempo()),
]
ALL: list[Extract[Audio]] = [*FRAMES, features.Loudness(), features.LoudnessTrack()]


def sounds() -> list[Audio]:
    """Of all lengths, levels, rates and numbers of channels, as new objects: nothing of them is known yet."""
    return [
        *(noise(0.7), tone(0.31, 440), silence(0.2), click_track(1.5, 100), noise(0.02), tone(1.1, 90, 22050)),
        *(Audio(np.zeros((1, 0), np.float32), 16000), Audio(np.ones((1, 1), np.float32), 16000)),
        *(noise(0.4, 44100, 2), noise(0.13, 8000), Audio(1e-4 * noise(0.5).samples, 16000)),
        *(Audio(np.zeros((2, 0), np.float32), 44100), noise(0.2, 48000, 6), silence(0.6)),
    ]


def named(step: Extract[Audio], found: Sequence[Any]) -> list[Mapping[str, np.ndarray]]:
    return [step.named(arrays) for arrays in found]


def assert_same(one: Mapping[str, np.ndarray], other: Mapping[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name, array in one.items():
        assert np.asarray(array).dtype == np.asarray(other[name]).dtype
        np.testing.assert_array_equal(array, other[name])


@pytest.mark.parametrize("step", ALL, ids=lambda step: step.name)
@pytest.mark.parametrize("group_bytes", [framing.GROUP_BYTES, 700_000, 0])
def test_a_batch_is_the_same_to_the_bit_as_its_sounds_alone(
    step: Extract[Audio], group_bytes: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(framing, "GROUP_BYTES", group_bytes)
    alone = named(step, [step.extract(audio) for audio in sounds()])
    for order in (slice(None), slice(None, None, -1), slice(2, 9)):
        for found, expected in zip(named(step, step.extract_many(sounds()[order])), alone[order], strict=True):
            assert_same(found, expected)


def test_a_sound_that_stands_in_a_batch_twice_is_computed_once(monkeypatch: pytest.MonkeyPatch) -> None:
    n_waves = []

    def counted(waves: Sequence[np.ndarray], **given: Any) -> list[np.ndarray]:
        n_waves.append(len(waves))
        return power_spectra(waves, **given)

    monkeypatch.setattr(framing, "power_spectra", counted)
    one, other = noise(0.3), tone(0.2, 500)
    first, second, third = features.LogMel().extract_many([one, other, one])
    np.testing.assert_array_equal(first, third)
    assert isinstance(second, np.ndarray)
    assert len(second) == 21
    assert n_waves == [2]
    features.LogMel(n_mels=40).extract_many([other, silence(0.1), one])
    assert n_waves == [2, 1]


def test_groups_hold_no_more_than_they_may(monkeypatch: pytest.MonkeyPatch) -> None:
    made = []

    def counted(waves: Sequence[np.ndarray], **given: Any) -> list[np.ndarray]:
        found = power_spectra(waves, **given)
        made.append([power.nbytes for power in found])
        return found

    monkeypatch.setattr(framing, "power_spectra", counted)
    monkeypatch.setattr(framing, "GROUP_BYTES", 400_000)
    features.Mfcc().extract_many([noise(seconds) for seconds in (0.5, 0.5, 0.5, 6.0, 0.1, 0.1)])
    assert [len(each) for each in made] == [3, 1, 2]
    assert all(sum(each) <= 400_000 for each in made if len(each) > 1)


@pytest.mark.parametrize("step", FRAMES, ids=lambda step: step.name)
def test_a_long_sound_is_read_in_stretches(step: Framing, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its spectrum is never held whole, and what comes out is the same but for the order of sums."""
    whole = step.named(step.extract(click_track(9.0, 110)))
    monkeypatch.setattr(framing, "WHOLE_BYTES", 500_000)
    monkeypatch.setattr(framing, "power_spectra", None)  # whoever asked for it whole would fail
    (found,) = named(step, step.extract_many([click_track(9.0, 110)]))
    assert found.keys() == whole.keys()
    for name, array in found.items():
        assert array.shape == whole[name].shape
        np.testing.assert_allclose(array, whole[name], rtol=1e-5, atol=1e-5)


def test_a_sound_without_samples_has_no_means() -> None:
    step = features.MfccStats()
    with pytest.raises(DataError, match="no samples"):
        step.extract_many([noise(0.3), Audio(np.zeros((1, 0), np.float32), 16000)])
    assert step.extract_many([]) == []
    assert_same(*named(step, [step.extract(noise(0.3)), step.extract_many([noise(0.3), tone(0.2)])[0]]))
