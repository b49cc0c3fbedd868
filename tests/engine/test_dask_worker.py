from __future__ import annotations

import sys
import threading
import time
from pathlib import Path

import pytest

from mmdata.engine.executors import dask_worker
from mmdata.engine.executors.dask_worker import _Process
from mmdata.engine.notes import Notes
from mmdata.engine.wanted import Unwanted, check

SLOW_PACKAGE = {"__init__.py": "from . import inner\n", "inner.py": "import time\ntime.sleep(1.0)\nvalue = 7\n"}


class Nobody:
    """A task that nobody waits for."""

    is_wanted = False


def test_work_that_nobody_wants_ends_and_no_import_is_broken_off(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = tmp_path / "a_slow_package"
    package.mkdir()
    for name, text in SLOW_PACKAGE.items():
        (package / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.setattr(dask_worker, "WATCH_EVERY_S", 0.02)
    process, found, ended = _Process(), [], []

    def work() -> None:
        try:
            with process.doing(Nobody()):  # type: ignore[arg-type]  # what the worker asks of a task, and no more
                import a_slow_package  # type: ignore[import-not-found]

                found.append(a_slow_package.inner.value)
                while True:
                    time.sleep(0.01)
        except Unwanted:
            ended.append(True)

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert (found, ended) == ([7], [True])
    import a_slow_package

    assert a_slow_package.inner.value == 7
    assert "a_slow_package.inner" in sys.modules


def test_an_end_that_a_library_swallowed_comes_at_the_next_step(monkeypatch: pytest.MonkeyPatch) -> None:
    """Callbacks from C print what is raised in them, and go on: libsndfile then takes a sound to end there."""
    monkeypatch.setattr(dask_worker, "WATCH_EVERY_S", 0.02)
    process, ended = _Process(), []

    def work() -> None:
        try:
            with process.doing(Nobody()):  # type: ignore[arg-type]  # what the worker asks of a task, and no more
                try:
                    while True:
                        time.sleep(0.01)
                except Unwanted:
                    pass
                Notes(None).write("a/sample", "clean.audio.TrimSilence")
                ended.append("done")
        except Unwanted:
            ended.append("ended")
        check()  # the thread's next task is another
        ended.append("next")

    thread = threading.Thread(target=work)
    thread.start()
    thread.join(120)
    assert ended == ["ended", "next"]
