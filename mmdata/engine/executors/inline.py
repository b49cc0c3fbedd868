"""One item after the other, in this process."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from dataclasses import dataclass
from typing import TypeVar

from mmdata.core.allocation import keep_large_buffers
from mmdata.engine.threads import one_blas_thread

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Inline:
    """The simplest executor: for debugging, for small work, and the reference of all others."""

    def map(self, work: Callable[[Item], Result], items: Iterable[Item]) -> Generator[Result, None, None]:
        keep_large_buffers()
        for item in items:
            with one_blas_thread():  # as workers have
                result = work(item)
            yield result
