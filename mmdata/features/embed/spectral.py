"""Spectra of many sounds at once, on the device that models run on."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import BatchExtract
from mmdata.features.audio.mel import CepstrumSettings, MelSettings
from mmdata.kernels.audio import QUIETEST, dct_matrix, hann, mel_filters, mono, resample


@dataclass(frozen=True, kw_only=True)
class BatchSpectrum(MelSettings, BatchExtract[Audio]):
    """What `BatchLogMel` and `BatchMfcc` share: mel powers of many clips, as `features.audio.MelSpectrum` has them."""

    extra: ClassVar[str | None] = "torch"

    def load(self, device: str) -> dict[str, Any]:
        import torch

        filters = mel_filters(self.rate_hz, self.fft_size, self.n_mels, self.min_hz, self.highest_hz)
        tables = {"taper": hann(self.window, self.fft_size), "filters": filters}
        return {name: torch.tensor(table, device=device) for name, table in tables.items()}

    def prepare(self, value: Audio) -> np.ndarray:
        wave: np.ndarray = resample(mono(value.samples)[None], from_hz=value.rate_hz, to_hz=self.rate_hz)[0]
        return wave

    def cost(self, prepared: np.ndarray) -> int:
        return max(1, prepared.size)

    def extract(self, model: dict[str, Any], prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        heard = [place for place, wave in enumerate(prepared) if wave.size]
        found: list[np.ndarray] = [self.finished_of_nothing()] * len(prepared)
        if heard:
            clips = self.finished(model, *self._power(model, [prepared[place] for place in heard]))
            for place, clip in zip(heard, clips, strict=True):
                found[place] = clip
        return found

    @abstractmethod
    def finished_of_nothing(self) -> np.ndarray:
        """What is stored of a clip without samples."""

    @abstractmethod
    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int], /) -> list[np.ndarray]:
        """What is stored of mel powers, torch float32 [clip, time, mel], of which each clip has so many rows."""

    def _power(self, model: dict[str, Any], waves: Sequence[np.ndarray]) -> tuple[Any, list[int]]:
        """Mel powers of clips that are filled up with the silence that ends each of them anyway."""
        import torch

        taper, hop = model["taper"], self.hop
        n_fft, longest = len(taper), max(wave.size for wave in waves)
        padded = np.zeros((len(waves), longest + 2 * (n_fft // 2)), np.float32)
        for row, wave in enumerate(waves):
            padded[row, n_fft // 2 : n_fft // 2 + wave.size] = wave
        frames = torch.from_numpy(padded).to(taper.device).unfold(1, n_fft, hop) * taper
        power = torch.fft.rfft(frames).abs().square()
        return power @ model["filters"], [1 + (wave.size - n_fft % 2) // hop for wave in waves]


@dataclass(frozen=True, kw_only=True)
class BatchLogMel(BatchSpectrum):
    """`features.audio.LogMel` for many clips at once: float32 [time, mel], natural log, not below log(1e-10).

    Reference:
        `librosa.feature.melspectrogram`, as `features.audio.LogMel`.
    """

    into: str = "audio.logmel"

    def spec(self) -> ArraySpec:
        return self.mel_spec()

    def finished_of_nothing(self) -> np.ndarray:
        return np.zeros((0, self.n_mels), np.float32)

    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int]) -> list[np.ndarray]:  # noqa: ARG002
        return clips_of(power.clamp(min=QUIETEST).log(), counts)


@dataclass(frozen=True, kw_only=True)
class BatchMfcc(CepstrumSettings, BatchSpectrum):
    """`features.audio.Mfcc` for many clips at once: float32 [time, coefficient].

    Reference:
        `librosa.feature.mfcc`, as `features.audio.Mfcc`.
    """

    into: str = "audio.mfcc"

    def spec(self) -> ArraySpec:
        return self.cepstrum_spec()

    def finished_of_nothing(self) -> np.ndarray:
        return np.zeros((0, self.n_coefficients), np.float32)

    def load(self, device: str) -> dict[str, Any]:
        import torch

        return {**super().load(device), "dct": torch.tensor(dct_matrix(self.n_mels, self.n_mfcc), device=device)}

    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int]) -> list[np.ndarray]:
        import torch

        # in float64, where a device has it: cepstra are small differences of sums that hang on the group's size
        wide = power if power.device.type == "mps" else power.double()
        decibels = 10 * wide.clamp(min=QUIETEST).log10()
        if self.top_db is not None:
            n_rows = torch.tensor(counts, device=power.device)
            real = torch.arange(power.shape[1], device=power.device) < n_rows[:, None]
            top = decibels.masked_fill(~real[..., None], -torch.inf).amax(dim=(1, 2), keepdim=True)
            decibels = torch.maximum(decibels, top - self.top_db)
        cepstra = (decibels @ model["dct"].to(decibels.dtype)).float()
        return [self.with_deltas(clip) for clip in clips_of(cepstra, counts)]


def clips_of(rows: Any, counts: Sequence[int]) -> list[np.ndarray]:
    """Each clip's own rows, on the CPU."""
    return [clip[:count].cpu().numpy() for clip, count in zip(rows, counts, strict=True)]
