"""What all formats of captions share: a cue's plain text, and what becomes of one that is at fault."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from mmdata.core.sample import Cue
from mmdata.errors import DecodeError

MAX_CUES = 200_000  # a cue a second, for two days and more
MAX_MS = 10_000 * 3_600_000  # what hours of four digits can say
_BREAK = re.compile(r"\r\n|\r|\n")
_CONTROLS = re.compile(r"[\0-\b\v\f\x0e-\x1f\x7f-\x84\x86-\x9f]")


def lines_of(text: str) -> list[str]:
    """Lines, broken where all formats break them and nowhere else."""
    return _BREAK.split(text)


def tidy(text: str) -> str:
    r"""A cue's text as it is kept: no control characters, no blank lines, nothing around a line.

    >>> tidy(" Hello, \r\n \n\x00world ")
    'Hello,\nworld'
    """
    lines = (line.strip() for line in lines_of(_CONTROLS.sub("", text)))
    return "\n".join(line for line in lines if line)


@dataclass
class Cues:
    """Cues as they are found.

    Args:
        strict: whether a cue at fault ends the reading; it is left out otherwise.
    """

    strict: bool
    found: list[Cue] = field(default_factory=list)

    def add(self, start_ms: int, end_ms: int, text: str, *, where: str) -> None:
        """A cue; one without text is none."""
        if not (plain := tidy(text)):
            return
        if end_ms < start_ms or start_ms < 0 or end_ms >= MAX_MS:
            self.fault(f"{where}: a caption can't be from {start_ms / 1000} to {end_ms / 1000} s")
        elif len(self.found) >= MAX_CUES:
            raise DecodeError(f"it has more than {MAX_CUES:,} captions")
        else:
            self.found.append(Cue(start_ms, end_ms, plain))

    def fault(self, what: str) -> None:
        """Something of a cue can't be read.

        Raises:
            DecodeError: unless such cues are left out.
        """
        if self.strict:
            raise DecodeError(what)

    def ordered(self) -> tuple[Cue, ...]:
        return tuple(sorted(self.found))
