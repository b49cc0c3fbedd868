"""How long and how loud a sound is, how much of it is speech, and what is wrong with it."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio
from mmdata.core.step import Extract
from mmdata.features.audio.framing import GROUP_BYTES, heard
from mmdata.kernels.audio.clipping import clipped_share
from mmdata.kernels.audio.quality import bandwidth_hz, silent_share, snr_db
from mmdata.kernels.audio.voice import RATE_HZ, model_version, speech_seconds
from mmdata.kernels.loudness import GATE_LUFS, block_powers, gated_lufs, track_lufs


@dataclass(frozen=True, kw_only=True)
class Levels(Extract[Audio]):
    """What both features of loudness share: sounds of one rate are filtered side by side, the same to the bit."""

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"

    @property
    def n_tenths(self) -> int:
        """Tenths of a second whose power is told."""
        return 4

    @abstractmethod
    def of_power(self, power: np.ndarray, /) -> np.ndarray:
        """The array, of a sound's weighted powers: float64 [stretch]."""

    def extract(self, audio: Audio) -> np.ndarray:
        (array,) = self.extract_many([audio])
        return array

    def extract_many(self, values: Sequence[Audio], /) -> list[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for rate_hz, places in self._groups(values):
            powers = block_powers([values[place].samples for place in places], rate_hz=rate_hz, n_tenths=self.n_tenths)
            found.update(zip(places, map(self.of_power, powers), strict=True))
        return [found[place] for place in range(len(values))]

    def _groups(self, audios: Sequence[Audio]) -> Iterator[tuple[int, list[int]]]:
        """Which sounds go together, of one rate and of so many samples at most."""
        for rate_hz in sorted({audio.rate_hz for audio in audios}):
            group: list[int] = []
            n_bytes = 0
            for place, audio in enumerate(audios):
                if audio.rate_hz != rate_hz:
                    continue
                if group and n_bytes + audio.samples.nbytes > GROUP_BYTES:
                    yield rate_hz, group
                    group, n_bytes = [], 0
                group.append(place)
                n_bytes += audio.samples.nbytes
            yield rate_hz, group


@dataclass(frozen=True, kw_only=True)
class Loudness(Levels):
    """Integrated loudness in LUFS (ITU-R BS.1770-4): a float32 scalar.

    -70, the standard's gate, is the least: silence reads that. A clip shorter than 400 ms is measured as one block.
    """

    into: str = "audio.loudness"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return np.asarray(max(gated_lufs(power), GATE_LUFS), np.float32)


@dataclass(frozen=True, kw_only=True)
class LoudnessTrack(Levels):
    """Loudness over time in LUFS, every 100 ms: float32 [time] (EBU Tech 3341).

    Row i is of the stretch that begins at i * 0.1 s; -70 is the least. A clip shorter than such a stretch is one row.

    Args:
        over: how long a stretch is: "momentary" is 0.4 s, "short_term" 3 s.
    """

    into: str = "audio.loudness_track"
    over: Literal["momentary", "short_term"] = "momentary"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("time",), hop_s=0.1)

    @property
    def n_tenths(self) -> int:
        return 4 if self.over == "momentary" else 30

    def of_power(self, power: np.ndarray) -> np.ndarray:
        return np.asarray(np.maximum(track_lufs(power), GATE_LUFS), np.float32)


@dataclass(frozen=True, kw_only=True)
class AudioQuality(Extract[Audio]):
    """What is wrong with a recording: five float32 scalars, to choose by instead of dropping.

    `.snr_db`, an estimate that needs pauses; `.clipped` and `.silent`, shares of 0 to 1; `.bandwidth_hz`, the highest
    frequency that holds anything; `.offset`, the greatest of the channels' means, of full scale. What each is say
    `kernels.audio.quality` and `kernels.audio.clipping`; the filters `clean.audio.Keep...` decide by the same numbers.

    Args:
        silence_db: a frame is silent at or below it (dB re full scale).
        floor_db: what the mean spectrum has below this, re its greatest, is nothing.

    Reference:
        `.snr_db` in the manner of NIST's STNR; `.bandwidth_hz` of a spectrum averaged as by Welch (1967); else of
        mmdata.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    into: str = "audio.quality"
    silence_db: Annotated[float, Ge(-100), Le(0)] = -50.0
    floor_db: Annotated[float, Ge(-120), Lt(0)] = -70.0

    def spec(self) -> Mapping[str, ArraySpec]:
        return dict.fromkeys(("snr_db", "clipped", "silent", "bandwidth_hz", "offset"), ArraySpec())

    def extract(self, audio: Audio) -> Mapping[str, np.ndarray]:
        samples, rate_hz = audio.samples, audio.rate_hz
        numbers = {
            "snr_db": snr_db(samples, rate_hz=rate_hz),
            "clipped": clipped_share(samples),
            "silent": silent_share(samples, rate_hz=rate_hz, floor_db=self.silence_db),
            "bandwidth_hz": bandwidth_hz(samples, rate_hz=rate_hz, floor_db=self.floor_db),
            "offset": float(np.abs(samples.mean(axis=1, dtype=np.float64)).max()) if audio.n_samples else 0.0,
        }
        return {name: np.asarray(value, np.float32) for name, value in numbers.items()}


@dataclass(frozen=True, kw_only=True)
class SpeechShare(Extract[Audio]):
    """The share of a clip in which somebody speaks, 0 to 1: a float32 scalar; 0 where there are no samples.

    The filter `clean.audio.KeepSpeech` decides by the same number.

    Args:
        threshold: probability from which on somebody speaks; speech ends 0.15 below.
        min_speech_s: shorter stretches do not count.
        min_silence_s: shorter pauses are part of the speech.

    Reference:
        Silero Team, Silero VAD (https://github.com/snakers4/silero-vad); stretches as its `get_speech_timestamps` finds
        them.
    """

    extra: ClassVar[str | None] = "speech"

    on: str = "audio"
    into: str = "audio.speech_share"
    threshold: Annotated[float, Gt(0), Lt(1)] = 0.5
    min_speech_s: Annotated[float, Ge(0)] = 0.25
    min_silence_s: Annotated[float, Ge(0)] = 0.1

    def settings(self) -> dict[str, Any]:
        return {**super().settings(), "model": model_version()}

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, audio: Audio) -> np.ndarray:
        spans = speech_seconds(
            heard(audio, RATE_HZ),
            threshold=self.threshold,
            min_speech_s=self.min_speech_s,
            min_silence_s=self.min_silence_s,
        )
        spoken_s = sum(min(last, audio.duration_s) - first for first, last in spans)
        return np.asarray(spoken_s / audio.duration_s if audio.n_samples else 0.0, np.float32)


@dataclass(frozen=True, kw_only=True)
class AudioDuration(Extract[Audio]):
    """Length in seconds: a float64 scalar.

    Reference:
        Plain count of samples, over their rate.
    """

    on: str = "audio"
    into: str = "audio.duration_s"

    def spec(self) -> ArraySpec:
        return ArraySpec(dtype="float64")

    def extract(self, audio: Audio) -> np.ndarray:
        return np.asarray(audio.duration_s, np.float64)
