"""How loud a sound is, and how high its peaks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Map
from mmdata.kernels.loudness import loudness_lufs, true_peak


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
class LimitPeak(Map[Audio, Audio]):
    """Turn a clip down, all of it by one gain, where its true peak (BS.1770-4, Annex 2) passes `max_peak_db`.

    So nothing is clipped when it is played or encoded, and nothing is compressed.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    max_peak_db: Annotated[float, Le(0)] = -1.0

    def map(self, audio: Audio) -> Audio | Drop:
        limit = 10 ** (self.max_peak_db / 20)
        peak = true_peak(audio.samples, rate_hz=audio.rate_hz)
        if peak <= limit * 1.0001:  # what was turned down before
            return audio
        return audio.changed(audio.samples * np.float32(limit / peak))
