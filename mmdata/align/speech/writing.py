"""Words with times as files of other tools: Praat's TextGrid, NIST's CTM, and WebVTT."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from mmdata.align.speech.words import Word

Interval = tuple[float, float, str]


def to_textgrid(words: Sequence[Word], *, duration_s: float) -> str:
    """Praat's TextGrid in its long form, with a tier of words, and one of phones where there are any.

    Intervals fill a tier without gaps, as Praat asks for: pauses are intervals without a text, what overlaps the word
    before begins where that one ends, and what lies beyond the sound is cut off. Quotes are doubled.

    Args:
        words: on the sound's own clock, in the order in which they are said.
        duration_s: of the sound.
    """
    end_s = max(0.0, duration_s)
    phones = [phone for word in words for phone in word.phones]
    tiers = {"words": [(word.start_s, word.end_s, word.text) for word in words]}
    if phones:
        tiers["phones"] = [(start, end, name) for name, start, end in phones]
    lines = [
        'File type = "ooTextFile"', 'Object class = "TextGrid"', "", "xmin = 0", f"xmax = {_number(end_s)}",
        "tiers? <exists>", f"size = {len(tiers)}", "item []:",
    ]  # fmt: skip
    for place, (name, given) in enumerate(tiers.items(), 1):
        intervals = list(_filled(given, end_s))
        lines += [
            f"    item [{place}]:", '        class = "IntervalTier"', f'        name = "{name}"', "        xmin = 0",
            f"        xmax = {_number(end_s)}", f"        intervals: size = {len(intervals)}",
        ]  # fmt: skip
        for number, (start, end, text) in enumerate(intervals, 1):
            lines += [
                f"        intervals [{number}]:", f"            xmin = {_number(start)}",
                f"            xmax = {_number(end)}", f'            text = "{_quoted(text)}"',
            ]  # fmt: skip
    return "\n".join(lines) + "\n"


def to_ctm(words: Iterable[Word], *, name: str, channel: str = "1") -> str:
    """A line a word: recording, channel, start, length, word, confidence (NIST's CTM).

    Blanks within a name or a word would make other fields of it: they become underscores.

    Args:
        words: on any clock.
        name: of the recording.
        channel: of it.
    """
    fields = [_field(name), _field(channel)]
    return "".join(
        f"{fields[0]} {fields[1]} {word.start_s:.3f} {max(0.0, word.end_s - word.start_s):.3f} {_field(word.text)} "
        f"{word.confidence:.3f}\n"
        for word in words
    )


def to_vtt(words: Iterable[Word], *, most_s: float = 5.0, gap_s: float = 0.8) -> str:
    """WebVTT: captions of words that follow each other, each word with the time at which it begins.

    Args:
        words: on the clock of what plays, in order.
        most_s: how long a caption is, at most (a word that is longer is one alone).
        gap_s: the pause that begins another caption.
    """
    cues: list[list[Word]] = []
    for word in words:
        if not _line(word.text).strip():
            continue
        if cues and word.start_s - cues[-1][-1].end_s < gap_s and word.end_s - cues[-1][0].start_s <= most_s:
            cues[-1].append(word)
        else:
            cues.append([word])
    blocks = ["WEBVTT\n"]
    for cue in cues:
        said = " ".join(
            [_escaped(cue[0].text), *(f"<{_clock(word.start_s)}>{_escaped(word.text)}" for word in cue[1:])]
        )
        blocks.append(f"{_clock(cue[0].start_s)} --> {_clock(cue[-1].end_s)}\n{said}\n")
    return "\n".join(blocks)


def _filled(given: Sequence[Interval], end_s: float) -> Iterable[Interval]:
    at = 0.0
    for start, end, text in given:
        start, end = max(start, at), min(end, end_s)
        if end <= start:
            continue
        if start > at:
            yield at, start, ""
        yield start, end, text
        at = end
    if at < end_s or at == 0:
        yield at, end_s, ""


def _number(seconds: float) -> str:
    return f"{seconds:.6f}".rstrip("0").rstrip(".") or "0"


def _line(text: str) -> str:
    return re.sub(r"[\s\x00-\x1f\x7f\u2028\u2029]+", " ", text)


def _quoted(text: str) -> str:
    return _line(text).replace('"', '""')


def _field(text: str) -> str:
    kept = re.sub(r"[\s\x00-\x1f\x7f]+", "_", text.strip())
    return "_" if not kept else f"_{kept[1:]}" if kept.startswith(";") else kept  # ;; begins a comment


def _escaped(text: str) -> str:
    return _line(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _clock(seconds: float) -> str:
    ms = max(0, round(seconds * 1000))
    return f"{ms // 3_600_000:02d}:{ms // 60_000 % 60:02d}:{ms // 1000 % 60:02d}.{ms % 1000:03d}"
