"""What only a process of its own shows: pipes, Ctrl-C, start-up, encodings."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

Mmdata = Callable[..., Any]
MMDATA = [sys.executable, "-m", "mmdata"]
SLOW = """
import os
import time
from dataclasses import dataclass
from mmdata.core.sample import Text
from mmdata.core.step import Map

@dataclass(frozen=True, kw_only=True)
class Slow(Map[Text, Text]):
    "After four texts, none comes to an end."
    on: str = "text"
    def map(self, text):
        begun = os.environ.get("BEGUN")
        if begun is not None:
            if len(os.listdir(begun)) >= 4:
                time.sleep(3600)
            open(os.path.join(begun, str(time.monotonic_ns())), "x").close()
        return text
"""


def test_help_loads_neither_numpy_nor_pyarrow() -> None:
    code = "import sys, mmdata.cli.app; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"numpy", "pyarrow", "pydantic", "yaml", "torch", "rich.table"}.isdisjoint(loaded)


def test_workers_which_load_the_console_script_load_no_command() -> None:
    code = "import sys; from mmdata.cli import main; print(*sys.modules)"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert {"mmdata.cli.app", "typer"}.isdisjoint(loaded)


def test_every_command_has_a_help_of_its_own() -> None:
    listed = subprocess.run([*MMDATA, "--help"], capture_output=True, text=True, check=True).stdout
    commands = [line.split()[0] for line in listed.partition("Commands:")[2].splitlines() if line.strip()]
    expected = "run plan check try ingest features select diff asof train predict export-model stream export ls "
    expected += "show serve stats report trace rejects snapshot verify compact forget gc schema demo doctor"
    assert commands == expected.split()


def test_a_reader_that_has_seen_enough_is_no_error(made: Any) -> None:
    for command in ("ls", "verify", "show"):
        shell = f'"{sys.executable}" -m mmdata {command} "{made.store}" | head -1; echo "${{PIPESTATUS[0]}}" >&2'
        done = subprocess.run(["bash", "-c", shell], capture_output=True, text=True, check=True)
        assert (done.stdout.count("\n"), done.stderr) == (1, "0\n")


def test_a_pipe_closed_before_the_first_line_is_no_error(made: Any) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        done = subprocess.run(
            [*MMDATA, "ls", str(made.store)], stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert (done.returncode, done.stderr) == (0, "")


def test_json_is_all_of_standard_output(own: Any) -> None:
    command = ["run", str(own.pipeline), "--source", str(own.source), "--store", str(own.store), "--workers", "2"]
    done = subprocess.run([*MMDATA, "--verbose", *command, "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["stored"] == 10
    assert done.stdout.count("\n") == 1


def test_a_terminal_of_few_letters_is_shown_escapes(own: Any) -> None:
    (own.source / "disc" / "ünï.png").write_bytes(b"bad")
    environment = {**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"}
    command = ["run", str(own.pipeline), "--source", str(own.source), "--store", str(own.store), "--executor", "inline"]
    subprocess.run([*MMDATA, *command], check=True, capture_output=True, env=environment)
    done = subprocess.run([*MMDATA, "rejects", str(own.store)], capture_output=True, env=environment, check=True)
    assert b"\\xfcn\\xef" in done.stdout


@pytest.mark.parametrize("executor", [["--executor", "inline"], ["--workers", "2"]], ids=["inline", "pool"])
def test_ctrl_c_stores_what_was_done_and_the_next_run_goes_on(own: Any, tmp_path: Path, executor: list[str]) -> None:
    (tmp_path / "slow_step.py").write_text(SLOW)
    text = own.pipeline.read_text().replace("shard_samples: 4", "shard_samples: 1")
    own.pipeline.write_text(text.replace("ingest:\n", "plugins: [slow_step]\ningest:\n  - slow_step.Slow\n"))
    command = ["run", str(own.pipeline), "--source", str(own.source), "--store", str(own.store), *executor, "--json"]
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    said, begun = tmp_path / "said", tmp_path / "begun"
    begun.mkdir()
    with said.open("w") as errors:
        process = subprocess.Popen(
            [*MMDATA, "-v", *command], stdout=subprocess.PIPE, stderr=errors, text=True, process_group=0,
            env={**environment, "BEGUN": str(begun)},
        )  # fmt: skip
    wait_for(lambda: len(re.findall(r"samples=\d+ done", said.read_text())) >= 2)
    os.killpg(process.pid, signal.SIGINT)
    out, _ = process.communicate(timeout=120)
    assert process.returncode == 130, said.read_text()
    assert "Traceback" not in said.read_text()
    report = json.loads(out)
    assert (report["state"], report["balances"]) == ("interrupted", True)
    assert 0 < report["read"] < 12
    wait_for(lambda: not alive(process.pid))
    done = subprocess.run([*MMDATA, *command], capture_output=True, text=True, check=True, env=environment)
    assert json.loads(done.stdout)["kept"] >= report["read"]
    assert json.loads(done.stdout)["read"] + report["read"] == 12


def test_an_interrupt_in_the_midst_of_an_import_ends_with_its_code(own: Any, tmp_path: Path) -> None:
    (tmp_path / "interrupted.py").write_text("exec('raise KeyboardInterrupt')")  # as where a dataclass is made
    steps = "plugins: [interrupted]\ningest:\n  - interrupted.Step\n"
    own.pipeline.write_text(own.pipeline.read_text().replace("ingest:\n", steps))
    environment = {**os.environ, "PYTHONPATH": str(tmp_path)}
    done = subprocess.run([*MMDATA, "check", str(own.pipeline)], capture_output=True, check=False, env=environment)
    assert (done.returncode, done.stderr) == (130, b"interrupted\n")


def alive(group: int) -> list[str]:
    """Processes of a group that still run; those that only wait to be reaped do not."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with suppress(OSError):
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
            found += [stat.parent.name] if int(its_group) == group and state != "Z" else []
    return found


def wait_for(condition: Callable[[], bool]) -> None:
    until = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.02)
