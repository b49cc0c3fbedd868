"""Captions that a film carries in a track of its own."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import TYPE_CHECKING, Annotated, ClassVar

from annotated_types import Ge

from mmdata.codec.captions.cues import Cues
from mmdata.codec.tracks import packets_of
from mmdata.codec.video.opening import opened
from mmdata.core.sample import Captions, Video
from mmdata.core.step import Drop, Map
from mmdata.errors import DecodeError

if TYPE_CHECKING:
    from av.container import InputContainer
    from av.packet import Packet
    from av.subtitles.stream import SubtitleStream

USUAL_S = 5  # of a caption whose length the container does not say
_PICTURES = frozenset({"dvd_subtitle", "dvb_subtitle", "hdmv_pgs_subtitle", "xsub"})
_COMMAS_BEFORE_TEXT = 8  # of a packet of ASS: order, layer, style, name, three margins, effect


@dataclass(frozen=True, kw_only=True)
class ReadSubtitles(Map[Video, Captions]):
    """Read a subtitle track of a film: SRT, ASS, WebVTT or MP4's own text; no other track is decoded.

    Times are those of the film's clock, which starts with the container. Tracks of pictures (DVD, Blu-ray) are not
    read.

    Args:
        language: the track's language as the container has it, such as "eng"; None takes any.
        track: which of those, from 0.
        required: whether a film without such a track is dropped; it has captions without cues otherwise.

    Raises:
        DecodeError: the track can't be read, or is one of pictures.

    Reference:
        FFmpeg's demuxers and decoders of subtitles, by PyAV.
    """

    extra: ClassVar[str | None] = "video"

    on: str | None = "video"
    into: str | None = "captions"
    language: str | None = None
    track: Annotated[int, Ge(0)] = 0
    required: bool = False

    def map(self, video: Video) -> Captions | Drop:
        cues = Cues(strict=True)
        with opened(video) as container:
            tracks = [each for each in container.streams.subtitles if self.language in (None, each.language)]
            if self.track >= len(tracks):
                return Drop("no_subtitles") if self.required else Captions(())
            stream = tracks[self.track]
            start_s = Fraction(container.start_time or 0, 1_000_000)
            for number, (begin_s, end_s, text) in enumerate(_shown(container, stream, start_s), 1):
                cues.add(max(0, round(begin_s * 1000)), max(0, round(end_s * 1000)), text, where=f"caption {number}")
        return Captions(cues.ordered())


def _shown(
    container: InputContainer, stream: SubtitleStream, start_s: Fraction
) -> Iterator[tuple[Fraction, Fraction, str]]:
    """Begin, end and text of each packet, in seconds of the container's clock."""
    context = stream.codec_context
    codec = "unknown" if context is None else context.name
    if codec in _PICTURES or context is None:
        raise DecodeError(f"its subtitles are pictures or of no known kind ({codec}): only text is read")
    for packet in packets_of(container, stream):
        tick_s = packet.time_base or stream.time_base or Fraction(0)
        if packet.pts is None or not packet.size:
            continue
        begin_s = packet.pts * tick_s - start_s
        length_s = packet.duration * tick_s if packet.duration else Fraction(USUAL_S)
        yield begin_s, begin_s + length_s, _said(packet)


def _said(packet: Packet[SubtitleStream]) -> str:
    """A packet's text, by FFmpeg's decoder, which makes ASS of all kinds."""
    from mmdata.codec.captions.ass import plain

    said = []
    for part in packet.decode():
        for rect in getattr(part, "rects", [part]):
            line = getattr(rect, "ass", b"")
            line = line.decode("utf-8", "replace") if isinstance(line, bytes) else str(line)
            said.append(plain(line.split(",", _COMMAS_BEFORE_TEXT)[-1]) if line else "")
    return "\n".join(said)
