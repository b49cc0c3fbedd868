"""Who does the work. An executor is one method, `map(work, items)`, and knows nothing of samples."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

from mmdata.core.ports import Executor
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import Pool
from mmdata.errors import ConfigError, MissingExtra

NAMES = ("inline", "pool", "dask")


def works_here(executor: Executor) -> bool:
    """Whether all of an executor's work is done on this machine, as far as that is known."""
    if isinstance(executor, Inline | Pool):
        return True
    from mmdata.engine.executors.dask import Dask  # it loads asyncio, which every worker of a pool would pay for

    return isinstance(executor, Dask) and executor.scheduler is None


def executor(name: str, workers: int, *, scheduler: Any = None, wait_s: float | None = None) -> Executor:
    """An executor by its name in a command line.

    Args:
        name: "inline", "pool" or "dask".
        workers: processes of the pool, or of a Dask cluster on this machine.
        scheduler: of Dask, where there is one: an address, a scheduler file, a cluster or a client.
        wait_s: how long Dask may have no worker; None is five minutes.

    Raises:
        ConfigError: an unknown name, no workers, or a scheduler for an executor that has none.
    """
    if workers < 1:
        raise ConfigError("--workers", [f"expected 1 or more, not {workers}"])
    if name != "dask" and name in NAMES and (scheduler is not None or wait_s is not None):
        given = "--scheduler" if scheduler is not None else "--wait"
        raise ConfigError(given, [f"only the executor 'dask' has one, not {name!r}"])
    if name == "inline":
        return Inline()
    if name == "pool":
        return Pool(workers)
    if name == "dask":
        if find_spec("distributed") is None:
            raise MissingExtra("--executor", ["dask needs distributed; install it with: pip install 'mmdata[dask]'"])
        from mmdata.engine.executors.dask import Dask

        return Dask(scheduler, workers, **({} if wait_s is None else {"wait_s": wait_s}))
    raise ConfigError("--executor", [f"no executor {name!r}; there are {', '.join(NAMES)}"])
