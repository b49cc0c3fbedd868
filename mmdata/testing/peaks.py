"""The most memory that this process has held (Linux): for tests that say it is bounded."""

from __future__ import annotations

import re
from pathlib import Path

_SELF = Path("/proc/self")


def peak_bytes() -> int:
    """The most physical memory that this process has held since it began, or since `forget_peak`.

    What `getrusage` says begins with the peak of the process that started this one, so a test under a large pytest
    could not fail by it.
    """
    (kilobytes,) = re.findall(r"^VmHWM:\s+(\d+) kB$", (_SELF / "status").read_text(), re.MULTILINE)
    return int(kilobytes) * 1024


def forget_peak() -> int:
    """Let the peak begin anew at what is held now, in bytes."""
    (_SELF / "clear_refs").write_text("5")
    return peak_bytes()
