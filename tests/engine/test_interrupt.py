"""Runs that are told to end, or whose coordinator is killed: nothing is lost, and no process stays behind."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from mmdata.store.store import Store
from mmdata.store.verify import verify
from mmdata.testing.build import caption

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks for processes in /proc")

PIPELINE = """
plugins: [tests]
source: {{use: source.files.Files}}
ingest:
  - {{use: tests.engine.hazards.Hazard, armed: {armed}}}
features: [features.text.TextLength]
run: {{shard_samples: 2, timeout_s: {timeout_s}}}
"""
SOON_S = 120.0


class Run:
    """A run of a corpus in which one sample holds Python's lock for ages, as a process with a session of its own."""

    def __init__(self, folder: Path, *, timeout_s: float) -> None:
        self.store, self.media, armed = folder / "store", folder / "media", folder / "armed"
        self.said = folder / "said"
        if not self.media.exists():
            self.media.mkdir()
            for number in range(8):
                text = "!backtrack" if number == 7 else caption(number).text
                (self.media / f"{number}.txt").write_text(text)
            armed.touch()
        (folder / "p.yaml").write_text(PIPELINE.format(armed=armed, timeout_s=timeout_s))
        command = [sys.executable, "-m", "mmdata", "-v", "run", str(folder / "p.yaml"), "--source", str(self.media)]
        with self.said.open("wb") as said:
            self.process = subprocess.Popen(
                [*command, "--store", str(self.store), "--workers", "2", "--json"],
                start_new_session=True, stdout=subprocess.DEVNULL, stderr=said,
            )  # fmt: skip

    def wait_until(self, true: Callable[[], bool]) -> None:
        """Wait for something to become true of the run."""
        until = time.monotonic() + SOON_S
        while not true():
            late = time.monotonic() > until
            if late or self.process.poll() in (1, 2):
                self.process.kill()
                pytest.fail(f"it never came to that: {self.said.read_text()}")
            time.sleep(0.05)

    def commands(self) -> list[str]:
        """The command lines of all processes of the session."""
        found = []
        for place in Path("/proc").glob("[0-9]*"):
            try:
                fields = (place / "stat").read_text().rpartition(")")[2].split()
                command = (place / "cmdline").read_text()
            except OSError:
                continue
            if int(fields[3]) == self.process.pid and fields[0] not in "ZX":
                found.append(command)
        return found

    def done(self) -> int:
        """How many shards came back from workers, committed or not."""
        return len(re.findall(r"shard=\S+ samples=\d+ done", self.said.read_text()))

    def stored(self) -> int:
        return len(Store.open(self.store)) if (self.store / "store.json").exists() else 0


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[[float], Run]]:
    """Starts runs, which do not outlive the test."""
    runs: list[Run] = []

    def begin(timeout_s: float) -> Run:
        runs.append(Run(tmp_path, timeout_s=timeout_s))
        return runs[-1]

    yield begin
    for run in runs:
        with suppress(ProcessLookupError):
            os.killpg(run.process.pid, signal.SIGKILL)
        run.process.wait()


@pytest.mark.slow
@pytest.mark.parametrize(("times", "number", "code"), [(2, signal.SIGINT, 130), (1, signal.SIGTERM, 143)])
def test_a_run_that_is_told_to_end_commits_what_is_done_and_leaves_no_process(
    start: Callable[[float], Run], tmp_path: Path, times: int, number: signal.Signals, code: int
) -> None:
    run = start(600)
    run.wait_until(lambda: run.done() == 3)  # the other shard hangs
    for _ in range(times):
        os.killpg(run.process.pid, number) if number == signal.SIGINT else run.process.send_signal(number)
        time.sleep(0.05)
    run.process.wait(timeout=SOON_S)
    assert run.process.returncode == code
    assert "Traceback" not in run.said.read_text()
    run.wait_until(lambda: run.commands() == [])
    assert verify(Store.open(run.store)).is_sound
    assert run.stored() == 6
    (tmp_path / "armed").unlink()
    again = start(600)
    again.process.wait(timeout=SOON_S)
    assert (again.process.returncode, again.stored()) == (0, 8)


@pytest.mark.slow
@pytest.mark.parametrize("careful", [pytest.param(False, marks=pytest.mark.long), True])
def test_no_process_outlives_a_coordinator_that_is_killed_even_where_it_hangs_in_c(
    start: Callable[[float], Run], careful: bool
) -> None:
    run = start(3 if careful else 600)
    run.wait_until(
        lambda: any("engine.isolation" in command for command in run.commands()) if careful else run.done() == 3
    )
    time.sleep(1.0)
    assert len(run.commands()) > 1
    os.kill(run.process.pid, signal.SIGKILL)
    run.process.wait(timeout=SOON_S)
    run.wait_until(lambda: run.commands() == [])
