"""One thing that was looked at."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

State = Literal["good", "note", "fault"]
GOOD: State = "good"
NOTE: State = "note"  # something can't be done here, or not as fast, which nobody may want
FAULT: State = "fault"  # something that was asked for will not work


@dataclass(frozen=True)
class Finding:
    """What was found of one thing.

    Args:
        what: its name. state: `GOOD`, `NOTE` or `FAULT`. found: what is there. mend: what to do about it, if anything.
    """

    what: str
    state: State
    found: str
    mend: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.found}" + (f"\n  {self.mend}" if self.mend else "")
