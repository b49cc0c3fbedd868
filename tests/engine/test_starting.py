"""Workers that begin before there is work."""

from __future__ import annotations

import os
import signal

import pytest

from mmdata.core.ports import Died
from mmdata.engine import starting
from mmdata.engine.executors.pool import Pool
from mmdata.testing.contracts.executors import die


def process(item: int) -> tuple[int, int]:
    return item, os.getpid()


def begun() -> list[int]:
    """Processes that wait to be taken."""
    return [each.process.pid or 0 for each in starting._EARLY]


def is_gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    return False


def pids(results: list[tuple[int, int] | Died]) -> set[int]:
    return {result[1] for result in results if not isinstance(result, Died)}


def test_a_pool_takes_those_that_have_begun() -> None:
    with starting.early(2):
        waiting = begun()
        assert len(waiting) == 2
        results = list(Pool(3).map(process, range(30)))
        assert len(results) == 30
        assert pids(results) & set(waiting)
        assert len(pids(results) - set(waiting)) <= 1
        assert begun() == []
    assert all(map(is_gone, waiting))


def test_those_that_nobody_needs_are_stopped_as_soon_as_that_is_known() -> None:
    with starting.early(8):
        first, second = begun()
        results = Pool(4).map(process, [1])
        assert next(results) == (1, first)
        assert is_gone(second)
        assert list(results) == []
        assert is_gone(first)


def test_none_is_left_where_a_command_fails() -> None:
    waiting = []

    def command() -> None:
        with starting.early(1):
            waiting.extend(begun())
            raise ValueError("on purpose")

    with pytest.raises(ValueError, match="on purpose"):
        command()
    assert begun() == []
    assert [is_gone(pid) for pid in waiting] == [True]


def test_one_that_died_meanwhile_is_passed_over() -> None:
    with starting.early(2):
        first, second = starting._EARLY
        os.kill(first.process.pid or 0, signal.SIGKILL)
        first.process.join()
        expected = second.process.pid
        assert list(Pool(1).map(process, [1])) == [(1, expected)]


def test_a_death_is_told_and_a_new_one_takes_the_place() -> None:
    with starting.early(1):
        (waiting,) = begun()
        (death,) = Pool(1).map(die, [3])
        assert isinstance(death, Died)
        assert death.error == "killed by SIGKILL"
        assert is_gone(waiting)


def test_no_process_begins_for_no_workers() -> None:
    with starting.early(0):
        assert begun() == []
