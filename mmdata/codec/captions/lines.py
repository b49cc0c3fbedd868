"""Captions in lines of text: SubRip (SRT), WebVTT and LRC. Kept libraries for these read NOTEs and ids as speech."""

from __future__ import annotations

import html
import re
from bisect import bisect_right

from mmdata.codec.captions.cues import Cues, lines_of

_TIME = r"(?:(\d{1,4}):)?(\d{1,2}):(\d{2})(?:[.,](\d{1,3}))?"
_TIMING = re.compile(rf"\s*{_TIME}\s*-->\s*{_TIME}(?:\s.*)?$")
_LIKE_TIMING = re.compile(r"\s*(?:\d|[-+(\[]\s*\d+:|-->\s*\d+:)")
_SRT_TAGS = re.compile(r"</?(?:b|i|u|s|font|span|ruby|rt)(?:\s[^<>]*)?>|\{\\[^{}]*\}", re.IGNORECASE)
_VTT_TAGS = re.compile(r"<[^<>]*>")
_LRC_STAMPS = re.compile(r"\s*((?:\[\d{1,3}:\d{2}(?:[.:]\d{1,3})?\]\s*)+)(.*)$")
_LRC_STAMP = re.compile(r"\[(\d{1,3}):(\d{2})(?:[.:](\d{1,3}))?\]")
_LRC_WORDS = re.compile(r"<\d{1,3}:\d{2}(?:[.:]\d{1,3})?>")
_LRC_TAG = re.compile(r"\s*\[([a-z#][a-z_ ]*):([^\]]*)\]\s*$", re.IGNORECASE)
LAST_LINE_MS = 5000  # of a song whose length is not given


def milliseconds(hours: str | None, minutes: str, seconds: str, fraction: str | None) -> int:
    """A time of day's parts in milliseconds; "5" is half a second."""
    return (int(hours or 0) * 60 + int(minutes)) * 60_000 + int(seconds) * 1000 + int((fraction or "0").ljust(3, "0"))


def read_srt(text: str, cues: Cues) -> None:
    """SubRip, for which there is no standard: a number, a line of times, and lines up to the next of these."""
    lines = lines_of(text)
    timings = [(at, _TIMING.match(line)) for at, line in enumerate(lines) if "-->" in line and _LIKE_TIMING.match(line)]
    if not timings and text.strip():
        cues.fault("no line of it says when a caption is shown, such as 00:00:01,000 --> 00:00:02,500")
    for (at, match), (end, _) in zip(timings, [*timings[1:], (len(lines), None)], strict=False):
        if match is None:
            cues.fault(f"line {at + 1} is no time of a caption: {lines[at].strip()[:60]!r}")
            continue
        body = lines[at + 1 : end]
        if end < len(lines) and body and body[-1].strip().isdigit():
            body.pop()  # the number of the next one
        given = match.groups()
        start_ms, end_ms = milliseconds(*given[:4]), milliseconds(*given[4:])
        cues.add(start_ms, end_ms, _SRT_TAGS.sub("", "\n".join(body)), where=f"line {at + 1}")


def read_vtt(text: str, cues: Cues) -> None:
    """WebVTT (https://www.w3.org/TR/webvtt1/, section 6): blocks between blank lines; styles and tags are dropped."""
    lines = lines_of(text)
    blank = [at for at, line in enumerate(lines) if not line.strip()]
    at = (
        0
        if any("-->" in line for line in lines[: blank[0] if blank else None])
        else (blank[0] if blank else len(lines))
    )
    while at < len(lines):
        place = bisect_right(blank, at - 1)
        end = blank[place] if place < len(blank) else len(lines)
        begin = next((place for place in range(at, min(at + 2, end)) if "-->" in lines[place]), end)
        later = next((place for place in range(begin + 1, end) if _TIMING.match(lines[place])), end)
        if end > at:
            _vtt_block(lines[at:later], at, cues)
        at = later if later < end else end + 1  # a line of times begins a caption without a blank line, too


def _vtt_block(block: list[str], at: int, cues: Cues) -> None:
    timed = next((place for place, line in enumerate(block[:2]) if "-->" in line), None)
    if timed is None:
        if not re.match(r"(NOTE|STYLE|REGION)(\s|$)", block[0]):
            cues.fault(f"line {at + 1} belongs to no caption: {block[0].strip()[:60]!r}")
        return
    match = _TIMING.match(block[timed])
    if match is None:
        cues.fault(f"line {at + timed + 1} is no time of a caption: {block[timed].strip()[:60]!r}")
        return
    given = match.groups()
    body = html.unescape(_VTT_TAGS.sub("", "\n".join(block[timed + 1 :])))
    start_ms, end_ms = milliseconds(*given[:4]), milliseconds(*given[4:])
    cues.add(start_ms, end_ms, body, where=f"line {at + timed + 1}")


def read_lrc(text: str, cues: Cues) -> None:
    """Lyrics (LRC), also with times of words: a line ends where the next begins, the last after five seconds."""
    begins: list[tuple[int, str, int]] = []
    tags: dict[str, str] = {}
    for at, line in enumerate(lines_of(text)):
        if match := _LRC_STAMPS.match(line):
            words = _LRC_WORDS.sub("", match[2])
            stamps = _LRC_STAMP.findall(match[1])
            begins += [(milliseconds(None, *stamp), words, at) for stamp in stamps]
        elif match := _LRC_TAG.match(line):
            tags[match[1].lower()] = match[2].strip()
        elif line.strip():
            cues.fault(f"line {at + 1} has no time: {line.strip()[:60]!r}")
    begins.sort(key=lambda each: (each[0], each[2]))
    early_ms = int(tags["offset"]) if re.fullmatch(r"[+-]?\d{1,9}", tags.get("offset", "")) else 0
    length = re.fullmatch(r"(\d{1,3}):(\d{2})(?:[.:](\d{1,3}))?", tags.get("length", ""))
    ends = [start_ms for start_ms, _, _ in begins[1:]]
    if begins:
        ends.append(max(milliseconds(None, *length.groups()) if length else 0, begins[-1][0]))
        ends[-1] += LAST_LINE_MS if ends[-1] == begins[-1][0] else 0
    for (start_ms, words, at), end_ms in zip(begins, ends, strict=True):
        shown_ms, gone_ms = max(0, start_ms - early_ms), max(0, end_ms - early_ms)
        cues.add(shown_ms, gone_ms, words, where=f"line {at + 1}")
