"""What crosses between processes: results and exceptions, in a form that the other side can make again."""

from __future__ import annotations

import copy
import traceback
from collections.abc import Callable
from multiprocessing.reduction import ForkingPickler
from typing import Any

DONE, RAISED = "done", "raised"


def packed(work: Callable[[Any], Any], item: Any) -> bytes:
    """Do an item, and pack how it went for `unpacked`: what came of it, or the exception that it raised."""
    try:
        answer: tuple[str, Any] = (DONE, work(item))
    except Exception as error:  # noqa: BLE001  it is raised where the results are read
        answer = (RAISED, sendable(error))
    return pack(answer)


def pack(answer: tuple[str, Any]) -> bytes:
    """An answer as bytes. What can't be sent becomes an error that says so."""
    try:
        return bytes(ForkingPickler.dumps(answer))
    except Exception as error:  # noqa: BLE001  pickle raises many kinds
        said = f"a result could not be sent back: {error}; it was {answer[1]!r:.200}"
        return bytes(ForkingPickler.dumps((RAISED, RuntimeError(said))))


def unpacked(answer: bytes) -> tuple[str, Any]:
    """The verdict, DONE or RAISED, and the result or exception."""
    verdict, value = ForkingPickler.loads(answer)
    return verdict, value


def sendable(error: Exception) -> Exception:
    """The exception with its traceback as a note; one that can't be made again is told in a RuntimeError's words."""
    lines = "".join(traceback.format_exception(error))
    try:
        copy.copy(error)  # makes it anew from its arguments, as the coordinator will have to
    except Exception:  # noqa: BLE001  an exception's class may do anything when it is made again
        error = RuntimeError(f"{type(error).__name__}: {error}")
    error.add_note(f"in a worker:\n{lines}")
    return error
