"""Speed, tempo and pitch. What moves time leaves a time map behind."""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.audio.pace import shifted, sped, stretched

Speed = Annotated[float, Ge(0.25), Le(4)]


@dataclass(frozen=True, kw_only=True)
class Pace(RandomMap[Audio, Audio]):
    """What steps that play faster or slower share.

    Args:
        min_speed: the least speed, 1 being as it is; each clip's is drawn evenly between the two.
        max_speed: the greatest.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    min_speed: Speed = 0.9
    max_speed: Speed = 1.1

    def __post_init__(self) -> None:
        if self.min_speed > self.max_speed:
            raise ValueError(f"min_speed must not be greater than max_speed: {self.min_speed} > {self.max_speed}")

    def played(self, audio: Audio, samples: np.ndarray) -> Audio:
        """The sound with other samples that play the same at another pace: time is mapped by their very number."""
        if not samples.shape[1] or samples.shape == audio.samples.shape:
            return audio
        clock = audio.clock.stretched(Fraction(audio.n_samples, samples.shape[1]))
        return audio.changed(samples, time_map=clock)


@dataclass(frozen=True, kw_only=True)
class ChangeSpeed(Pace):
    """Play faster, and so higher, or slower and lower, as a tape does: by resampling.

    Reference:
        Ko et al., "Audio augmentation for speech recognition" (Interspeech 2015), speed perturbation; soxr resamples.
    """

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        return self.played(audio, sped(audio.samples, speed=rng.uniform(self.min_speed, self.max_speed)))


@dataclass(frozen=True, kw_only=True)
class ChangeTempo(Pace):
    """Play faster or slower at the same pitch: a phase vocoder, as `librosa.effects.time_stretch`."""

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        speed = rng.uniform(self.min_speed, self.max_speed)
        waves = [stretched(wave, rate_hz=audio.rate_hz, speed=speed) for wave in audio.samples]
        return self.played(audio, np.stack(waves))


@dataclass(frozen=True, kw_only=True)
class ShiftPitch(RandomMap[Audio, Audio]):
    """Sound higher or lower at the same pace, by semitones drawn evenly. Time does not move.

    Reference:
        `librosa.effects.pitch_shift`: a phase vocoder, then soxr.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    min_semitones: Annotated[float, Ge(-24), Le(24)] = -2.0
    max_semitones: Annotated[float, Ge(-24), Le(24)] = 2.0

    def __post_init__(self) -> None:
        if self.min_semitones > self.max_semitones:
            text = f"{self.min_semitones} > {self.max_semitones}"
            raise ValueError(f"min_semitones must not be greater than max_semitones: {text}")

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        semitones = rng.uniform(self.min_semitones, self.max_semitones)
        if not audio.n_samples or semitones == 0:
            return audio
        return audio.changed(
            np.stack([shifted(wave, rate_hz=audio.rate_hz, semitones=semitones) for wave in audio.samples])
        )
