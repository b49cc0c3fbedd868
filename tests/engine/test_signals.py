from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from mmdata.core.pipeline import Pipeline, RunSettings
from mmdata.engine.counts import Counts
from mmdata.engine.options import RunOptions
from mmdata.engine.runner import run
from mmdata.engine.signals import answered_later
from mmdata.source.files import Files
from mmdata.store.store import Store

WORK = """
import time
from pathlib import Path
Path({began!r}).touch()
time.sleep(3600)  # a worker that still imports what its work is made of

def work(item):
    return item
"""
PARENT = """
import importlib
import signal
import sys

from mmdata.engine.executors.pool import Pool

signal.signal(signal.SIGINT, signal.default_int_handler)  # a shell's background job inherits that it is ignored

class Late:
    def __reduce__(self):
        return importlib.import_module, ("late_work",)

if __name__ == "__main__":
    results = Pool(workers=1).map(Late(), [1])
    try:
        next(results)
    except KeyboardInterrupt:
        results.close()
        sys.exit(3)
"""


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals can't be masked here")
def test_ctrl_c_while_a_worker_still_imports_is_the_coordinators_alone(tmp_path: Path) -> None:
    (tmp_path / "late_work.py").write_text(WORK.format(began=str(tmp_path / "began")))
    (tmp_path / "parent.py").write_text(PARENT)
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *filter(None, sys.path)])}
    process = subprocess.Popen(
        [sys.executable, str(tmp_path / "parent.py")],
        stderr=subprocess.PIPE,
        text=True,
        process_group=0,
        env=environment,
    )
    until = time.monotonic() + 120
    while not (tmp_path / "began").exists():
        assert time.monotonic() < until
        time.sleep(0.01)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=120)
    assert (process.returncode, errors) == (3, "")


def test_ctrl_c_is_answered_once_what_goes_on_is_done() -> None:
    done = []

    def within() -> None:
        with answered_later():
            signal.raise_signal(signal.SIGINT)
            done.append("whole")

    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        with pytest.raises(KeyboardInterrupt):
            within()
        assert signal.getsignal(signal.SIGINT) is signal.default_int_handler
    finally:
        signal.signal(signal.SIGINT, before)
    assert done == ["whole"]


def test_what_a_run_counts_when_it_is_interrupted_is_stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(4):
        (tmp_path / f"{number}.txt").write_text("a text")
    add, n_results = Counts.add, 0

    def interrupted(self: Counts, other: Counts) -> None:
        nonlocal n_results
        add(self, other)
        n_results += 1
        if n_results == 2:
            signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(Counts, "add", interrupted)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        pipeline = Pipeline(source=Files(root=str(tmp_path)))
        report = run(pipeline, str(tmp_path / "store"), RunOptions(settings=RunSettings(shard_samples=1)))
    finally:
        signal.signal(signal.SIGINT, before)
    assert (report.state, report.counts.stored) == ("interrupted", len(Store.open(tmp_path / "store")))
    assert report.counts.stored > 0
