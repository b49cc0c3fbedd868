"""What a recording must be like to be kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Le, Lt

from mmdata.core.sample import Audio
from mmdata.core.step import Drop, Filter
from mmdata.kernels.audio.clipping import clipped_share
from mmdata.kernels.audio.quality import bandwidth_hz, silent_share, snr_db


@dataclass(frozen=True, kw_only=True)
class KeepDuration(Filter[Audio]):
    """Keep clips of `min_s` to `max_s` seconds, both included; None is no bound.

    Reference:
        Plain count of samples, over their rate.
    """

    on: str = "audio"
    min_s: Annotated[float, Ge(0)] | None = None
    max_s: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.min_s is not None and self.max_s is not None and self.min_s > self.max_s:
            raise ValueError(f"min_s must not be greater than max_s: {self.min_s} > {self.max_s}")

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        if self.min_s is not None and audio.duration_s < self.min_s:
            return Drop("too_short")
        if self.max_s is not None and audio.duration_s > self.max_s:
            return Drop("too_long")
        return True


@dataclass(frozen=True, kw_only=True)
class KeepSnr(Filter[Audio]):
    """Keep recordings whose signal stands at least `min_db` above their noise.

    An estimate for sound with pauses, such as speech: noise is what the quietest tenth of the clip has
    (`kernels.audio.quality.snr_db`). As a number for each clip: the feature `AudioQuality`.

    Reference:
        In the manner of NIST's STNR; that the quietest tenth is the noise is of mmdata.
    """

    on: str = "audio"
    min_db: Annotated[float, Ge(-20), Le(100)] = 15.0

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        return True if snr_db(audio.samples, rate_hz=audio.rate_hz) >= self.min_db else Drop("too_noisy")


@dataclass(frozen=True, kw_only=True)
class KeepUnclipped(Filter[Audio]):
    """Keep recordings of which at most `max_share` of the worst channel's samples stand in flat tops.

    A flat top is three samples in a row or more at the channel's greatest, or least, level, whatever that is: a clip
    that was turned down after it was clipped is found, too. See `kernels.audio.clipping`.

    Reference:
        Of mmdata: flat tops at the extremes.
    """

    on: str = "audio"
    max_share: Annotated[float, Ge(0), Le(1)] = 0.001

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        return True if clipped_share(audio.samples) <= self.max_share else Drop("clipped")


@dataclass(frozen=True, kw_only=True)
class KeepSounding(Filter[Audio]):
    """Keep clips of which at most `max_silence` is silent, a share of their 10 ms frames.

    Args:
        floor_db: a frame is silent when every channel is at or below it (dB re full scale, of the mean square).

    Reference:
        Of mmdata: mean squares of 10 ms frames.
    """

    on: str = "audio"
    max_silence: Annotated[float, Ge(0), Le(1)] = 0.5
    floor_db: Annotated[float, Ge(-100), Le(0)] = -50.0

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        share = silent_share(audio.samples, rate_hz=audio.rate_hz, floor_db=self.floor_db)
        return True if share <= self.max_silence else Drop("too_silent")


@dataclass(frozen=True, kw_only=True)
class KeepBandwidth(Filter[Audio]):
    """Keep recordings that hold anything above `min_hz`, whatever rate their file has: upsampled ones do not.

    Args:
        floor_db: what the mean spectrum has below this, re its greatest, is nothing.

    Reference:
        Of mmdata: the highest bin of the spectrum averaged as by Welch, "The use of fast Fourier transform for the
        estimation of power spectra" (1967).
    """

    extra: ClassVar[str | None] = "audio"

    on: str = "audio"
    min_hz: Annotated[float, Ge(0)] = 5_000.0
    floor_db: Annotated[float, Ge(-120), Lt(0)] = -70.0

    def keep(self, audio: Audio) -> Literal[True] | Drop:
        highest_hz = bandwidth_hz(audio.samples, rate_hz=audio.rate_hz, floor_db=self.floor_db)
        return True if highest_hz >= self.min_hz else Drop("narrow_band")
