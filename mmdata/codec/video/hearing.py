"""A film's sound, chunk by chunk, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction

import numpy as np

from mmdata.codec.video.opening import opened, picture_track, start_s
from mmdata.core.sample import Video


@dataclass(frozen=True)
class Heard:
    """Some of a sound track: float32 [channel, time], full scale is -1 to 1, from a time of the film on."""

    samples: np.ndarray
    rate_hz: int
    time_s: Fraction


def heard(video: Video) -> Iterator[Heard]:
    """The first sound track of a film in order, as it is stored; nothing where there is none.

    Raises:
        DecodeError: it can't be decoded.
    """
    with opened(video) as container:
        from av import AudioResampler

        tracks = [track for track in container.streams.audio if track.codec_context is not None]
        if not tracks:
            return
        start, track = start_s(container, picture_track(container)), tracks[0]
        track.codec_context.thread_count = 1
        to_float = AudioResampler(
            format="fltp", layout=track.codec_context.layout, rate=track.codec_context.sample_rate
        )
        for frame in container.decode(track):
            time_s = (frame.pts or 0) * (frame.time_base or Fraction(0)) - start
            for part in to_float.resample(frame):
                yield Heard(np.asarray(part.to_ndarray(), np.float32), part.sample_rate, time_s)
