"""What lies between a source and a listener: a room, a narrow band, a codec."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le, MinLen

from mmdata.augment.audio.recordings import digest, pick
from mmdata.codec.lossy import Lossy, recoded
from mmdata.core.sample import Audio
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.audio.filtering import band_passed, reverberated, room


@dataclass(frozen=True, kw_only=True)
class Reverberate(RandomMap[Audio, Audio]):
    """Put a sound into a room: one of a folder of impulse responses, or one made up, noise that decays.

    Time does not move, as the response's strongest moment is time 0, and the mean square stays, but where the peak
    would pass full scale.

    Args:
        folder: of impulse responses; None makes rooms up.
        min_decay_s: the least reverberation time (RT60) of a room made up; each is drawn evenly between the two.
        max_decay_s: the greatest.
        direct_db: how far the direct sound's energy stands above that of the rest, in a room made up.
        p: the share of clips that are put into a room.

    Raises:
        ConfigError: there is no such folder, or no sound in it.

    Reference:
        Plain convolution; a room made up is Polack's model of late reverberation (1988).
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    folder: str | None = None
    min_decay_s: Annotated[float, Gt(0), Le(20)] = 0.2
    max_decay_s: Annotated[float, Gt(0), Le(20)] = 0.8
    direct_db: float = 0.0
    p: Annotated[float, Ge(0), Le(1)] = 1.0

    def __post_init__(self) -> None:
        if self.min_decay_s > self.max_decay_s:
            raise ValueError(
                f"min_decay_s must not be greater than max_decay_s: {self.min_decay_s} > {self.max_decay_s}"
            )

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the folder's files in place of its name."""
        return {**super().settings(), "folder": None if self.folder is None else digest(self.folder)}

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        if rng.random() >= self.p or not audio.samples.any():
            return audio
        if self.folder is None:
            decay_s = rng.uniform(self.min_decay_s, self.max_decay_s)
            response = room(rng, rate_hz=audio.rate_hz, decay_s=decay_s, direct_db=self.direct_db)
        else:
            response = pick(self.folder, rng, rate_hz=audio.rate_hz)
        if not response.any():
            return audio
        wet = reverberated(audio.samples, response)
        return audio.changed(wet / max(np.float32(1), np.abs(wet).max()))


@dataclass(frozen=True, kw_only=True)
class BandPass(RandomMap[Audio, Audio]):
    """Keep a band whose ends are drawn evenly on a logarithmic scale, with slopes of 24 dB an octave.

    Args:
        low_hz: the least and the greatest lower end.
        high_hz: the same of the upper end; what lies above half the rate is no end.

    Reference:
        Butterworth, "On the theory of filter amplifiers" (1930): the magnitude of order 4, without its turn of phase.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    low_hz: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = (50.0, 400.0)
    high_hz: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] = (2_500.0, 7_500.0)

    def __post_init__(self) -> None:
        ends = (*self.low_hz, *self.high_hz)
        if not (ends[0] <= ends[1] < ends[2] <= ends[3]):
            raise ValueError(f"low_hz and high_hz must rise, and not meet, not {self.low_hz} and {self.high_hz}")

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        low_hz, high_hz = (float(np.exp(rng.uniform(*np.log(ends)))) for ends in (self.low_hz, self.high_hz))
        if not audio.samples.any():
            return audio
        return audio.changed(band_passed(audio.samples, rate_hz=audio.rate_hz, low_hz=low_hz, high_hz=high_hz))


@dataclass(frozen=True, kw_only=True)
class Recode(RandomMap[Audio, Audio]):
    """Encode a sound by a lossy codec, drawn evenly, and decode it again: as long as before, and in step with it.

    Telephone codecs (mulaw, alaw, gsm) go by 8 kHz and back.

    Args:
        codecs: those that are drawn from.
        min_quality: from 0, the smallest files, to 1; drawn evenly between the two, for mp3, vorbis and opus.
        max_quality: the greatest.

    Reference:
        libsndfile's encoders: MP3 by LAME, Vorbis, Opus (RFC 6716), mu-law and A-law (ITU-T G.711), GSM 06.10; other
        rates by soxr.
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    codecs: Annotated[tuple[Lossy, ...], MinLen(1)] = ("mp3", "vorbis", "opus", "mulaw", "gsm")
    min_quality: Annotated[float, Ge(0), Le(1)] = 0.0
    max_quality: Annotated[float, Ge(0), Le(1)] = 0.8

    def __post_init__(self) -> None:
        if self.min_quality > self.max_quality:
            raise ValueError(
                f"min_quality must not be greater than max_quality: {self.min_quality} > {self.max_quality}"
            )

    def map(self, audio: Audio, rng: np.random.Generator) -> Audio | Drop:
        codec = self.codecs[int(rng.integers(len(self.codecs)))]
        quality = float(rng.uniform(self.min_quality, self.max_quality))
        if not audio.samples.any():
            return audio
        return audio.changed(recoded(audio.samples, rate_hz=audio.rate_hz, codec=codec, quality=quality))
