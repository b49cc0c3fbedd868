"""From the settings of `stream` to an order: of one part, of a mixture, or of batches by length."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from mmdata.errors import ConfigError
from mmdata.loader.budgets import BudgetOrder
from mmdata.loader.contents import Contents
from mmdata.loader.lengths import lengths_of
from mmdata.loader.mix import Batches, MixOrder, Until
from mmdata.loader.order import Order, PlanOrder
from mmdata.loader.parts import Part, goals_of, shares_of
from mmdata.loader.plan import Plan, Tail

if TYPE_CHECKING:
    from mmdata.store import Store

UNTIL: tuple[Until, ...] = ("first", "all")
BATCHES: tuple[Batches, ...] = ("mixed", "single")


@dataclass(frozen=True, kw_only=True)
class OrderSettings:
    """What the user says of the order; `stream` tells what each means. None where nothing was said."""

    world: int
    batch_size: int | None = None
    global_batch_size: int | None = None
    seed: int = 0
    shuffle: bool = True
    tail: Tail = "drop"
    lanes: int = 8
    window_rows: int = 4096
    until: Until | None = None
    batches: Batches | None = None
    length: str | None = None
    budget: float | None = None
    shares: int | None = None

    def check(self) -> None:
        """Raise ConfigError for sizes that the ranks can't share; without a look at any store."""
        if self.budget is None:
            global_size(self.batch_size, self.global_batch_size, self.world)

    def plan(self, contents: Contents, size: int, *, part: int = 0) -> Plan:
        """The plan of a part. Raises ConfigError when a number is out of range."""
        try:
            return Plan(
                chunk_rows=tuple(len(chunk.rows) for chunk in contents.chunks),
                global_batch_size=size,
                seed=seed_of(self.seed, part),
                shuffle=self.shuffle,
                window_rows=self.window_rows,
                lanes=self.lanes,
                tail=self.tail,
                weights=contents.weights,
            )
        except ValueError as error:
            raise ConfigError("stream", [str(error)]) from error


def seed_of(seed: int, part: int) -> int:
    """A seed of its own for each part, so that parts of the same rows are not shuffled alike; the first has the seed.

    >>> seed_of(7, 0), seed_of(7, 1) == seed_of(7, 2)
    (7, False)
    """
    if part == 0:
        return seed
    return int.from_bytes(hashlib.blake2b(f"{seed}/{part}".encode(), digest_size=6).digest(), "little")


def order_of(parts: Sequence[Part], found: Sequence[Contents], settings: OrderSettings, *, threads: int) -> Order:
    """The order that settings ask for.

    Args:
        parts: what the user said of each.
        found: the content of each.
        settings: of the order.
        threads: how many read lengths.

    Raises:
        ConfigError: settings that don't go together or are out of range; there is not a single step.
        Incomplete: a shard lacks the lengths.
    """
    if faults := list(_faults(parts, settings)):
        raise ConfigError("stream", faults)
    if settings.budget is not None:
        return _by_length(parts[0], found[0], settings, threads)
    size = global_size(settings.batch_size, settings.global_batch_size, settings.world)
    if is_mixture(parts):
        return _mixture(parts, found, settings, size)
    order = PlanOrder(settings.plan(found[0], size))
    if not order.n_steps(0):
        raise ConfigError(
            "stream", [f"tail: {order.n_rows} rows fill no batch of {size}: take a smaller one, or 'short'"]
        )
    return order


def is_mixture(parts: Sequence[Part]) -> bool:
    """Whether there is anything to mix, or a share was given to the only part."""
    return len(parts) > 1 or parts[0].weight is not None or parts[0].epochs is not None


def global_size(batch_size: int | None, global_batch_size: int | None, world: int) -> int:
    """Rows of a step over all ranks. Raises ConfigError when the ranks can't share them."""
    if batch_size is not None and batch_size < 1:
        raise ConfigError("stream", [f"batch_size: must be at least 1, not {batch_size}"])
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


def _faults(parts: Sequence[Part], settings: OrderSettings) -> Iterator[str]:
    """Settings that don't go together."""
    mixes = is_mixture(parts)
    if not settings.shuffle and any(part.weighted for part in parts):
        yield "weighted: rows that come by their weights have no stored order to keep: leave out shuffle=False"
    for name, known in (("until", UNTIL), ("batches", BATCHES)):
        value = getattr(settings, name)
        if value is not None and value not in known:
            yield f"{name}: must be {' or '.join(known)}, not {value!r}"
        elif value is not None and not mixes:
            yield f"{name}: is for mixtures, and there is one part"
    if mixes and settings.tail != "drop":
        yield f"tail: a mixture has whole batches alone, and no {settings.tail!r}"
    if mixes and settings.budget is not None:
        yield "budget: batches by length are made of one part, not of a mixture"
    for name, other in (("budget", "length"), ("length", "budget"), ("shares", "budget")):
        if getattr(settings, name) is not None and getattr(settings, other) is None:
            yield f"{name}: needs {other}, too"
    if settings.shares is not None and (settings.shares < 1 or settings.shares % settings.world):
        yield f"shares: {settings.world} ranks can't have {settings.shares} shares between them equally"


def _mixture(parts: Sequence[Part], found: Sequence[Contents], settings: OrderSettings, size: int) -> MixOrder:
    shares = shares_of(parts, [contents.n_rows for contents in found])
    order = MixOrder(
        plans=tuple(settings.plan(contents, size, part=number) for number, contents in enumerate(found)),
        shares=tuple(shares),
        goals=tuple(goals_of(parts)),
        until=settings.until or "first",
        batches=settings.batches or "mixed",
        given=tuple(
            ("epochs", goal) if part.weight is None else ("weight", part.weight)
            for part, goal in zip(parts, goals_of(parts), strict=True)
        ),
    )
    if not order.n_steps(0):
        raise ConfigError(
            "stream",
            [
                f"until: a part is gone through within the first batch of {size}: take a smaller one, fewer lanes, "
                "or until='all'"
            ],
        )
    return order


def _by_length(part: Part, contents: Contents, settings: OrderSettings, threads: int) -> BudgetOrder:
    store: Store = part.store  # type: ignore[assignment]  # opened by now
    name, budget, shares = settings.length or "", settings.budget or 0.0, settings.shares or settings.world
    if settings.batch_size is None and settings.global_batch_size is None:
        most = None
    else:
        most = global_size(settings.batch_size, settings.global_batch_size, settings.world) // shares
        if not most:
            raise ConfigError("stream", [f"global_batch_size: less than a row for each of {shares} shares"])
    lengths = lengths_of(store, contents, name, threads=threads)
    longer = int((lengths > budget).sum())
    if longer:
        raise ConfigError(
            "stream",
            [
                f"budget: {longer} of {len(lengths)} samples are longer than {budget:g} alone, up to "
                f"{lengths.max():g} ({name}): raise it, or leave them out by a selection"
            ],
        )
    plan = settings.plan(contents, 1)
    try:
        order = BudgetOrder(plan=plan, lengths=lengths, budget=budget, shares=shares, max_rows=most, name=name)
    except ValueError as error:
        raise ConfigError("stream", [str(error)]) from error
    if not order.n_steps(0):
        raise ConfigError("stream", [f"shares: {order.n_rows} rows are not one for each of {shares} shares"])
    return order
