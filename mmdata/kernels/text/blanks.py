"""Blanks and lines."""

from __future__ import annotations

import re

# runs of blanks that are not one space already: most are, and need no work
BLANKS = re.compile(r" [^\S\n]+|[^\S\n ][^\S\n]*")
MANY_BREAKS = re.compile(r"\n{3,}")


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
    one = BLANKS.sub(" ", text).replace(" \n", "\n").replace("\n ", "\n")
    return (MANY_BREAKS.sub("\n\n", one) if "\n\n\n" in one else one).strip()


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
