"""SpecAugment: stretches of time and bands of frequency taken out (Park et al., Interspeech 2019)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Array, Audio
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.audio.filtering import band_stopped


@dataclass(frozen=True, kw_only=True)
class MaskSpectrum(RandomMap[Array, Array]):
    """Mask stretches of time and bands of a spectrum, an array of [time, bin, ...]: the paper's policy LD but its warp.

    Args:
        n_times: masks over time. max_rows: the longest, each drawn evenly from 0; max_share bounds it for short clips.
        n_bands: masks over bins. max_bins: the widest.
        fill: what stands in their place: the mean of the array, its least value, or 0.
    """

    on: str = "logmel"
    n_times: Annotated[int, Ge(0)] = 2
    max_rows: Annotated[int, Ge(0)] = 100
    max_share: Annotated[float, Ge(0), Le(1)] = 1.0
    n_bands: Annotated[int, Ge(0)] = 2
    max_bins: Annotated[int, Ge(0)] = 27
    fill: Literal["mean", "least", "zero"] = "mean"

    def map(self, array: Array, rng: np.random.Generator) -> Array | Drop:
        values = array.values
        if values.ndim < 2 or not values.size:
            return array
        rows = _spans(rng, len(values), self.n_times, min(self.max_rows, int(self.max_share * len(values))))
        bins = _spans(rng, values.shape[1], self.n_bands, self.max_bins)
        if all(first == last for first, last in (*rows, *bins)):
            return array
        filled = 0 if self.fill == "zero" else values.mean() if self.fill == "mean" else values.min()
        masked = values.copy()
        for first, last in rows:
            masked[first:last] = filled
        for first, last in bins:
            masked[:, first:last] = filled
        return Array(masked, array.spec)


@dataclass(frozen=True, kw_only=True)
class MaskTime(RandomMap[Audio, Audio]):
    """Silence stretches of a sound; the same masks as `MaskSpectrum`, before any spectrum.

    Args:
        n_masks: how many. max_s: the longest, each drawn evenly from 0; max_share bounds it for short clips.
    """

    keeps_form: ClassVar[bool] = True

    on: str = "audio"
    n_masks: Annotated[int, Ge(1)] = 2
    max_s: Annotated[float, Gt(0)] = 1.0
    max_share: Annotated[float, Gt(0), Le(1)] = 0.2

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        longest = min(int(self.max_s * audio.rate_hz), int(self.max_share * audio.n_samples))
        spans = _spans(rng, audio.n_samples, self.n_masks, longest)
        if not any(audio.samples[:, first:last].any() for first, last in spans):
            return audio
        masked = audio.samples.copy()
        for first, last in spans:
            masked[:, first:last] = 0
        return audio.changed(masked)


@dataclass(frozen=True, kw_only=True)
class MaskBand(RandomMap[Audio, Audio]):
    """Take bands of frequency out of a sound.

    Args:
        n_masks: how many. max_hz: the widest, each drawn evenly from 0.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    n_masks: Annotated[int, Ge(1)] = 2
    max_hz: Annotated[float, Gt(0)] = 1_000.0

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        samples = audio.samples
        for _ in range(self.n_masks):
            width_hz = rng.uniform(0, min(self.max_hz, audio.rate_hz / 2))
            low_hz = rng.uniform(0, audio.rate_hz / 2 - width_hz)
            if samples.any():
                samples = band_stopped(samples, rate_hz=audio.rate_hz, low_hz=low_hz, high_hz=low_hz + width_hz)
        return audio if samples is audio.samples else audio.changed(samples)


def _spans(rng: np.random.Generator, size: int, n_spans: int, longest: int) -> list[tuple[int, int]]:
    """Stretches within `size`, each of 0 to `longest`, drawn evenly, and beginning anywhere where it fits."""
    spans = []
    for _ in range(n_spans):
        width = int(rng.integers(0, min(longest, size) + 1))
        first = int(rng.integers(0, size - width + 1))
        spans.append((first, first + width))
    return spans
