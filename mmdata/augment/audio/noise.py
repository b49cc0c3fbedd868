"""Noise at a ratio: made up, or recorded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Le

from mmdata.augment.audio.recordings import digest, pick
from mmdata.core.sample import Audio
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.audio import noise


@dataclass(frozen=True, kw_only=True)
class AddNoise(RandomMap[Audio, Audio]):
    """Add Gaussian noise at a signal-to-noise ratio drawn evenly, in dB, from `min_snr_db` to `max_snr_db`.

    The ratio is that of the mean squares over the whole clip, exactly; the channels' noises are independent and
    equally strong. Where the sum would pass full scale, all of it is turned down. A silent clip has no ratio and is
    left as it is.

    Args:
        color: "white", or "pink", whose power is equal in every octave.
        p: the share of clips that get noise.

    Reference:
        Pink noise: Timmer and Koenig, "On generating power law noise" (Astronomy and Astrophysics, 1995). The ratio is
        that of plain mean squares.
    """

    extra: ClassVar[str | None] = "audio"
    keeps_form: ClassVar[bool] = True

    on: str = "audio"
    min_snr_db: float = 10.0
    max_snr_db: float = 30.0
    color: Literal["white", "pink"] = "white"
    p: Annotated[float, Ge(0), Le(1)] = 1.0

    def __post_init__(self) -> None:
        if self.min_snr_db > self.max_snr_db:
            raise ValueError(f"min_snr_db must not be greater than max_snr_db: {self.min_snr_db} > {self.max_snr_db}")

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        power = float(np.mean(np.square(audio.samples, dtype=np.float64))) if audio.n_samples else 0.0
        if rng.random() >= self.p or power == 0:
            return audio
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        drawn = noise(rng, audio.samples.shape, color=self.color)
        noisy = audio.samples + drawn * np.float32(np.sqrt(power) * 10 ** (-snr_db / 20))
        return audio.changed(noisy / max(np.float32(1), np.abs(noisy).max()))


@dataclass(frozen=True, kw_only=True)
class MixBackground(RandomMap[Audio, Audio]):
    """Mix in a recording of a folder, at a signal-to-noise ratio drawn evenly, in dB.

    File and beginning are drawn evenly; a recording shorter than the clip goes round. It is brought to the clip's rate,
    all of its channels as their mean. The ratio is that of the mean squares over the whole clip. Where the sum would
    pass full scale, all of it is turned down. A silent clip is left as it is, as is one for which silence was drawn.

    Args:
        folder: of sound files, looked for below it, too.
        p: the share of clips that get a background.

    Raises:
        ConfigError: there is no such folder, or no sound in it.

    Reference:
        Of mmdata: plain mean squares, over the whole clip.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    folder: str
    min_snr_db: float = 5.0
    max_snr_db: float = 25.0
    p: Annotated[float, Ge(0), Le(1)] = 1.0

    def __post_init__(self) -> None:
        if self.min_snr_db > self.max_snr_db:
            raise ValueError(f"min_snr_db must not be greater than max_snr_db: {self.min_snr_db} > {self.max_snr_db}")

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the folder's files in place of its name."""
        return {**super().settings(), "folder": digest(self.folder)}

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        power = float(np.mean(np.square(audio.samples, dtype=np.float64))) if audio.n_samples else 0.0
        if rng.random() >= self.p or power == 0:
            return audio
        snr_db = rng.uniform(self.min_snr_db, self.max_snr_db)
        recorded = pick(self.folder, rng, rate_hz=audio.rate_hz)
        if not recorded.size:
            return audio
        first = int(rng.integers(recorded.size))
        behind = np.take(recorded, np.arange(first, first + audio.n_samples), mode="wrap")
        level = float(np.mean(np.square(behind, dtype=np.float64)))
        if level == 0:
            return audio
        mixed = audio.samples + behind * np.float32(np.sqrt(power / level) * 10 ** (-snr_db / 20))
        return audio.changed(mixed / max(np.float32(1), np.abs(mixed).max()))
