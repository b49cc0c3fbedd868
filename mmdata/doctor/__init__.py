"""What this machine can do for mmdata, what it can't, and how to mend that. Every ability is tried, not looked up.

>>> print(Finding("disk", FAULT, "no hard links", "put the store on ext4, XFS or APFS"))
disk: no hard links
  put the store on ext4, XFS or APFS
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mmdata.doctor.finding import FAULT, GOOD, NOTE, Finding
from mmdata.doctor.formats import formats
from mmdata.doctor.machine import machine
from mmdata.doctor.packages import packages
from mmdata.doctor.places import place
from mmdata.doctor.store import store

__all__ = ["FAULT", "GOOD", "NOTE", "Finding", "examine"]


def examine(url: str | None = None, options: Mapping[str, str] | None = None) -> Iterator[tuple[str, list[Finding]]]:
    """Findings by topic, as they come: the machine, packages, formats, and where one is named, a
    place and the store that lies there.

    Args:
        url: where a store lies or shall lie, a folder or a URL; a few small files are written there and deleted.
        options: storage options, as commands take them.
    """
    yield "machine", list(machine())
    yield "packages", list(packages())
    yield "formats", list(formats())
    if url is not None:
        yield url, [*place(url, options), *store(url, options)]
