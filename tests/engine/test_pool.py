from __future__ import annotations

import os
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.ports import Died
from mmdata.engine.executors import executor
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import ONE_THREAD, Pool
from mmdata.errors import ConfigError


def work(item: object) -> Any:
    if item == "die":
        os.kill(os.getpid(), signal.SIGKILL)
    if item == "exit":
        os._exit(7)
    if item == "raise":
        raise ValueError("on purpose")
    if item == "lambda":
        return lambda: None
    if item == "threads":
        return {name: os.environ.get(name) for name in ONE_THREAD}
    if isinstance(item, str) and item.startswith("/"):
        time.sleep(30)
    return item, os.getpid()


def test_every_item_is_done_once_by_processes_of_their_own() -> None:
    results = list(Pool(2).map(work, range(20)))
    done = [result for result in results if not isinstance(result, Died)]
    assert sorted(number for number, _ in done) == list(range(20))
    assert os.getpid() not in {pid for _, pid in done}


def test_nothing_to_do_starts_nothing() -> None:
    assert list(Pool(2).map(work, [])) == []


def test_a_death_is_a_result_and_the_others_are_done() -> None:
    results = list(Pool(2).map(work, [1, "die", 2, "exit", 3, 4]))
    deaths = {result.item: result.error for result in results if isinstance(result, Died)}
    assert deaths == {"die": "killed by SIGKILL", "exit": "ended with exit code 7"}
    assert sorted(result[0] for result in results if isinstance(result, tuple)) == [1, 2, 3, 4]


def test_an_exception_of_the_work_is_raised_where_results_are_read() -> None:
    with pytest.raises(ValueError, match="on purpose"):
        list(Pool(1).map(work, ["raise"]))


def test_a_result_that_can_not_be_sent_is_an_error_not_a_hang() -> None:
    with pytest.raises((RuntimeError, AttributeError), match="lambda"):
        list(Pool(1).map(work, ["lambda"]))


def test_workers_run_one_thread_each_and_the_caller_keeps_its_environment() -> None:
    before = dict(os.environ)
    (found,) = Pool(1).map(work, ["threads"])
    assert found == {name: os.environ.get(name, value) for name, value in ONE_THREAD.items()}
    assert dict(os.environ) == before


def test_closing_the_results_ends_the_workers_at_once(tmp_path: Path) -> None:
    results = Pool(2).map(work, [1, str(tmp_path), str(tmp_path)])
    next(results)
    started = time.monotonic()
    results.close()
    assert time.monotonic() - started < 10


def test_inline_is_the_same_in_order() -> None:
    assert [number for number, _ in Inline().map(work, range(3))] == [0, 1, 2]


def test_an_executor_is_found_by_name() -> None:
    assert executor("pool", 3) == Pool(3)
    assert executor("inline", 1) == Inline()
    with pytest.raises(ConfigError, match="no executor 'cloud'"):
        executor("cloud", 1)
    with pytest.raises(ConfigError, match="expected 1 or more"):
        executor("pool", 0)
