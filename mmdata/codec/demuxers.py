"""Which of FFmpeg's demuxers may read a file, and how they are kept from reading any other."""

from __future__ import annotations

import io
import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, BinaryIO

from mmdata.codec.sniff import HEAD_BYTES, UNKNOWN, media_type

if TYPE_CHECKING:
    from av.container import InputContainer

# FFmpeg is told the format that the bytes are, never asked to guess it: among what it may guess are play lists, which
# make it read other files and addresses.
DEMUXERS: Mapping[str, str] = {
    "audio/aac": "aac",
    "audio/ac3": "ac3",
    "audio/aiff": "aiff",
    "audio/amr": "amr",
    "audio/basic": "au",
    "audio/eac3": "eac3",
    "audio/flac": "flac",
    "audio/mp4": "mov",
    "audio/mpeg": "mp3",
    "audio/ogg": "ogg",
    "audio/qcelp": "qcp",
    "audio/vnd.dts": "dts",
    "audio/vnd.dts.hd": "dtshd",
    "audio/vnd.rn-realmedia": "rm",
    "audio/wav": "wav",
    "audio/webm": "matroska",
    "audio/x-8svx": "iff",
    "audio/x-ape": "ape",
    "audio/x-caf": "caf",
    "audio/x-dff": "iff",
    "audio/x-dsf": "dsf",
    "audio/x-matroska": "matroska",
    "audio/x-mlp": "mlp",
    "audio/x-musepack": "mpc",
    "audio/x-musepack8": "mpc8",
    "audio/x-nist": "nistsphere",
    "audio/x-oma": "oma",
    "audio/x-pn-realaudio": "rm",
    "audio/x-qoa": "qoa",
    "audio/x-shorten": "shn",
    "audio/x-tak": "tak",
    "audio/x-truehd": "truehd",
    "audio/x-tta": "tta",
    "audio/x-twinvq": "vqf",
    "audio/x-voc": "voc",
    "audio/x-w64": "w64",
    "audio/x-wavpack": "wv",
    "audio/x-xwma": "xwma",
    "video/3gpp": "mov",
    "video/mp2t": "mpegts",
    "video/mp4": "mov",
    "video/mpeg": "mpeg",
    "video/mxf": "mxf",
    "video/ogg": "ogg",
    "video/quicktime": "mov",
    "video/vnd.rn-realmedia": "rm",
    "video/webm": "matroska",
    "video/x-dv": "dv",
    "video/x-flv": "flv",
    "video/x-ivf": "ivf",
    "video/x-matroska": "matroska",
    "video/x-ms-asf": "asf",
    "video/x-msvideo": "avi",
    "video/x-nsv": "nsv",
    "video/x-nut": "nut",
    "video/x-wtv": "wtv",
    "video/x-yuv4mpeg": "yuv4mpegpipe",
}
# Formats of games, recorders and old machines, and those whose beginning is lost. FFmpeg may find out by itself that
# bytes are one of these: each is known by a firm mark, lies in one file and asks for no other. 9,000 files of a Linux
# system that are neither sound nor film, and 3,200 of noise, waves and numbers, were taken for none of them. Streams
# without marks (PCM, GSM, H.263) are not among them, as any bytes might be one.
PROBED = frozenset(
    re.findall(
        r"\w+",
        """
        3dostr 4xm aax acm adx aix alp apc apm argo_asf argo_brp argo_cvg asf ast au avi avr bfstm bink binka boa bonk
        brstm caf cine dhav dss dxa ea epaf film_cpk flic flv fsb fwse gdv genh hca hcom hnm iff ircam iss ivr jv kvag
        lxf matroska mca mmf mods moflex mov mpegts msf mtaf musx mv nsp nsv nut nuv ogg osq paf pmp pva pvf qcp
        redspark rl2 roq rpl rsd rso scd sdx siff simbiosis_imx smjpeg smk smush sol sox svag thp tmv usm vag vividas
        vivo vmd voc vpk vqf w64 wady wav wavarc wc3movie wsd wsvqa wve xa xmd xmv xvag xwma yop
        """,
    )
)
_PROBED_AS = "/x."  # RFC 6838, section 3.4: a tree of names that are registered nowhere


def open_container(data: bytes | BinaryIO, media_type: str) -> InputContainer:
    """A container over bytes or a file, to be used within `ffmpeg_errors`. Nothing but these bytes is read.

    Args:
        data: the bytes, or the file that holds them.
        media_type: one of DEMUXERS, or what `container_type` gave.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    is_bare = media_type == "video/mpeg" and file.read(4) == b"\0\0\x01\xb3"
    name = "mpegvideo" if is_bare else DEMUXERS.get(media_type) or media_type.partition(_PROBED_AS)[2]
    return _opened(file, name, {"enable_drefs": "0"} if name == "mov" else {})


def container_type(data: bytes | BinaryIO) -> str:
    """The media type of bytes or a file; of what no mark that is known here tells, as FFmpeg recognizes it.

    Returns:
        as `codec.sniff.media_type`, besides "audio/x.smk" and "video/x.smk" for what `PROBED` has. Without PyAV all
        these stay unknown.
    """
    file = io.BytesIO(data) if isinstance(data, bytes) else data
    file.seek(0)
    kind = media_type(file.read(HEAD_BYTES))
    return _probed(file) or UNKNOWN if kind == UNKNOWN else kind


def is_read(media_type: str) -> bool:
    """Whether bytes of a type can be opened: not whether their tracks can be decoded."""
    return media_type in DEMUXERS or _PROBED_AS in media_type


def _probed(file: BinaryIO) -> str | None:
    try:
        import av
        from av.stream import Disposition
    except ModuleNotFoundError:
        return None

    av.logging.set_level(None)
    try:
        # FFmpeg compares what it recognized with the list before the demuxer reads a byte
        with _opened(file, None, {"format_whitelist": ",".join(sorted(PROBED)), "enable_drefs": "0"}) as container:
            names = PROBED.intersection(container.format.name.split(","))
            shown = any(not track.disposition & Disposition.attached_pic for track in container.streams.video)
    except (av.FFmpegError, ValueError, OverflowError, EOFError, MemoryError):
        return None
    return f"{'video' if shown else 'audio'}{_PROBED_AS}{min(names)}" if names else None


def _opened(file: BinaryIO, name: str | None, options: Mapping[str, str]) -> InputContainer:
    import av

    file.seek(0)
    # the empty list of protocols is a second lock on files and addresses that a container may name
    locked = {"protocol_whitelist": "none", **options}
    return av.open(_Nameless(file), "r", format=name, options=locked, metadata_errors="replace")


class _Nameless:
    """A file without its name, by whose extension FFmpeg would judge it, and beside which it would look for others."""

    def __init__(self, file: BinaryIO) -> None:
        self.read, self.seek, self.tell = file.read, file.seek, file.tell
