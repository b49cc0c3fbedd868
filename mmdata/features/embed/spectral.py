"""Spectra of many sounds at once, on the device that models run on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import BatchExtract
from mmdata.features.audio import LogMel, MelSpectrum, Mfcc
from mmdata.kernels.audio import QUIETEST, dct_matrix, hann, mel_filters, mono, resample


@dataclass(frozen=True, kw_only=True)
class BatchSpectrum(BatchExtract[Audio]):
    """What `BatchLogMel` and `BatchMfcc` share: the settings of `features.audio.MelSpectrum`, and its numbers."""

    extra: ClassVar[str | None] = "torch"

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
        self.one_by_one()  # which refuses what can't be

    def one_by_one(self) -> MelSpectrum:
        """The step that computes the same, clip by clip, on the CPU."""
        return LogMel(**self._shared())

    def _shared(self) -> dict[str, Any]:
        names = ("rate_hz", "window_s", "hop_s", "n_fft", "n_mels", "min_hz", "max_hz")
        return {name: getattr(self, name) for name in names}

    def spec(self) -> ArraySpec:
        found = self.one_by_one().spec()
        if not isinstance(found, ArraySpec):
            raise TypeError(f"{self.name} gives one array")
        return found

    def load(self, device: str) -> dict[str, Any]:
        import torch

        like = self.one_by_one()
        n_fft = self.n_fft or like.window
        filters = mel_filters(self.rate_hz, n_fft, self.n_mels, self.min_hz, self.max_hz or self.rate_hz / 2)
        tables = {"taper": hann(like.window, n_fft), "filters": filters}
        return {name: torch.tensor(table, device=device) for name, table in tables.items()}

    def prepare(self, value: Audio) -> np.ndarray:
        wave: np.ndarray = resample(mono(value.samples)[None], from_hz=value.rate_hz, to_hz=self.rate_hz)[0]
        return wave

    def cost(self, prepared: np.ndarray) -> int:
        return max(1, prepared.size)

    def extract(self, model: dict[str, Any], prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        heard = [place for place, wave in enumerate(prepared) if wave.size]
        found: list[np.ndarray] = [np.zeros((0, self.spec().shape[1] or 0), np.float32)] * len(prepared)
        if heard:
            power, counts = self._power(model, [prepared[place] for place in heard])
            rows = self.finished(model, power, counts)
            for place, clip, count in zip(heard, rows, counts, strict=True):
                found[place] = clip[:count].cpu().numpy()
        return found

    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int]) -> Any:
        """What is stored of mel powers, torch float32 [clip, time, mel], of which each clip has so many rows."""
        raise NotImplementedError

    def _power(self, model: dict[str, Any], waves: Sequence[np.ndarray]) -> tuple[Any, list[int]]:
        """Mel powers of clips that are filled up with the silence that ends each of them anyway."""
        import torch

        taper, hop = model["taper"], self.one_by_one().hop
        n_fft, longest = len(taper), max(wave.size for wave in waves)
        padded = np.zeros((len(waves), longest + 2 * (n_fft // 2)), np.float32)
        for row, wave in enumerate(waves):
            padded[row, n_fft // 2 : n_fft // 2 + wave.size] = wave
        frames = torch.from_numpy(padded).to(taper.device).unfold(1, n_fft, hop) * taper
        power = torch.fft.rfft(frames).abs().square()
        return power @ model["filters"], [1 + (wave.size - n_fft % 2) // hop for wave in waves]


@dataclass(frozen=True, kw_only=True)
class BatchLogMel(BatchSpectrum):
    """`features.audio.LogMel` for many clips at once: float32 [time, mel], natural log, not below log(1e-10)."""

    into: str = "audio.logmel"

    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int]) -> Any:  # noqa: ARG002
        return power.clamp(min=QUIETEST).log()


@dataclass(frozen=True, kw_only=True)
class BatchMfcc(BatchSpectrum):
    """`features.audio.Mfcc` for many clips at once: float32 [time, coefficient]."""

    into: str = "audio.mfcc"
    window_s: Annotated[float, Gt(0)] = 0.128
    hop_s: Annotated[float, Gt(0)] = 0.032
    n_mels: Annotated[int, Gt(0)] = 128
    n_mfcc: Annotated[int, Gt(0)] = 20
    top_db: Annotated[float, Ge(0)] | None = 80.0

    def one_by_one(self) -> Mfcc:
        return Mfcc(**self._shared(), n_mfcc=self.n_mfcc, top_db=self.top_db)

    def load(self, device: str) -> dict[str, Any]:
        import torch

        return {**super().load(device), "dct": torch.tensor(dct_matrix(self.n_mels, self.n_mfcc), device=device)}

    def finished(self, model: dict[str, Any], power: Any, counts: Sequence[int]) -> Any:
        import torch

        # in float64, where a device has it: cepstra are small differences of sums that hang on the group's size
        wide = power if power.device.type == "mps" else power.double()
        decibels = 10 * wide.clamp(min=QUIETEST).log10()
        if self.top_db is not None:
            n_rows = torch.tensor(counts, device=power.device)
            real = torch.arange(power.shape[1], device=power.device) < n_rows[:, None]
            top = decibels.masked_fill(~real[..., None], -torch.inf).amax(dim=(1, 2), keepdim=True)
            decibels = torch.maximum(decibels, top - self.top_db)
        return (decibels @ model["dct"].to(decibels.dtype)).float()
