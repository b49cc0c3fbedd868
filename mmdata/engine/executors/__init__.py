"""Who does the work. An executor is one method, `map(work, items)`, and knows nothing of samples."""

from __future__ import annotations

from mmdata.core.ports import Executor
from mmdata.engine.executors.inline import Inline
from mmdata.engine.executors.pool import Pool
from mmdata.errors import ConfigError

NAMES = ("inline", "pool")


def executor(name: str, workers: int) -> Executor:
    """An executor by its name in a command line. Raises ConfigError for an unknown name or no workers."""
    if workers < 1:
        raise ConfigError("--workers", [f"expected 1 or more, not {workers}"])
    if name == "inline":
        return Inline()
    if name == "pool":
        return Pool(workers)
    raise ConfigError("--executor", [f"no executor {name!r}; there are {', '.join(NAMES)}"])
