"""Gain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, RandomMap


@dataclass(frozen=True, kw_only=True)
class ChangeGain(RandomMap[Audio, Audio]):
    """Turn a clip up or down by a gain drawn evenly, in dB; never so far up that it passes full scale.

    Reference:
        Plain gain.
    """

    keeps_form: ClassVar[bool] = True

    on: str = "audio"
    min_db: float = -12.0
    max_db: float = 6.0

    def __post_init__(self) -> None:
        if self.min_db > self.max_db:
            raise ValueError(f"min_db must not be greater than max_db: {self.min_db} > {self.max_db}")

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        gain = 10 ** (rng.uniform(self.min_db, self.max_db) / 20)
        peak = float(np.abs(audio.samples).max(initial=0.0))
        if gain > 1 and peak > 0:
            gain = min(gain, max(1.0, 1 / peak))
        return audio if gain == 1 or peak == 0 else audio.changed(audio.samples * np.float32(gain))
