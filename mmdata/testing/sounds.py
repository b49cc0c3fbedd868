"""Sounds whose level, pitch and onsets are known."""

from __future__ import annotations

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Audio


def tone(
    seconds: float = 1.0, hz: float = 440.0, rate_hz: int = 16000, channels: int = 1, *, level_db: float = -6.0
) -> Audio:
    """A sine from phase 0 on, the same in every channel; the peak is `level_db` re full scale, the RMS 3.01 dB less."""
    time_s = np.arange(round(seconds * rate_hz)) / rate_hz
    wave = 10 ** (level_db / 20) * np.sin(2 * np.pi * hz * time_s)
    return Audio(np.tile(wave.astype(np.float32), (channels, 1)), rate_hz)


def noise(
    seconds: float = 1.0, rate_hz: int = 16000, channels: int = 1, *, level_db: float = -20.0, seed: int = 0
) -> Audio:
    """White Gaussian noise, independent in every channel; the RMS of each is exactly `level_db` re full scale."""
    samples = rng_for(seed, "noise").standard_normal((channels, round(seconds * rate_hz)))
    rms = np.sqrt(np.mean(samples**2, axis=1, keepdims=True)) if samples.size else 1.0
    return Audio((samples / rms * 10 ** (level_db / 20)).astype(np.float32), rate_hz)


def silence(seconds: float = 1.0, rate_hz: int = 16000, channels: int = 1) -> Audio:
    """Zeros."""
    return Audio(np.zeros((channels, round(seconds * rate_hz)), np.float32), rate_hz)


def click_track(seconds: float = 2.0, bpm: float = 120.0, rate_hz: int = 16000, *, click_s: float = 0.01) -> Audio:
    """Bursts of a 1 kHz tone that starts at time 0 and then every 60 / `bpm` seconds, zeros between them."""
    samples = np.zeros((1, round(seconds * rate_hz)), np.float32)
    click = tone(click_s, 1000.0, rate_hz).samples[0]
    for start in np.round(np.arange(0.0, seconds, 60 / bpm) * rate_hz).astype(int):
        room = min(len(click), samples.shape[1] - start)
        samples[0, start : start + room] = click[:room]
    return Audio(samples, rate_hz)
