"""How many cores there are to work on. Imports nothing else, as commands ask before they load the rest."""

from __future__ import annotations

import os


def n_cores() -> int:
    """How many cores this process may use, where the system tells; all of the machine's elsewhere."""
    if hasattr(os, "process_cpu_count"):  # Python 3.13
        return int(os.process_cpu_count() or 1)
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
