"""Chance in a model that does not hang on how many ranks share a batch.

The generators of all ranks stand alike. Each rank draws for all rows of the global batch, and takes those of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Rows:
    """Which rows of a global batch a rank has, where ranks have so many each, one after another."""

    rank: int
    counts: tuple[int, ...]

    @property
    def mine(self) -> slice:
        """This rank's."""
        start = sum(self.counts[: self.rank])
        return slice(start, start + self.counts[self.rank])

    @property
    def total(self) -> int:
        """Of all ranks."""
        return sum(self.counts)


_ROWS: ContextVar[Rows | None] = ContextVar("rows", default=None)


@contextmanager
def drawing_for(rows: Rows) -> Iterator[None]:
    """What is drawn meanwhile is drawn for a global batch, of which the model gets these rows."""
    token = _ROWS.set(rows)
    try:
        yield
    finally:
        _ROWS.reset(token)


def drawn(draw: Callable[[int], Tensor], n: int) -> Tensor:
    """Random numbers for the `n` rows of a batch, [n, ...]: its share of what `draw` gives for the whole.

    Args:
        draw: makes numbers for so many rows, [rows, ...].
        n: rows of this rank's batch.

    >>> from functools import partial
    >>> _ = torch.manual_seed(0)
    >>> whole = drawn(torch.rand, 4)
    >>> _ = torch.manual_seed(0)
    >>> with drawing_for(Rows(1, (2, 2))):
    ...     torch.equal(drawn(torch.rand, 2), whole[2:])
    True
    """
    rows = _ROWS.get()
    if rows is None:
        return draw(n)
    if n != rows.counts[rows.rank]:
        raise ValueError(f"numbers are drawn for {n} rows of a batch that has {rows.counts[rows.rank]}")
    return draw(rows.total)[rows.mine]


class Dropout(nn.Module):
    """As `torch.nn.Dropout` on [batch, ...] (Srivastava et al., 2014), by numbers that `drawn` gives."""

    def __init__(self, share: float) -> None:
        super().__init__()
        self.share = share

    def forward(self, values: Tensor) -> Tensor:
        """[batch, ...] to the same form."""
        if not self.training or not self.share:
            return values
        kept = drawn(lambda n: torch.rand(n, *values.shape[1:], device=values.device) >= self.share, len(values))
        return values * kept / (1 - self.share)
