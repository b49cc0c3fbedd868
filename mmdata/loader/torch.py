"""A stream as torch's `DataLoader` wants it, for those who want worker processes.

Threads are enough for features, and cheaper: a batch need not cross from one process to another. Workers pay where the
caller's own Python takes long. Worker w of W makes the whole batches w, w + W, ..., so that the batches and their order
are the same for any number of workers.
"""

from __future__ import annotations

import operator
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Literal

from torch.utils.data import DataLoader, IterableDataset, get_worker_info

from mmdata.loader.follow import FollowingStream
from mmdata.loader.stream import Stream

Place = Mapping[str, Any]


class StreamDataset(IterableDataset[Place]):
    """Whole batches of a stream: give it to a `DataLoader` with `batch_size=None`.

    Without workers it moves the stream along: an epoch that was left in its midst goes on. Workers have copies, and may
    have made batches ahead that nobody got: those that persist begin the next epoch with each loop, whether or not the
    last came to its end; others begin the same again unless `set_epoch` was called. `WorkerStream` does all that.

    `state_dict` in a worker says where that worker stands, as torchdata's `StatefulDataLoader` wants it, for the same
    number of workers; `WorkerStream`'s holds on any number.

    Args:
        stream: what is read.
        tells: workers give pairs of a batch and what was replaced in it, as `WorkerStream` wants them.
    """

    def __init__(self, stream: Stream | FollowingStream, *, tells: bool = False) -> None:
        self.stream = stream
        self._tells = tells
        self._begun = False  # in a worker: a pass over the data
        self._first: int | None = None  # the step that this worker begins with, where a state said so
        self._next: int | None = None  # the step that it makes next, once it has begun

    def __len__(self) -> int:
        return self.stream.n_steps

    def __iter__(self) -> Iterator[Any]:
        info = get_worker_info()
        if info is None:
            yield from self.stream
            return
        if self._begun:  # whether the last pass came to its end or was left: the workers can't know, and must agree
            self.set_epoch(self.stream.epoch + 1)
        self._begun = True
        start = self.stream.step + info.id if self._first is None else self._first
        for step, made in self.stream.made(self.stream.epoch, start=start, stride=info.num_workers):
            self._next = step + info.num_workers
            yield (made.batch, made.replaced) if self._tells else made.batch

    def set_epoch(self, epoch: int) -> None:
        """Go to an epoch's first batch; to be called before the loop, as workers that persist don't hear of it."""
        self._begun, self._first, self._next = False, None, None
        self.stream.seek(epoch=epoch)

    def state_dict(self) -> dict[str, Any]:
        """The place of this worker, or of all where there are none."""
        info, state = get_worker_info(), self.stream.state_dict()
        if info is None:
            return state
        return {**state, "step": self.stream.step + info.id if self._next is None else self._next}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to a place. Raises SchemaMismatch as `Stream.load_state_dict` does."""
        if get_worker_info() is None:
            self.stream.load_state_dict(state)
            return
        step = operator.index(state["step"])  # a worker's next may lie past the last
        self.stream.load_state_dict({**state, "step": 0})
        self._begun, self._first, self._next = False, step, step


class WorkerStream:
    """A stream whose batches are made by worker processes; it iterates and keeps its place as the stream does.

    Args:
        stream: what is read; it moves along. Each worker holds windows of its own: memory is `workers` times as much.
        workers: processes, at least 1. ahead: batches that each makes in advance.
        pin_memory: put batches where a GPU can fetch them.
        start: how processes begin; "fork" is quicker and unsafe where threads run.
    """

    def __init__(
        self,
        stream: Stream | FollowingStream,
        *,
        workers: int,
        ahead: int = 2,
        pin_memory: bool = False,
        start: Literal["spawn", "forkserver", "fork"] = "spawn",
    ) -> None:
        if workers < 1:
            raise ValueError(f"workers must be at least 1, not {workers}: without them, iterate the stream itself")
        self.stream = stream
        self._settings: dict[str, Any] = {
            "batch_size": None,
            "num_workers": workers,
            "prefetch_factor": ahead,
            "pin_memory": pin_memory,
            "collate_fn": _as_it_is,
            "multiprocessing_context": start,
            "persistent_workers": True,  # starting one costs seconds
        }
        self._loader: Iterable[Any] = ()
        self._loader_is_at: tuple[int, int] | None = None

    def __len__(self) -> int:
        return self.stream.n_steps

    def __iter__(self) -> Iterator[Any]:
        epoch, step = self.stream.epoch, self.stream.step
        if step < self.stream.n_steps:
            if self._loader_is_at != (epoch, step):
                self._loader = DataLoader(StreamDataset(self.stream, tells=True), **self._settings)
            self._loader_is_at = None  # unless this epoch comes to its end
            for batch, replaced in self._loader:
                self.stream.step += 1
                self.stream.note(replaced)
                yield batch
            self._loader_is_at = (epoch + 1, 0)  # the workers' copies move on by themselves
        self.stream.seek(epoch=epoch + 1)

    def state_dict(self) -> dict[str, Any]:
        """As the stream's; whatever is made in advance counts as not given."""
        return self.stream.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """As the stream's: from any number of ranks and workers."""
        self.stream.load_state_dict(state)


def _as_it_is(batch: Place) -> Place:
    return batch
