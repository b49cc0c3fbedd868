"""A training on two real ranks over gloo is killed, and taken up by one rank and by four.

Some pictures are bad. Each rank writes down what it was given. Three things must come out: the same global batches as
one reader gives, with the same in the bad ones' places; as many steps on every rank; and, as the batches are the same,
the model that one process trains without a stop.
"""

from __future__ import annotations

import json
import multiprocessing
import os
import time
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.nn.parallel import DistributedDataParallel

from mmdata.loader.stream import Stream, stream
from mmdata.store import Store
from tests.loader.gallery import gallery, key_of, same_size

GLOBAL_BATCH = 8
ENDLESS = 100_000  # steps: a rank that is to be killed
AFTER = 20  # steps that are trained after the kill, more than two epochs

pytestmark = [pytest.mark.slow, pytest.mark.timeout(280)]
Given = dict[tuple[int, int], list[str]]  # keys by epoch and step
BAD = (0, 7, 21, 40)


def opened(url: str, rank: int, world: int) -> Stream:
    return stream(
        Store.open(url),
        ["image", "label"],
        global_batch_size=GLOBAL_BATCH,
        rank=rank,
        world=world,
        seed=5,
        window_rows=16,
        tail="repeat",
        threads=1,
        output="torch",
    )


def fresh() -> torch.nn.Linear:
    torch.manual_seed(0)
    return torch.nn.Linear(3, 1)


def learn(model: torch.nn.Module, batch: Any) -> None:
    """A step of plain gradient descent (importing torch's optimizers takes a second a process).

    The loss is a mean over rows: equal shares of a global batch have that batch's mean.
    """
    colors = batch["image"].float().mean(dim=(1, 2)) / 255
    error = model(colors)[:, 0] - torch.tensor([float(label) for label in batch["label"]])
    model.zero_grad()
    error.square().mean().backward()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.grad is not None:
                parameter.sub_(parameter.grad, alpha=0.05)


def train(rank: int, world: int, url: str, folder: str, start: str | None, steps: int) -> None:
    """One rank, in a process of its own. Writes `RANK.jsonl` as batches come, and `model.pt` after each step."""
    os.environ["GLOO_SOCKET_IFNAME"] = "lo"
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meet", rank=rank, world_size=world, timeout=timedelta(seconds=100)
    )
    data = opened(url, rank, world)
    model = fresh()
    if start is not None:
        saved = torch.load(start, weights_only=True)
        model.load_state_dict(saved["model"])
        data.load_state_dict(saved["data"])
    parallel = DistributedDataParallel(model)
    done = 0
    with open(f"{folder}/{rank}.jsonl", "w") as log:
        while done < steps:
            for batch in data:
                learn(parallel, batch)
                log.write(json.dumps([data.epoch, data.step - 1, batch["key"], data.n_replaced]) + "\n")
                log.flush()
                if rank == 0:
                    torch.save({"model": model.state_dict(), "data": data.state_dict()}, f"{folder}/model.new")
                    os.replace(f"{folder}/model.new", f"{folder}/model.pt")
                done += 1
                if done == steps:
                    break
    dist.barrier()
    dist.destroy_process_group()


@contextmanager
def ranks(world: int, url: str, folder: Path, *, start: Path | None, steps: int) -> Iterator[Sequence[BaseProcess]]:
    """The processes of a training; none is left behind."""
    folder.mkdir()
    # as spawned, but torch, and what DDP imports, is imported once: 3 seconds of each process otherwise
    spawning = multiprocessing.get_context("forkserver")
    spawning.set_forkserver_preload([__name__, "torch._dynamo"])
    begin = str(start) if start else None
    started = [
        spawning.Process(target=train, args=(rank, world, url, str(folder), begin, steps)) for rank in range(world)
    ]
    try:
        for process in started:
            process.start()
        yield started
    finally:
        for process in started:
            process.kill()
            process.join()


def lines_by_rank(folder: Path) -> list[list[Any]]:
    logs = sorted(folder.glob("*.jsonl"), key=lambda path: int(path.stem))
    return [[json.loads(line) for line in log.read_text().splitlines() if line.endswith("]")] for log in logs]


def given_by_rank(folder: Path) -> list[Given]:
    return [{(epoch, step): keys for epoch, step, keys, _ in lines} for lines in lines_by_rank(folder)]


def place_of(checkpoint: Path) -> tuple[int, int]:
    state = torch.load(checkpoint, weights_only=True)["data"]
    return state["epoch"], state["step"]


@dataclass(frozen=True)
class Killed:
    """A training that was killed.

    Args:
        url: of the store. folder: where its ranks wrote. reference: every global batch of the first epochs.
    """

    url: str
    folder: Path
    reference: Given

    @property
    def checkpoint(self) -> Path:
        return self.folder / "model.pt"


@pytest.fixture(scope="module")
def killed(tmp_path_factory: pytest.TempPathFactory) -> Killed:
    """Two ranks over 57 pictures, killed in the midst of their second epoch or later."""
    folder = tmp_path_factory.mktemp("ddp")
    store = gallery(folder / "store", image=lambda n: b"\xff\xd8\xff no picture" if n in BAD else same_size(n))
    with ranks(2, store.url, folder / "two", start=None, steps=ENDLESS) as processes:
        checkpoint, until = folder / "two" / "model.pt", time.monotonic() + 120
        while not checkpoint.exists() or place_of(checkpoint) < (1, 3):
            assert all(process.is_alive() for process in processes), "a rank died by itself"
            assert time.monotonic() < until, "the ranks don't get on"
            time.sleep(0.01)
        for process in reversed(processes):
            process.kill()
    one = opened(store.url, 0, 1)
    epochs = place_of(checkpoint)[0] + 2 + AFTER // one.n_steps
    reference = {(epoch, step): batch["key"] for epoch in range(epochs) for step, batch in one.batches(epoch)}
    return Killed(store.url, folder / "two", reference)


def test_ranks_got_the_global_batches_between_them_until_they_were_killed(killed: Killed) -> None:
    first, second = given_by_rank(killed.folder)
    assert abs(len(first) - len(second)) <= 1
    places = sorted(first.keys() & second.keys())
    assert places == sorted(killed.reference)[: len(places)]
    assert {place: first[place] + second[place] for place in places} == {
        place: killed.reference[place] for place in places
    }
    bad = {key_of(number) for number in BAD}
    assert not any(bad & set(keys) for keys in killed.reference.values())


@pytest.mark.parametrize("world", [1, 4])
def test_another_number_of_ranks_goes_on_with_the_same_global_batches(
    killed: Killed, tmp_path: Path, world: int
) -> None:
    with ranks(world, killed.url, tmp_path / "again", start=killed.checkpoint, steps=AFTER) as processes:
        for process in processes:
            process.join(120)
        assert [process.exitcode for process in processes] == [0] * world, "a rank hangs or failed"
    by_rank = given_by_rank(tmp_path / "again")
    assert [len(given) for given in by_rank] == [AFTER] * world
    together: Given = defaultdict(list)
    for given in by_rank:
        for place, keys in given.items():
            together[place] += keys
    epoch, step = place_of(killed.checkpoint)
    expected = {place: keys for place, keys in killed.reference.items() if place >= (epoch, step)}
    assert together == dict(sorted(expected.items())[:AFTER])

    until = max(together)
    counter = opened(killed.url, 0, 1)
    counter.seek(epoch=epoch, step=step)
    while (counter.epoch, counter.step) <= until:
        for _ in counter:
            if (counter.epoch, counter.step - 1) == until:
                break
    before = torch.load(killed.checkpoint, weights_only=True)["data"]["replaced"]["count"]
    replaced = [lines[-1][-1] - before for lines in lines_by_rank(tmp_path / "again")]
    assert sum(replaced) == counter.n_replaced > 0

    model = fresh()
    one = opened(killed.url, 0, 1)
    while (one.epoch, one.step) <= until:
        for batch in one:
            learn(model, batch)
            if (one.epoch, one.step - 1) == until:
                break
    after = torch.load(tmp_path / "again" / "model.pt", weights_only=True)["model"]
    # float32 sums of other groupings: far below what one other batch would change
    torch.testing.assert_close(after, dict(model.state_dict()), rtol=1e-4, atol=1e-5)
