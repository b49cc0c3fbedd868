"""Noise, hum and clipping, mended."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Map
from mmdata.kernels.audio import mono
from mmdata.kernels.audio.clipping import bridged
from mmdata.kernels.audio.gating import gate
from mmdata.kernels.audio.hum import mains_hz, notched

LONGEST_BRIDGE_S = 0.005


@dataclass(frozen=True, kw_only=True)
class Denoise(Map[Audio, Audio]):
    """Turn down, frequency by frequency, what does not stand out of the noise: spectral gating (noisereduce).

    Each channel by itself. The noise is that of the clip's quietest fifth, so that it should have pauses; or, where it
    `moves`, what each frequency has at its quietest within a second to either side.

    Args:
        moves: whether the noise changes over time.
        strength: how far sound must stand out; standard deviations of the noise's decibels, or multiples of its level.
        reduction: what is taken off of all else: 1 is all of it, which sounds hollow.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    moves: bool = False
    strength: Annotated[float, Ge(0)] = 2.0
    reduction: Annotated[float, Gt(0), Le(1)] = 0.9

    def map(self, audio: Audio) -> Audio | Drop:
        if not audio.samples.any():
            return audio
        settings = {"strength": self.strength, "reduction": self.reduction}
        gated = [gate(wave, rate_hz=audio.rate_hz, moving=self.moves, **settings) for wave in audio.samples]
        return audio.changed(np.stack(gated))


@dataclass(frozen=True, kw_only=True)
class RemoveHum(Map[Audio, Audio]):
    """Notch out the hum of the mains and its harmonics; a clip that does not hum is left as it is.

    Hum is known by its first four harmonics, which stand out of their surroundings through the whole clip
    (`kernels.audio.hum.mains_hz`). Notches are passed there and back, so that no phase is turned.

    Args:
        hum_hz: the frequency to take out, asked or not; None listens for 50 and 60 Hz.
        n_harmonics: how many multiples are taken out, the first counted.
        q: frequency over width of a notch.

    Reference:
        Notches of `scipy.signal.iirnotch`; how hum is known is of mmdata.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    hum_hz: Annotated[float, Ge(10)] | None = None
    n_harmonics: Annotated[int, Gt(0)] = 8
    q: Annotated[float, Gt(0), Le(200)] = 30.0

    def map(self, audio: Audio) -> Audio | Drop:
        hum_hz = self.hum_hz or mains_hz(mono(audio.samples), rate_hz=audio.rate_hz)
        if hum_hz is None or not audio.n_samples or hum_hz >= audio.rate_hz / 2:
            return audio
        notch = partial(notched, rate_hz=audio.rate_hz, hum_hz=hum_hz, n_harmonics=self.n_harmonics, q=self.q)
        return audio.changed(np.stack([notch(wave) for wave in audio.samples]))


@dataclass(frozen=True, kw_only=True)
class RepairClipping(Map[Audio, Audio]):
    """Bridge flat tops by cubics that meet the sound at its own slopes; a clip without any is left as it is.

    Tops of more than 5 ms stay: what was there can't be known. Where the bridges pass full scale, all of the clip is
    turned down. To drop such clips instead: `KeepUnclipped`.

    Reference:
        Cubic Hermite interpolation; what a flat top is is of mmdata.
    """

    on: str = "audio"

    def map(self, audio: Audio) -> Audio | Drop:
        longest = max(3, round(LONGEST_BRIDGE_S * audio.rate_hz))
        waves = list(audio.samples)
        bridges = [bridged(wave, longest=longest) for wave in waves]
        if all(new is old for new, old in zip(bridges, waves, strict=True)):
            return audio
        mended = np.stack(bridges)
        return audio.changed(mended / max(np.float32(1), np.abs(mended).max()))
