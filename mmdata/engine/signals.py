"""Ctrl-C goes to every process of a terminal's group. The coordinator alone is to answer it, between two results."""

from __future__ import annotations

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any


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


@contextmanager
def answered_later() -> Iterator[None]:
    """Ctrl-C and SIGTERM that come within are answered at the end, so that what is done within is done whole.

    Masks are of no use for that: where there are other threads, the system hands the signal to one of them, and Python
    interrupts the main thread all the same. Threads other than that are never interrupted.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[tuple[Any, ...]] = []
    before = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}
    handlers = {number: handler for number, handler in before.items() if callable(handler)}
    try:
        for number in handlers:
            signal.signal(number, lambda *told: came.append(told))
        yield
    finally:
        for number, handler in handlers.items():
            signal.signal(number, handler)
        for told in came[:1]:
            handlers[told[0]](*told)
