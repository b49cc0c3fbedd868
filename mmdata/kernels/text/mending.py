"""Mending of broken encodings by ftfy, for the few lines that need it."""

from __future__ import annotations

import re
from functools import cache
from typing import Any

# Characters that ftfy changes wherever they stand: controls, line breaks other than LF, surrogates, byte order marks.
ALWAYS = r"\x00-\x08\x0b\r\x0e-\x1f\x7f-\x9f\u2028\u2029\u206a-\u206f\ufeff\ufff9-\ufffc\ud800-\udfff"
# Kinds of letters that mojibake is told by only where a character of another kind stands beside them.
COMMON = ("common", "upper_common", "lower_common")


def mend(text: str) -> str:
    """What ftfy's `fix_text` makes of a text, line by line as ftfy does, and only of lines that it could change.

    Mends mojibake, HTML entities, terminal codes, control characters, line breaks and surrogates; curly quotes, widths
    and ligatures stay. A line is passed over when no character in it is of those that ftfy changes anywhere, none is
    an entity's beginning, and none stands in a neighbourhood that ftfy's heuristic of mojibake looks for. Its patterns
    (`badness.py`) but for a few have two characters beyond ASCII side by side, one of them no common letter; dashes,
    curly apostrophes and no-break spaces count in them behind six letters only.
    """
    suspect, fix, settings = _tools()
    found = suspect.search(text)
    if found is None:
        return text
    pieces, done = [], 0
    while found is not None:
        start = text.rfind("\n", done, found.start()) + 1 or done
        end = text.find("\n", found.start()) + 1 or len(text)
        pieces += [text[done:start], fix(text[start:end], settings)]
        done = end
        found = suspect.search(text, done)
    return "".join([*pieces, text[done:]])


@cache
def _tools() -> tuple[re.Pattern[str], Any, Any]:
    import ftfy
    from ftfy.badness import MOJIBAKE_CATEGORIES

    settings = ftfy.TextFixerConfig(
        unescape_html=True,
        uncurl_quotes=False,
        fix_character_width=False,
        fix_latin_ligatures=False,
        normalization=None,
        explain=False,
    )
    odd = "".join(chars for kind, chars in MOJIBAKE_CATEGORIES.items() if kind not in COMMON)
    usual = MOJIBAKE_CATEGORIES["common"]
    # The first class alone decides where the engine stops to look, which it does at the speed of a memory scan.
    pattern = (
        r"[&\x00-\x08\x0b\r\x0e-\x1f\x7f-\U0010ffff](?:"
        rf"(?<=[{ALWAYS}])|(?<=&)#?[0-9A-Za-z]{{1,24}};"
        rf"|(?<=[{odd}])[^\x00-\x7f{usual}]|(?<=[^\x00-\x7f{usual}])[{odd}]|(?<=[ÂÃÎÐØÙ])[{usual}]"
        r"|(?<=[Œœ])[^A-Za-z]|(?<=[ÃÂ])[ ]|(?<=в)Ђ|(?<=Г)ў)"
    )
    return re.compile(pattern), ftfy.fix_text, settings
