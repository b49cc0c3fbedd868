"""Channels, rate and offset."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Map
from mmdata.kernels.audio import mono, resample


@dataclass(frozen=True, kw_only=True)
class MixDown(Map[Audio, Audio]):
    """Mix all channels down to one, their mean.

    Reference:
        Plain mean.
    """

    on: str = "audio"

    def map(self, audio: Audio) -> Audio | Drop:
        return audio if len(audio.samples) == 1 else audio.changed(mono(audio.samples)[None])

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its sound, after that of what it takes."""
        return spec.fixed(channel=1)


@dataclass(frozen=True, kw_only=True)
class PickChannel(Map[Audio, Audio]):
    """Keep one channel of several; drop a clip that does not have it.

    Args:
        channel: counted from 0, or from the last, which is -1.

    Reference:
        Plain choice.
    """

    on: str = "audio"
    channel: int = 0

    def map(self, audio: Audio) -> Audio | Drop:
        n_channels = len(audio.samples)
        if not -n_channels <= self.channel < n_channels:
            return Drop("no_such_channel")
        if n_channels == 1:
            return audio
        place = self.channel % n_channels
        return audio.changed(audio.samples[place : place + 1])


@dataclass(frozen=True, kw_only=True)
class Resample(Map[Audio, Audio]):
    """Change the rate to `rate_hz` by soxr's HQ filter. Time does not move."""

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    rate_hz: Annotated[int, Gt(0)] = 16_000

    def map(self, audio: Audio) -> Audio | Drop:
        if audio.rate_hz == self.rate_hz:
            return audio
        samples = resample(audio.samples, from_hz=audio.rate_hz, to_hz=self.rate_hz)
        return audio.changed(samples, rate_hz=self.rate_hz)


@dataclass(frozen=True, kw_only=True)
class RemoveOffset(Map[Audio, Audio]):
    """Take the mean off of each channel: a DC offset is inaudible, but spoils levels, fades and joints.

    Args:
        tolerance: a clip whose channels' means are all at most this, of full scale, is left as it is.

    Reference:
        Plain mean.
    """

    on: str = "audio"
    tolerance: Annotated[float, Ge(0)] = 1e-4

    def map(self, audio: Audio) -> Audio | Drop:
        if not audio.n_samples:
            return audio
        means = audio.samples.mean(axis=1, keepdims=True, dtype=np.float64)
        if np.abs(means).max() <= self.tolerance:
            return audio
        return audio.changed((audio.samples - means).astype(np.float32))
