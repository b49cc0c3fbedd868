"""How long and how loud a sound is, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import Extract
from mmdata.kernels.loudness import GATE_LUFS, loudness_lufs, loudness_track


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
class LoudnessTrack(Extract[Audio]):
    """Loudness over time in LUFS, every 100 ms: float32 [time] (EBU Tech 3341).

    Row i is of the stretch that begins at i * 0.1 s; -70 is the least. A clip shorter than such a stretch is one row.

    Args:
        over: how long a stretch is: "momentary" is 0.4 s, "short_term" 3 s.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    into: str = "audio.loudness_track"
    over: Literal["momentary", "short_term"] = "momentary"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), hop_s=0.1)

    def extract(self, audio: Audio) -> np.ndarray:
        n_tenths = 4 if self.over == "momentary" else 30
        lufs: np.ndarray = loudness_track(audio.samples, rate_hz=audio.rate_hz, n_tenths=n_tenths)
        return np.asarray(np.maximum(lufs, GATE_LUFS), np.float32)


@dataclass(frozen=True, kw_only=True)
class AudioDuration(Extract[Audio]):
    """Length in seconds: a float64 scalar."""

    on: str = "audio"
    into: str = "audio.duration_s"

    def spec(self) -> ArraySpec:
        return ArraySpec(dtype="float64")

    def extract(self, audio: Audio) -> np.ndarray:
        return np.asarray(audio.duration_s, np.float64)
