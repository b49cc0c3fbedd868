"""What differs between two selections."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.store import Store

ABSENT = "(not there)"  # of samples that one of the selections does not know
SELECTED = "selected"  # of selected samples where there are no splits


@dataclass(frozen=True)
class Difference:
    """Two selections beside each other.

    Args:
        changes: rows before, after, samples, example: how many samples are here in the one and there in the other.
            Here is the split of a selected sample, the reason of one that was left out, or ABSENT.
        rows: key, before, after of each sample that differs.
        same: samples that are as they were.
        reweighted: selected in both, with another weight.
    """

    changes: list[tuple[str, str, int, str]]
    rows: pa.Table
    same: int
    reweighted: int

    def to_json(self) -> dict[str, Any]:
        """As `mmdata diff --json` prints it."""
        names = ("before", "after", "samples", "example")
        changes = [dict(zip(names, change, strict=True)) for change in self.changes]
        return {"same": self.same, "reweighted": self.reweighted, "changes": changes}

    def keys(self) -> Iterator[tuple[str, str, str]]:
        """Key, before and after of each sample that differs, by key."""
        for batch in self.rows.to_batches():
            yield from zip(*(batch.column(name).to_pylist() for name in ("key", "before", "after")), strict=True)


def diff(store: Store, before: str, after: str, *, other: Store | None = None) -> Difference:
    """Compare two selections, sample by sample.

    Args:
        store: where both are.
        before: the name of the one.
        after: the name of the other.
        other: where `after` is, if elsewhere.

    Raises:
        StoreError: there is no such selection.
    """
    import pyarrow as pa
    import pyarrow.compute as pc

    sides = _state(store.selection(before)), _state((other or store).selection(after))
    joined = sides[0].join(sides[1], "key", join_type="full outer", left_suffix=".before", right_suffix=".after")
    here, there = (pc.fill_null(joined[f"state.{side}"], ABSENT) for side in ("before", "after"))
    both = pc.and_(pc.is_null(joined["reason.before"]), pc.is_null(joined["reason.after"]))
    weights = pc.not_equal(joined["weight.before"], joined["weight.after"])
    reweighted = pc.sum(pc.and_(both, pc.fill_null(weights, False))).as_py() or 0
    table = pa.table({"key": joined["key"], "before": here, "after": there})
    rows = table.filter(pc.not_equal(here, there)).sort_by("key")
    grouped = rows.group_by(["before", "after"]).aggregate([("key", "count"), ("key", "min")])
    found = zip(*(grouped[name].to_pylist() for name in ("before", "after", "key_count", "key_min")), strict=True)
    changes = sorted(found, key=lambda change: (-change[2], change[0], change[1]))
    return Difference(changes, rows, table.num_rows - rows.num_rows, int(reweighted))


def _state(selection: pa.Table) -> pa.Table:
    import pyarrow.compute as pc

    selected = pc.fill_null(selection["split"], SELECTED)
    state = pc.if_else(pc.is_null(selection["reason"]), selected, selection["reason"])
    return selection.select(["key", "reason", "weight"]).append_column("state", state)
