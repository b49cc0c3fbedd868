"""Work in a process of its own: results, exceptions and deaths come home."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from mmdata.engine.guard import OUTSIDE_S, Limits, held_bytes
from mmdata.engine.isolation import Death, alone
from mmdata.engine.notes import Note, Notes
from mmdata.errors import RunStopped

LIMITS = Limits(timeout_s=600)


def work(item: str, notes: Notes) -> tuple[str, int]:
    notes.write(item, "step")
    if item == "fail":
        raise FileNotFoundError(2, "on purpose", "x")
    if item == "die":
        os._exit(7)
    return item.upper(), os.getpid()


def test_a_result_comes_from_another_process() -> None:
    result, pid = alone(work, "item", LIMITS)
    assert (result, pid != os.getpid()) == ("ITEM", True)


def test_an_exception_is_raised_here_and_brings_its_traceback() -> None:
    with pytest.raises(FileNotFoundError, match="on purpose") as caught:
        alone(work, "fail", LIMITS)
    assert "in work" in "".join(caught.value.__notes__)


def test_a_death_says_how_and_over_what_and_leaves_no_file_open() -> None:
    before = len(list(Path("/proc/self/fd").iterdir())) if Path("/proc").exists() else 0
    death = alone(work, "die", LIMITS)
    assert death == Death("worker_died", "ended its process: ended with exit code 7", "", Note("die", "step"))
    assert (len(list(Path("/proc/self/fd").iterdir())) if before else 0) == before


def test_work_that_can_not_be_sent_is_told_so() -> None:
    with pytest.raises(RunStopped, match="must stand in modules that workers can import"):
        alone(lambda item, _: item, 1, LIMITS)


def test_what_is_held_is_measured() -> None:
    before = held_bytes()
    held = np.ones(20_000_000)
    assert held_bytes() > before + 100_000_000
    assert held.sum() == 20_000_000


def test_outside_of_calls_there_is_time_to_start() -> None:
    assert Limits(2).seconds(in_call=True) == 2
    assert Limits(2).seconds(in_call=False) == OUTSIDE_S
    assert Limits(7200).seconds(in_call=False) == 7200
