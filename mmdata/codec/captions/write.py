"""Captions to WebVTT."""

from __future__ import annotations

from mmdata.codec.captions.cues import tidy
from mmdata.core.sample import Captions
from mmdata.errors import DataError


def vtt_bytes(captions: Captions) -> bytes:
    """Captions as WebVTT, which `read_vtt` reads back as they were.

    Raises:
        DataError: a text is no Unicode (a lone surrogate).
    """
    blocks = [f"{_clock(cue.start_ms)} --> {_clock(cue.end_ms)}\n{_escaped(tidy(cue.text))}\n" for cue in captions.cues]
    try:
        return "\n".join(["WEBVTT\n", *blocks]).encode()
    except UnicodeEncodeError as error:
        raise DataError(f"a caption is not Unicode: {error}") from error


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(time_ms: int) -> str:
    seconds, fraction = divmod(time_ms, 1000)
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{fraction:03}"
