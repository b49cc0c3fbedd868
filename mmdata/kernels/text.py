"""Strings: blanks, lines, words and n-grams."""

from __future__ import annotations

import re

import numpy as np

BLANKS = re.compile(r"[^\S\n]+")
BLANKS_AT_BREAK = re.compile(r"[^\S\n]*\n[^\S\n]*")
MANY_BREAKS = re.compile(r"\n{3,}")

# What stands between words: blanks, and the punctuation and signs of ASCII, Latin-1, Hebrew, Arabic, Devanagari and
# East Asia. It is a list of separators, not of letters, because Python's \w leaves out the combining marks that
# Indic, Thai and decomposed Latin words are full of; U+200C and U+200D join letters inside Persian and Indic words.
SEPARATORS = re.compile(
    r"[\s!-/:-@\[-`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u037e\u0387\u05be\u05c0"
    r"\u05c3\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u2000-\u200b\u200e-\u206f\u20a0-\u20cf\u2100-\u214f"
    r"\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u303d\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)


def squeeze_blanks(text: str, *, keep_lines: bool = True) -> str:
    r"""Make each run of blanks one space, and cut it from the ends of the text and of each line.

    Args:
        text: any text. A blank is what `str.isspace` says: no-break and ideographic spaces too.
        keep_lines: keep line feeds, at most two in a row (an empty line between paragraphs); a line feed is else a
            blank like any other. Other line ends (CR, U+2028, ...) are blanks: `ftfy` or the caller makes them LF.

    >>> squeeze_blanks(" a\t b \n\n\n\n c ")
    'a b\n\nc'
    """
    if not keep_lines:
        return " ".join(text.split())
    one = BLANKS_AT_BREAK.sub("\n", BLANKS.sub(" ", text))
    return MANY_BREAKS.sub("\n\n", one).strip()


def first_lines(text: str, n_lines: int) -> str:
    r"""The first lines of a text, without the break after the last; the text itself when it has no more of them.

    Lines end where `str.splitlines` says, so at CR, LF, CRLF and the rarer Unicode breaks. The kept text is unchanged.

    >>> first_lines("cat\r\nchat\r\nKatze", 2)
    'cat\r\nchat'
    """
    lines = text.splitlines(keepends=True)
    if len(lines) <= n_lines:
        return text
    kept = "".join(lines[:n_lines])
    return kept[: len(kept) - len(lines[n_lines - 1]) + len(lines[n_lines - 1].splitlines()[0])]


def split_words(text: str) -> list[str]:
    """The words of a text: what stands between blanks and punctuation. A script without blanks gives long words.

    >>> split_words("Don't panic: हिन्दी, 42!")
    ['Don', 't', 'panic', 'हिन्दी', '42']
    """
    return [word for word in SEPARATORS.split(text) if word]


def char_grams(codes: np.ndarray, n_min: int, n_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the n-grams of characters lie that stay inside a word, the blank at each of its ends counted in.

    Args:
        codes: uint32 [position], words with one space before, between and after them: " a word ".
        n_min: fewest characters.
        n_max: most.

    Returns:
        starts and ends, int64 [n-gram]; an end is past its last character.
    """
    blanks = np.concatenate([[0], np.cumsum(codes == ord(" "))])
    starts, ends = [], []
    for n in range(n_min, min(n_max, len(codes)) + 1):
        start = np.arange(len(codes) - n + 1)
        first, last = (start, start + 1) if n == 1 else (start + 1, start + n - 1)  # where no blank may stand
        start = start[blanks[first] == blanks[last]]
        starts.append(start)
        ends.append(start + n)
    return _joined(starts), _joined(ends)


def word_grams(codes: np.ndarray, n_min: int, n_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the runs of n whole words lie; arguments and result as those of `char_grams`, n counts words."""
    blanks = np.flatnonzero(codes == ord(" "))
    counts = range(n_min, min(n_max, len(blanks) - 1) + 1)
    return _joined([blanks[:-n] + 1 for n in counts]), _joined([blanks[n:] for n in counts])


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *pieces])
