"""Pitch, onsets and tempo, as librosa 0.11 defines them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.features.audio.framing import Framing
from mmdata.features.audio.mel import MelSpectrum
from mmdata.kernels.audio import onset_frames, onset_strength, power_to_db, pyin, tempo_bpm


@dataclass(frozen=True, kw_only=True)
class Pitch(Framing):
    """The fundamental frequency by pYIN, `librosa.pyin` with its settings: Hz, float32 [time]; 0 where there is none.

    The column `.voiced` is the probability that there is one, float32 [time]. librosa writes NaN where a frame has no
    pitch; here it is 0, as one NaN spoils a whole batch.

    Args:
        min_hz, max_hz: the range that is searched; librosa asks for it, here it is C2 to C7 as in its example. A
            window must hold a period of min_hz.
    """

    into: str = "audio.pitch"
    min_hz: Annotated[float, Gt(0)] = 65.40639132514966
    max_hz: Annotated[float, Gt(0)] = 2093.004522404789

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_hz < self.max_hz <= self.rate_hz / 2:
            raise ValueError(f"min_hz < max_hz <= {self.rate_hz / 2} must hold, not {self.min_hz} and {self.max_hz}")
        if self.rate_hz / self.min_hz >= self.window - 1:
            raise ValueError(f"window_s must hold a period of {self.min_hz} Hz and more, not {self.window_s}")

    def spec(self) -> Mapping[str, ArraySpec]:
        one = ArraySpec(dims=("time",), hop_s=self.every_s)
        return {"": one, "voiced": one}

    def together(self, audios: Sequence[Audio]) -> list[Mapping[str, np.ndarray]]:
        found = pyin(
            self.waves(audios),
            rate_hz=self.rate_hz,
            min_hz=self.min_hz,
            max_hz=self.max_hz,
            size=self.window,
            hop=self.hop,
        )
        return [{"": pitch, "voiced": voiced} for pitch, voiced in found]

    def extract(self, audio: Audio) -> Mapping[str, np.ndarray]:
        (arrays,) = self.together([audio])
        return arrays


@dataclass(frozen=True, kw_only=True)
class Rhythm(MelSpectrum):
    """What onsets and tempo share: how much louder each frame is than the one before, over all mels."""

    window_s: Annotated[float, Gt(0)] = 0.128
    hop_s: Annotated[float, Gt(0)] = 0.032
    n_mels: Annotated[int, Gt(0)] = 128
    min_hz: Annotated[float, Ge(0)] = 0.0

    def strengths(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        """Of each sound, float32 [time]."""
        n_fft, hop = self.fft_size, self.hop
        return [onset_strength(power_to_db(mels, top_db=80.0), n_fft=n_fft, hop=hop) for mels in self.mels(audios)]


@dataclass(frozen=True, kw_only=True)
class OnsetStrength(Rhythm):
    """How much louder a frame is than the one before: float32 [time]; `librosa.onset.onset_strength`."""

    into: str = "audio.onset_strength"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), hop_s=self.every_s)

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        return self.strengths(audios)


@dataclass(frozen=True, kw_only=True)
class Onsets(Rhythm):
    """When something begins, in seconds: float32 [onset]; `librosa.onset.onset_detect` with its defaults."""

    into: str = "audio.onsets"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("onset",))

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        found = [onset_frames(each, rate_hz=self.rate_hz, hop=self.hop) for each in self.strengths(audios)]
        return [(frames * self.every_s).astype(np.float32) for frames in found]


@dataclass(frozen=True, kw_only=True)
class Tempo(Rhythm):
    """Beats a minute of the whole clip: a float32 scalar; `librosa.feature.tempo`. Silence reads 120, the prior."""

    into: str = "audio.tempo"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        found = [tempo_bpm(each, rate_hz=self.rate_hz, hop=self.hop) for each in self.strengths(audios)]
        return [np.asarray(bpm, np.float32) for bpm in found]
