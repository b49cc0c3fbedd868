"""Films that carry their captions in a track, and the same captions in every format of files."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from fractions import Fraction
from typing import Any, Literal, cast

from mmdata.core.sample import Captions, Cue

_HEADER = b"""[Script Info]
ScriptType: v4.00+

[V4+ Styles]
Format: Name, Fontname, Fontsize, PrimaryColour, SecondaryColour, OutlineColour, BackColour, Bold, Italic, Underline, \
StrikeOut, ScaleX, ScaleY, Spacing, Angle, BorderStyle, Outline, Shadow, Alignment, MarginL, MarginR, MarginV, Encoding
Style: Default,Arial,16,&Hffffff,&Hffffff,&H0,&H0,0,0,0,0,100,100,0,0,1,1,0,2,10,10,10,0

[Events]
Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text
"""  # MP4's text is encoded from ASS
CUES = (Cue(500, 1500, "Hello & welcome"), Cue(1750, 2500, "two lines\nof text"), Cue(2500, 3040, "żółw <3"))


def captions(*cues: tuple[int, int, str]) -> Captions:
    """Captions of (start, end, text), times in milliseconds; `CUES` when none are given."""
    return Captions(tuple(Cue(*cue) for cue in cues) or CUES)


def srt_bytes(cues: Sequence[Cue] = CUES) -> bytes:
    """SubRip."""
    blocks = [
        f"{number}\n{_clock(cue.start_ms, ',')} --> {_clock(cue.end_ms, ',')}\n{cue.text}\n"
        for number, cue in enumerate(cues, 1)
    ]
    return "\n".join(blocks).encode()


def ass_bytes(cues: Sequence[Cue] = CUES) -> bytes:
    """Advanced SubStation Alpha; times are cut to its hundredths of a second."""
    lines = ["[Script Info]", "ScriptType: v4.00+", "", "[V4+ Styles]", "Format: Name, Fontname, Fontsize"]
    lines += ["Style: Default,Arial,20", "", "[Events]"]
    lines += ["Format: Layer, Start, End, Style, Name, MarginL, MarginR, MarginV, Effect, Text"]
    for cue in cues:
        start, end = (_clock(time_ms, ".")[1:-1] for time_ms in (cue.start_ms, cue.end_ms))
        said = cue.text.replace("\n", r"\N")
        lines.append(f"Dialogue: 0,{start},{end},Default,,0,0,0,,{said}")
    return "\n".join([*lines, ""]).encode()


def with_subtitles(
    film: bytes, tracks: Mapping[str, bytes], *, container: Literal["matroska", "mp4"] = "matroska"
) -> bytes:
    """A film with subtitle tracks.

    Args:
        film: its bytes, whose streams are copied.
        tracks: SubRip or ASS, as bytes, by language.
        container: Matroska keeps the formats, MP4 has one of its own.
    """
    import av

    file = io.BytesIO()
    with av.open(io.BytesIO(film), "r") as source, av.open(file, "w", format=container) as out:
        copies = {stream.index: out.add_stream_from_template(cast(Any, stream)) for stream in source.streams}
        texts = {}
        for language, data in tracks.items():
            read = av.open(io.BytesIO(data), "r", format="ass" if data.startswith(b"[") else "srt")
            given = read.streams.subtitles[0]
            made: Any = out.add_stream("mov_text") if container == "mp4" else out.add_stream_from_template(given)
            if container == "mp4":
                made.codec_context.subtitle_header = _HEADER
                made.codec_context.time_base = made.time_base = Fraction(1, 1000)
            made.metadata["language"] = language
            texts[language] = read, given, made
        for packet in source.demux():
            if packet.dts is not None:
                packet.stream = copies[packet.stream.index]
                out.mux(packet)
        for read, given, made in texts.values():
            for said in read.demux(given):
                if said.pts is not None and said.size:
                    out.mux(_mov_text(said, made) if container == "mp4" else _copied(said, made))
            read.close()
    return file.getvalue()


def _copied(packet: Any, stream: Any) -> Any:
    packet.stream = stream
    return packet


def _mov_text(packet: Any, stream: Any) -> Any:
    from av import Packet

    said = bytes(packet)
    made = Packet(len(said).to_bytes(2, "big") + said)
    made.pts = made.dts = packet.pts
    made.duration, made.time_base, made.stream = packet.duration, packet.time_base, stream
    return made


def _clock(time_ms: int, point: str) -> str:
    seconds, fraction = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}{point}{fraction:03}"
