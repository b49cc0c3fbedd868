"""A Dask cluster of real processes on this machine, for tests and benchmarks: each can be killed and started again."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

STARTS_WITHIN_S = 60.0


class Loopback:
    """`dask scheduler` and `dask worker` as processes; all are killed at the end of the `with`.

    Args:
        folder: for logs and the workers' own files.
        workers: how many to start with, of `threads` each. nanny: whether each has one, which starts it again.
    """

    def __init__(self, folder: Path, *, workers: int = 0, threads: int = 1, nanny: bool = True) -> None:
        self.folder, self._threads, self._nanny = folder, threads, nanny
        self.port = free_port()
        self.scheduler: subprocess.Popen[bytes] | None = None
        self.workers: dict[str, subprocess.Popen[bytes]] = {}
        self._first = [f"w{number}" for number in range(workers)]
        self._started = 0

    @property
    def address(self) -> str:
        return f"tcp://127.0.0.1:{self.port}"

    def __enter__(self) -> Self:
        try:
            self.start_scheduler()
            for name in self._first:
                self.start_worker(name)
            self.wait(len(self._first))
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.end()

    def start_scheduler(self) -> None:
        """Start the scheduler, at the same address each time."""
        self.scheduler = self._start(
            "scheduler", ["scheduler", "--host", "127.0.0.1", "--port", str(self.port), "--no-dashboard"], {}
        )
        until = time.monotonic() + STARTS_WITHIN_S
        while not answers(self.port):
            if self.scheduler.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"the scheduler did not start:\n{self.log('scheduler')}")
            time.sleep(0.05)

    def start_worker(
        self, name: str, *options: str, threads: int | None = None, env: Mapping[str, str] | None = None
    ) -> subprocess.Popen[bytes]:
        """Start a worker, with options of `dask worker`; see `wait`."""
        command = ["worker", self.address, "--host", "127.0.0.1", "--no-dashboard"]
        command += ["--nthreads", str(threads or self._threads), "--nworkers", "1", "--memory-limit", "0"]
        command += [
            "--name",
            name,
            "--local-directory",
            str(self.folder / name),
            "--nanny" if self._nanny else "--no-nanny",
        ]
        self.workers[name] = self._start(name, [*command, *options], env or {})
        return self.workers[name]

    def _start(self, name: str, command: list[str], env: Mapping[str, str]) -> subprocess.Popen[bytes]:
        with open(self.folder / f"{name}.log", "ab") as log:
            return subprocess.Popen(
                [sys.executable, "-m", "dask", *command],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=self.folder,
                start_new_session=True,  # its children are in its group, to be killed with it
                env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path)), **env},  # as found here
            )

    def wait(self, n: int, *, at_most_s: float = STARTS_WITHIN_S) -> None:
        """Wait until the scheduler knows at least so many workers."""
        from distributed import Client

        if n:
            with Client(self.address, set_as_default=False, timeout=at_most_s) as client:
                client.wait_for_workers(n, timeout=at_most_s)

    def kill(self, name: str) -> None:
        """Kill a worker and its nanny at once, as a machine that is switched off."""
        _kill(self.workers.pop(name))

    def kill_scheduler(self) -> None:
        if self.scheduler is not None:
            _kill(self.scheduler)
            self.scheduler = None

    def pid(self, name: str) -> int:
        """The process that works: the nanny's child where there is a nanny."""
        process = self.workers[name]
        children = [pid for pid in _children(process.pid) if "spawn_main" in _command(pid)]
        return children[-1] if children else process.pid

    def log(self, name: str) -> str:
        """What a process said."""
        with suppress(FileNotFoundError):
            return (self.folder / f"{name}.log").read_text("utf-8", "replace")
        return ""

    def end(self) -> None:
        for process in [*self.workers.values(), *([self.scheduler] if self.scheduler else [])]:
            _kill(process)
        self.workers.clear()
        self.scheduler = None


def _kill(process: subprocess.Popen[bytes]) -> None:
    for pid in [process.pid, *_children(process.pid)]:  # a nanny's children have groups of their own
        with suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()


def _children(root: int) -> list[int]:
    found = [root]
    for pid in found:
        for thread in Path(f"/proc/{pid}/task").glob("*/children"):
            with suppress(OSError):  # it ended meanwhile
                found += map(int, thread.read_text().split())
    return found[1:]


def _command(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/cmdline").read_text()
    except OSError:
        return ""


def free_port() -> int:
    """A port on which nobody listens."""
    with socket.socket() as server:
        server.bind(("127.0.0.1", 0))
        return int(server.getsockname()[1])


def answers(port: int) -> bool:
    """Whether somebody listens on a port."""
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0
