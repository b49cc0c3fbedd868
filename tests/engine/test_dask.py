"""The Dask executor on clusters of real processes: what they may do to it, and what it may not do to them."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dask.config
import pytest
from distributed import Client, LocalCluster, get_worker

from mmdata.core.ports import Died, Executor
from mmdata.engine.executors import executor as executor_
from mmdata.engine.executors.dask import Dask
from mmdata.errors import ConfigError, RunStopped
from mmdata.testing.contracts.executors import Add, ExecutorContract, die, fail, kept, leave_traces, still
from mmdata.testing.loopback import Loopback, free_port

pytestmark = [pytest.mark.dask, pytest.mark.timeout(120)]


@dataclass(frozen=True)
class Needy:
    """An item that needs a device."""

    number: int
    resources: dict[str, float] = field(default_factory=lambda: {"GPU": 1})


@dataclass(frozen=True)
class Pedantic:
    """Work that looks around before it begins."""

    fault: str

    def ready(self) -> None:
        if self.fault:
            raise ConfigError("this machine", [self.fault])

    def __call__(self, item: int) -> int:
        return item


def name(item: object) -> str:
    return str(get_worker().name)


def slowly(item: float) -> float:
    time.sleep(item)
    return item


def slow_on_one(item: tuple[str, str]) -> str:
    """The worker's name, at once; never where it is the worker that the item names."""
    ours = str(get_worker().name)
    Path(item[1], f"{item[0]}-{ours}-{time.monotonic_ns()}").touch()
    time.sleep(3600 if ours == item[0] else 0.1)
    return ours


def threads_at_once(item: object) -> tuple[int, int]:
    time.sleep(0.1)
    return os.getpid(), threading.get_ident()


@pytest.fixture(scope="module")
def loopback(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loopback]:
    with Loopback(tmp_path_factory.mktemp("cluster"), workers=2) as cluster:
        yield cluster


class TestProcesses(ExecutorContract):
    """A scheduler and two workers with nannies that were there before."""

    @pytest.fixture
    def executor(self, loopback: Loopback) -> Executor:
        return Dask(loopback.address)


class TestThreads(ExecutorContract):
    """One worker of three threads, started by the executor's own cluster class and given as a cluster."""

    @pytest.fixture(scope="class")
    def cluster(self) -> Iterator[LocalCluster]:
        with LocalCluster(
            n_workers=1, threads_per_worker=3, dashboard_address=None, worker_dashboard_address=None
        ) as cluster:
            yield cluster

    @pytest.fixture
    def executor(self, cluster: LocalCluster) -> Executor:
        return Dask(cluster)

    def test_threads_of_one_worker_work_at_the_same_time(self, executor: Executor) -> None:
        assert len(set(kept(executor.map(threads_at_once, range(12))))) == 3


def test_a_cluster_of_its_own_ends_with_the_work() -> None:
    assert sorted(kept(executor_("dask", 2).map(slowly, [0.1] * 6))) == [0.1] * 6
    results = executor_("dask", 1).map(threads_at_once, range(50))
    pid, _ = next(results)  # type: ignore[misc]
    results.close()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)


def test_a_client_is_used_and_left_as_it_was(loopback: Loopback) -> None:
    with Client(loopback.address, set_as_default=False) as client:
        future = client.submit(sum, [1, 2])
        assert sorted(kept(Dask(client).map(Add(1), range(5)))) == [1, 2, 3, 4, 5]
        assert client.status == "running"
        assert future.result() == 3
        assert client.submit(sum, [3, 4]).result() == 7
        assert not [key for key in client.futures if str(key).startswith("mmdata")]


def test_few_items_are_taken_ahead(loopback: Loopback) -> None:
    taken = 0

    def items() -> Iterator[float]:
        nonlocal taken
        for _ in range(40):
            taken += 1
            yield 0.02

    for done, _ in enumerate(Dask(loopback.address).map(slowly, items())):
        assert taken <= done + 1 + 2 * 2 + 1, "two a thread, and the next"
    assert taken == 40


def test_an_exception_ends_the_other_items(loopback: Loopback, tmp_path: Path) -> None:
    def mixed() -> Iterator[Any]:
        yield str(tmp_path)
        yield 3

    with pytest.raises(TypeError):
        list(Dask(loopback.address).map(leave_traces, mixed()))  # a number is no folder
    assert still(tmp_path)


# ---- workers that come, go, and never come


def test_work_waits_for_the_first_worker_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    with Loopback(tmp_path) as cluster, caplog.at_level(logging.WARNING, "mmdata"):
        results = Dask(cluster.address, wait_s=60).map(Add(1), range(4))
        threading.Timer(3, cluster.start_worker, ["late"]).start()
        assert sorted(kept(results)) == [1, 2, 3, 4]
        assert "has no worker that could work; start some: `dask worker tcp://127.0.0.1" in caplog.text


def test_workers_that_never_come_are_an_error(tmp_path: Path) -> None:
    with Loopback(tmp_path) as cluster, pytest.raises(RunStopped, match=r"has no worker .* for 1 s; .* goes on from"):
        list(Dask(cluster.address, wait_s=1).map(Add(1), range(4)))


def test_no_scheduler_is_an_error_that_names_the_address() -> None:
    nobody = f"tcp://127.0.0.1:{free_port()}"
    with pytest.raises(ConfigError, match=f"no Dask scheduler answers at '{nobody}'"):
        list(Dask(nobody, connect_s=0.5).map(Add(1), range(4)))
    with pytest.raises(ConfigError, match="expected an address such as tcp://host:8786"):
        list(Dask("ftp://127.0.0.1:1", connect_s=0.5).map(Add(1), range(4)))


@pytest.mark.slow
def test_a_cluster_that_grows_on_demand_does() -> None:
    with LocalCluster(n_workers=0, threads_per_worker=1, dashboard_address=None) as cluster:
        cluster.adapt(minimum=0, maximum=2, interval="200ms")
        found = kept(Dask(cluster).map(threads_at_once, range(10)))
        assert len(found) == 10


@pytest.mark.slow
def test_workers_that_come_later_are_given_work(tmp_path: Path) -> None:
    with Loopback(tmp_path, workers=1) as cluster:
        results = Dask(cluster.address).map(name, range(4000))
        found = {next(results)}
        cluster.start_worker("late")
        for result in results:
            found.add(result)
            if "late" in str(found):
                break
        results.close()
    assert len(found) == 2


def test_all_workers_die_and_others_come(tmp_path: Path) -> None:
    with Loopback(tmp_path, workers=2) as cluster:
        results = Dask(cluster.address).map(slowly, [0.2] * 20)
        found = [next(results)]
        cluster.kill("w0")
        cluster.kill("w1")
        cluster.start_worker("w2")
        found += list(results)
    assert found == [0.2] * 20, "one death is any machine's own, and no item's"


@pytest.mark.slow
def test_a_worker_that_is_frozen_holds_nothing_up(tmp_path: Path) -> None:
    """The item of a straggler is done again elsewhere, and the first result counts."""
    with Loopback(tmp_path, workers=2) as cluster:
        results = Dask(cluster.address, patience_s=1).map(slow_on_one, [("w0", str(tmp_path))] * 8)
        found = list(results)
    assert found == ["w1"] * 8
    assert list(tmp_path.glob("w0-w0-*")), "the slow worker was given some"


def test_a_local_worker_may_take_its_time_to_come_back() -> None:
    """Dask takes one that is away for this long off its list, and then nobody starts it again."""
    with (
        dask.config.set({"distributed.deploy.lost-worker-timeout": "100ms"}),
        LocalCluster(n_workers=1, dashboard_address=None) as cluster,
    ):
        (death,) = Dask(cluster, wait_s=20).map(die, [3])
    assert isinstance(death, Died)


@pytest.mark.slow
def test_a_scheduler_that_gives_up_at_the_first_death_is_heard(tmp_path: Path) -> None:
    with LocalCluster(n_workers=1, dashboard_address=None, scheduler_kwargs={"allowed_failures": 0}) as cluster:
        (death,) = Dask(cluster).map(die, [3])
    assert isinstance(death, Died)
    assert death.item == 3
    assert "workers were lost" in death.error


# ---- the scheduler dies


def test_a_scheduler_that_dies_stops_the_run_and_says_how_to_go_on(tmp_path: Path) -> None:
    with Loopback(tmp_path, workers=1) as cluster:
        results = Dask(cluster.address, connect_s=2).map(slowly, [0.1] * 100)
        next(results)
        cluster.kill_scheduler()
        with pytest.raises(RunStopped, match=r"the Dask scheduler at tcp://.* is lost .* the same command goes on"):
            list(results)


def test_what_a_dead_coordinator_had_asked_for_ends(loopback: Loopback, tmp_path: Path) -> None:
    code = (
        "import sys; from mmdata.engine.executors.dask import Dask\n"
        "from mmdata.testing.contracts.executors import leave_traces\n"
        "list(Dask(sys.argv[1]).map(leave_traces, [sys.argv[2]] * 4))"
    )
    coordinator = subprocess.Popen([sys.executable, "-c", code, loopback.address, str(tmp_path)])
    try:
        until = time.monotonic() + 120
        while not list(tmp_path.iterdir()) and time.monotonic() < until:
            time.sleep(0.1)
        assert list(tmp_path.iterdir()), "it began"
    finally:
        coordinator.kill()
        coordinator.wait()
    until = time.monotonic() + 120
    while not still(tmp_path) and time.monotonic() < until:
        time.sleep(0.5)
    assert still(tmp_path)


# ---- devices


def test_items_go_where_what_they_need_is(tmp_path: Path) -> None:
    with Loopback(tmp_path, workers=1) as cluster:
        cluster.start_worker("gpu", "--resources", "GPU=1")
        cluster.wait(2)
        assert set(kept(Dask(cluster.address).map(name, map(Needy, range(6))))) == {"gpu"}
        assert len(kept(Dask(cluster.address).map(name, range(6)))) == 6


def test_a_need_that_no_worker_meets_is_an_error(loopback: Loopback) -> None:
    with pytest.raises(RunStopped, match="offers what steps need; start one with `dask worker --resources 'GPU=1'`"):
        list(Dask(loopback.address, wait_s=1).map(name, [Needy(1)]))


# ---- workers that are not like us


def test_workers_with_another_mmdata_are_named_before_any_work(tmp_path: Path) -> None:
    other = tmp_path / "other" / "mmdata"
    other.mkdir(parents=True)
    (other / "__init__.py").write_text('__version__ = "0.0.0"\n')
    broken = tmp_path / "broken" / "mmdata"
    broken.mkdir(parents=True)
    (broken / "__init__.py").write_text('raise ImportError("no such thing here")\n')
    with Loopback(tmp_path) as cluster:
        for folder in ("other", "broken"):
            cluster.start_worker(folder, env={"PYTHONPATH": str(tmp_path / folder)})
        cluster.wait(2)
        with pytest.raises(ConfigError) as caught:
            list(Dask(cluster.address).map(leave_traces, [str(tmp_path)]))
    assert len(caught.value.faults) == 2
    assert "it has mmdata 0.0.0, here it is" in str(caught.value)
    assert "mmdata can't be imported there: no such thing here" in str(caught.value)


def test_what_work_finds_wrong_with_a_worker_is_an_error(loopback: Loopback) -> None:
    assert kept(Dask(loopback.address).map(Pedantic(""), [1])) == [1]
    with pytest.raises(ConfigError, match="the disk is not there"):
        list(Dask(loopback.address).map(Pedantic("the disk is not there"), [1]))


def test_the_cluster_serves_on_after_all_that(loopback: Loopback) -> None:
    with pytest.raises(ValueError, match="on purpose"):
        list(Dask(loopback.address).map(fail, [3]))
    assert len(kept(Dask(loopback.address).map(name, range(10)))) == 10
    for worker in loopback.workers.values():
        os.kill(worker.pid, signal.SIGCONT)  # it lives


def test_options_that_belong_to_dask_alone_are_refused_elsewhere() -> None:
    assert executor_("dask", 3) == Dask(None, 3)
    assert executor_("dask", 3, scheduler="tcp://a:1", wait_s=5) == Dask("tcp://a:1", 3, wait_s=5)
    with pytest.raises(ConfigError, match="--scheduler"):
        executor_("pool", 3, scheduler="tcp://a:1")
    with pytest.raises(ConfigError, match="--wait"):
        executor_("inline", 3, wait_s=3)
