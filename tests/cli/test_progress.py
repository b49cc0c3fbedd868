"""How a run's progress looks: on a terminal, in a file, and to a machine."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys
from typing import Any

from mmdata.cli.progress import step_rows
from mmdata.engine.counts import Counts, StepTimes
from mmdata.engine.progress import Progress

MMDATA = [sys.executable, "-m", "mmdata"]


def test_json_lines_say_what_is_going_on(own: Any) -> None:
    command = ["--log-json", "-v", "run", str(own.pipeline), "--source", str(own.source), "--store", str(own.store)]
    done = subprocess.run([*MMDATA, *command, "--workers", "1", "--json"], capture_output=True, text=True, check=True)
    assert json.loads(done.stdout)["stored"] == 10
    records = [json.loads(line) for line in done.stderr.splitlines()]
    assert all(record.keys() >= {"time", "level", "logger", "message"} for record in records)
    moments = [record["progress"] for record in records if "progress" in record]
    assert (moments[0]["shards"], moments[0]["samples"]) == (0, 0)
    last = moments[-1]
    assert (last["samples"], last["samples_total"], last["left_s"], last["working"]) == (12, 12, 0.0, [])
    assert last["steps"]
    assert any(record["message"].endswith("done") for record in records)


def test_an_error_is_a_record_with_its_traceback(tmp_path: Any) -> None:
    command = [*MMDATA, "--log-json", "-v", "ls", str(tmp_path / "nothing")]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    first, told = (json.loads(line) for line in done.stderr.splitlines())
    assert "Traceback" in first["error"]
    assert (done.returncode, told["level"], told["message"].partition(":")[0]) == (1, "error", "StoreError")


def test_a_terminal_sees_shards_steps_and_workers(own: Any) -> None:
    leader, follower = pty.openpty()
    command = [*MMDATA, "run", str(own.pipeline), "--source", str(own.source), "--store", str(own.store)]
    environment = {**os.environ, "COLUMNS": "150", "LINES": "40", "TERM": "xterm"}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, env=environment)
    os.close(follower)
    seen = b""
    while True:
        try:
            chunk = os.read(leader, 65_536)
        except OSError:  # the other end is closed
            break
        if not chunk:
            break
        seen += chunk
    os.close(leader)
    assert process.wait(timeout=120) == 0
    assert b"in work" in seen
    assert b"shards, " in seen


def test_steps_are_listed_by_their_time() -> None:
    counts = Counts(
        steps={"shard": StepTimes(4, 10.0), "a": StepTimes(4, 2.0), "b": StepTimes(8, 4.0), "never": StepTimes()}
    )
    moment = Progress(shards=1, shards_total=1, samples=4, samples_total=4, counts=counts, seconds=5.0)
    assert step_rows(moment) == [("b", "8", "2/s", "40 %"), ("a", "4", "2/s", "20 %")]
