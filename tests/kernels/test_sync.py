"""Onsets of a sound that comes piece by piece: those of the whole."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.rng import rng_for
from mmdata.kernels.audio import mel_power
from mmdata.kernels.sync import SoundLevels, sound_onsets

RATE_HZ = 16_000


def clicks(n_samples: int, seed: int = 0) -> np.ndarray:
    rng = rng_for(seed, "clicks")
    wave = 0.01 * rng.standard_normal(n_samples)
    wave[rng.random(n_samples) < 1e-3] += 0.8
    return wave.astype(np.float32)


def by_hand(wave: np.ndarray) -> np.ndarray:
    """Onsets from librosa's mel spectrogram of the whole, as `kernels.audio` has it."""
    mels = mel_power(
        wave, rate_hz=RATE_HZ, n_fft=256, window=256, hop=160, n_mels=40, min_hz=60.0, max_hz=RATE_HZ / 2
    ).astype(np.float64)
    levels = np.log1p(mels / (max(mels.mean(), 1e-9) * 1e-2))
    rise = np.zeros(len(levels))
    rise[1:-1] = np.maximum(levels[2:] - levels[:-2], 0).mean(axis=1)
    return rise


@settings(deadline=None)
@given(n_samples=st.integers(400, 12_000), cuts=st.lists(st.integers(0, 12_000), max_size=6), seed=st.integers(0, 9))
def test_pieces_have_the_onsets_of_the_whole(n_samples: int, cuts: list[int], seed: int) -> None:
    wave, levels = clicks(n_samples, seed), SoundLevels(rate_hz=RATE_HZ)
    for piece in np.split(wave, sorted(cuts)):
        levels.add(piece)
    found = levels.onsets()
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, by_hand(wave), atol=1e-4)


@pytest.mark.parametrize(("n_samples", "n_frames"), [(0, 0), (1, 1), (159, 1), (160, 2), (320, 3)])
def test_a_frame_is_centred_on_each_10_ms(n_samples: int, n_frames: int) -> None:
    assert len(sound_onsets(np.ones(n_samples, np.float32), rate_hz=RATE_HZ)) == n_frames
