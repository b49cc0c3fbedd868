"""`select`: which samples of a store are used, in which split; decided over its rows, written as a named selection."""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from mmdata.core.fingerprint import fingerprint
from mmdata.errors import ConfigError
from mmdata.select.balance import Balance
from mmdata.select.conditions import MISSING, Where, conditions
from mmdata.select.deciding import Decision, decide
from mmdata.select.dedup.rule import Against, Rule
from mmdata.select.pinning import pin as pinned
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
        reasons: samples left out, by reason, in the order in which reasons were asked for.
        samples: how many there were.
        weights: the sum of weights by split, where there are other weights than 1.
        clusters: how many clusters of duplicates there are, of two samples and more.
        snapshot: that pins it; None where none does.
    """

    name: str
    splits: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    samples: int = field(default=0, compare=False)
    weights: Mapping[str, float] = field(default_factory=dict, compare=False)
    clusters: int = field(default=0, compare=False)
    snapshot: str | None = field(default=None, compare=False)

    def funnel(self) -> list[tuple[str, int, int]]:
        """Reason, samples that it left out, and samples left after it; first of all "" with all samples."""
        rows, left = [("", 0, self.samples)], self.samples
        for reason, count in self.reasons.items():
            left -= count
            rows.append((reason, count, left))
        return rows

    def to_json(self) -> dict[str, Any]:
        """As `mmdata select --json` prints it."""
        return {**asdict(self), "splits": dict(self.splits), "reasons": dict(self.reasons)}


def select(
    store: Store,
    name: str,
    *,
    split: Split | Mapping[str, Any] | None = None,
    where: Where = None,
    dedup: Sequence[Rule] = (),
    against: Sequence[Against] = (),
    balance: Balance | Mapping[str, Any] | None = None,
    pin: bool = False,
) -> Selected:
    """Write the selection of a name, in place of the one that may be there. Reads rows only, no media.

    What is asked for comes in this order: `where`, `dedup`, `split`, `balance`. Each sees the samples that are left,
    and gives its reason to those that it leaves out. A split that was asked for and got no sample is logged as a
    warning; streaming it is an error.

    Args:
        store: an open store.
        name: of the selection.
        split: how samples are dealt to splits; a mapping is taken as in a pipeline file, see `Split.parse`.
        where: a condition in SQL, as for `Store.table`, or several by name; samples that don't meet it are left out,
            with reason "where", or "where.NAME". Where a condition is neither true nor false, as what it speaks of is
            missing or no number, ".missing" is added.
        dedup: what counts as a duplicate, rule by rule, such as `mmdata.select.dedup.NearText()`.
        against: other selections; what the rules find to be alike with one of their samples is left out, too.
        balance: caps and weights; a mapping is taken as in a pipeline file, see `Balance.parse`.
        pin: keep what it selects as a snapshot, "NAME.1", "NAME.2" and so on, see `Selected.snapshot`.

    Raises:
        ConfigError: settings are wrong, a group is a column of arrays, or no sample is left.
        Incomplete: shards lack a feature that is asked for.
        StoreError: no such column, a condition is wrong, or the name can't be one.
    """
    from mmdata.store import selections
    from mmdata.store.files import Files

    deal = split if split is None or isinstance(split, Split) else Split.parse(split)
    weigh = balance if balance is None or isinstance(balance, Balance) else Balance.parse(balance)
    if against and not dedup:
        raise ConfigError("select", ["against: there is no dedup rule that says what counts as alike"])
    named = conditions(where)
    files = Files.at(store.url, store.storage_options)
    made = decide(store, name, deal, named, dedup, against, weigh)
    if not made.n_left:
        raise ConfigError("select", [f"the selection {name!r} would be empty: {_why_empty(made, where)}"])
    empty = {} if deal is None else _empty(deal, made)
    for part, why in empty.items():
        log.warning("selection=%s place=%s split=%s: it is empty: %s", name, store.url, part, why)
    settings = [
        None if deal is None else made.history_fp,
        named,
        [rule.told() for rule in dedup],
        [asdict(each) for each in against],
        None if weigh is None else weigh.told(),
    ]
    metadata = {selections.EMPTY: json.dumps(empty)} if empty else {}
    metadata[selections.DEALT] = json.dumps(made.history_fp)
    rows = made.table().cast(selections.SCHEMA.with_metadata(metadata))
    selections.write(files, name, rows, fp=fingerprint(settings))
    return Selected(
        name=name,
        splits=made.counts(),
        reasons=made.reasons(),
        samples=len(made.keys),
        weights=made.weight_sums(),
        clusters=made.n_clusters,
        snapshot=pinned(store, name) if pin else None,
    )


def _why_empty(made: Decision, where: Where) -> str:
    if not made.keys:
        return "the store has no samples"
    counts = ", ".join(f"{reason} {count}" for reason, count in made.reasons().items())
    told = f"of {len(made.keys)} samples all are left out: {counts}"
    if isinstance(where, str) and set(made.reasons()) <= {"where", f"where.{MISSING}"}:
        return f"no sample meets where: {where}; {told}"
    return told


def _empty(deal: Split, made: Decision) -> dict[str, str]:
    """Why splits are without a sample, by split; those whose share is 0 were not asked for."""
    what = "samples" if not deal.groups else "groups by " + ", ".join(map(repr, deal.groups))
    other = "other shares" if deal.folds is None else "fewer folds"
    why = f"of {made.n_groups} selected {what} none was dealt to it; try another seed or {other}"
    asked = [part for part, share in zip(deal.names, deal.parts, strict=True) if share > 0]
    counts = made.counts()
    return {part: why for part in asked if not counts[part]}
