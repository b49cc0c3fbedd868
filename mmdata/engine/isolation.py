"""Work in a process of its own, on this machine, under the eyes of the process that started it.

It is a plain subprocess: workers of other schedulers are daemons, which may have no children of multiprocessing. Work,
item and result go through a pipe as multiprocessing's own do.
"""

from __future__ import annotations

import ctypes
import faulthandler
import os
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from multiprocessing import Pipe, spawn
from multiprocessing.connection import Connection
from pathlib import Path
from time import monotonic
from typing import IO, Any

from mmdata.core.allocation import keep_large_buffers
from mmdata.engine.guard import OUT_OF_MEMORY, TICK_S, Limits, guarded, held_bytes
from mmdata.engine.notes import SIZE, Note, Notes, read_count, read_note
from mmdata.engine.sending import sendable
from mmdata.engine.signals import deaf_children
from mmdata.engine.threads import one_blas_thread_for_good
from mmdata.errors import RunStopped

WORKER_DIED, TIMED_OUT, NO_MEMORY = "worker_died", "timed_out", "out_of_memory"
PATIENCE_S = 5.0  # after its time limit, for a process that should have ended itself
_START = "import sys; sys.path[:] = sys.argv[3:]; from mmdata.engine.isolation import main; main(*sys.argv[1:3])"
_OWN_THREAD = re.compile(r"Thread 0x[^\n]*\n(?:  [^\n]*\n)*?  File [^\n]* in _(?:keep|look_for)\n(?:  [^\n]*\n)*\n?")
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True)
class Death:
    """How a process ended that gave no result.

    Args:
        kind: "worker_died", "timed_out" or "out_of_memory". error: what it did, for a person: "took longer than 5 s".
        stack: where it was, if it could say.
        note: what it was about to do.
    """

    kind: str
    error: str
    stack: str
    note: Note | None


def alone(work: Callable[[Any, Notes], Any], item: Any, limits: Limits) -> Any:
    """Do `work(item, notes)` in a new process; its result, or a `Death`. An exception of the work is raised here.

    Args:
        work: what is to be done. It and the item can be sent: their classes are found by module and name.
        item: what it is to be done with.
        limits: what the process may take.

    Raises:
        RunStopped: work or item can't be sent.
    """
    with _child() as child:
        child.send((work, item, limits))
        why = child.watch(limits)
        heard = child.heard() if why is None else None
        if heard is None:
            return child.death(why, limits)
        done, value = heard
        if not done:
            raise value
        return value


@contextmanager
def _child() -> Iterator[_Child]:
    with tempfile.TemporaryFile("w+b") as notes, tempfile.TemporaryFile("w+b") as told:
        notes.truncate(SIZE)
        mine, theirs = Pipe()
        with mine, theirs:
            files = (theirs.fileno(), notes.fileno(), told.fileno())
            command = [sys.executable, "-c", _START, str(os.getpid()), ",".join(map(str, files)), *sys.path]
            with deaf_children():
                process = subprocess.Popen(command, pass_fds=files, stdin=subprocess.DEVNULL)
            theirs.close()
            try:
                yield _Child(process, mine, notes, told)
            finally:
                process.kill()
                process.wait()


@dataclass
class _Child:
    process: subprocess.Popen[bytes]
    pipe: Any
    notes: IO[bytes]
    told: IO[bytes]

    def send(self, what: object) -> None:
        try:
            self.pipe.send(_preparation())
            self.pipe.send(what)
        except OSError:  # it died at its start: nothing is to be heard of it
            return
        except Exception as error:  # pickle raises many kinds
            raise RunStopped(
                f"a worker died, and its work can't be sent to a process of its own: {error}; "
                "steps and sources must stand in modules that workers can import"
            ) from error

    def watch(self, limits: Limits) -> str | None:
        """Wait for a word of the child; the limit that it passed and did not keep itself."""
        count, since_s = -1, monotonic()
        while not self.pipe.poll(TICK_S):
            if limits.memory_bytes is not None and held_bytes(self.process.pid) > limits.memory_bytes:
                return NO_MEMORY
            if (now := read_count(self.notes.fileno())) != count:
                count, since_s = now, monotonic()
            note = read_note(self.notes.fileno())
            in_call = note is not None and note.entry != ""
            if monotonic() - since_s > limits.seconds(in_call=in_call) + PATIENCE_S:
                return TIMED_OUT
        return None

    def heard(self) -> tuple[bool, Any] | None:
        """What the child says; None when it died over it."""
        try:
            said: tuple[bool, Any] = self.pipe.recv()
        except (EOFError, OSError):
            return None
        return said

    def death(self, why: str | None, limits: Limits) -> Death:
        """What is known of the child's end; ends it where a limit was passed."""
        if why is not None:
            self.process.kill()
        code = self.process.wait()
        self.told.seek(0)
        stack = _OWN_THREAD.sub("", self.told.read(SIZE).decode("utf-8", "replace"))
        if code == OUT_OF_MEMORY:
            why, stack = NO_MEMORY, ""
        elif stack.startswith("Timeout ("):
            why = TIMED_OUT
        kind = why or WORKER_DIED
        return Death(kind, _told(kind, code, limits), stack.strip(), read_note(self.notes.fileno()))


def _told(kind: str, code: int, limits: Limits) -> str:
    if kind == TIMED_OUT:
        return f"took longer than {limits.timeout_s:g} s"
    if kind == NO_MEMORY:
        return f"took more memory than the {limits.memory_bytes or 0:,} bytes that a worker may"
    return f"ended its process: {how_it_ended(code)}"


def how_it_ended(code: int | None) -> str:
    """A process's exit code in words."""
    if code is not None and code < 0:
        return f"killed by {signal.Signals(-code).name}"
    return f"ended with exit code {code}"


def _preparation() -> dict[str, Any]:
    """What multiprocessing tells a new process, so that it finds the classes of the main module."""
    told = spawn.get_preparation_data("mmdata-alone")
    return {name: value for name, value in told.items() if name != "authkey"}  # it refuses to be sent


def main(parent: str, files: str) -> None:
    """A child's life: one item.

    Args:
        parent: the process id of who started it.
        files: descriptors of its pipe, its notes and its last words.
    """
    pipe_file, notes_file, told = map(int, files.split(","))
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C goes to the whole group; the coordinator decides
    end_with_parent(int(parent))
    faulthandler.enable(told, all_threads=False)
    pipe: Connection[Any, Any] = Connection(pipe_file)
    notes = Notes(notes_file)
    spawn.prepare(pipe.recv())
    work, item, limits = pipe.recv()
    one_blas_thread_for_good()
    keep_large_buffers()
    with guarded(limits, notes, told):
        answer(pipe, lambda: work(item, notes))
    for stream in (sys.stdout, sys.stderr):
        stream.flush()
    os._exit(0)  # what libraries do at their ends could only go wrong


def answer(pipe: Any, work: Callable[[], Any]) -> bool:
    """Send what work gives, (True, result), or (False, the exception it raised); False when nobody listens any more."""
    try:
        told: tuple[bool, Any] = (True, work())
    except Exception as error:  # noqa: BLE001  it is raised where the results are read
        told = (False, sendable(error))
    try:
        pipe.send(told)
    except OSError:
        return False
    except Exception as error:  # noqa: BLE001  pickle raises many kinds
        pipe.send((False, RuntimeError(f"a result could not be sent back: {error}; it was {told[1]!r:.200}")))
    return True


def end_with_parent(parent: int) -> None:
    """Have this process killed when the one that started it is gone, whatever it is doing then.

    Linux does it itself; elsewhere a thread looks, which a call that never lets go of Python's lock can hold up.
    """
    with suppress(OSError):  # where memory runs out, a worker goes first
        Path("/proc/self/oom_score_adj").write_text("500")
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    threading.Thread(target=_look_for, args=(parent,), name="mmdata-parent", daemon=True).start()


def _look_for(parent: int) -> None:
    pause = threading.Event()
    while os.getppid() == parent:
        pause.wait(1.0)
    os._exit(1)
