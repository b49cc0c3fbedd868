"""Paths to keys and pointers: always valid Unicode, and never a way out of the source's root."""

from __future__ import annotations

import re
import unicodedata

_UNDECODABLE = re.compile("[\udc80-\udcff]")  # how Python spells the bytes of a name that are not UTF-8
_TO_QUOTE = re.compile("[%#\udc80-\udcff]")
_QUOTED = re.compile("%([0-9A-F]{2})")
_DROPPINGS = re.compile(
    r"\.|#.*#$|.*(~|\.(tmp|temp|part|partial|crdownload|swp|swo|bak|orig|lock))$|(thumbs\.db|desktop\.ini|__macosx)$",
    re.IGNORECASE | re.DOTALL,
)


def key_text(path: str) -> str:
    r"""A path as it stands in keys: NFC, so that a disk's way to spell é makes no other sample; bad bytes as %XX.

    >>> key_text("cafe\u0301"), key_text(b"a\xff".decode("utf-8", "surrogateescape"))
    ('café', 'a%FF')
    """
    if path.isascii():
        return path
    return unicodedata.normalize("NFC", _UNDECODABLE.sub(lambda bad: f"%{ord(bad[0]) - 0xDC00:02X}", path))


def quoted(path: str) -> str:
    """A path as it stands in pointers: exact, and free of `#`, which begins a pointer's range.

    >>> quoted("a#1 100%.png"), unquoted("a%231 100%25.png")
    ('a%231 100%25.png', 'a#1 100%.png')
    """
    if path.isascii() and "%" not in path and "#" not in path:
        return path
    return _TO_QUOTE.sub(lambda bad: f"%{ord(bad[0]) & 0xFF:02X}", path)


def unquoted(text: str) -> str:
    """The path that `quoted` was given."""
    if "%" not in text:
        return text
    return _QUOTED.sub(lambda code: _character(int(code[1], 16)), text)


def _character(byte: int) -> str:
    return chr(byte) if byte < 0x80 else chr(0xDC00 + byte)


def escapes(path: str) -> bool:
    """Whether a relative path would lead out of its folder, or is none.

    >>> escapes("a/../../b"), escapes("/etc/passwd"), escapes("a/..b")
    (True, True, False)
    """
    return not path or path[0] == "/" or "\0" in path or (".." in path and ".." in path.split("/"))


def is_dropping(name: str) -> bool:
    """Whether a file's or folder's name is hidden, or a leftover of an editor, a download or a desktop.

    >>> is_dropping(".git"), is_dropping("a.png~"), is_dropping("a.png")
    (True, True, False)
    """
    return _DROPPINGS.match(name) is not None


def checked_name(name: str, location: str) -> str:
    """A source's name: the one given, or the last part of its location.

    Raises:
        ValueError: there is none, or it can't begin a key.
    """
    name = key_text(name or location.partition("::")[0].rstrip("/").rpartition("/")[2])
    if name in ("", ".", "..", "~") or name.endswith(":"):
        raise ValueError(f"the location {location!r} names no folder; give the source a name: it begins every key")
    if "/" in name or not name.isprintable():
        raise ValueError(f"a source's name begins every key: no '/' and no control characters, not {name!r}")
    return name
