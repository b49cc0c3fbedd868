"""Mel spectra and cepstra, as librosa 0.11 has them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.errors import DataError
from mmdata.features.audio.framing import FrameArray, FrameSettings
from mmdata.kernels.audio import QUIETEST, dct_matrix, delta, mel_of, power_to_db


@dataclass(frozen=True, kw_only=True)
class MelSettings(FrameSettings):
    """The settings of mel spectra.

    Args:
        n_mels: Slaney's mel filters from min_hz to max_hz; None is half the rate.
    """

    window_s: Annotated[float, Gt(0)] = 0.025
    hop_s: Annotated[float, Gt(0)] = 0.010
    n_mels: Annotated[int, Gt(0)] = 80
    min_hz: Annotated[float, Ge(0)] = 0.0
    max_hz: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.min_hz < self.highest_hz <= self.rate_hz / 2:
            raise ValueError(f"min_hz < max_hz <= {self.rate_hz / 2} must hold, not {self.min_hz} and {self.max_hz}")

    @property
    def highest_hz(self) -> float:
        return self.max_hz or self.rate_hz / 2

    def mel_spec(self) -> ArraySpec:
        return ArraySpec(dims=("time", "mel"), sizes={"mel": self.n_mels}, hop_s=self.every_s)


@dataclass(frozen=True, kw_only=True)
class CepstrumSettings(MelSettings):
    """The settings of cepstra; the defaults are librosa's.

    Args:
        n_mfcc: how many coefficients. top_db: levels are cut off so far below the clip's greatest.
        deltas: 1 adds the slope of each coefficient over time, 2 its curvature, too.
    """

    window_s: Annotated[float, Gt(0)] = 0.128
    hop_s: Annotated[float, Gt(0)] = 0.032
    n_mels: Annotated[int, Gt(0)] = 128
    n_mfcc: Annotated[int, Gt(0)] = 20
    top_db: Annotated[float, Ge(0)] | None = 80.0
    deltas: Annotated[int, Ge(0), Le(2)] = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc must be at most n_mels: {self.n_mfcc} > {self.n_mels}")

    @property
    def n_coefficients(self) -> int:
        return self.n_mfcc * (1 + self.deltas)

    def cepstrum_spec(self) -> ArraySpec:
        sizes = {"coefficient": self.n_coefficients}
        return ArraySpec(dims=("time", "coefficient"), sizes=sizes, hop_s=self.every_s)

    def with_deltas(self, cepstrum: np.ndarray) -> np.ndarray:
        """float32 [time, n_mfcc] to [time, n_mfcc * (1 + deltas)]."""
        series = [cepstrum, *(delta(cepstrum, order=order) for order in range(1, self.deltas + 1))]
        return np.concatenate(series, axis=1) if self.deltas else cepstrum


@dataclass(frozen=True, kw_only=True)
class MelSpectrum(MelSettings, FrameArray):
    """What `LogMel`, `Mfcc` and the onsets share: the mel power spectrum, `librosa.feature.melspectrogram`."""

    version: ClassVar[int] = 3  # clips of more than a quarter of an hour have other last bits than before

    def mels(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        """Of each sound, float32 [time, mel]."""
        # sound by sound: BLAS sums a row in another order where others stand beside it
        return self.read(audios, self._mels_of)

    def _mels_of(self, power: np.ndarray) -> np.ndarray:
        return mel_of(
            power,
            rate_hz=self.rate_hz,
            n_fft=self.fft_size,
            n_mels=self.n_mels,
            min_hz=self.min_hz,
            max_hz=self.highest_hz,
        )


@dataclass(frozen=True, kw_only=True)
class LogMel(MelSpectrum):
    """Log-mel energies: float32 [time, mel], natural log, not below log(1e-10).

    The log of `librosa.feature.melspectrogram` with the same settings.
    """

    into: str = "audio.logmel"

    def spec(self) -> ArraySpec:
        return self.mel_spec()

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        found = self.mels(audios)
        for energies in found:
            np.maximum(energies, np.float32(QUIETEST), out=energies)
            np.log(energies, out=energies)
        return found


@dataclass(frozen=True, kw_only=True)
class Mfcc(CepstrumSettings, MelSpectrum):
    """Mel-frequency cepstral coefficients: float32 [time, coefficient], `librosa.feature.mfcc` with the same settings.

    The defaults are librosa's too: 20 coefficients of 128 mels, a window of 2,048 and a hop of 512 samples (at 16 kHz
    128 and 32 ms), the orthonormal DCT-II of decibels cut off 80 dB below the clip's greatest. With `deltas`,
    `librosa.feature.delta` of them comes after them; a clip of less than 9 rows has deltas of 0.
    """

    into: str = "audio.mfcc"

    def spec(self) -> ArraySpec:
        return self.cepstrum_spec()

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        matrix = dct_matrix(self.n_mels, self.n_mfcc)
        return [self.with_deltas(power_to_db(mels, top_db=self.top_db) @ matrix) for mels in self.mels(audios)]


@dataclass(frozen=True, kw_only=True)
class MfccStats(Mfcc):
    """The mean over time of each coefficient of `Mfcc`, then the standard deviation of each: float32 [feature]."""

    into: str = "audio.mfcc_stats"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": 2 * self.n_coefficients})

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        if not all(audio.n_samples for audio in audios):
            raise DataError("the clip has no samples, so its coefficients have no mean")
        return [np.concatenate([mfcc.mean(axis=0), mfcc.std(axis=0)]) for mfcc in super().together(audios)]
