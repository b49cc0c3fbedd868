"""How much a group of values may cost: found by doubling, halved where memory runs out, and remembered.

A cost is in a step's own units (tokens, pixels). A budget belongs to a step with its settings and to a kind of device.
"""

from __future__ import annotations

import json
import os
import tempfile
import threading
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

FIRST = 4  # values in a first group
PAYS = 1.05  # a group of twice the size is worth it where it is so much faster, a unit of cost
TIMES_A_SIZE = 2  # groups timed before the next size is tried; the first of a new size is often slow
TRY_AGAIN = 200  # full groups after memory ran out, until more is tried: others may have left the device
MOST_REMEMBERED = 1000
_known: dict[str, Budget] = {}
_lock = threading.Lock()


class Budget:
    """The cost that a group may have: its largest value times their number.

    Args:
        cost: to begin with; None waits for the first value, and allows a few of its kind.
        path: where it is remembered, as `name`.
    """

    def __init__(self, cost: int | None = None, *, name: str = "", path: Path | None = None) -> None:
        self.cost = cost
        self._settled = cost is not None
        self._name, self._path = name, path
        self._rates: list[float] = []
        self._best: float | None = None
        self._ran_out = False
        self._worked = 0

    def fits(self, cost: int) -> int:
        """How many values of at most that cost may be in a group; always one."""
        if self.cost is None:
            self.cost = FIRST * cost
        return max(1, self.cost // cost)

    def worked(self, cost: int, seconds: float, *, may_grow: Callable[[], bool] = lambda: True) -> None:
        """A group of that cost went through in so many seconds; `may_grow` is asked before a larger one is tried."""
        if self.cost is None or 2 * cost <= self.cost:  # a small one says nothing of a full one
            return
        if self._settled:
            self._worked += 1
            if not self._ran_out or self._worked < TRY_AGAIN:
                return
            self._settled, self._ran_out, self._best = False, False, None
        self._rates.append(cost / max(seconds, 1e-9))
        if len(self._rates) < TIMES_A_SIZE:
            return
        rate, self._rates = max(self._rates), []
        if self._best is not None and rate < PAYS * self._best:
            self.cost //= 2  # half of it was as fast
            self._settle()
        elif may_grow():
            self.cost, self._best = 2 * self.cost, rate
        else:
            self._settle()

    def ran_out(self, cost: int) -> None:
        """Memory ran out under a group of that cost."""
        self.cost = max(1, min(self.cost or cost, cost) // 2)
        self._ran_out, self._worked, self._rates = True, 0, []
        self._settle()

    def _settle(self) -> None:
        self._settled = True
        if self._path is not None and self.cost is not None:
            _remember(self._path, self._name, self.cost)


def budget(name: str, path: Path | None = None) -> Budget:
    """The budget of that name: this process's, else one that begins where an earlier process ended."""
    with _lock:
        if name not in _known:
            _known[name] = Budget(_remembered(path).get(name), name=name, path=path)
        return _known[name]


def budgets_file() -> Path:
    """$XDG_CACHE_HOME/mmdata/budgets.json, or below ~/.cache. Nothing depends on it but speed."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "mmdata" / "budgets.json"


def _remembered(path: Path | None) -> dict[str, int]:
    """What the file says; nothing where it is gone, damaged or another's."""
    if path is None:
        return {}
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    if not isinstance(found, dict):
        return {}
    return {name: cost for name, cost in found.items() if type(cost) is int and cost > 0}


def _remember(path: Path, name: str, cost: int) -> None:
    """Write it down. Of two processes at once one may be lost, which costs a few small groups."""
    known = _remembered(path) | {name: cost}
    kept = dict(list(known.items())[-MOST_REMEMBERED:])
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile("w", dir=path.parent, suffix=".json", delete=False) as file:
            json.dump(kept, file)
        os.replace(file.name, path)
