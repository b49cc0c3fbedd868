from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader
from torchdata.stateful_dataloader import StatefulDataLoader

from mmdata.errors import SchemaMismatch
from mmdata.loader.stream import Stream, stream
from mmdata.loader.torch import StreamDataset, WorkerStream
from mmdata.store import Store


def opened(store: Store, **settings: Any) -> Stream:
    return stream(store, ["image.embedding", "label"], batch_size=8, output="torch", threads=1, **settings)


def keys(batches: Iterable[Any]) -> list[list[str]]:
    return [list(batch["key"]) for batch in batches]


pytestmark = pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more than this machine has


@pytest.mark.parametrize("workers", [0, 1, 2, 3])
def test_any_number_of_workers_gives_the_streams_batches_in_its_order(small: Store, workers: int) -> None:
    # fork: spawning an interpreter with torch takes seconds each
    context = "fork" if workers else None
    loader = DataLoader(
        StreamDataset(opened(small)), batch_size=None, num_workers=workers, multiprocessing_context=context
    )
    made = list(loader)
    assert keys(made) == keys(opened(small))
    assert isinstance(made[0]["image.embedding"], torch.Tensor)


def test_a_worker_stream_goes_through_epochs_and_is_taken_up_by_any_number(small: Store) -> None:
    reference = opened(small)
    first, second = keys(reference), keys(reference)
    two = WorkerStream(opened(small), workers=2, start="fork")
    made = []
    for batch in two:
        made.append(list(batch["key"]))
        if two.stream.step == 3:
            break
    state = json.loads(json.dumps(two.state_dict()))
    three = WorkerStream(opened(small), workers=3, start="fork")
    three.load_state_dict(state)
    made += keys(three)
    assert made == first
    assert keys(three) == second
    three.stream.seek(epoch=0)
    assert keys(three) == first
    none = opened(small)
    none.load_state_dict(state)
    assert keys(none) == first[3:]


def test_an_ended_epoch_of_workers_is_followed_by_the_next(small: Store) -> None:
    one = WorkerStream(opened(small), workers=1, start="fork")
    one.stream.seek(epoch=0, step=one.stream.n_steps)
    assert keys(one) == []
    assert one.state_dict()["epoch"] == 1


@pytest.mark.slow
def test_workers_can_be_spawned(small: Store) -> None:
    one, plain = WorkerStream(opened(small), workers=1), opened(small)
    assert [keys(one), keys(one)] == [keys(plain), keys(plain)]


def test_a_worker_needs_the_streams_own_state(small: Store, toy: Store) -> None:
    with pytest.raises(SchemaMismatch):
        WorkerStream(opened(small), workers=1).load_state_dict(opened(toy).state_dict())


def test_no_workers_are_no_worker_stream(small: Store) -> None:
    with pytest.raises(ValueError, match="at least 1, not 0"):
        WorkerStream(opened(small), workers=0)


def test_a_dataset_keeps_its_place_and_takes_it_up(small: Store) -> None:
    whole = keys(opened(small))
    one = StreamDataset(opened(small))
    for step, _ in enumerate(one):
        if step == 2:
            break
    other = StreamDataset(opened(small))
    other.load_state_dict(one.state_dict())
    assert keys(other) == whole[3:]
    assert len(other) == 7
    other.set_epoch(0)
    assert keys(other) == whole


@pytest.mark.parametrize("persistent", [False, True])
def test_workers_agree_on_what_comes_after_an_epoch_that_was_left(small: Store, persistent: bool) -> None:
    reference = opened(small)
    first, second, third = keys(reference), keys(reference), keys(reference)
    data = StreamDataset(opened(small))
    loader = DataLoader(
        data,
        batch_size=None,
        num_workers=2,
        multiprocessing_context="fork",
        prefetch_factor=3,
        persistent_workers=persistent,
    )
    next(iter(loader))  # the workers are ahead of it: one has made all its batches, perhaps, and the other has not
    assert keys(loader) == (second if persistent else first)
    data.set_epoch(2)
    assert keys(loader) == third


def test_without_workers_an_epoch_that_was_left_goes_on(small: Store) -> None:
    loader = DataLoader(StreamDataset(opened(small)), batch_size=None)
    taken = [list(batch["key"]) for _, batch in zip(range(3), loader, strict=False)]
    assert taken + keys(loader) == keys(opened(small))


def stateful(store: Store, workers: int) -> StatefulDataLoader[Any]:
    data = StreamDataset(opened(store))
    context = "fork" if workers else None
    return StatefulDataLoader(data, batch_size=None, num_workers=workers, multiprocessing_context=context)


@pytest.mark.filterwarnings("ignore:'set_vital' is deprecated:UserWarning")
@pytest.mark.parametrize("stop", [1, 4, 7])
@pytest.mark.parametrize("workers", [0, 2])
def test_torchdatas_loader_is_taken_up_where_it_stopped(small: Store, workers: int, stop: int) -> None:
    whole, loader = keys(opened(small)), stateful(small, workers)
    taken = []
    for batch in loader:
        taken.append(list(batch["key"]))
        if len(taken) == stop:
            break
    other = stateful(small, workers)
    other.load_state_dict(loader.state_dict())
    assert taken + keys(other) == whole


class Info:
    """What torch tells a worker of itself."""

    def __init__(self, worker: int, workers: int) -> None:
        self.id, self.num_workers = worker, workers


@pytest.mark.parametrize("stop", [0, 1, 2])
def test_each_of_several_workers_takes_up_its_own_place(
    small: Store, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """As torchdata's StatefulDataLoader does it: a state a worker, given back to the worker of that number."""
    whole = keys(opened(small))
    made: dict[int, list[str]] = {}
    for worker in range(2):
        monkeypatch.setattr("mmdata.loader.torch.get_worker_info", lambda worker=worker: Info(worker, 2))
        before = StreamDataset(opened(small))
        for _, batch in zip(range(stop), before, strict=False):
            made[len(made)] = list(batch["key"])
        after = StreamDataset(opened(small))
        after.load_state_dict(before.state_dict())
        taken = keys(after)
        assert taken == whole[worker + 2 * stop :: 2]
