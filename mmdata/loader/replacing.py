"""Bad samples: which others take their places, so that every topology makes the same choice; and what is told of it."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any, Self

from mmdata.core.rng import rng_for
from mmdata.errors import SchemaMismatch
from mmdata.loader.order import WindowId

REMEMBERED = 1_000  # of those that were replaced, the last
IN_STATE = 5


@dataclass(frozen=True)
class Replaced:
    """A sample that was not given, as it is bad.

    Args:
        key: its own. column: which medium was bad. kind: "decode", "dropped"..., as rejects have it. error: in words.
        by: the key of the one that was given in its place.
    """

    key: str
    column: str
    kind: str
    error: str
    by: str = ""


def others(seed: int, window: WindowId, place: int, n_rows: int) -> Iterator[int]:
    """The places of a window that stand in for one of its rows, one attempt after another: each other place once.

    A function of its arguments alone, whoever asks.

    >>> first = list(others(7, WindowId(0, 0, 3), 1, 4))
    >>> first == list(others(7, WindowId(0, 0, 3), 1, 4)), sorted(first)
    (True, [0, 2, 3])
    """
    rng = rng_for(seed, "replace", window.part, window.epoch, window.number, place)
    yield from (other for other in rng.permutation(n_rows).tolist() if other != place)


class Report:
    """What was replaced so far: how often, and the last of them."""

    def __init__(self) -> None:
        self.count = 0
        self._last: deque[Replaced] = deque(maxlen=REMEMBERED)

    def add(self, replaced: Iterable[Replaced]) -> None:
        for one in replaced:
            self.count += 1
            self._last.append(one)

    def last(self) -> list[Replaced]:
        """The last of them, oldest first; all, where there were not more than `REMEMBERED`."""
        return list(self._last)

    def state(self) -> dict[str, Any]:
        """JSON values: the count, and the last few."""
        return {"count": self.count, "last": [asdict(one) for one in list(self._last)[-IN_STATE:]]}

    @classmethod
    def of(cls, state: Mapping[str, Any] | None) -> Self:
        """The report of a state; a new one where it has none. Raises SchemaMismatch when it can't be one."""
        made = cls()
        if state is not None:
            try:
                made.count = int(state["count"])
                made._last.extend(Replaced(**one) for one in state["last"])
            except (KeyError, TypeError, ValueError) as error:
                raise SchemaMismatch(f"the stream's state is damaged: replaced is {state!r}") from error
        return made
