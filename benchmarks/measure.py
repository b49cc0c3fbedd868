"""Time and memory of a whole command, its children counted in; and a table of what was measured."""

from __future__ import annotations

import ctypes
import os
import resource
import statistics
import subprocess
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

_SUBREAPER, _ORPHANS_S = 36, 30.0  # PR_SET_CHILD_SUBREAPER of Linux; how long orphans are waited for
SAMPLE_EVERY_S = 0.5  # reading the maps of a large process costs it milliseconds


@dataclass(frozen=True)
class Measured:
    """A command's wall time, the peak of its processes' memory, and what it printed.

    Args:
        cpu_seconds: of all its processes, system calls included.
        peak_bytes: proportional set size of the whole tree, at its greatest: a page that n processes share counts 1/n
            in each, so forked workers are not charged for what they never touched.
    """

    seconds: float
    cpu_seconds: float
    peak_bytes: int
    output: str


def measure(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None) -> Measured:
    """Run a command to its end.

    Raises:
        RuntimeError: it failed; with the end of what it said.
    """
    _adopt_orphans()
    start, cpu_before = time.perf_counter(), _cpu_seconds()
    process = subprocess.Popen(
        [str(word) for word in command],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **(env or {})},
    )
    peak = [0]
    ended = threading.Event()
    watch = threading.Thread(target=_watch, args=(process.pid, ended, peak))
    watch.start()
    output, errors = process.communicate()
    seconds = time.perf_counter() - start
    _wait_for_orphans()
    ended.set()
    watch.join()
    if process.returncode != 0:
        raise RuntimeError(f"{command} ended with {process.returncode}:\n{errors[-2000:]}")
    return Measured(seconds, _cpu_seconds() - cpu_before, peak[0], output)


def _adopt_orphans() -> None:
    """Become the parent of processes whose own one ends before them: their time counts, too, once they are waited for.

    A pool of multiprocessing that is terminated and not joined leaves its workers so, with all their time.
    """
    ctypes.CDLL(None, use_errno=True).prctl(_SUBREAPER, 1, 0, 0, 0)


def _wait_for_orphans() -> None:
    until = time.monotonic() + _ORPHANS_S
    while time.monotonic() < until:
        try:
            pid, _ = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            time.sleep(0.02)


def _cpu_seconds() -> float:
    """What all children that have ended used so far."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _watch(root: int, ended: threading.Event, peak: list[int]) -> None:
    while not ended.wait(SAMPLE_EVERY_S):
        peak[0] = max(peak[0], sum(_pss_bytes(pid) for pid in tree(root)))


def tree(root: int) -> list[int]:
    """A process and all its descendants."""
    found = [root]
    for pid in found:
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            try:
                found += [int(child) for child in thread.read_text().split()]
            except OSError:  # it ended meanwhile
                continue
    return found


def _pss_bytes(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except OSError:  # it ended meanwhile
        return 0
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


def spread(values: Sequence[float]) -> str:
    """The median, and how far the rounds lay apart.

    >>> spread([3.0, 1.0, 2.0])
    '2.00 (1.00 to 3.00)'
    """
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"
