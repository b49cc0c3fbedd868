"""`stream`: a store's samples as batches, in an order that is arithmetic and can be taken up anywhere."""

from __future__ import annotations

import operator
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import partial
from typing import TYPE_CHECKING, Any

from mmdata.core.arrays import ArraySpec
from mmdata.core.step import Step
from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.assembling import Decoders
from mmdata.loader.bounds import n_bytes, whole
from mmdata.loader.cache import Cache
from mmdata.loader.collate import Collator, Made, Output
from mmdata.loader.contents import Contents
from mmdata.loader.flight import Flight
from mmdata.loader.holding import GIB, Holding
from mmdata.loader.media import MediaSettings
from mmdata.loader.mix import Batches, Until
from mmdata.loader.mixing import Mix, mixing_of
from mmdata.loader.order import EpochOrder, Order, Taken
from mmdata.loader.ordering import OrderSettings, is_mixture, order_of
from mmdata.loader.parts import Part, contents_of_parts, named, parts_of
from mmdata.loader.plan import Plan, Tail
from mmdata.loader.reader import Part as ReadPart
from mmdata.loader.reader import WindowReader
from mmdata.loader.replacing import Replaced, Report
from mmdata.loader.state import Place, place_of, state_of
from mmdata.loader.tars import Fetch

if TYPE_CHECKING:
    from mmdata.store import Store


def stream(
    store: Store | Sequence[Part],
    columns: Sequence[str],
    *,
    selection: str | None = None,
    split: str | Sequence[str] | None = None,
    weighted: bool = False,
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
    until: Until | None = None,
    batches: Batches | None = None,
    length: str | None = None,
    budget: float | None = None,
    shares: int | None = None,
    threads: int = 2,
    max_bytes: int = 2 * GIB,
    output: Output = "numpy",
    steps: Mapping[str, Sequence[Step]] | None = None,
    max_consecutive_bad: int = 16,
    check_digests: bool = False,
    fetch: Fetch | None = None,
    cache: Cache | str | os.PathLike[str] | None = None,
    pin: bool = False,
    mix: Mix | Sequence[Mix] | None = None,
) -> Stream:
    """Stream columns of a store, batch by batch; iterating gives what is left of one epoch.

    A batch is a dict. A feature of one shape is NAME: [batch, *shape]; one that varies is padded with zeros and has
    NAME.length: int64 [batch] beside it. Each feature has NAME.mask: bool [batch], False (and zeros) where a sample
    has none. `key`, `label`, `source`, `parent`, `text.PART` and `meta.NAME` are lists of str or None; `key` is always
    there. Batches are the caller's own.

    Args:
        store: an open store; its content as it is now is what the stream holds to. Or several parts, `Part(store, ...)`
            each, to be mixed; a batch then has `part`, int64 [batch], which says where each row is from.
        columns: names of features and of the texts above.
        selection: only samples of that selection.
        split: only samples of that split of the selection, or of those splits.
        weighted: draw rows by the selection's weights, see `weights`: an epoch has as many rows as have a weight above
            0, and each comes as often as its share of all weights says, rounded down or up.
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
        until: how long a mixture's epochs are: as long as it takes the "first" of its parts to be gone through (as
            often as its `epochs` say), and not a row more, unless said; or as it takes "all" of them.
        batches: in a mixture, each step's rows are "mixed", which they are unless said, or of a "single" part.
        length: for batches of similar length: a feature that varies along one axis, NAME#AXIS, or one of one number.
        budget: with a length: most rows x longest that a share of a step may have. `batch_size` is then the most rows
            that a rank's batch may have; there is no bound unless it is given.
        shares: with a budget: of how many equal shares a step has, a multiple of `world`; `world` unless said. Part of
            the order. Each rank gives as many; all are of the same number of rows and of about the same length.
        threads: how many read.
        max_bytes: bound of what is held and read ahead.
        output: arrays of numpy, or tensors of torch.
        steps: by column of media, what is done with what was decoded: steps that take one picture or sound, random ones
            with a generator of their own for each seed, epoch and key; a decoder with other settings may stand first,
            an `Extract` last.
        max_consecutive_bad: most samples in a row that may be bad: one, and those that should take its place.
        check_digests: compare each file of a local store with the log before its first use in an epoch; reads it once
            more. Copies in a cache are always compared.
        fetch: reads parts that the store only points to, by their pointer.
        cache: a folder on a disk of this machine for copies of the store's files, or a `Cache`, which says how large it
            may grow; for stores that are far away.
        pin: put tensors where a GPU can fetch them by itself; does nothing where there is none. Not for worker
            processes: a `DataLoader` pins what they made.
        mix: `MixUp` or `CutMix`, or several, of which one is drawn each time; batches then have `mix.partner`, int64
            [batch], and `mix.weight`, float64 [batch].

    Raises:
        ConfigError: a setting is out of range or an unknown name; there are no rows, or none after "drop".
        Incomplete: a shard with selected samples lacks a feature that is asked for.
        SchemaMismatch: shards hold different forms of a column.
    """
    world, threads, epoch = (
        whole("world", world, least=1),
        whole("threads", threads, least=1),
        whole("epoch", epoch, least=0),
    )
    rank, seed, max_bytes = whole("rank", rank), whole("seed", seed), n_bytes("max_bytes", max_bytes)
    if not 0 <= rank < world:
        raise ConfigError("stream", [f"rank: there is no rank {rank} in a world of {world}"])
    if output not in ("numpy", "torch"):
        raise ConfigError("stream", [f"output: must be numpy or torch, not {output!r}"])
    if pin and output != "torch":
        raise ConfigError("stream", ["pin: arrays of numpy can't be pinned: set output='torch'"])
    max_consecutive_bad = whole("max_consecutive_bad", max_consecutive_bad, least=0)
    media = MediaSettings(dict(steps or {}), seed, max_consecutive_bad, check_digests, fetch)
    asked = OrderSettings(
        world=world,
        batch_size=None if batch_size is None else whole("batch_size", batch_size),
        global_batch_size=None if global_batch_size is None else whole("global_batch_size", global_batch_size),
        seed=seed,
        shuffle=shuffle,
        tail=tail,
        lanes=whole("lanes", lanes),
        window_rows=whole("window_rows", window_rows),
        until=until,
        batches=batches,
        length=length,
        budget=budget if isinstance(budget, int | None) else float(budget),
        shares=None if shares is None else whole("shares", shares),
    )
    asked.check()
    parts = parts_of(store, selection=selection, split=split, weighted=weighted)
    found = [contents.through(cache) for contents in contents_of_parts(parts, columns, media=media)]
    return Stream(
        found,
        order_of(parts, found, asked, threads=threads),
        rank=rank,
        world=world,
        epoch=epoch,
        threads=threads,
        max_bytes=max_bytes,
        output=output,
        pin=pin,
        names=named(parts) if is_mixture(parts) else (),
        mix=mix,
        seed=seed,
    )


class Stream:
    """A place in the order of a store's samples. Made by `stream`.

    Iterating gives the batches from that place to the epoch's end, and moves it: after a `break` the next `for` goes on
    where the last one stopped, and after the end it begins the next epoch. One iteration at a time.

    Attributes:
        epoch: the epoch that is under way, or comes next. step: how many of its batches were given.
        parts: what is read. order: in which order. names: of the parts of a mixture; none where there is one.
        mixing: how rows are mixed with each other, if they are.
    """

    def __init__(
        self,
        parts: Sequence[Contents],
        order: Order,
        *,
        rank: int,
        world: int,
        epoch: int,
        threads: int,
        max_bytes: int,
        output: Output,
        pin: bool = False,
        names: Sequence[str] = (),
        mix: Mix | Sequence[Mix] | None = None,
        seed: int = 0,
    ) -> None:
        self.parts = tuple(parts)
        self.order = order
        self.names = tuple(names)
        self.rank = rank
        self.world = world
        self.epoch = epoch
        self.step = 0
        self._threads = threads
        self._report = Report()
        self._collate = Collator(parts[0].columns, output, marks_real=order.marks_real, marks_part=bool(names), pin=pin)
        self.mixing = mixing_of(mix, self.specs, order, seed=seed, rank=rank, world=world)
        has_media = bool(self._collate.media)
        self._holding = Holding(parts, order, rank=rank, world=world, max_bytes=max_bytes, has_media=has_media)

    @property
    def contents(self) -> Contents:
        """What is read of the first part."""
        return self.parts[0]

    @property
    def plan(self) -> Plan:
        """The plan of the first part."""
        return self.order.plans[0]

    @property
    def specs(self) -> Mapping[str, ArraySpec]:
        """The promises of the feature columns, by name."""
        return {column.name: column.spec for column in self.contents.columns if column.spec is not None}

    @property
    def n_rows(self) -> int:
        """Samples that were selected, over all ranks."""
        return self.order.n_rows

    @property
    def n_steps(self) -> int:
        """Batches of the epoch that is under way, the same on every rank."""
        return self.order.n_steps(self.epoch)

    @property
    def batch_size(self) -> int | None:
        """Rows of this rank's batch; None where they differ from step to step."""
        return self.order.batch_size(self.world)

    def __len__(self) -> int:
        return self.n_steps

    def __iter__(self) -> Iterator[Any]:
        epoch = self.epoch
        for step, made in self.made(epoch, start=self.step):
            self.step = step + 1
            self.note(made.replaced)
            yield made.batch
        self.seek(epoch=epoch + 1)

    @property
    def n_replaced(self) -> int:
        """How many bad samples of this rank were replaced so far, counted on by the state."""
        return self._report.count

    @property
    def replaced(self) -> list[Replaced]:
        """The last of them, oldest first: at most 1,000."""
        return self._report.last()

    def note(self, replaced: Iterable[Replaced]) -> None:
        """Count samples that a worker of this rank replaced in a batch that was given."""
        self._report.add(replaced)

    def seek(self, *, epoch: int, step: int = 0) -> None:
        """Go to a place. Raises ValueError when there is none."""
        if epoch < 0 or step < 0 or step > self.order.n_steps(epoch):
            steps = f": an epoch has {self.order.n_steps(epoch)} steps" if epoch >= 0 else ""
            raise ValueError(f"there is no epoch {epoch}, step {step}{steps}")
        self.epoch, self.step = operator.index(epoch), operator.index(step)

    def batches(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[tuple[int, Any]]:
        """The rank's batches start, start + stride, ... of an epoch, with their steps. Moves nothing.

        What a worker is given: worker w of W makes the batches w, w + W, ...
        """
        for step, made in self.made(epoch, start=start, stride=stride):
            yield step, made.batch

    def made(self, epoch: int, *, start: int = 0, stride: int = 1) -> Iterator[tuple[int, Made]]:
        """As `batches`, with what was replaced beside each batch."""
        n_steps = self.order.n_steps(epoch)
        if start >= n_steps:
            return
        order = self.order.begin(epoch)
        windows = WindowReader(order, self._readers(), threads=self._threads)
        change = None if self.mixing is None else partial(self.mixing, epoch)
        flight = Flight(self._collate, windows, self._decoders(), max_bytes=self._batches_bytes, change=change)
        following, process = start, os.getpid()
        try:
            for _ in range(start, n_steps, stride):
                if os.getpid() != process:
                    raise RuntimeError("this process was forked in the midst of a loop: iterate the stream anew in it")
                # the next batches are made while the caller is busy with this one
                while flight.has_room and following < n_steps:
                    taken = self._taken(order, following)
                    every = [*flight.taken, *taken]
                    if not self._holding.has_room(order, every, following, windows.reduced):
                        if not flight.is_empty:
                            break
                        windows.reduce(self._holding.leaving(order, every, following + stride))
                    windows.want(self._holding.wanted(order, every, following, windows.reduced))
                    flight.begin(following, taken)
                    following += stride
                yield flight.land()
                flight.returned()
        finally:
            flight.close()
            windows.close()

    def close(self) -> None:
        """Let go of the memory that windows lay in, which is kept from epoch to epoch. The stream can be used again."""
        self._holding.close()

    def _decoders(self) -> Decoders | None:
        media = self.contents.media
        if not self._collate.media:
            return None
        return Decoders(
            self._collate.media,
            [part.media_files() for part in self.parts],
            seed=media.seed,
            threads=self._threads,
            max_bytes=self._batches_bytes // 3,  # a batch is made, padded, and with the caller
            max_consecutive_bad=media.max_consecutive_bad,
            room_bytes=self._holding.batches_bytes - self._batches_bytes,
        )

    @property
    def _batches_bytes(self) -> int:
        """What batches under way may take; films are decoded in the rest."""
        has_films = any(medium.is_film for medium in self._collate.media)
        most = self._holding.batches_bytes
        return most // 4 * 3 if has_films else most

    def _readers(self) -> list[ReadPart]:
        return [
            ReadPart(part.chunks, part.columns, part.reader(self._holding.pool(number)))
            for number, part in enumerate(self.parts)
        ]

    def _taken(self, order: EpochOrder, step: int) -> list[Taken]:
        return order.taken(step, rank=self.rank, world=self.world)

    def state_dict(self) -> dict[str, Any]:
        """The place, and what it is a place in: JSON values, a few hundred bytes for each part of the data.

        Taken in a loop's body, it says that the batch in hand is done.
        """
        place = state_of(Place(self.epoch, self.step), self.order.settings(), self.parts)
        return {**place, "replaced": self._report.state()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to the place of a state that a stream of the same order saved, with whatever ranks, workers and columns.

        Raises:
            SchemaMismatch: the state is of another version, order or content; says which, and what to do. Nothing is
                changed.
        """
        place = place_of(state, self.order.settings(), self.parts, world=self.world)
        report = Report.of(state.get("replaced"))
        try:
            self.seek(epoch=place.epoch, step=place.step)
        except ValueError as error:
            raise SchemaMismatch(f"the stream's state is damaged: {error}") from error
        self._report = report
