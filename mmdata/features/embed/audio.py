"""Vectors of sounds by models of `transformers`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.errors import DataError
from mmdata.features.embed.pretrained import Pretrained, Tower, first_line, quiet
from mmdata.features.embed.weights import unusable
from mmdata.kernels.audio import mono, resample

WAVES = "_get_feat_extract_output_lengths"  # what all models that listen to waveforms have
WHISPER_STRIDE = 2  # of the encoder's convolutions, over the rows of its spectrum


@dataclass(frozen=True)
class Heard:
    """A sound as a model wants it.

    Args:
        windows: float32, a waveform [time] or a spectrum [mel, time] each.
        n_samples: of each window, that are sound and not padding.
    """

    windows: tuple[np.ndarray, ...]
    n_samples: tuple[int, ...]


@dataclass(frozen=True, kw_only=True)
class AudioEmbedding(Pretrained[Audio]):
    """A vector of a sound, or one of each moment: float32 [feature], or [time, feature].

    For Whisper's encoder, wav2vec 2.0, HuBERT, WavLM and their like. The mean of the channels is resampled to the rate
    that the model was made for. A clip that is longer than a window is cut into as few equal windows as it takes;
    what the model hears of each is joined.

    Args:
        pooling: "mean" over time, or "none".
        window_s: longest stretch that is heard at once; Whisper's own 30 s are its most.

    Reference:
        The model's own, by `transformers`. That long clips are cut and joined is of mmdata.
    """

    on: str = "audio"
    into: str = "audio.embedding"
    pooling: Literal["mean", "none"] = "mean"
    window_s: Annotated[float, Gt(0)] = 30.0

    def spec(self) -> ArraySpec:
        config = self.config()
        self.check_layer(config)
        size = int(
            getattr(config, "output_hidden_size", None) or getattr(config, "hidden_size", None) or config.d_model
        )
        if self.pooling == "mean":
            return self.vector(size)
        return ArraySpec(dims=("time", "feature"), sizes={"feature": size}, dtype=self.dtype, hop_s=self._hop_s(config))

    def _hop_s(self, config: Any) -> float | None:
        """Seconds from row to row."""
        extractor = self._extractor()
        if self._is_whisper():
            return WHISPER_STRIDE * float(extractor.hop_length) / float(extractor.sampling_rate)
        strides = getattr(config, "conv_stride", None)
        if not strides or getattr(config, "add_adapter", False):
            return None
        return float(np.prod(strides)) / float(extractor.sampling_rate)

    def load(self, device: str) -> Tower:
        tower = super().load(device)
        if not self._is_whisper() and not hasattr(tower.whole, WAVES):
            raise unusable(
                self.model,
                f"is of architecture {self.config().model_type!r}; expected an encoder of waveforms (wav2vec2, hubert, "
                "wavlm...) or whisper",
            )
        return tower

    def prepare(self, value: Audio) -> Heard:
        extractor = self._extractor()
        rate_hz = int(extractor.sampling_rate)
        wave = resample(mono(value.samples)[None], from_hz=value.rate_hz, to_hz=rate_hz)[0]
        least = 1 if self._is_whisper() else _receptive(self.config())
        if len(wave) < least:
            if self.pooling == "mean":
                raise DataError(f"the clip has {len(wave)} samples of 1/{rate_hz} s; the model hears from {least} on")
            return Heard((), ())
        most = round(self.window_s * rate_hz)
        pieces = np.array_split(wave, -(-len(wave) // max(least, min(most, self._most_samples()))))
        windows = []
        for piece in pieces:
            found = extractor(piece, sampling_rate=rate_hz, return_tensors="np")
            windows.append(np.asarray(next(iter(found.values())), np.float32)[0])
        return Heard(tuple(windows), tuple(len(piece) for piece in pieces))

    def cost(self, prepared: Heard) -> int:
        most = self._most_samples() if self._is_whisper() else 0  # it hears its whole window, whatever is in it
        return max(1, sum(max(n, most) for n in prepared.n_samples))

    def extract(self, model: Tower, prepared: Sequence[Heard]) -> Sequence[np.ndarray]:
        windows = [(window, n) for heard in prepared for window, n in zip(heard.windows, heard.n_samples, strict=True)]
        states: list[Any] = [None] * len(windows)
        for places in self._groups(windows):
            for place, rows in zip(places, self._heard(model, [windows[place] for place in places]), strict=True):
                states[place] = rows
        found, start = [], 0
        for heard in prepared:
            own = states[start : start + len(heard.windows)]
            start += len(heard.windows)
            found.append(self._joined(own))
        return found

    def _joined(self, states: Sequence[Any]) -> np.ndarray:
        import torch

        if not states:
            return np.zeros((0, self.spec().sizes["feature"]), self.dtype)
        rows = torch.cat(list(states))
        return self.finished(rows if self.pooling == "none" else rows.float().mean(dim=0))

    def _groups(self, windows: Sequence[tuple[np.ndarray, int]]) -> list[list[int]]:
        """Places of windows that may be heard together.

        Where the first layer normalises over time, padding would change every number: only equal lengths go together.
        """
        if getattr(self.config(), "feat_extract_norm", "layer") != "group":
            return [list(range(len(windows)))] if windows else []
        same: dict[int, list[int]] = {}
        for place, (_, n) in enumerate(windows):
            same.setdefault(n, []).append(place)
        return list(same.values())

    def _heard(self, model: Tower, windows: Sequence[tuple[np.ndarray, int]]) -> list[Any]:
        """The states of each window: torch [time, feature], of what is sound."""
        import torch

        if self._is_whisper():
            batch = model.tensor(np.stack([window for window, _ in windows]))
            states = self.states(model.part(batch, **self.asks))
            hop = WHISPER_STRIDE * int(self._extractor().hop_length)
            lengths = [-(-n // hop) for _, n in windows]
            return [states[row, :length] for row, length in enumerate(lengths)]
        counts = torch.tensor([n for _, n in windows])
        longest = int(counts.max())
        waves = model.tensor(np.stack([np.pad(window, (0, longest - n)) for window, n in windows]))
        mask = (torch.arange(longest) < counts[:, None]).long().to(model.device)
        padded = {} if bool((counts == longest).all()) else {"attention_mask": mask}
        states = self.states(model.part(waves, **padded, **self.asks))
        lengths = self._rows(model, counts)
        return [states[row, :length] for row, length in enumerate(lengths)]

    def _rows(self, model: Tower, counts: Any) -> list[int]:
        """How many rows there are of so many samples."""
        rows: list[int] = getattr(model.whole, WAVES)(counts).tolist()
        return rows

    def _is_whisper(self) -> bool:
        return bool(self.config().model_type == "whisper")

    def _most_samples(self) -> int:
        extractor = self._extractor()
        return int(extractor.n_samples) if self._is_whisper() else 2**31

    def _extractor(self) -> Any:
        return _extractor_at(self.folder, self.model)


def _receptive(config: Any) -> int:
    """How many samples the first row is made of."""
    size = 1
    for kernel, stride in zip(reversed(config.conv_kernel), reversed(config.conv_stride), strict=True):
        size = (size - 1) * stride + kernel
    return size


@lru_cache(maxsize=16)
def _extractor_at(folder: Path, model: str) -> Any:
    with quiet():
        from transformers import AutoFeatureExtractor

        try:
            return AutoFeatureExtractor.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
        except Exception as error:  # whatever stands in a stranger's files
            raise unusable(model, f"its processor of sounds can't be used: {first_line(error)}") from error
