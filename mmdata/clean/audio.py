"""Mend or drop a sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.audio import levels_db, mono, resample
from mmdata.kernels.loudness import loudness_lufs, true_peak


@dataclass(frozen=True, kw_only=True)
class MixDown(Map[Audio, Audio]):
    """Mix all channels down to one, their mean."""

    on: str = "audio"

    def map(self, audio: Audio) -> Audio | Drop:
        return audio if len(audio.samples) == 1 else audio.changed(mono(audio.samples)[None])


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
class TrimSilence(Map[Audio, Audio]):
    """Cut silence from both ends; drop a clip that is silent throughout.

    A 10 ms frame is silent when every channel is at or below `floor_db` (dB re full scale, of the mean square).

    Args:
        margin_s: silence that stays before the first and after the last sound, where there is so much.
    """

    on: str = "audio"
    floor_db: Annotated[float, Ge(-100), Le(0)] = -50.0
    margin_s: Annotated[float, Ge(0)] = 0.0

    def map(self, audio: Audio) -> Audio | Drop:
        hop = max(1, audio.rate_hz // 100)
        loud = np.flatnonzero(levels_db(audio.samples, hop=hop).max(axis=0) > self.floor_db)
        if not loud.size:
            return Drop("silent")
        margin = round(self.margin_s * audio.rate_hz)
        return audio.cut(int(loud[0]) * hop - margin, (int(loud[-1]) + 1) * hop + margin)  # keeps the time map


@dataclass(frozen=True, kw_only=True)
class NormalizeLoudness(Map[Audio, Audio]):
    """Bring the integrated loudness (ITU-R BS.1770-4) to `target_lufs` by one gain; drop a clip that is silent.

    The gain is less where the true peak would pass `max_peak_db`, so nothing is ever clipped or compressed. A clip
    shorter than 400 ms is measured as one block. Silent is what stays below the standard's gate of -70 LUFS.

    Args:
        tolerance_lu: a clip as near to the target as this, and below the peak limit, is left as it is.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    target_lufs: Annotated[float, Ge(-70), Le(0)] = -23.0
    max_peak_db: Annotated[float, Le(0)] = -1.0
    tolerance_lu: Annotated[float, Ge(0)] = 0.1

    def map(self, audio: Audio) -> Audio | Drop:
        loudness = loudness_lufs(audio.samples, rate_hz=audio.rate_hz)
        if loudness == -np.inf:
            return Drop("silent")
        room_db = self.max_peak_db - 20 * np.log10(true_peak(audio.samples, rate_hz=audio.rate_hz))
        gain_db = min(self.target_lufs - loudness, room_db)
        if abs(gain_db) <= self.tolerance_lu and room_db > -1e-3:
            return audio
        return audio.changed(audio.samples * np.float32(10 ** (gain_db / 20)))


@dataclass(frozen=True, kw_only=True)
class KeepDuration(Filter[Audio]):
    """Keep clips of `min_s` to `max_s` seconds, both included; None is no bound."""

    on: str = "audio"
    min_s: Annotated[float, Ge(0)] | None = None
    max_s: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.min_s is not None and self.max_s is not None and self.min_s > self.max_s:
            raise ValueError(f"min_s must not be greater than max_s: {self.min_s} > {self.max_s}")

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        if self.min_s is not None and audio.duration_s < self.min_s:
            return Drop("too_short")
        if self.max_s is not None and audio.duration_s > self.max_s:
            return Drop("too_long")
        return True
