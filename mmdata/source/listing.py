"""What a look at a place finds: files with what tells that they have changed, and what can't be looked at."""

from __future__ import annotations

from dataclasses import dataclass

from mmdata.core.ports import Fault


@dataclass(frozen=True, slots=True)
class Found:
    """A file of a place.

    Args:
        path: relative, with `/`, as the disk spells it. size: bytes. signature: "mtime:NANOSECONDS" or "etag:...".
        problem: why it can't be read, as a fault's kind and its error; None for a sound file.
    """

    path: str
    size: int = 0
    signature: str = ""
    problem: tuple[str, str] | None = None


@dataclass(frozen=True, kw_only=True)
class Listing:
    """All that a place holds.

    Args:
        files: in order of path. faults: folders that can't be walked. ignored: hidden files, droppings of editors, and
            folders that are listed elsewhere.
    """

    files: list[Found]
    faults: list[Fault]
    ignored: list[str]


def changed(path: str, how: str) -> str:
    """What is said of a file that is not what was listed."""
    return f"{path}: changed since it was listed ({how}); run again to list it anew"
