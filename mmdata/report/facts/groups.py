"""Classes and splits, what the splits share that they must not, and which samples are alike."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mmdata.report.facts.funnel import counted

LEFT_OUT = "left out"
NO_SPLIT = "selected"
NO_LABEL = ""


@dataclass(frozen=True)
class Balance:
    """Samples by class and split.

    Args:
        splits: their names, in order; "left out" is last. classes: the most frequent first; "" has no label.
        counts: int64 [class, split].
    """

    splits: Sequence[str]
    classes: Sequence[str]
    counts: np.ndarray

    @property
    def totals(self) -> list[int]:
        """Samples by class."""
        return [int(n) for n in self.counts.sum(axis=1)]


@dataclass(frozen=True)
class Leak:
    """What two splits and more have in common, of one kind.

    Args:
        kind: "cluster", "parent", "bytes of PART" or a column's name. n_groups: groups that lie in several splits.
        n_samples: selected samples in such groups. n_checked: groups that were looked at.
        examples: a group's keys with their splits, of a few.
    """

    kind: str
    n_groups: int
    n_samples: int
    n_checked: int
    examples: Sequence[Sequence[tuple[str, str]]] = ()


@dataclass(frozen=True)
class Cluster:
    """Samples that a rule of dedup found alike: their keys, and why each was left out ("" where it was kept)."""

    keys: Sequence[str]
    reasons: Sequence[str]
    n: int


def dealt(selection: pa.Table) -> pa.Array:
    """The split of each row: its name, "selected" where there are no splits, "left out" where it has a reason."""
    split = pc.fill_null(selection["split"].combine_chunks(), NO_SPLIT)
    return pc.if_else(pc.is_null(selection["reason"].combine_chunks()), split, LEFT_OUT)


def balance(labels: pa.ChunkedArray, splits: pa.ChunkedArray | pa.Array | None) -> Balance:
    """Count samples by class and split; without splits, all are "stored"."""
    if splits is None:
        splits = pa.array(["stored"] * len(labels), pa.string())
    table = pa.table({"label": pc.fill_null(labels, NO_LABEL), "split": splits})
    found = counted(table, ["label", "split"])
    names = sorted({split for _, split in found}, key=split_order)
    totals: dict[str, int] = {}
    for (label, _), n in found.items():
        totals[label] = totals.get(label, 0) + n
    classes = sorted(totals, key=lambda label: (label == NO_LABEL, -totals[label], label))
    counts = np.array([[found[label, name] for name in names] for label in classes], np.int64)
    return Balance(names, classes, counts.reshape(len(classes), len(names)))


def split_order(name: str) -> tuple[bool, int, str]:
    """Sorts splits as people name them: train, val, test, others, and what was left out."""
    usual = ("train", "val", "validation", "dev", "test")
    return name == LEFT_OUT, usual.index(name) if name in usual else len(usual), name


def leaks(columns: Mapping[str, pa.Array | pa.ChunkedArray], selection: pa.Table) -> Iterator[Leak]:
    """What the splits of a selection share.

    Args:
        columns: by kind, a value a row of the selection, in its order; equal values must not be in two splits. Nulls
            are equal to nothing.
        selection: its rows.
    """
    chosen = pc.and_(pc.is_null(selection["reason"]), pc.is_valid(selection["split"]))
    for kind, values in columns.items():
        table = pa.table({"key": selection["key"], "split": selection["split"], "value": values}).filter(chosen)
        yield _leak(kind, table.filter(pc.is_valid(table["value"])))


def _leak(kind: str, table: pa.Table, *, examples: int = 3, keys: int = 4) -> Leak:
    found = table.group_by("value").aggregate([("split", "count_distinct"), ([], "count_all")])
    shared = found.filter(pc.greater(found["split_count_distinct"], 1))
    n = int(pc.sum(shared["count_all"]).as_py() or 0)
    shown = []
    for value in shared["value"][:examples]:
        rows = table.filter(pc.equal(table["value"], value))
        first = [pc.index(rows["split"], split).as_py() for split in pc.unique(rows["split"])]
        chosen = rows.take(sorted(first)[:keys])
        shown.append(tuple(zip(chosen["key"].to_pylist(), chosen["split"].to_pylist(), strict=True)))
    return Leak(kind, shared.num_rows, n, found.num_rows, tuple(shown))


def clusters(selection: pa.Table, *, most: int = 12, keys: int = 6) -> tuple[int, list[Cluster]]:
    """How many clusters there are, and the largest of them, with so many keys each: what was kept comes first."""
    rows = selection.filter(pc.is_valid(selection["cluster"]))
    if not rows.num_rows:
        return 0, []
    sizes = rows.group_by("cluster").aggregate([([], "count_all")])
    order = pc.sort_indices(sizes, sort_keys=[("count_all", "descending"), ("cluster", "ascending")])
    made = []
    for number in sizes["cluster"].take(order[:most]):
        found = rows.filter(pc.equal(rows["cluster"], number))
        reasons = [reason or "" for reason in found["reason"].to_pylist()]
        members = sorted(zip(reasons, found["key"].to_pylist(), strict=True), key=lambda each: each[0] != "")[:keys]
        made.append(Cluster([key for _, key in members], [reason for reason, _ in members], found.num_rows))
    return sizes.num_rows, made
