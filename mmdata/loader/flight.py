"""Batches that are being made while the caller is busy, in the order of their steps and within a bound of memory."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from mmdata.loader.assembling import Decoders
from mmdata.loader.collate import Begun, Collator, Made
from mmdata.loader.order import Taken
from mmdata.loader.reader import WindowReader

BUSY_S = 3e-4  # a caller that is away for longer needs no work; otherwise it makes every other batch itself
MOST = 4  # batches of media at once: more keep no core busier
BESIDE = 2  # further batches in memory: the one that the caller has, and the one that is being padded


@dataclass(frozen=True, eq=False)
class Flying:
    """A batch that is on its way."""

    step: int
    taken: Sequence[Taken]
    made: Future[Made] | None  # None: it is made when it is asked for


class Flight:
    """Makes batches.

    Args:
        collate: makes one. windows: where rows come from. decoders: of media; None where there are none.
        max_bytes: most that all of them may take, besides the windows.
        change: done to each batch in place, given its step.
    """

    def __init__(
        self,
        collate: Collator,
        windows: WindowReader,
        decoders: Decoders | None,
        *,
        max_bytes: int,
        change: Callable[[int, dict[str, Any]], None] | None = None,
    ) -> None:
        self._collate, self._windows, self._decoders, self._max_bytes = collate, windows, decoders, max_bytes
        self._change = change
        self._flying: deque[Flying] = deque()
        self._largest = 0
        self._landed_s = 0.0
        self._is_busy = False
        self._maker = ThreadPoolExecutor(1, thread_name_prefix="mmdata-batch")
        self._finisher = ThreadPoolExecutor(1, thread_name_prefix="mmdata-finish")

    @property
    def has_room(self) -> bool:
        """Whether another batch may be begun."""
        if self._decoders is None or not self._largest:
            return len(self._flying) < 2
        fit = self._max_bytes // self._largest - BESIDE
        return len(self._flying) < max(1, min(MOST, fit))

    @property
    def is_empty(self) -> bool:
        """Whether no batch is under way."""
        return not self._flying

    @property
    def taken(self) -> Iterator[Taken]:
        """What all batches under way take."""
        return (one for flying in self._flying for one in flying.taken)

    def begin(self, step: int, taken: Sequence[Taken]) -> None:
        """Begin a batch; its windows are wanted by now."""
        made: Future[Made] | None
        if self._decoders is None:
            is_alone = not self._flying or self._flying[-1].made is not None
            made = None if is_alone and not self._is_busy else self._maker.submit(self._made, step, taken)
        else:
            begun = self._maker.submit(self._begun, taken)
            made = self._finisher.submit(lambda: self._finished(step, begun.result()))
        self._flying.append(Flying(step, taken, made))

    def _made(self, step: int, taken: Sequence[Taken]) -> Made:
        return self._finished(step, self._begun(taken))

    def _finished(self, step: int, begun: Begun) -> Made:
        change = self._change
        if change is None:
            return self._collate.finish(begun)
        return self._collate.finish(begun, lambda batch: change(step, batch))

    def _begun(self, taken: Sequence[Taken]) -> Begun:
        return self._collate.begin(taken, self._windows, self._decoders)

    def land(self) -> tuple[int, Made]:
        """The next batch, with its step, once it is there. Raises what making it raised."""
        flying = self._flying.popleft()
        made = self._made(flying.step, flying.taken) if flying.made is None else flying.made.result()
        self._largest = max(self._largest, made.n_bytes)
        self._landed_s = time.perf_counter()
        return flying.step, made

    def returned(self) -> None:
        """The caller is back for the next batch: how long it was away says whether another thread is worth its cost."""
        self._is_busy = time.perf_counter() - self._landed_s > BUSY_S

    def close(self) -> None:
        """Give up what is under way."""
        self._maker.shutdown(wait=False, cancel_futures=True)
        self._finisher.shutdown(wait=False, cancel_futures=True)
        if self._decoders is not None:
            self._decoders.close()
        self._maker.shutdown()
        self._finisher.shutdown()
