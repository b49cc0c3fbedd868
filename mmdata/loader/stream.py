"""`stream`: a store's samples as batches, in an order that is arithmetic and can be taken up anywhere."""

from __future__ import annotations

import operator
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.collate import Collator, Output
from mmdata.loader.contents import Contents, contents_of
from mmdata.loader.order import EpochOrder, Order, PlanOrder, Taken, WindowId
from mmdata.loader.plan import Plan, Tail
from mmdata.loader.reader import Part, ShardReader, WindowReader

if TYPE_CHECKING:
    from mmdata.store import Store

STATE_VERSION = 1
GIB = 1 << 30


def stream(
    store: Store,
    columns: Sequence[str],
    *,
    selection: str | None = None,
    split: str | Sequence[str] | None = None,
    batch_size: int | None = None,
    global_batch_size: int | None = None,
    seed: int = 0,
    epoch: int = 0,
    rank: int = 0,
    world: int = 1,
    shuffle: bool = True,
    tail: Tail = "drop",
    lanes: int = 8,
    window_rows: int = 4096,
    threads: int = 2,
    max_bytes: int = 2 * GIB,
    output: Output = "numpy",
) -> Stream:
    """Stream columns of a store, batch by batch; iterating gives what is left of one epoch.

    A batch is a dict. A feature of one shape is NAME: [batch, *shape]; one that varies is padded with zeros and has
    NAME.length: int64 [batch] beside it. Each feature has NAME.mask: bool [batch], False (and zeros) where a sample
    has none. `key`, `label`, `source`, `parent`, `text.PART` and `meta.NAME` are lists of str or None; `key` is always
    there. Batches are the caller's own.

    Args:
        store: an open store; its content as it is now is what the stream holds to.
        columns: names of features and of the texts above.
        selection: only samples of that selection.
        split: only samples of that split of the selection, or of those splits.
        batch_size: rows of a rank's batch, 256 unless said.
        global_batch_size: rows of a step over all ranks, instead.
        seed: fixes the order, with the epoch.
        epoch: the first one.
        rank: which part of each global batch this stream gives.
        world: of how many equal parts.
        shuffle: without it, the stored order, which costs every rank the reading of all.
        tail: what becomes of the rows that don't fill a last batch: "drop" leaves them out, "short" gives a shorter
            batch (empty, perhaps, on some ranks), "repeat" fills up with other rows, "mask" does so and has a bool
            array `real` [batch] in each batch that tells them apart.
        lanes: how many windows a batch is drawn from. Part of the order. Ranks read least when the world divides it.
        window_rows: about how many rows are shuffled among each other in a window. Part of the order.
        threads: how many read.
        max_bytes: bound of what is held and read ahead.
        output: arrays of numpy, or tensors of torch.

    Raises:
        ConfigError: a setting is out of range or an unknown name; there are no rows, or none after "drop".
        Incomplete: a shard with selected samples lacks a feature that is asked for.
        SchemaMismatch: shards hold different forms of a column.
    """
    size = _global_size(batch_size, global_batch_size, world)
    if not 0 <= rank < world:
        raise ConfigError("stream", [f"rank: there is no rank {rank} in a world of {world}"])
    if threads < 1:
        raise ConfigError("stream", [f"threads: must be at least 1, not {threads}"])
    if epoch < 0:
        raise ConfigError("stream", [f"epoch: must be at least 0, not {epoch}"])
    if output not in ("numpy", "torch"):
        raise ConfigError("stream", [f"output: must be numpy or torch, not {output!r}"])
    contents = contents_of(store, columns, selection=selection, split=split)
    try:
        plan = Plan(
            chunk_rows=tuple(len(chunk.rows) for chunk in contents.chunks),
            global_batch_size=size,
            seed=seed,
            shuffle=shuffle,
            window_rows=window_rows,
            lanes=lanes,
            tail=tail,
        )
    except ValueError as error:
        raise ConfigError("stream", [str(error)]) from error
    if not plan.n_steps:
        raise ConfigError(
            "stream", [f"tail: {plan.n_rows} rows fill no batch of {size}: take a smaller one, or 'short'"]
        )
    return Stream(
        contents, plan, rank=rank, world=world, epoch=epoch, threads=threads, max_bytes=max_bytes, output=output
    )


def _global_size(batch_size: int | None, global_batch_size: int | None, world: int) -> int:
    if batch_size is not None and batch_size < 1:
        raise ConfigError("stream", [f"batch_size: must be at least 1, not {batch_size}"])
    if world < 1:
        raise ConfigError("stream", [f"world: must be at least 1, not {world}"])
    if global_batch_size is None:
        return (256 if batch_size is None else batch_size) * world
    if batch_size is not None and batch_size * world != global_batch_size:
        raise ConfigError(
            "stream",
            [f"batch_size: {world} ranks of {batch_size} rows are not global_batch_size={global_batch_size}: give one"],
        )
    if global_batch_size % world:
        raise ConfigError("stream", [f"global_batch_size: {world} ranks can't share {global_batch_size} rows equally"])
    return global_batch_size


class Stream:
    """A place in the order of a store's samples. Made by `stream`.

    Iterating gives the batches from that place to the epoch's end, and moves it: after a `break` the next `for` goes on
    where the last one stopped, and after the end it begins the next epoch. One iteration at a time.

    Attributes:
        epoch: the epoch that is under way, or comes next. step: how many of its batches were given.
    """

    def __init__(
        self,
        contents: Contents,
        plan: Plan,
        *,
        rank: int,
        world: int,
        epoch: int,
        threads: int,
        max_bytes: int,
        output: Output,
    ) -> None:
        self.contents = contents
        self.plan = plan
        self.rank = rank
        self.world = world
        self.epoch = epoch
        self.step = 0
        self._threads = threads
        self._order: Order = PlanOrder(plan)
        self._collate = Collator(contents.columns, output, marks_real=plan.tail == "mask")
        self._ahead = _reads_ahead(contents, plan, rank, world, max_bytes)

    @property
    def specs(self) -> Mapping[str, ArraySpec]:
        """The promises of the feature columns, by name."""
        return {column.name: column.spec for column in self.contents.columns if column.spec is not None}

    @property
    def n_rows(self) -> int:
        """Samples that were selected, over all ranks."""
        return self.plan.n_rows

    @property
    def n_steps(self) -> int:
        """Batches of an epoch, the same on every rank."""
        return self.plan.n_steps

    @property
    def batch_size(self) -> int:
        """Rows of this rank's batch."""
        return self.plan.batch_size(self.world)

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        for step, batch in self.batches(epoch, start=self.step):
            self.step = step + 1
            yield batch
        self.seek(epoch=epoch + 1)

    def seek(self, *, epoch: int, step: int = 0) -> None:
        """Go to a place. Raises ValueError when there is none."""
        if epoch < 0 or not 0 <= step <= self.n_steps:
            raise ValueError(f"there is no epoch {epoch}, step {step}: an epoch has {self.n_steps} steps")
        self.epoch, self.step = epoch, step

    def batches(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[tuple[int, Any]]:
        """The rank's batches start, start + stride, ... of an epoch, with their steps. Moves nothing.

        What a worker is given: worker w of W makes the batches w, w + W, ...
        """
        if start >= self.n_steps:
            return
        order = self._order.begin(epoch)
        windows = WindowReader(order, self._parts(), threads=self._threads)
        taken, batch = self._taken(order, start), None
        maker = ThreadPoolExecutor(1, thread_name_prefix="mmdata-batch")
        try:
            for step in range(start, self.n_steps, stride):
                coming = self._taken(order, step + stride)
                windows.want(self._wanted(order, taken, coming, step + stride))
                made = (batch or maker.submit(self._collate, taken, windows)).result()
                # the next batch is made while the caller is busy with this one
                batch = maker.submit(self._collate, coming, windows) if coming else None
                yield step, made
                taken = coming
        finally:
            maker.shutdown(cancel_futures=True)
            windows.close()

    def _parts(self) -> list[Part]:
        contents = self.contents
        return [Part(contents.chunks, contents.columns, ShardReader(contents.files, contents.columns))]

    def _taken(self, order: EpochOrder, step: int) -> list[Taken]:
        return order.taken(step, rank=self.rank, world=self.world)

    def _wanted(
        self, order: EpochOrder, taken: Sequence[Taken], coming: Sequence[Taken], step: int
    ) -> dict[WindowId, None]:
        """Windows of this step, then those to read ahead: of the next step, and what comes after it."""
        wanted = dict.fromkeys(one.window for one in (*taken, *coming))
        ahead = order.ahead(step, rank=self.rank, world=self.world) if self._ahead else []
        return wanted | dict.fromkeys(ahead)

    def state_dict(self) -> dict[str, Any]:
        """The place, and what it is a place in: JSON values, a few hundred bytes.

        Taken in a loop's body, it says that the batch in hand is done.
        """
        return {
            "version": STATE_VERSION,
            "epoch": self.epoch,
            "step": self.step,
            "order": self._settings(),
            "content": dict(self.contents.digests),
        }

    def _settings(self) -> dict[str, Any]:
        names = ("global_batch_size", "seed", "shuffle", "window_rows", "lanes", "tail")
        return {name: getattr(self.plan, name) for name in names}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of a state that a stream of the same order saved, with whatever ranks, workers and columns.

        Raises:
            SchemaMismatch: the state is of another version, order or content; says which. Nothing is changed.
        """
        version, epoch, step = (state.get(name) for name in ("version", "epoch", "step"))
        if version != STATE_VERSION:
            raise SchemaMismatch(f"the stream's state has version {version!r}, this mmdata reads {STATE_VERSION}")
        order, content = state.get("order"), state.get("content")
        if not isinstance(order, Mapping) or not isinstance(content, Mapping):
            raise SchemaMismatch("the stream's state is damaged: it lacks its order or content")
        faults = [
            f"{name} is {mine!r}, the state has {order.get(name)!r}{self._fits(name, order.get(name))}"
            for name, mine in self._settings().items()
            if order.get(name) != mine
        ]
        for name, mine in self.contents.digests.items():
            if content.get(name, mine) != mine:
                faults.append(
                    f"{self.contents.place}: {name} is not what it was ({mine}, the state has {content[name]})"
                )
        if faults:
            raise SchemaMismatch("the state is of another stream: " + "; ".join(faults))
        try:
            self.seek(epoch=operator.index(epoch), step=operator.index(step))  # type: ignore[arg-type]
        except (TypeError, ValueError) as error:
            raise SchemaMismatch(f"the stream's state is damaged: epoch {epoch!r}, step {step!r}: {error}") from error

    def _fits(self, name: str, saved: object) -> str:
        """How to come to a saved global batch size in this world."""
        if name != "global_batch_size" or not isinstance(saved, int) or saved < 1:
            return ""
        ranks = "1 rank" if self.world == 1 else f"{self.world} ranks"
        if saved % self.world:
            return f" (which {ranks} can't share equally)"
        return f" (with {ranks}, batch_size={saved // self.world} fits)"


def _reads_ahead(contents: Contents, plan: Plan, rank: int, world: int, max_bytes: int) -> bool:
    """Whether each lane may read its next window ahead: memory may not allow it.

    Raises:
        ConfigError: not even the windows in use fit.
    """
    n_lanes = len({run.lane for run in plan.share(0, rank=rank, world=world)})
    window_rows = plan.window_rows + max(plan.chunk_rows)  # a window ends with a whole chunk
    n_rows = min(plan.n_rows, n_lanes * window_rows)
    if n_rows * contents.row_bytes > max_bytes:
        fits = max(1, int(max_bytes / contents.row_bytes / n_lanes) - max(plan.chunk_rows))
        raise ConfigError(
            "stream",
            [
                f"max_bytes: {n_lanes} windows of {window_rows} rows take about "
                f"{n_rows * contents.row_bytes / GIB:.2g} GiB, allowed are {max_bytes / GIB:.2g}: "
                f"set window_rows={fits}, fewer lanes, or a larger max_bytes"
            ],
        )
    return min(plan.n_rows, 2 * n_rows) * contents.row_bytes <= max_bytes
