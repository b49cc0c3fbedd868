"""How long items take, so that one that takes far longer than the rest can be told."""

from __future__ import annotations

from dataclasses import dataclass, field
from statistics import median

ENOUGH = 3  # items, before there is a usual time
FACTOR = 3.0  # times the usual is slow


@dataclass
class Pace:
    """The times of items that are done, and what is slow by them.

    Args:
        patience_s: nothing below is slow, however short the others were.
    """

    patience_s: float
    _took_s: list[float] = field(default_factory=list)

    def add(self, seconds: float) -> None:
        self._took_s.append(seconds)

    def is_slow(self, seconds: float) -> bool:
        """Whether an item that is in hand for so long is far behind.

        >>> pace = Pace(patience_s=1.0, _took_s=[2.0, 2.0, 40.0])
        >>> pace.is_slow(6.0), pace.is_slow(6.1)
        (False, True)
        """
        if len(self._took_s) < ENOUGH:
            return False
        return seconds > max(self.patience_s, FACTOR * median(self._took_s))
