"""Whether anybody still waits for what a thread does.

A thread that is told to end gets an exception at its next line of Python. Where that line is called back by a library
in C, as libsndfile reads, the exception is printed and lost, and the library takes it for the end of its data: what the
thread makes from then on is not to be trusted. So it is told again before each call of a step, and before files are
closed.
"""

from __future__ import annotations

import threading

_unwanted: set[int] = set()  # threads; a set's own operations are atomic


class Unwanted(BaseException):
    """Nobody waits for this item any more. No `except Exception` of a step may hold it up."""


def tell_off(thread: int) -> None:
    """Nobody waits for what a thread is doing."""
    _unwanted.add(thread)


def begin_anew(thread: int) -> None:
    """What the thread does next is something else."""
    _unwanted.discard(thread)


def check() -> None:
    """Raise Unwanted when nobody waits for what this thread is doing."""
    if _unwanted and threading.get_ident() in _unwanted:
        raise Unwanted
