"""The sound of a film, on the film's clock."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt

from mmdata.codec.limits import within
from mmdata.codec.tracks import sound_frames
from mmdata.codec.video.opening import opened, picture_track, start_s
from mmdata.core.sample import Audio, Video
from mmdata.core.step import Drop, Map
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_SILENT_HZ = 16_000
_LENIENCY_S = Fraction(1, 4)  # a codec's padding at both ends, and a container's rounding of its length
_JITTER_S = 0.03  # clocks of containers tick in milliseconds, and encoders pad by a block


@dataclass(frozen=True, kw_only=True)
class DecodeSound(Map[Video, Audio]):
    """Decode a film's sound track to float32 [channel, time], so that sample k is heard at k / rate_hz of the film.

    A track that begins later than the pictures begins with silence, and gaps in it are silence; what is heard before
    the first picture is left out. Pictures are not decoded for it.

    Args:
        track: which of several, from 0. A film without it is dropped as `no_sound`.
        silent: give such a film silence of its length instead, one channel of 16 kHz.
        max_samples: refuse more of all channels together; four bytes of memory each.
        strict: refuse a track with packets that can't be decoded, or one that ends before its container says that it
            does, and tell the second of the film at which it breaks. Else what can't be decoded is silence, and a
            track that is cut short ends where it ends.

    Raises:
        DecodeError: the track can't be decoded, or passes a limit.

    Reference:
        FFmpeg, by PyAV. How the track is laid on the film's clock is of mmdata.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    into: str | None = "audio"
    track: Annotated[int, Ge(0)] = 0
    silent: bool = False
    max_samples: Annotated[int, Gt(0)] = 1 << 29
    strict: bool = True

    def map(self, video: Video) -> Audio | Drop:
        with opened(video) as container:
            tracks = container.streams.audio
            if self.track >= len(tracks):
                return self._without(video)
            stream = tracks[self.track]
            if stream.codec_context is None:
                raise DecodeError("its sound track is of a kind that FFmpeg does not know")
            rate_hz = stream.codec_context.sample_rate
            if rate_hz < 1 or stream.codec_context.channels < 1:
                raise DecodeError("its sound track has no channels, or no rate")
            samples = self._placed(container, stream, rate_hz)
        return Audio(samples, rate_hz, video.time_map)

    def _without(self, video: Video) -> Audio | Drop:
        if not self.silent:
            return Drop("no_sound")
        n_samples = round(video.duration_s * _SILENT_HZ)
        within("samples", n_samples, "max_samples", self.max_samples)
        return Audio(np.zeros((1, n_samples), np.float32), _SILENT_HZ, video.time_map)

    def _placed(self, container: InputContainer, stream: AudioStream, rate_hz: int) -> np.ndarray:
        """The track's pieces, each at its time: float32 [channel, time]."""
        n_channels, n_samples = stream.codec_context.channels, 0
        placed = [np.empty((n_channels, 0), np.float32)]
        start = start_s(container, picture_track(container))
        for time_s, piece in _pieces(container, stream, start, strict=self.strict):
            first = n_samples if time_s is None else round(time_s * rate_hz)
            if abs(first - n_samples) <= _JITTER_S * rate_hz and first >= 0:
                first = n_samples
            piece = piece[:, max(0, n_samples - first) :]
            gap = max(0, first - n_samples) if piece.size else 0
            n_samples += gap + piece.shape[1]
            within("samples", n_samples * n_channels, "max_samples", self.max_samples)
            placed += [np.zeros((n_channels, gap), np.float32), piece]
        return np.concatenate(placed, axis=1)


def _pieces(
    container: InputContainer, stream: AudioStream, start: Fraction, *, strict: bool
) -> Iterator[tuple[Fraction | None, np.ndarray]]:
    """The track as it is decoded: when each piece is heard, where that is known, and float32 [channel, time].

    Raises:
        DecodeError: the track is damaged, or ends too early, and that is not to be.
    """
    import av

    context = stream.codec_context
    context.thread_count = 1
    to_float = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
    end_s = Fraction(0)
    for frame in sound_frames(container, stream):
        if isinstance(frame, str):
            if strict:
                raise DecodeError(f"its sound breaks off at {float(end_s):.2f} s: FFmpeg can't decode it: {frame}")
            continue
        time_s = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base - start
        end_s = (end_s if time_s is None else time_s) + Fraction(frame.samples, context.sample_rate)
        frame.pts = None
        for part in to_float.resample(frame):
            yield time_s, part.to_ndarray()
            time_s = None
    promised_s = _end_s(stream, start)
    if strict and promised_s is not None and end_s < promised_s - _LENIENCY_S:
        raise DecodeError(f"its sound is cut short: it ends at {float(end_s):.2f} s of {float(promised_s):.2f}")


def _end_s(stream: AudioStream, start: Fraction) -> Fraction | None:
    """When the track ends on the film's clock, as its container has it."""
    if stream.duration is None or stream.time_base is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * stream.time_base - start
