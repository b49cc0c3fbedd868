"""How values are written: numbers, sizes, and texts of others, which may hold anything."""

from __future__ import annotations

import math
import re

# what ends a line, turns the direction of what follows, is not to be seen, or is no character of HTML
_UNSEEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u00ad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u206f\ud800-\udfff\ufeff\ufff9-\uffff]"
)


def name(text: object) -> str:
    r"""A key, label or file name on one line; what can't be seen, or turns the direction of text, is an escape.

    >>> name("a\nb\u202egpj.exe\x00")
    'a\\nb\\u202egpj.exe\\x00'
    """
    return prose(str(text).replace("\n", "\\n").replace("\t", "\\t"))


def prose(text: str) -> str:
    """A text as it is, lines and tabs too, but for signs that can't be seen: these are escapes."""
    return _UNSEEN.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"


def shortened(text: str, n: int = 60) -> str:
    """At most so many characters: the beginning and the end.

    >>> shortened("abcdefghij", 7)
    'abc…hij'
    """
    if len(text) <= n:
        return text
    tail = (n - 1) // 2
    return f"{text[: n - 1 - tail]}…{text[-tail:]}"


def count(n: int) -> str:
    """A whole number with thin spaces between thousands.

    >>> count(1234567)
    '1\u202f234\u202f567'
    """
    return f"{n:,}".replace(",", "\u202f")


def number(value: float) -> str:
    """A number in few digits: four of them count.

    >>> [number(each) for each in (0.0, 3.0, 1234.5678, 0.00012346, 1e9, -2.5)]
    ['0', '3', '1235', '0.0001235', '1e+09', '-2.5']
    """
    if not math.isfinite(value):
        return str(value)
    if value == int(value) and abs(value) < 1e6:
        return str(int(value))
    return f"{value:.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.4g}"


def share(part: float, whole: float) -> str:
    """A part of a whole in per cent.

    >>> share(1, 3), share(0, 5), share(1, 10000), share(2, 2)
    ('33 %', '0 %', '< 0.1 %', '100 %')
    """
    if not whole or not part:
        return "0 %"
    per_cent = 100 * part / whole
    if per_cent < 0.1:
        return "< 0.1 %"
    return f"{per_cent:.1f} %" if per_cent < 10 else f"{per_cent:.0f} %"
