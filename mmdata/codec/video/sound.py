"""The sound of a film, on the film's clock."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.codec.limits import within
from mmdata.codec.video.hearing import Gapless
from mmdata.codec.video.passing import seen
from mmdata.core.sample import Audio, Video
from mmdata.core.step import Drop, Map
from mmdata.core.watch import Attending, Heard, Hearing, WatchFirst

_SILENT_HZ = 16_000


@dataclass
class Track:
    """A whole track, as it comes: pieces of float32 [channel, time], one after the other."""

    rate_hz: int
    pieces: list[np.ndarray] = field(default_factory=list)


@dataclass(frozen=True, kw_only=True)
class DecodeSound(WatchFirst[Track | None], Map[Video, Audio]):
    """Decode a film's sound track to float32 [channel, time], so that sample k is heard at k / rate_hz of the film.

    The film's clock starts with its container, which is where its first track does. A track that begins later begins
    with silence, gaps in it are silence, and what comes before is left out. A gap of more than a minute that leads more
    than a minute past the film's length is refused. Pictures are not decoded for it, and the track is decoded once with
    all that hear it.

    Args:
        track: which of several, from 0. A film without it is dropped as `no_sound`; so are transport streams that
            bring it late, and clips that were cut before it begins, or after it ends.
        silent: give such a film silence of its length instead, one channel of 16 kHz.
        max_samples: refuse more of all channels together; four bytes of memory each.
        strict: refuse a track with packets that can't be decoded, or one that ends before its container says that it
            does, or one whose times run back (as where transport streams were joined), and tell the second of the
            film at which it breaks. Else what can't be decoded is silence, a track that is cut short ends where it
            ends, and what would lie before what was heard is left out.

    Raises:
        DecodeError: the track can't be decoded, or passes a limit.

    Reference:
        FFmpeg, by PyAV. How the track is laid on the film's clock is of mmdata.
    """

    extra: ClassVar[str | None] = "video"
    version: ClassVar[int] = 2

    on: str | None = "video"
    into: str | None = "audio"
    track: Annotated[int, Ge(0)] = 0
    silent: bool = False
    max_samples: Annotated[int, Gt(0)] = 1 << 29
    strict: bool = True

    def map(self, video: Video) -> Audio | Drop:
        return self.after(video, seen(self, video))

    def view(self, video: Video) -> None:  # noqa: ARG002  pictures are for others
        return None

    def hears(self, video: Video) -> Hearing:  # noqa: ARG002  every film alike
        return Hearing(self.track)

    def watch(self, video: Video) -> Attending[Track | None]:
        """The track; None where there is none."""
        track: Track | None = None
        gapless = Gapless(self.max_samples, video.duration_s)
        while (heard := (yield)) is not None:
            if isinstance(heard, Heard):
                track = track or Track(heard.rate_hz, [heard.samples])
                track.pieces += gapless.of(heard)
        return track

    def after(self, video: Video, track: Track | None) -> Audio | Drop:
        if track is None:
            return self._without(video)
        return Audio(np.concatenate(track.pieces, axis=1), track.rate_hz, video.time_map)

    def _without(self, video: Video) -> Audio | Drop:
        if not self.silent:
            return Drop("no_sound")
        n_samples = round(video.duration_s * _SILENT_HZ)
        within("samples", n_samples, "max_samples", self.max_samples)
        return Audio(np.zeros((1, n_samples), np.float32), _SILENT_HZ, video.time_map)
