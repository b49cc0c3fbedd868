"""Arrays and scalars of a sound."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import Extract
from mmdata.errors import DataError
from mmdata.kernels.audio import QUIETEST, dct_matrix, mel_power, mono, power_to_db, resample
from mmdata.kernels.loudness import GATE_LUFS, loudness_lufs


@dataclass(frozen=True, kw_only=True)
class MelSpectrum(Extract[Audio]):
    """What `LogMel` and `Mfcc` share: the mel power spectrum of the channel mean at `rate_hz`, as librosa has it.

    A clip of another rate is resampled in memory, so that all clips have the same hop. Row i is centred on i * hop
    seconds; a clip of n samples gives 1 + n // hop rows, one without any samples gives none.

    Args:
        rate_hz: the rate that is listened at.
        window_s: length of the Hann window. hop_s: from row to row; both are rounded to whole samples.
        n_fft: FFT length in samples, for windows to be padded to; None is the window's own.
        n_mels: Slaney's mel filters from min_hz to max_hz; None is half the rate.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    rate_hz: Annotated[int, Gt(0)] = 16_000
    window_s: Annotated[float, Gt(0)] = 0.025
    hop_s: Annotated[float, Gt(0)] = 0.010
    n_fft: Annotated[int, Gt(0)] | None = None
    n_mels: Annotated[int, Gt(0)] = 80
    min_hz: Annotated[float, Ge(0)] = 0.0
    max_hz: Annotated[float, Gt(0)] | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.window < 2 or self.hop < 1:
            raise ValueError(
                f"window_s and hop_s must be at least 2 and 1 samples of 1/{self.rate_hz} s, "
                f"not {self.window} and {self.hop}"
            )
        if self.n_fft is not None and self.n_fft < self.window:
            raise ValueError(f"n_fft must be at least the window's {self.window} samples, not {self.n_fft}")
        if not self.min_hz < (self.max_hz or self.rate_hz / 2) <= self.rate_hz / 2:
            raise ValueError(f"min_hz < max_hz <= {self.rate_hz / 2} must hold, not {self.min_hz} and {self.max_hz}")

    @property
    def window(self) -> int:
        return round(self.window_s * self.rate_hz)

    @property
    def hop(self) -> int:
        return round(self.hop_s * self.rate_hz)

    def power(self, audio: Audio) -> np.ndarray:
        """float32 [time, mel]."""
        wave = resample(mono(audio.samples)[None], from_hz=audio.rate_hz, to_hz=self.rate_hz)[0]
        return mel_power(
            wave,
            rate_hz=self.rate_hz,
            n_fft=self.n_fft or self.window,
            window=self.window,
            hop=self.hop,
            n_mels=self.n_mels,
            min_hz=self.min_hz,
            max_hz=self.max_hz or self.rate_hz / 2,
        )


@dataclass(frozen=True, kw_only=True)
class LogMel(MelSpectrum):
    """Log-mel energies: float32 [time, mel], natural log, not below log(1e-10).

    The log of `librosa.feature.melspectrogram` with the same settings.
    """

    into: str = "audio.logmel"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time", "mel"), sizes={"mel": self.n_mels}, hop_s=self.hop / self.rate_hz)

    def extract(self, audio: Audio) -> np.ndarray:
        energies: np.ndarray = np.log(np.maximum(self.power(audio), np.float32(QUIETEST)))
        return energies


@dataclass(frozen=True, kw_only=True)
class Mfcc(MelSpectrum):
    """Mel-frequency cepstral coefficients: float32 [time, coefficient], `librosa.feature.mfcc` with the same settings.

    The defaults are librosa's too: 20 coefficients of 128 mels, a window of 2,048 and a hop of 512 samples (at 16 kHz
    128 and 32 ms), the orthonormal DCT-II of decibels cut off 80 dB below the clip's greatest.
    """

    into: str = "audio.mfcc"
    window_s: Annotated[float, Gt(0)] = 0.128
    hop_s: Annotated[float, Gt(0)] = 0.032
    n_mels: Annotated[int, Gt(0)] = 128
    n_mfcc: Annotated[int, Gt(0)] = 20
    top_db: Annotated[float, Ge(0)] | None = 80.0

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_mfcc > self.n_mels:
            raise ValueError(f"n_mfcc must be at most n_mels: {self.n_mfcc} > {self.n_mels}")

    def spec(self) -> ArraySpec:
        sizes = {"coefficient": self.n_mfcc}
        return ArraySpec(dims=("time", "coefficient"), sizes=sizes, hop_s=self.hop / self.rate_hz)

    def extract(self, audio: Audio) -> np.ndarray:
        decibels = power_to_db(self.power(audio), top_db=self.top_db)
        cepstrum: np.ndarray = decibels @ dct_matrix(self.n_mels, self.n_mfcc)
        return cepstrum


@dataclass(frozen=True, kw_only=True)
class MfccStats(Mfcc):
    """The mean over time of each coefficient of `Mfcc`, then the standard deviation of each: float32 [feature]."""

    into: str = "audio.mfcc_stats"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": 2 * self.n_mfcc})

    def extract(self, audio: Audio) -> np.ndarray:
        mfcc = super().extract(audio)
        if not len(mfcc):
            raise DataError("the clip has no samples, so its coefficients have no mean")
        return np.concatenate([mfcc.mean(axis=0), mfcc.std(axis=0)])


@dataclass(frozen=True, kw_only=True)
class Loudness(Extract[Audio]):
    """Integrated loudness in LUFS (ITU-R BS.1770-4): a float32 scalar.

    -70, the standard's gate, is the least: silence reads that. A clip shorter than 400 ms is measured as one block.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    into: str = "audio.loudness"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, audio: Audio) -> np.ndarray:
        loudness = loudness_lufs(audio.samples, rate_hz=audio.rate_hz)
        return np.asarray(max(loudness, GATE_LUFS), np.float32)


@dataclass(frozen=True, kw_only=True)
class AudioDuration(Extract[Audio]):
    """Length in seconds: a float64 scalar."""

    on: str = "audio"
    into: str = "audio.duration_s"

    def spec(self) -> ArraySpec:
        return ArraySpec(dtype="float64")

    def extract(self, audio: Audio) -> np.ndarray:
        return np.asarray(audio.duration_s, np.float64)
