from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

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
