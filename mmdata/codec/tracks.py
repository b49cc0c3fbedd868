"""A sound track, frame by frame, wherever it is damaged."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from fractions import Fraction
from typing import TYPE_CHECKING, TypeVar, cast

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.resampler import AudioResampler
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet
    from av.stream import Stream

AnyStream = TypeVar("AnyStream", bound="Stream")


def packets_of(container: InputContainer, *streams: AnyStream) -> Iterator[Packet[AnyStream]]:
    """The packets of tracks, in the file's order.

    Where a file brings further tracks later (MPEG-TS), PyAV's `demux` raises IndexError at the end, once all packets of
    these were given.
    """
    try:
        yield from cast("Iterator[Packet[AnyStream]]", container.demux(*streams))
    except IndexError:
        return


def sound_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame | str]:
    """What a sound track's decoder gives out, in order, to be used within `codec.containers.ffmpeg_errors`.

    Yields:
        frames; text in place of a packet, or of the rest, says why it can't be had.
    """
    import av

    packets = packets_of(container, stream)
    while True:
        try:
            packet = next(packets, None)
        except (av.FFmpegError, ValueError) as error:
            yield str(getattr(error, "strerror", None) or error)
            return
        if packet is None:
            return
        try:
            yield from packet.decode()
        except (av.FFmpegError, ValueError) as error:
            yield str(getattr(error, "strerror", None) or error)


def resampled(
    frames: Iterable[AudioFrame | str], by: AudioResampler
) -> Iterator[tuple[Fraction | None, list[AudioFrame]] | str]:
    """What becomes of `sound_frames`, each with the second of the container's clock at which it is heard, if known.

    Yields:
        text, too, in place of frames of other channels, or of another rate, than the track began with.
    """
    import av

    for frame in frames:
        if isinstance(frame, str):
            yield frame
            continue
        time_s = None if frame.pts is None or frame.time_base is None else frame.pts * frame.time_base
        frame.pts = None
        try:
            parts = by.resample(frame)
        except (av.FFmpegError, ValueError) as error:
            yield str(getattr(error, "strerror", None) or error)
            continue
        yield time_s, parts
