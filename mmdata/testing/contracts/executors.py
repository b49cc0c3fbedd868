"""What holds for every executor, as tests: a subclass with one fixture gets them all.

    from mmdata.testing.contracts.executors import ExecutorContract

    class TestMyCluster(ExecutorContract):
        @pytest.fixture
        def executor(self) -> Executor:
            return MyCluster(workers=2)

An executor whose work is done in the caller's own process says `apart = False`: there, nobody outlives a death.
"""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pytest

from mmdata.core.ports import Died, Executor

LARGE = 20_000_000  # bytes: past every pipe's buffer
SOON_S = 120.0  # on a busy machine; work that goes on takes far longer


class Odd(Exception):
    """An exception that can't be made again from its arguments, as unpickling does."""

    def __init__(self, name: str, number: int) -> None:
        super().__init__(f"{name} is odd: {number}")


@dataclass(frozen=True)
class Add:
    """Work with a setting of its own, as a run's is."""

    number: int

    def __call__(self, item: int) -> int:
        return item + self.number


def size(item: bytes) -> int:
    return len(item)


def zeros(n: int) -> np.ndarray:
    return np.zeros(n, np.uint8)


def fail(item: int) -> int:
    if item == 3:
        raise ValueError(f"{item} on purpose")
    return item


def fail_oddly(item: int) -> int:
    raise Odd("it", item)


def unsendable(item: int) -> Any:
    return lambda: item


def die(item: int) -> int:
    """Ends its process for 3 and 5, in two ways."""
    if item == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    if item == 5:
        os._exit(7)
    return item


def leave_traces(folder: str) -> int:
    """Writes a file again and again for half a minute, but for the folder '', where it is done at once."""
    for number in range(300 if folder else 0):
        Path(folder, f"{os.getpid()}").write_text(str(number))
        time.sleep(0.1)
    return os.getpid()


class ExecutorContract:
    """Tests of one executor."""

    apart: ClassVar[bool] = True  # whether work is done by processes other than the caller's

    @pytest.fixture
    def executor(self) -> Executor:
        raise NotImplementedError("a subclass of ExecutorContract gives a fixture `executor` that returns an Executor")

    def test_does_every_item_once(self, executor: Executor) -> None:
        assert sorted(kept(executor.map(Add(100), range(40)))) == list(range(100, 140))

    def test_takes_items_that_are_made_on_the_way(self, executor: Executor) -> None:
        assert sorted(kept(executor.map(Add(1), (item for item in (1, 1, 2))))) == [2, 2, 3]

    def test_nothing_to_do_gives_nothing(self, executor: Executor) -> None:
        assert list(executor.map(Add(1), [])) == []

    def test_can_be_used_again(self, executor: Executor) -> None:
        assert [kept(executor.map(Add(number), [1])) for number in (1, 2)] == [[2], [3]]

    def test_takes_items_and_gives_results_of_any_size(self, executor: Executor) -> None:
        assert kept(executor.map(size, [b"", bytes(LARGE), b""] * 2)).count(LARGE) == 2
        assert sorted(len(result) for result in kept(executor.map(zeros, [LARGE, 0, LARGE]))) == [0, LARGE, LARGE]

    def test_an_exception_of_the_work_is_raised_where_results_are_read(self, executor: Executor) -> None:
        results = executor.map(fail, [3])
        with pytest.raises(ValueError, match="3 on purpose") as caught:
            list(results)
        assert str(caught.value) == "3 on purpose"

    def test_an_exception_that_can_not_be_sent_is_one_all_the_same(self, executor: Executor) -> None:
        with pytest.raises(Exception, match="it is odd: 4"):
            list(executor.map(fail_oddly, [4]))

    def test_a_result_that_can_not_be_sent_is_an_error_that_says_so(self, executor: Executor) -> None:
        if not self.apart:
            pytest.skip("results are not sent")
        with pytest.raises(Exception, match="lambda"):
            list(executor.map(unsendable, [1]))

    def test_a_death_is_a_result_and_the_others_are_done(self, executor: Executor) -> None:
        if not self.apart:
            pytest.skip("the caller would die")
        results = list(executor.map(die, range(8)))
        deaths = [result for result in results if isinstance(result, Died)]
        died = {death.item for death in deaths}
        assert {3, 5} <= died, "others may have been beside them, or had results there that nobody had fetched"
        assert all(death.error for death in deaths), "a death says how"
        done = [result for result in results if not isinstance(result, Died)]
        assert sorted([*done, *died]) == list(range(8)), "each item has one end"
        assert len(done) > 0

    def test_a_last_death_is_a_result_too(self, executor: Executor) -> None:
        if not self.apart:
            pytest.skip("the caller would die")
        (death,) = executor.map(die, [3])
        assert isinstance(death, Died)
        assert death.item == 3

    def test_closing_the_results_ends_all_work_soon(self, executor: Executor, tmp_path: Path) -> None:
        results = executor.map(leave_traces, ["", *[str(tmp_path)] * (4 if self.apart else 0)])
        next(results)
        started = time.monotonic()
        results.close()
        assert time.monotonic() - started < SOON_S
        assert still(tmp_path), "work goes on after the results were closed"

    def test_results_that_nobody_asks_for_cost_nothing(self, executor: Executor, tmp_path: Path) -> None:
        executor.map(leave_traces, [str(tmp_path)]).close()
        assert still(tmp_path)
        assert list(tmp_path.iterdir()) == []


def kept(results: Iterator[Any]) -> list[Any]:
    """All results; a death where none should be fails the test."""
    found = list(results)
    assert [result for result in found if isinstance(result, Died)] == []
    return found


def still(folder: Path) -> bool:
    """Whether soon nothing changes any more in a folder, for half a second."""
    until = time.monotonic() + SOON_S
    before: dict[str, str] | None = None
    while time.monotonic() < until:
        now = {path.name: path.read_text() for path in folder.iterdir()}
        if now == before:
            return True
        before = now
        time.sleep(0.5)
    return False
