"""Ctrl-C goes to every process of a terminal's group, and the coordinator alone is to answer it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def deaf_children() -> Iterator[None]:
    """Processes that are started within never hear Ctrl-C, also while they import what they need.

    They inherit the mask of this thread, in which the signal waits meanwhile. Where there are no masks (Windows), they
    are deaf from the moment they say so themselves.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
