"""Numbers a frame that say what a spectrum or a wave is like, as librosa 0.11 defines them."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Gt, Lt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.features.audio.framing import FrameArray
from mmdata.kernels.audio import (
    centred_ends,
    chroma,
    contrast_ends,
    contrast_of,
    flatness,
    moments,
    n_frames,
    rolloff,
    root_mean_square,
    spectral_peaks,
    stfts,
    tuning,
    zero_crossings,
)


@dataclass(frozen=True, kw_only=True)
class Series(FrameArray):
    """What features of one number a frame share: float32 [time]."""

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), hop_s=self.every_s)


@dataclass(frozen=True, kw_only=True)
class SpectralSeries(Series):
    """A number of each frame's spectrum."""

    version: ClassVar[int] = 2  # 2: of the spectrum in float32 that other features share
    precise: ClassVar[bool] = False

    @abstractmethod
    def of_power(self, power: np.ndarray, /) -> np.ndarray:
        """Float32 [time], of power spectra, float32 [time, bin]."""

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        return self.read(audios, self.of_power, precise=self.precise)


@dataclass(frozen=True, kw_only=True)
class WaveSeries(Series):
    """A number of each frame's samples. There is nothing that sounds could share, so each is taken by itself."""

    @abstractmethod
    def of_wave(self, wave: np.ndarray, /) -> np.ndarray:
        """Float32 [time of frames], of a waveform, float32 [time]."""

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        return [self.of_wave(wave) for wave in self.waves(audios)]


@dataclass(frozen=True, kw_only=True)
class Stft(FrameArray):
    """The short-time Fourier transform, `librosa.stft`.

    Args:
        values: "complex" gives float32 [time, bin, part], the real part and the imaginary; "magnitude" and "power"
            give float32 [time, bin].
    """

    version: ClassVar[int] = 2  # 2: computed in float32

    into: str = "audio.stft"
    values: Literal["complex", "magnitude", "power"] = "complex"

    def spec(self) -> ArraySpec:
        n_bins = self.fft_size // 2 + 1
        if self.values == "complex":
            return ArraySpec(dims=("time", "bin", "part"), sizes={"bin": n_bins, "part": 2}, hop_s=self.every_s)
        return ArraySpec(dims=("time", "bin"), sizes={"bin": n_bins}, hop_s=self.every_s)

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        if self.values == "complex":
            n_fft, window, hop = self.fft_size, self.window, self.hop
            found = stfts(self.waves(audios), n_fft=n_fft, window=window, hop=hop)
            return [spectrum.view(np.float32).reshape(*spectrum.shape, 2) for spectrum in found]
        return self.read(audios, np.sqrt if self.values == "magnitude" else np.positive)


@dataclass(frozen=True, kw_only=True)
class Chroma(FrameArray):
    """How much of each of the twelve pitch classes sounds, C first, the greatest being 1: float32 [time, class].

    `librosa.feature.chroma_stft`, tuned to the clip as it is there. A silent frame is zeros.
    """

    version: ClassVar[int] = 2  # 2: of the spectrum in float32 that other features share

    into: str = "audio.chroma"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time", "class"), sizes={"class": 12}, hop_s=self.every_s)

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        if len(audios) == 1 and self.goes_alone(audios[0]):
            return self._long(audios[0])
        return [
            chroma(power, rate_hz=self.rate_hz, n_fft=self.fft_size, tuned=tuning(self._peaks(power)))
            for power in self.powers(audios)
        ]

    def _peaks(self, power: np.ndarray) -> np.ndarray:
        return spectral_peaks(power, rate_hz=self.rate_hz, n_fft=self.fft_size)

    def _long(self, audio: Audio) -> list[np.ndarray]:
        """In two passes, as the tuning is known at the end of the first."""
        peaks = [self._peaks(power) for power in self.blocks(audio)]
        tuned = tuning(np.concatenate(peaks, axis=1))
        return self.read([audio], lambda power: chroma(power, rate_hz=self.rate_hz, n_fft=self.fft_size, tuned=tuned))


@dataclass(frozen=True, kw_only=True)
class SpectralCentroid(SpectralSeries):
    """The mean frequency in Hz, weighted by magnitude: float32 [time]; `librosa.feature.spectral_centroid`."""

    into: str = "audio.centroid"

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return moments(np.sqrt(power), rate_hz=self.rate_hz, n_fft=self.fft_size)[0]


@dataclass(frozen=True, kw_only=True)
class SpectralBandwidth(SpectralSeries):
    """The standard deviation of frequency in Hz, weighted by magnitude: `librosa.feature.spectral_bandwidth`."""

    version: ClassVar[int] = 1
    precise: ClassVar[bool] = True  # of a tone, what rounding adds far from it would weigh most

    into: str = "audio.bandwidth"

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return moments(np.sqrt(power), rate_hz=self.rate_hz, n_fft=self.fft_size)[1]


@dataclass(frozen=True, kw_only=True)
class SpectralRolloff(SpectralSeries):
    """The frequency in Hz below which `share` of the magnitude lies: `librosa.feature.spectral_rolloff`."""

    into: str = "audio.rolloff"
    share: Annotated[float, Gt(0), Lt(1)] = 0.85

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return rolloff(np.sqrt(power), rate_hz=self.rate_hz, n_fft=self.fft_size, share=self.share)


@dataclass(frozen=True, kw_only=True)
class SpectralFlatness(SpectralSeries):
    """From 0, a tone, to 1, noise or silence: `librosa.feature.spectral_flatness`."""

    into: str = "audio.flatness"

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return flatness(power)


@dataclass(frozen=True, kw_only=True)
class SpectralContrast(FrameArray):
    """Decibels between valleys and peaks of octave bands: float32 [time, band]; `librosa.feature.spectral_contrast`.

    Args:
        min_hz: where the second band begins; the first is all below it, the last all above the octaves.
        n_bands: octaves; there is one band more.
    """

    into: str = "audio.contrast"
    min_hz: Annotated[float, Gt(0)] = 200.0
    n_bands: Annotated[int, Gt(0)] = 6

    def __post_init__(self) -> None:
        super().__post_init__()
        highest_hz = self.min_hz * 2 ** (self.n_bands - 1)
        if highest_hz >= self.rate_hz / 2:
            raise ValueError(
                f"the last band begins at {highest_hz} Hz, and {self.rate_hz / 2} Hz is the highest there is"
            )
        if self.rate_hz / self.fft_size > self.min_hz:
            raise ValueError(
                f"bins are {self.rate_hz / self.fft_size} Hz wide: min_hz must be as much, not {self.min_hz}"
            )

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time", "band"), sizes={"band": self.n_bands + 1}, hop_s=self.every_s)

    def together(self, audios: Sequence[Audio]) -> list[np.ndarray]:
        return [contrast_of(ends) for ends in self.read(audios, self._ends, precise=True)]

    def _ends(self, power: np.ndarray) -> np.ndarray:
        return contrast_ends(
            np.sqrt(power), rate_hz=self.rate_hz, n_fft=self.fft_size, min_hz=self.min_hz, n_bands=self.n_bands
        )


@dataclass(frozen=True, kw_only=True)
class ZeroCrossings(WaveSeries):
    """The share of a frame's samples whose sign differs from the one before: `librosa.feature.zero_crossing_rate`."""

    into: str = "audio.zero_crossings"

    def of_wave(self, wave: np.ndarray) -> np.ndarray:
        count = n_frames(wave.size, n_fft=self.window, hop=self.hop)
        return zero_crossings(
            centred_ends(wave, size=self.window, mode="edge"), n_frames=count, size=self.window, hop=self.hop
        )


@dataclass(frozen=True, kw_only=True)
class Rms(WaveSeries):
    """The root mean square of each frame, 1 being full scale: float32 [time]; `librosa.feature.rms` of a waveform."""

    into: str = "audio.rms"

    def of_wave(self, wave: np.ndarray) -> np.ndarray:
        count = n_frames(wave.size, n_fft=self.window, hop=self.hop)
        return root_mean_square(centred_ends(wave, size=self.window), n_frames=count, size=self.window, hop=self.hop)
