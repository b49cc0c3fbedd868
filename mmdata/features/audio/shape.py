"""Numbers a frame that say what a spectrum or a wave is like, as librosa 0.11 defines them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from annotated_types import Gt, Lt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.features.audio.framing import Framing
from mmdata.kernels.audio import (
    centred_ends,
    chroma,
    contrast,
    flatness,
    moments,
    n_frames,
    rolloff,
    root_mean_square,
    stft,
    zero_crossings,
)


@dataclass(frozen=True, kw_only=True)
class Series(Framing):
    """What features of one number a frame share: float32 [time]."""

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), hop_s=self.every_s)


@dataclass(frozen=True, kw_only=True)
class Stft(Framing):
    """The short-time Fourier transform, `librosa.stft`.

    Args:
        values: "complex" gives float32 [time, bin, part], the real part and the imaginary; "magnitude" and "power"
            give float32 [time, bin].
    """

    into: str = "audio.stft"
    values: Literal["complex", "magnitude", "power"] = "complex"

    def spec(self) -> ArraySpec:
        n_bins = self.fft_size // 2 + 1
        if self.values == "complex":
            return ArraySpec(dims=("time", "bin", "part"), sizes={"bin": n_bins, "part": 2}, hop_s=self.every_s)
        return ArraySpec(dims=("time", "bin"), sizes={"bin": n_bins}, hop_s=self.every_s)

    def extract(self, audio: Audio) -> np.ndarray:
        if self.values == "complex":
            spectrum = stft(self.wave(audio), n_fft=self.fft_size, window=self.window, hop=self.hop, precise=True)
            return spectrum.view(np.float32).reshape(*spectrum.shape, 2)
        return self.magnitude(audio) if self.values == "magnitude" else self.power(audio, precise=True)


@dataclass(frozen=True, kw_only=True)
class Chroma(Framing):
    """How much of each of the twelve pitch classes sounds, C first, the greatest being 1: float32 [time, class].

    `librosa.feature.chroma_stft`, tuned to the clip as it is there. A silent frame is zeros.
    """

    into: str = "audio.chroma"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time", "class"), sizes={"class": 12}, hop_s=self.every_s)

    def extract(self, audio: Audio) -> np.ndarray:
        return chroma(self.power(audio, precise=True), rate_hz=self.rate_hz, n_fft=self.fft_size)


@dataclass(frozen=True, kw_only=True)
class SpectralCentroid(Series):
    """The mean frequency in Hz, weighted by magnitude: float32 [time]; `librosa.feature.spectral_centroid`."""

    into: str = "audio.centroid"

    def extract(self, audio: Audio) -> np.ndarray:
        return moments(self.magnitude(audio), rate_hz=self.rate_hz, n_fft=self.fft_size)[0]


@dataclass(frozen=True, kw_only=True)
class SpectralBandwidth(Series):
    """The standard deviation of frequency in Hz, weighted by magnitude: `librosa.feature.spectral_bandwidth`."""

    into: str = "audio.bandwidth"

    def extract(self, audio: Audio) -> np.ndarray:
        return moments(self.magnitude(audio), rate_hz=self.rate_hz, n_fft=self.fft_size)[1]


@dataclass(frozen=True, kw_only=True)
class SpectralRolloff(Series):
    """The frequency in Hz below which `share` of the magnitude lies: `librosa.feature.spectral_rolloff`."""

    into: str = "audio.rolloff"
    share: Annotated[float, Gt(0), Lt(1)] = 0.85

    def extract(self, audio: Audio) -> np.ndarray:
        return rolloff(self.magnitude(audio), rate_hz=self.rate_hz, n_fft=self.fft_size, share=self.share)


@dataclass(frozen=True, kw_only=True)
class SpectralFlatness(Series):
    """From 0, a tone, to 1, noise or silence: `librosa.feature.spectral_flatness`."""

    into: str = "audio.flatness"

    def extract(self, audio: Audio) -> np.ndarray:
        return flatness(self.power(audio, precise=True))


@dataclass(frozen=True, kw_only=True)
class SpectralContrast(Framing):
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

    def extract(self, audio: Audio) -> np.ndarray:
        magnitude = self.magnitude(audio)
        return contrast(magnitude, rate_hz=self.rate_hz, n_fft=self.fft_size, min_hz=self.min_hz, n_bands=self.n_bands)


@dataclass(frozen=True, kw_only=True)
class ZeroCrossings(Series):
    """The share of a frame's samples whose sign differs from the one before: `librosa.feature.zero_crossing_rate`."""

    into: str = "audio.zero_crossings"

    def extract(self, audio: Audio) -> np.ndarray:
        wave = self.wave(audio)
        count = n_frames(wave.size, n_fft=self.window, hop=self.hop)
        return zero_crossings(
            centred_ends(wave, size=self.window, mode="edge"), n_frames=count, size=self.window, hop=self.hop
        )


@dataclass(frozen=True, kw_only=True)
class Rms(Series):
    """The root mean square of each frame, 1 being full scale: float32 [time]; `librosa.feature.rms` of a waveform."""

    into: str = "audio.rms"

    def extract(self, audio: Audio) -> np.ndarray:
        wave = self.wave(audio)
        count = n_frames(wave.size, n_fft=self.window, hop=self.hop)
        return root_mean_square(centred_ends(wave, size=self.window), n_frames=count, size=self.window, hop=self.hop)
