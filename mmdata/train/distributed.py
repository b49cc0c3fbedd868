"""Several processes that train one model, as `torchrun` starts them. Each has its share of every batch.

What a model says of the shares is brought together before anything is made of it. So every objective and every score
sees the batch as one process would, and each rank comes to the same loss. Of its gradient a rank has the part that goes
through its own rows; their sum is the whole one. This is exact for losses that are no mean over rows, too.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, fields, is_dataclass, replace
from datetime import timedelta
from typing import Protocol, TypeVar, cast

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.rendezvous import rendezvous

from mmdata.errors import ConfigError, RunStopped
from mmdata.train.chance import Rows

T = TypeVar("T")
CAUSE = "mmdata/cause"
PATIENCE = timedelta(minutes=30)  # a rank may read alone for so long before others take it for lost


class Causes(Protocol):
    """Where the first rank that fails says why: a store of torch.distributed."""

    def check(self, keys: list[str], /) -> bool: ...

    def set(self, key: str, value: str, /) -> object: ...

    def get(self, key: str, /) -> bytes: ...


class _Lost(RunStopped):
    """Another rank does not answer."""


@contextmanager
def _others_there() -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:  # torch's own for whatever happens between ranks
        raise _Lost(
            f"another rank is gone; start the run again, and it goes on from its checkpoint: {error}"
        ) from error


@dataclass(frozen=True)
class World:
    """The processes that train together, as one of them sees it.

    Args:
        rank: of this one. size: how many there are. device: this one's. causes: where the first that fails says why.
    """

    rank: int = 0
    size: int = 1
    device: str = "cpu"
    causes: Causes | None = None

    @property
    def is_first(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def rows(self, n: int) -> Rows:
        """Which rows of a global batch this rank has, when it has `n` of them."""
        counts = self._gather(torch.tensor([n], device=self.device)) if self.size > 1 else [n]
        return Rows(self.rank, tuple(int(count) for count in counts))

    def whole(self, rows: Rows, mine: T) -> T:
        """Shares put together, in order of ranks: tensors of [batch, ...], also within lists, mappings and dataclasses.

        The gradient goes to this rank's rows alone. What is no tensor stays as it is.
        """
        if self.size == 1:
            return mine
        if isinstance(mine, Tensor):
            return cast(T, self._joined(rows, mine))
        if isinstance(mine, Mapping):
            return cast(T, {name: self.whole(rows, value) for name, value in mine.items()})
        if isinstance(mine, tuple | list):
            return cast(T, type(mine)(self.whole(rows, value) for value in mine))
        if is_dataclass(mine) and not isinstance(mine, type):
            return replace(mine, **{item.name: self.whole(rows, getattr(mine, item.name)) for item in fields(mine)})
        return mine

    def _joined(self, rows: Rows, mine: Tensor) -> Tensor:
        sent = mine.detach().to(torch.uint8) if mine.dtype == torch.bool else mine.detach()
        padded = sent.new_zeros(max(rows.counts), *sent.shape[1:])
        padded[: len(sent)] = sent
        pieces = [piece[:n].to(mine.dtype) for piece, n in zip(self._gather(padded), rows.counts, strict=True)]
        pieces[self.rank] = mine
        return torch.cat(pieces)

    def _gather(self, mine: Tensor) -> list[Tensor]:
        found = [torch.empty_like(mine) for _ in range(self.size)]
        with _others_there():
            dist.all_gather(found, mine.contiguous())
        return found

    def add_gradients(self, weights: Iterable[Tensor]) -> None:
        """Sum each weight's gradient over the ranks, in one message; one that no rank has stays none."""
        if self.size == 1:
            return
        every = list(weights)
        there = torch.tensor([float(weight.grad is not None) for weight in every], device=self.device)
        parts = [torch.zeros_like(each) if each.grad is None else each.grad for each in every]
        message = torch.cat([there, *(part.flatten().to(torch.float32) for part in parts)])
        with _others_there():
            dist.all_reduce(message)
        at = len(every)
        for weight, known in zip(every, message[:at].tolist(), strict=True):
            if known:
                weight.grad = message[at : at + weight.numel()].view_as(weight).to(weight.dtype)
            at += weight.numel()

    def wait(self) -> None:
        """For all others to come here, too."""
        if self.size > 1:
            self._gather(torch.zeros(1, device=self.device))

    def check_same(self, **facts: object) -> None:
        """Compare what all ranks must have alike, by its text.

        Raises:
            ConfigError: they differ; says in what.
        """
        if self.size == 1:
            return
        digests = [hashlib.blake2b(repr(fact).encode(), digest_size=7).digest() for fact in facts.values()]
        mine = torch.tensor([int.from_bytes(digest, "little") for digest in digests], device=self.device)
        found = torch.stack(self._gather(mine))
        other = (found != found[0]).any(dim=0).tolist()
        if differing := [name.replace("_", " ") for name, differs in zip(facts, other, strict=True) if differs]:
            told = "all ranks need the same settings, store and --out, on a disk that they share"
            raise ConfigError("train", [f"ranks differ in {name}: {told}" for name in differing])

    @contextmanager
    def sharing_causes(self) -> Iterator[None]:
        """Let the others know why this rank fails, and where another failed before, raise that.

        Raises:
            RunStopped: another rank failed, or is gone; says which, and why.
        """
        try:
            yield
        except _Lost as error:
            if (told := self._told()) is not None:
                raise RunStopped(told) from error
            raise
        except Exception as error:
            if self.causes is not None and self._told() is None:
                self.causes.set(CAUSE, f"rank {self.rank} stopped: {type(error).__name__}: {error}")
            raise

    def _told(self) -> str | None:
        if self.causes is None or not self.causes.check([CAUSE]):
            return None
        return self.causes.get(CAUSE).decode()


ALONE = World()


@contextmanager
def launched(*, backend: str | None = None) -> Iterator[World]:
    """The world that `torchrun` made of this process and others; alone where it did not.

    Args:
        backend: of torch.distributed; NCCL where there is a GPU for each process of this machine, else Gloo.

    Raises:
        RunStopped: another rank failed, or is gone; says which, and why.
    """
    if int(os.environ.get("WORLD_SIZE", "1")) == 1 or not {"RANK", "MASTER_ADDR", "MASTER_PORT"} <= os.environ.keys():
        yield ALONE
        return
    local = int(os.environ.get("LOCAL_RANK", "0"))
    on_gpu = torch.cuda.is_available() and torch.cuda.device_count() >= int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    if on_gpu:
        torch.cuda.set_device(local)
    causes, rank, size = next(rendezvous("env://"))
    dist.init_process_group(
        backend or ("nccl" if on_gpu else "gloo"), store=causes, rank=rank, world_size=size, timeout=PATIENCE
    )
    world = World(rank, size, f"cuda:{local}" if on_gpu else "cpu", causes)
    try:
        with world.sharing_causes():
            yield world
    finally:
        dist.destroy_process_group()
