"""Captions in Advanced SubStation Alpha (ASS), and in SSA, from which it comes."""

from __future__ import annotations

import re

from mmdata.codec.captions.cues import Cues, lines_of
from mmdata.codec.captions.lines import milliseconds

USUAL_COLUMNS: tuple[str, ...] = (
    "layer",
    "start",
    "end",
    "style",
    "name",
    "marginl",
    "marginr",
    "marginv",
    "effect",
    "text",
)
_TIME = re.compile(r"\s*(\d{1,4}):(\d{1,2}):(\d{2})(?:[.:](\d{1,3}))?\s*$")
_OVERRIDE = re.compile(r"(\{[^{}]*\})")
_DRAWING = re.compile(r"\\p(\d{1,3})")


def read_ass(text: str, cues: Cues) -> None:
    """Dialogue lines of the section [Events] (Aegisub's description of the format, "ASS File Format")."""
    columns, inside, n_events = USUAL_COLUMNS, False, 0
    for at, line in enumerate(lines_of(text)):
        if line.lstrip().startswith("["):
            inside = line.strip().lower() == "[events]"
            n_events += inside
        key, colon, value = line.partition(":")
        if not inside or not colon:
            continue
        if key.strip().lower() == "format":
            columns = tuple(name.strip().lower() for name in value.split(","))
        elif key.strip().lower() == "dialogue":
            _dialogue(value, columns, f"line {at + 1}", cues)
    if not n_events:
        cues.fault("it has no section [Events]")


def _dialogue(value: str, columns: tuple[str, ...], where: str, cues: Cues) -> None:
    cells = dict(zip(columns, value.split(",", len(columns) - 1), strict=False))
    start, end = _TIME.match(cells.get("start", "")), _TIME.match(cells.get("end", ""))
    if start is None or end is None or "text" not in cells:
        cues.fault(f"{where} is no dialogue with a start, an end and a text: {value.strip()[:60]!r}")
        return
    cues.add(milliseconds(*start.groups()), milliseconds(*end.groups()), plain(cells["text"]), where=where)


def plain(text: str) -> str:
    r"""What is read of a dialogue's text: no overrides, no drawings.

    >>> plain(r"{\an8\i1}One{\i0}\Ntwo{\p1}m 0 0 l 9 9{\p0}\hthree")
    'One\ntwo three'
    """
    drawing, said = False, []
    for piece in _OVERRIDE.split(text):
        if piece.startswith("{") and piece.endswith("}"):
            for scale in _DRAWING.findall(piece):
                drawing = int(scale) > 0
        elif not drawing:
            said.append(piece)
    return "".join(said).replace("\\N", "\n").replace("\\n", " ").replace("\\h", " ")
