"""Where sentences end, and where a long text is best cut."""

from __future__ import annotations

import re
from bisect import bisect_right

from mmdata.kernels.text.tokens import SPECIALS, STOPS

_STOPS = re.escape("".join(sorted(STOPS)))
# a stop with the quotes and brackets that close behind it, before a blank; or a stop of a script without blanks
END = re.compile(rf"(?<![{_STOPS}…])[{_STOPS}…]+[\"'”’»)\]]*(?=\s)|[。！？｡]+[」』）]*|\n{{2,}}")
LAST_WORD = re.compile(r"\S{1,12}\Z")


def sentence_ends(text: str) -> list[int]:
    """Where sentences end: offsets past the last character of each, the end of the text included, rising.

    A sentence ends at a mark that ends sentences in its script, or at an empty line. Not at the stop of an English
    abbreviation or of one capital, nor where a small letter follows.

    >>> sentence_ends("Dr. No came. He left at 5 p.m. on foot.")
    [12, 39]
    """
    ends = [found.end() for found in END.finditer(text) if _ends(text, found)]
    return ends if ends and ends[-1] == len(text) else [*ends, len(text)] if text else []


def _ends(text: str, found: re.Match[str]) -> bool:
    if found[0] != ".":
        return True
    follows = text[found.end() : found.end() + 4].strip()[:1]
    word = LAST_WORD.search(text, max(0, found.end() - 12), found.end())
    last = word[0].lstrip("(\"'“‘[") if word else ""
    is_short = last in SPECIALS or (len(last) == 2 and last[0].isupper())
    return not follows.islower() and not is_short


def cut_places(text: str, n_chars: int) -> list[int]:
    """Where to cut a text into pieces of at most so many characters: after a sentence, else at a blank, else anywhere.

    Args:
        text: any text.
        n_chars: the longest piece.

    Returns:
        where pieces end, rising; the last is the end of the text. None for an empty text.
    """
    ends, places, start = sentence_ends(text), [], 0
    while len(text) - start > n_chars:
        found = bisect_right(ends, start + n_chars)
        place = ends[found - 1] if found and ends[found - 1] > start else 0
        place = place or max(text.rfind(blank, start + 1, start + n_chars + 1) for blank in " \n\t") + 1
        places.append(place if start < place <= start + n_chars else start + n_chars)
        start = places[-1]
    return [*places, len(text)] if text else []
