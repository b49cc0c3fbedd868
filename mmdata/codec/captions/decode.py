"""Files of captions to cues."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated

from annotated_types import Gt

from mmdata.codec.captions.cues import Cues
from mmdata.codec.limits import MIB
from mmdata.codec.sniff import extension
from mmdata.codec.text import DecodeText
from mmdata.core.sample import Blob, Captions
from mmdata.core.step import Map
from mmdata.errors import DecodeError

_MAX_BYTES = 16 * MIB
_LRC = re.compile(r"\s*\[(?:\d{1,3}:\d{2}|[a-z#]{1,12}:)", re.IGNORECASE)
_FORMS = ("srt", "vtt", "ass", "lrc")


@dataclass(frozen=True, kw_only=True)
class DecodeCaptions(Map[Blob, Captions]):
    """Read captions: SubRip (SRT), WebVTT, ASS and SSA, TTML (and DFXP), LRC, told apart by what they hold.

    Of a caption its words are kept, with line breaks; styles, places and voices are not. A file without captions, or
    without anything, has no cues.

    Args:
        max_bytes: refuse larger files.
        encoding: a Python codec for files without a byte order mark; UTF-8 is read otherwise.
        strict: refuse a file with a caption whose time can't be read, or that ends before it begins; such captions are
            left out otherwise.

    Raises:
        DecodeError: the bytes are no text, or no captions; with the line at fault.

    Reference:
        WebVTT (W3C, section 6), TTML 2 (W3C), ASS by Aegisub's "ASS File Format"; SubRip and LRC have no standard.
    """

    on: str | None = "captions"
    max_bytes: Annotated[int, Gt(0)] = _MAX_BYTES
    encoding: str | None = None
    strict: bool = True

    def __post_init__(self) -> None:
        DecodeText(encoding=self.encoding)  # raises where Python has no such codec

    def map(self, blob: Blob) -> Captions:
        cues = Cues(self.strict)
        if blob.size <= self.max_bytes and _is_xml(blob.data()[:4096]):
            from mmdata.codec.captions.ttml import read_ttml  # what few samples have is loaded when one has it

            read_ttml(blob.data(), cues)
            usual = True
        else:
            text = DecodeText(max_bytes=self.max_bytes, encoding=self.encoding).map(blob)
            _reader(_form(text.text, blob.name))(text.text, cues)
            usual = text.origin is not None
        is_usual = usual and self.strict and blob.size <= _MAX_BYTES
        return Captions(cues.ordered(), origin=blob if is_usual else None)


def _is_xml(head: bytes) -> bool:
    """Whether bytes begin as XML does, in UTF-8 or UTF-16."""
    return bool(re.match(rb"(?:\xef\xbb\xbf|\xff\xfe|\xfe\xff)?\0?\s*\0?<\0?[?!:a-z]", head))


def _reader(form: str) -> Callable[[str, Cues], None]:
    from mmdata.codec.captions.ass import read_ass
    from mmdata.codec.captions.lines import read_lrc, read_srt, read_vtt

    return {"srt": read_srt, "vtt": read_vtt, "ass": read_ass, "lrc": read_lrc}[form]


def _form(text: str, name: str) -> str:
    """The format that text is in; by its name where nothing tells.

    Raises:
        DecodeError: it is none of captions.
    """
    head = text.lstrip("\ufeff \t\r\n")[:4096]
    if re.match(r"WEBVTT(\s|$)", head):
        return "vtt"
    if re.match(r"\[(?:script info|v4\+? styles|events)\]", head, re.IGNORECASE):
        return "ass"
    if "-->" in text or not head:
        return "srt"
    if _LRC.match(head):
        return "lrc"
    known = {"ssa": "ass"}.get(extension(name), extension(name))
    if known in _FORMS and known != "vtt":
        return known
    shown = " ".join(head[:30].split())
    raise DecodeError(f'it holds no captions of a known form (SRT, WebVTT, ASS, TTML, LRC): "{shown}..."')
