"""Characters that are not seen: controls, marks of direction, and what has no width."""

from __future__ import annotations

import re

# Unicode's Cc without tab, line feed and carriage return; they do nothing in a text.
CONTROLS = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f]+")
# Embeddings, overrides and isolates (UAX #9): an unclosed one turns around what follows, which hides text from readers
# (Boucher and Anderson, "Trojan Source", 2021). The implicit marks U+200E, U+200F and U+061C go with them.
DIRECTIONS = re.compile("[\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]+")
# Zero-width space, word joiner and the invisible operators, byte order mark, soft hyphen, Mongolian vowel separator,
# fillers of Hangul, deprecated format characters, interlinear marks, tags. Joiners (U+200C, U+200D) are not here:
# Persian, Indic scripts and emoji are spelled with them.
INVISIBLE = re.compile(
    "[\u00ad\u034f\u115f\u1160\u17b4\u17b5\u180e\u200b\u2060-\u2065\u206a-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb"
    "\U000e0000-\U000e007f]+"
)
# A joiner that joins nothing: not after a letter, mark, sign or emoji.
IDLE_JOINERS = re.compile(r"(?<![^\s!-/:-@\[-`{-~\u200c\u200d])[\u200c\u200d]+|[\u200c\u200d]+(?=\s|\Z)")


def without_hidden(text: str, *, controls: bool = True, directions: bool = True, invisible: bool = True) -> str:
    r"""Take characters out that no reader sees.

    Args:
        text: any text.
        controls: control characters but tab, line feed and carriage return.
        directions: marks, embeddings, overrides and isolates of writing direction.
        invisible: characters without width, and joiners where they join nothing.

    >>> without_hidden("a\x00b\u200bc\u202ed می\u200cخواهم")
    'abcd می\u200cخواهم'
    """
    if text.isascii():
        return CONTROLS.sub("", text) if controls else text
    for wanted, pattern in ((controls, CONTROLS), (directions, DIRECTIONS), (invisible, INVISIBLE)):
        text = pattern.sub("", text) if wanted else text
    return IDLE_JOINERS.sub("", text) if invisible else text


def runs_cut(text: str, longest: int) -> str:
    """Cut runs of one same character that is no letter, digit or blank: "!!!!!!" to "!!!" for a longest of 3."""
    return re.sub(rf"([^\w\s])\1{{{longest},}}", lambda run: run[1] * longest, text)
