"""A sound track, frame by frame, wherever it is damaged."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer


def sound_frames(container: InputContainer, stream: AudioStream) -> Iterator[AudioFrame | str]:
    """What a sound track's decoder gives out, in order, to be used within `codec.containers.ffmpeg_errors`.

    Yields:
        frames; text in place of a packet, or of the rest, says why it can't be had.
    """
    import av

    packets = container.demux(stream)
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
