"""One decoding of a film's sound track: pieces of it, on the clock of its pictures."""

from __future__ import annotations

from collections.abc import Generator, Iterator
from dataclasses import dataclass, field
from fractions import Fraction
from itertools import chain
from typing import TYPE_CHECKING

import numpy as np

from mmdata.codec.limits import within
from mmdata.codec.tracks import resampled, sound_frames
from mmdata.codec.video import tally
from mmdata.codec.video.opening import opened, picture_track, start_s
from mmdata.core.sample import Video
from mmdata.core.watch import Heard
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer

_LENIENCY_S = Fraction(1, 4)  # a codec's padding at both ends, and a container's rounding of its length
JITTER_S = 0.03  # clocks of containers tick in milliseconds, and encoders pad by a block
_GAP_S = 60
_Timed = tuple[Fraction | None, np.ndarray]


def heard(video: Video, track: int = 0) -> Generator[Heard, None, None]:
    """Decode a film's sound track once, and give it in order, in pieces of some second.

    A track that begins later than the container, or has gaps, says so by its pieces' numbers; what is heard before the
    container's start is left out (before the first picture there may be sound), and what overlaps with the piece
    before. Within a track times that are off by 30 ms at most are taken for rounding, but after damage.

    Args:
        video: the film. Its pictures are not decoded.
        track: which of several, from 0.

    Yields:
        an empty piece, then the track. Where packets can't be decoded, where times first run back by more than a
        second, and where the track ends before its container says that it does, a piece says so by its `damage`; what
        can be decoded after that follows. Nothing where there is no such track.

    Raises:
        DecodeError: it can't be decoded at all.
    """
    with opened(video) as container:
        tracks = container.streams.audio
        if track >= len(tracks):
            return
        context = tracks[track].codec_context
        if context is None:
            raise DecodeError("its sound track is of a kind that FFmpeg does not know")
        frames = _begun(container, tracks[track])
        laid = _Laid(context.channels, context.sample_rate)
        try:
            yield laid.nothing()
            for piece in _decoded(frames, tracks[track], start_s(container, picture_track(container))):
                if isinstance(piece, str):
                    yield from laid.rest()
                    yield laid.nothing(piece)
                    laid.is_exact = True
                else:
                    yield from laid.took(*piece)
            yield from laid.rest()
        finally:
            tally.count_sound(video.blob, track)


@dataclass
class Gapless:
    """A track's samples without a break, silence where it has gaps.

    Args:
        max_samples: refuse more of all channels together; None is no bound.
        film_s: refuse a gap of a minute that leads a minute past a film of this length; 0 is no bound.
        n_samples: of a channel, so far.
    """

    max_samples: int | None = None
    film_s: float = 0.0
    n_samples: int = 0

    def of(self, heard: Heard) -> Iterator[np.ndarray]:
        """What goes on from the piece before: float32 [channel, time], once and again; a gap comes second by second.

        Raises:
            DecodeError: they become too many, or a gap leads out of the film.
        """
        n_channels = len(heard.samples)
        if heard.samples.shape[1]:
            if self.max_samples is not None:
                within("samples", heard.end * n_channels, "max_samples", self.max_samples)
            gap_s = (heard.first - self.n_samples) / heard.rate_hz
            if self.film_s and gap_s > _GAP_S and heard.time_s > self.film_s + _GAP_S:
                leads = f"a gap of {gap_s:,.0f} s leads to {float(heard.time_s):,.0f} s"
                raise DecodeError(f"its sound leaves the film: {leads}, and it ends at {self.film_s:,.2f} s")
            while (gap := heard.first - self.n_samples) > 0:
                self.n_samples += min(gap, heard.rate_hz)
                yield np.zeros((n_channels, min(gap, heard.rate_hz)), np.float32)
            self.n_samples = heard.end
            yield heard.samples


@dataclass
class _Laid:
    """A track as it is laid on the film's clock: each piece at its time, or where the last one ended."""

    n_channels: int
    rate_hz: int
    n_samples: int = 0
    held: list[np.ndarray] = field(default_factory=list)
    n_held: int = 0
    is_exact: bool = True  # what comes next lies where its time says
    ran_back: bool = False

    def took(self, time_s: Fraction | None, piece: np.ndarray) -> Iterator[Heard]:
        """Take what comes next; gives what was held where that is a second, and before a gap."""
        first = self.n_samples if time_s is None else round(time_s * self.rate_hz)
        if not self.is_exact and abs(first - self.n_samples) <= JITTER_S * self.rate_hz:
            first = self.n_samples
        self.is_exact = False
        if first < self.n_samples - self.rate_hz and not self.ran_back:
            self.ran_back = True
            yield from self.rest()
            ends = f"{self.n_samples / self.rate_hz:.2f} s"
            yield self.nothing(f"its sound's clock runs back at {ends}, as where files were joined")
        piece = piece[:, max(0, self.n_samples - first) :]
        if not piece.size:
            return
        if first > self.n_samples:
            yield from self.rest()
            self.n_samples = first
        self.held.append(piece)
        self.n_held += piece.shape[1]
        self.n_samples += piece.shape[1]
        if self.n_held >= self.rate_hz:
            yield from self.rest()

    def rest(self) -> Iterator[Heard]:
        """What is held."""
        if self.held:
            samples = np.concatenate(self.held, axis=1)
            samples.flags.writeable = False
            first = self.n_samples - self.n_held
            self.held, self.n_held = [], 0
            yield Heard(samples, self.rate_hz, first)

    def nothing(self, damage: str = "") -> Heard:
        """A piece without samples."""
        return Heard(np.empty((self.n_channels, 0), np.float32), self.rate_hz, self.n_samples, damage)


def _begun(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame | str]:
    """What a track's decoder gives out, once its rate and channels are known: of a late track, by its first frame."""
    context = stream.codec_context
    context.thread_count = 1
    frames, early = sound_frames(container, stream), list["AudioFrame | str"]()
    while context.sample_rate < 1 or context.channels < 1:
        frame = next(frames, None)
        if frame is None:
            raise DecodeError("its sound track has no channels, or no rate")
        early.append(frame)
    return chain(early, frames)


def _decoded(frames: Iterator[AudioFrame | str], stream: AudioStream, start: Fraction) -> Iterator[_Timed | str]:
    """The track as it is decoded: when each piece is heard, where that is known, and float32 [channel, time].

    Text in its place says what can't be had, and from which second on.
    """
    import av

    context = stream.codec_context
    to_float = av.AudioResampler(format="fltp", layout=context.layout, rate=context.sample_rate)
    end_s = Fraction(0)
    for piece in resampled(frames, to_float):
        if isinstance(piece, str):
            yield broken(end_s, piece)
            continue
        time_s = None if piece[0] is None else piece[0] - start
        end_s = end_s if time_s is None else time_s
        for part in piece[1]:
            end_s += Fraction(part.samples, context.sample_rate)
            yield time_s, part.to_ndarray()
            time_s = None
    promised_s = _end_s(stream, start)
    if promised_s is not None and end_s < promised_s - _LENIENCY_S:
        yield f"its sound is cut short: it ends at {float(end_s):.2f} s of {float(promised_s):.2f}"


def broken(at_s: Fraction, why: str) -> str:
    """What is said of sound that can't be decoded from a second on."""
    return f"its sound breaks off at {float(at_s):.2f} s: FFmpeg can't decode it: {why}"


def _end_s(stream: AudioStream, start: Fraction) -> Fraction | None:
    """When the track ends on the film's clock, as its container has it."""
    if stream.duration is None or stream.time_base is None:
        return None
    return ((stream.start_time or 0) + stream.duration) * stream.time_base - start
