"""Words of any script, and n-grams of their characters and of themselves."""

from __future__ import annotations

import re
from functools import cache

import numpy as np

from mmdata.kernels.hashing import code_points

# What stands between words: blanks, and the punctuation and signs of ASCII, Latin-1, Hebrew, Arabic, Devanagari and
# East Asia. It is a list of separators, not of letters, because Python's \w leaves out the combining marks that
# Indic, Thai and decomposed Latin words are full of; U+200C and U+200D join letters inside Persian and Indic words.
SEPARATORS = re.compile(
    r"[\s!-/:-@\[-`{-~\u00a1-\u00a9\u00ab-\u00b1\u00b4\u00b6-\u00b8\u00bb\u00bf\u00d7\u00f7\u037e\u0387\u05be\u05c0"
    r"\u05c3\u060c\u061b\u061f\u066a-\u066d\u06d4\u0964\u0965\u2000-\u200b\u200e-\u206f\u20a0-\u20cf\u2100-\u214f"
    r"\u2190-\u2bff\u3000-\u3004\u3008-\u3020\u3030\u303d\u30fb\uff01-\uff0f\uff1a-\uff20\uff3b-\uff40\uff5b-\uff65]+"
)


def split_words(text: str) -> list[str]:
    """The words of a text: what stands between blanks and punctuation. A script without blanks gives long words.

    >>> split_words("Don't panic: हिन्दी, 42!")
    ['Don', 't', 'panic', 'हिन्दी', '42']
    """
    if text.isascii():
        return text.translate(ASCII_BLANKS).split()
    return [word for word in SEPARATORS.split(text) if word]


def word_codes(text: str) -> np.ndarray:
    """A text's words without regard to case, one space before, between and after: whole numbers [position].

    Args:
        text: any text.

    Returns:
        the code points of " a word "; of a text without words, none. They are bytes where the text is ASCII.
    """
    # no word has to be made, and of ASCII each character is a byte
    if text.isascii():
        codes = np.frombuffer(b" %b \0" % text.encode("ascii").translate(LOWER_OR_BLANK), np.uint8)
        blank: np.ndarray = codes == ord(" ")
    else:
        codes = code_points(f" {text.casefold()} \0").copy()
        blank = _separators()[np.minimum(codes, LAST_OF_TABLE)]
        codes[blank] = ord(" ")
    last: np.ndarray = codes[:-1][~(blank[:-1] & blank[1:])]  # of each run of blanks
    return last if len(last) > 1 else last[:0]


LAST_OF_TABLE = 0xFFFF  # a code point that is no separator; there are none above


@cache
def _separators() -> np.ndarray:
    """Which code points stand between words: bool [code point]."""
    found = (SEPARATORS.match(chr(code)) is not None for code in range(LAST_OF_TABLE + 1))
    return np.fromiter(found, bool, LAST_OF_TABLE + 1)


ASCII_BLANKS = {code: " " for code in range(128) if SEPARATORS.match(chr(code))}
LOWER_OR_BLANK = bytes(ord(ASCII_BLANKS.get(code, chr(code).lower())) if code < 128 else code for code in range(256))


def char_grams(codes: np.ndarray, n_min: int, n_max: int) -> tuple[np.ndarray, np.ndarray]:
    """Where the n-grams of characters lie that stay inside a word, the blank at each of its ends counted in.

    Args:
        codes: of `word_codes`, words with one space before, between and after them: " a word ".
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
    blanks = (codes == ord(" ")).nonzero()[0]
    counts = range(n_min, min(n_max, len(blanks) - 1) + 1)
    if len(counts) == 1:
        return blanks[: -counts[0]] + 1, blanks[counts[0] :]
    return _joined([blanks[:-n] + 1 for n in counts]), _joined([blanks[n:] for n in counts])


def _joined(pieces: list[np.ndarray]) -> np.ndarray:
    return np.concatenate([np.zeros(0, np.int64), *pieces])
