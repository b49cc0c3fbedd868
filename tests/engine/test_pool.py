"""The executors that run on one machine."""

from __future__ import annotations

import os

import pytest

from mmdata.core.ports import Died, Executor
from mmdata.engine.executors import executor as executor_
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import ONE_THREAD, Pool
from mmdata.errors import ConfigError
from mmdata.testing.contracts.executors import ExecutorContract, die, fail


class TestInline(ExecutorContract):
    apart = False

    @pytest.fixture
    def executor(self) -> Executor:
        return Inline()


class TestPool(ExecutorContract):
    @pytest.fixture(params=[1, 3])
    def executor(self, request: pytest.FixtureRequest) -> Executor:
        return Pool(request.param)


def process(item: int) -> tuple[int, int]:
    return item, os.getpid()


def environment(item: object) -> dict[str, str | None]:
    return {name: os.environ.get(name) for name in ONE_THREAD}


nameless = lambda: None  # noqa: E731  pickle looks for it by a name that it has not


def unsendable(item: object) -> object:
    return nameless


def test_every_item_is_done_by_processes_of_their_own() -> None:
    results = list(Pool(2).map(process, range(20)))
    done = [result for result in results if not isinstance(result, Died)]
    assert sorted(number for number, _ in done) == list(range(20))
    assert os.getpid() not in {pid for _, pid in done}


def test_a_death_says_how() -> None:
    deaths = [result for result in Pool(2).map(die, [3, 5]) if isinstance(result, Died)]
    assert {death.item: death.error for death in deaths} == {3: "killed by SIGKILL", 5: "ended with exit code 7"}


def test_an_exception_brings_its_traceback_along() -> None:
    with pytest.raises(ValueError, match="on purpose") as caught:
        list(Pool(1).map(fail, [3]))
    assert "in fail" in "".join(caught.value.__notes__)


def test_a_result_that_pickle_does_not_find_by_name_is_an_error_not_a_death() -> None:
    with pytest.raises(RuntimeError, match="could not be sent back"):
        list(Pool(1).map(unsendable, [1]))


def test_workers_run_one_thread_each_and_the_caller_keeps_its_environment() -> None:
    before = dict(os.environ)
    (found,) = Pool(1).map(environment, [1])
    assert found == {name: os.environ.get(name, value) for name, value in ONE_THREAD.items()}
    assert dict(os.environ) == before


def test_inline_keeps_the_order() -> None:
    assert [number for number, _ in Inline().map(process, range(3))] == [0, 1, 2]


def test_an_executor_is_found_by_name() -> None:
    assert executor_("pool", 3) == Pool(3)
    assert executor_("inline", 1) == Inline()
    with pytest.raises(ConfigError, match="no executor 'cloud'"):
        executor_("cloud", 1)
    with pytest.raises(ConfigError, match="expected 1 or more"):
        executor_("pool", 0)
