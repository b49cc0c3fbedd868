"""Where samples went on the way from the source to a selection, step by step, with reasons."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa
import pyarrow.compute as pc


@dataclass(frozen=True)
class Loss:
    """How many samples went for one reason; `kind` is "dropped", "rejected" or "left out"."""

    kind: str
    reason: str
    n: int


@dataclass(frozen=True)
class Stage:
    """One stage.

    Args:
        name: "read", a step's name, "stored", a rule of the selection, or "selected".
        n: samples that are left after it. losses: who went here, the most first. gained: who came, by a split.
    """

    name: str
    n: int
    losses: Sequence[Loss] = ()
    gained: int = 0

    @property
    def n_lost(self) -> int:
        return sum(loss.n for loss in self.losses)


@dataclass(frozen=True)
class Funnel:
    """All stages, in order.

    Args:
        read: entries of the source. stored: rows. selected: rows of the selection; None where there is none.
        balances: whether nothing is unaccounted for. waiting: entries that are planned and not done yet.
    """

    stages: Sequence[Stage]
    read: int
    stored: int
    selected: int | None = None
    balances: bool = True
    waiting: int = 0
    by_split: Mapping[str, int] = field(default_factory=dict)


def counted(table: pa.Table, names: Sequence[str]) -> Counter[tuple[str, ...]]:
    """How many rows have which values in some text columns; null is ""."""
    if not table.num_rows:
        return Counter()
    found = table.select(list(names)).group_by(list(names)).aggregate([([], "count_all")])
    rows = zip(*(found[name].to_pylist() for name in [*names, "count_all"]), strict=True)
    return Counter({tuple(value or "" for value in values): n for *values, n in rows})


def funnel(
    *,
    read: int,
    stored: int,
    drops: pa.Table,
    rejects: pa.Table,
    selection: pa.Table | None = None,
    order: str = "",
    waiting: int = 0,
) -> Funnel:
    """Put the balance of a store in order.

    Args:
        read: entries of the sources whose shards are done.
        stored: rows.
        drops: with the columns step and reason.
        rejects: with the columns step and kind.
        selection: the rows of one, as the store gives it.
        order: a text in which steps stand in their order, such as a pipeline file.
        waiting: entries of shards that are not done.

    Returns:
        Stages: "read", each step that lost samples or "made" some, "stored", the selection's rules, "selected".
    """
    lost: dict[str, list[Loss]] = {}
    for (step, reason), n in counted(drops, ["step", "reason"]).most_common():
        lost.setdefault(step, []).append(Loss("dropped", reason, n))
    for (step, kind), n in counted(rejects, ["step", "kind"]).most_common():
        lost.setdefault(step, []).append(Loss("rejected", kind, n))
    n_lost = sum(loss.n for losses in lost.values() for loss in losses)
    made = stored + n_lost - read
    stages = [Stage("read", read)]
    if made > 0:
        stages.append(Stage("split into clips", read + made, gained=made))
    for step in sorted(lost, key=lambda name: (_place(order, name), name)):
        losses = lost[step]
        stages.append(Stage(step or "unknown step", stages[-1].n - sum(loss.n for loss in losses), losses))
    stages.append(Stage("stored", stored))
    selected, by_split = None, dict[str, int]()
    if selection is not None:
        stages += _selecting(selection)
        chosen = selection.filter(pc.is_null(selection["reason"]))
        selected = chosen.num_rows
        stages.append(Stage("selected", selected))
        by_split = {split: n for (split,), n in sorted(counted(chosen, ["split"]).items())}
    return Funnel(tuple(stages), read, stored, selected, made >= 0, waiting, by_split)


def _place(order: str, step: str) -> int:
    """Where a step stands in a text; reading comes first, decoders that were put in next, what is not named last."""
    if step in ("source", "read"):
        return -2
    at = order.find(step) if step else -1
    return at if at >= 0 else (-1 if step.startswith("codec.") else len(order))


def _selecting(selection: pa.Table) -> Iterator[Stage]:
    """A stage for each rule that left samples out: conditions, then duplicates, splits, balance."""
    reasons = {reason: n for (reason,), n in counted(selection, ["reason"]).items() if reason}
    left = selection.num_rows
    for rule in ("where", "dedup", "split", "balance"):
        losses = [Loss("left out", reason, n) for reason, n in reasons.items() if rule_of(reason) == rule]
        if losses:
            left -= sum(loss.n for loss in losses)
            yield Stage(f"select: {rule}", left, sorted(losses, key=lambda loss: (-loss.n, loss.reason)))


def rule_of(reason: str) -> str:
    """Which part of a selection a reason is of."""
    head = reason.partition(".")[0]
    return head if head in ("dedup", "split", "balance") and "." in reason else "where"
