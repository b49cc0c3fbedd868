"""`select`: which samples of a store are used, in which split; decided over its rows, written as a named selection."""

from __future__ import annotations

import json
import logging
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from mmdata.core.fingerprint import fingerprint
from mmdata.errors import ConfigError
from mmdata.select.split import Split

if TYPE_CHECKING:
    from mmdata.store import Store

log = logging.getLogger(__name__)


@dataclass(frozen=True, kw_only=True)
class Selected:
    """What a selection came to.

    Args:
        name: of the selection.
        splits: selected samples by split; one entry "" where there are no splits.
        reasons: samples left out, by reason.
    """

    name: str
    splits: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)


def select(
    store: Store, name: str, *, split: Split | Mapping[str, Any] | None = None, where: str | None = None
) -> Selected:
    """Write the selection of a name, in place of the one that may be there. Reads rows only, no media.

    A split that was asked for and got no sample is logged as a warning; streaming it is an error.

    Args:
        store: an open store.
        name: of the selection.
        split: how samples are dealt to splits; a mapping is taken as in a pipeline file, see `Split.parse`.
        where: a condition in SQL, as for `Store.table`; samples that don't meet it are left out, with reason "where".

    Raises:
        ConfigError: the split's settings are wrong, its group is a column of arrays, or no sample is left.
        StoreError: no such column, the condition is wrong, or the name can't be one.
    """
    import pyarrow as pa

    from mmdata.store import selections
    from mmdata.store.files import Files

    deal = split if split is None or isinstance(split, Split) else Split.parse(split)
    keys, groups = _keys_and_groups(store, deal)
    splits = [None] * len(keys) if deal is None else deal.assign(keys, groups)
    kept = None if where is None else set(store.table(["key"], where=where)["key"].to_pylist())
    if not (keys if kept is None else kept):
        why = f"no sample meets where: {where}" if keys else "the store has no samples"
        raise ConfigError("select", [f"the selection {name!r} would be empty: {why}"])
    reasons = [None if kept is None or key in kept else "where" for key in keys]
    columns = {"key": keys, "split": splits, "weight": [1.0] * len(keys), "reason": reasons}
    chosen = Counter(part or "" for part, reason in zip(splits, reasons, strict=True) if reason is None)
    empty = {} if deal is None else _empty(deal, chosen, _n_groups(keys, groups, reasons))
    for part, why in empty.items():
        log.warning("selection=%s place=%s split=%s: it is empty: %s", name, store.url, part, why)
    rows = pa.table(
        columns, schema=selections.SCHEMA.with_metadata({selections.EMPTY: json.dumps(empty)} if empty else None)
    )
    settings = None if deal is None else [dict(deal.shares), deal.folds, deal.group, deal.seed]
    selections.write(Files.at(store.url, store.storage_options), name, rows, fp=fingerprint(settings, where))
    counts = {part: chosen[part] for part in (deal.names if deal else ("",))}
    return Selected(name=name, splits=counts, reasons=Counter(reason for reason in reasons if reason))


def _empty(deal: Split, chosen: Counter[str], n_groups: int) -> dict[str, str]:
    """Why splits are without a sample, by split; those whose share is 0 were not asked for."""
    what = "samples" if deal.group is None else f"groups by {deal.group!r}"
    other = "other shares" if deal.folds is None else "fewer folds"
    why = f"of {n_groups} selected {what} none was dealt to it; try another seed or {other}"
    asked = [part for part in deal.names if deal.folds is not None or deal.shares[part] > 0]
    return {part: why for part in asked if not chosen[part]}


def _n_groups(keys: Sequence[str], groups: Sequence[object] | None, reasons: Sequence[str | None]) -> int:
    """How many groups the selected samples make; one without a group stands alone."""
    each: Sequence[object] = keys if groups is None else groups
    selected = Counter(group for group, reason in zip(each, reasons, strict=True) if reason is None)
    alone = selected.pop(None, 0)
    return alone + len(selected)


def _keys_and_groups(store: Store, deal: Split | None) -> tuple[list[str], list[object] | None]:
    import pyarrow as pa

    group = deal.group if deal else None
    table = store.table(list(dict.fromkeys(["key", group or "key"])))
    keys: list[str] = table["key"].to_pylist()
    if group is None or group == "key":
        return keys, None
    column = table[group]
    kind = column.type
    if not (pa.types.is_primitive(kind) or pa.types.is_string(kind) or pa.types.is_large_string(kind)):
        raise ConfigError("split", [f"group: {group!r} holds {kind}, not one number or text a sample"])
    return keys, [None if value != value else value for value in column.to_pylist()]  # NaN groups nothing
