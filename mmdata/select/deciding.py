"""The decision behind a selection: over all rows at once, in arrays, one question after the other."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from mmdata.core.fingerprint import fingerprint
from mmdata.errors import ConfigError
from mmdata.select.balance import Balance
from mmdata.select.clusters import Clusters
from mmdata.select.conditions import MISSING
from mmdata.select.dedup.against import left_alone
from mmdata.select.dedup.rule import Against, Rule
from mmdata.select.grouping import Dealt, components, deal_groups, deal_strata
from mmdata.select.history import history_of
from mmdata.select.split import CLUSTER, Split

if TYPE_CHECKING:
    import pyarrow as pa

    from mmdata.store import Store

log = logging.getLogger(__name__)

MOVED, CAP = "split.moved", "balance.cap"


@dataclass
class Decision:
    """What is decided so far.

    Args:
        keys: of all samples, in the store's order.
        reason: int64 [sample], place in `names`; -1 as long as it is selected.
        names: the reasons that may be given, in the order in which they are asked for.
        parts: the splits by number; one, "", where there are none.
        split: int64 [sample], place in `parts`.
        weight: float64 [sample].
        clusters: int64 [sample], the least row of the duplicates that it is one of; None where none were looked for.
        since: int64 [sample], see `History`; None where splits hang on no history.
        n_groups: groups among the selected samples.
        history_fp: what a later selection must have alike to go on from this one.
    """

    keys: list[str]
    reason: np.ndarray
    names: list[str] = field(default_factory=list)
    parts: tuple[str, ...] = ("",)
    split: np.ndarray = field(default_factory=lambda: np.zeros(0, np.int64))
    weight: np.ndarray = field(default_factory=lambda: np.zeros(0))
    clusters: np.ndarray | None = None
    since: np.ndarray | None = None
    n_groups: int = 0
    history_fp: str = ""

    def leave_out(self, rows: np.ndarray, reason: str) -> None:
        """Give a reason to those of some rows (bool [sample]) that have none yet."""
        if reason not in self.names:
            self.names.append(reason)
        self.reason[rows & self.left] = self.names.index(reason)

    @property
    def left(self) -> np.ndarray:
        """The samples that are selected: bool [sample]."""
        return self.reason < 0

    @property
    def n_left(self) -> int:
        return int(self.left.sum())

    @property
    def n_clusters(self) -> int:
        """Clusters of two samples and more."""
        return 0 if self.clusters is None else int((np.bincount(self.clusters, minlength=1) > 1).sum())

    def reasons(self) -> dict[str, int]:
        """Samples left out by reason; reasons that nobody has are not in it."""
        counts = np.bincount(self.reason[~self.left], minlength=len(self.names)).tolist()
        return {name: count for name, count in zip(self.names, counts, strict=True) if count}

    def counts(self) -> dict[str, int]:
        """Selected samples by split."""
        counts = np.bincount(self.split[self.left], minlength=len(self.parts)).tolist()
        return dict(zip(self.parts, counts, strict=True))

    def weight_sums(self) -> dict[str, float]:
        """The sum of weights by split; nothing where all are 1."""
        if (self.weight == 1).all():
            return {}
        sums = np.bincount(self.split[self.left], weights=self.weight[self.left], minlength=len(self.parts))
        return dict(zip(self.parts, sums.tolist(), strict=True))

    def table(self) -> pa.Table:
        """A row a sample, as a selection has them."""
        import pyarrow as pa

        n = len(self.keys)
        nobody = pa.nulls(n, pa.string())
        split = nobody if self.parts == ("",) else _named(self.split, self.parts)
        alone = np.zeros(n, bool)
        if self.clusters is not None:
            alone = np.bincount(self.clusters, minlength=n)[self.clusters] < 2
        return pa.table(
            {
                "key": pa.array(self.keys, pa.string()),
                "split": split,
                "weight": pa.array(self.weight),
                "reason": _named(self.reason, self.names) if self.names else nobody,
                "cluster": pa.nulls(n, pa.int64()) if self.clusters is None else pa.array(self.clusters, mask=alone),
                "since": pa.nulls(n, pa.int64()) if self.since is None else pa.array(self.since),
            }
        )


def _named(codes: np.ndarray, names: Sequence[str]) -> pa.Array:
    """Names by number; null below 0."""
    import pyarrow as pa

    return pa.DictionaryArray.from_arrays(
        pa.array(codes.astype(np.int32), mask=codes < 0), pa.array(names, pa.string())
    ).cast(pa.string())


def decide(
    store: Store,
    name: str,
    split: Split | None,
    where: Mapping[str, str],
    dedup: Sequence[Rule],
    against: Sequence[Against],
    balance: Balance | None,
) -> Decision:
    """Decide on every sample; arguments as of `select`."""
    keys = store.keys()
    made = Decision(keys, np.full(len(keys), -1), weight=np.ones(len(keys)), split=np.zeros(len(keys), np.int64))
    if not keys:
        return made
    values = store.evaluate(_wanted(where, dedup, balance))
    for reason in where:
        _ask(made, reason, values[reason])
    if dedup:
        _leave_duplicates(made, store, dedup, against, values)
    places = (split or Split()).places(keys) if split or balance else np.zeros(0, np.uint64)
    if split is not None:
        _deal(made, store, name, split, places)
    if balance is not None:
        _balance(made, store, name, balance, values, places)
    return made


def _wanted(where: Mapping[str, str], dedup: Sequence[Rule], balance: Balance | None) -> dict[str, str]:
    """All expressions of a selection, by name."""
    wanted = dict(where)
    wanted |= {f"dedup[{number}].keep": rule.keep for number, rule in enumerate(dedup) if rule.keep is not None}
    if balance is not None and balance.by is not None:
        wanted["balance.by"] = balance.by
    if balance is not None and balance.expression is not None:
        wanted["balance.weight"] = balance.expression
    return wanted


def _ask(made: Decision, reason: str, column: pa.ChunkedArray) -> None:
    """Leave out samples that don't meet a condition."""
    import pyarrow as pa
    import pyarrow.compute as pc

    if not pa.types.is_boolean(column.type) and column.null_count < len(column):
        raise ConfigError("select", [f"{reason}: is to be true or false; it is {column.type}"])
    unknown = np.asarray(pc.is_null(column).to_numpy())
    is_false = ~unknown if column.null_count == len(column) else ~np.asarray(pc.fill_null(column, True).to_numpy())
    made.leave_out(is_false & ~unknown, reason)
    made.leave_out(unknown, f"{reason}.{MISSING}")


def _leave_duplicates(
    made: Decision, store: Store, dedup: Sequence[Rule], against: Sequence[Against], values: pa.Table
) -> None:
    together = Clusters(len(made.keys))
    for number, rule in enumerate(dedup):
        name = f"dedup[{number}].keep"
        quality = _numbers(values[name], name) if name in values.column_names else None
        labels, known = left_alone(store, rule, against, made.left)
        made.leave_out(known, f"{rule.reason}.against")
        rows = np.flatnonzero(made.left)
        together.join_equal(labels)
        made.leave_out(_worse(labels, rows, quality), rule.reason)
    made.clusters = together.labels()


def _worse(labels: np.ndarray, rows: np.ndarray, quality: np.ndarray | None) -> np.ndarray:
    """Which of some rows are not the best of their cluster, or the first of the best: bool [sample]."""
    worse = np.zeros(len(labels), bool)
    good = np.zeros(len(rows)) if quality is None else np.nan_to_num(quality[rows], nan=-np.inf)
    order = rows[np.lexsort((rows, -good, labels[rows]))]
    worse[order[1:]] = labels[order[1:]] == labels[order[:-1]]
    return worse


def _numbers(column: pa.ChunkedArray, name: str) -> np.ndarray:
    """A column of numbers as float64 [sample], NaN where null."""
    import pyarrow as pa

    kind = column.type
    is_number = any(is_kind(kind) for is_kind in (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal))
    if not (is_number or pa.types.is_boolean(kind) or column.null_count == len(column)):
        raise ConfigError("select", [f"{name}: is to be a number; it is {kind}"])
    return np.asarray(column.cast(pa.float64()).to_numpy(), np.float64)


def _deal(made: Decision, store: Store, name: str, split: Split, places: np.ndarray) -> None:
    columns = [group for group in split.groups if group not in (CLUSTER, "key")]
    groups = [_values(store, group, "group") for group in columns]
    merging = list(split.groups) != columns or len(columns) > 1 or made.clusters is not None
    settings = [dict(zip(split.names, split.parts, strict=True)), list(split.groups), split.seed, split.stratified]
    made.history_fp = fingerprint(settings, CLUSTER if made.clusters is not None else "")
    if CLUSTER in split.groups and made.clusters is None:
        raise ConfigError("split", ["group: 'cluster' is what dedup finds; there is no dedup rule"])
    own = split.places(made.keys, groups[0]) if groups else places
    together = [_codes(values) for values in groups] + ([] if made.clusters is None else [made.clusters])
    is_plain = split.stratified is None and len(together) == 1 and not merging
    together_by = together[0] if is_plain else components(len(made.keys), together)
    if split.stratified is not None:
        dealt = deal_strata(together_by, _codes(_values(store, split.stratified, "stratified")), own, split.parts)
    elif merging and list(split.groups) != ["key"]:
        history = history_of(store, name, made.keys, split.names, made.history_fp)
        dealt = deal_groups(together_by, split.deal(own), own, history)
    else:
        dealt = Dealt(split.deal(own), np.zeros(len(own), bool))
    made.parts, made.split, made.since = split.names, dealt.splits, dealt.since
    made.leave_out(dealt.moved, MOVED)
    selected = together_by[made.left]
    made.n_groups = int((np.bincount(selected[selected >= 0]) > 0).sum() + (selected < 0).sum())


def _values(store: Store, column: str, setting: str) -> list[object]:
    """A column's values, None where null or no number."""
    import pyarrow as pa

    table = store.table([column])
    found = table[column] if table.num_columns == 1 else table.column(0)
    kind = found.type
    if not (
        pa.types.is_primitive(kind)
        or pa.types.is_string(kind)
        or pa.types.is_large_string(kind)
        or pa.types.is_null(kind)
    ):
        raise ConfigError("split", [f"{setting}: {column!r} holds {kind}, not one number or text a sample"])
    return [None if value != value else value for value in found.to_pylist()]  # NaN groups nothing


def _codes(values: Sequence[object]) -> np.ndarray:
    """Equal numbers for equal values: int64 [sample]; -1 for None."""
    known: dict[Any, int] = {}
    return np.array(
        [-1 if value is None else known.setdefault((type(value), value), len(known)) for value in values], np.int64
    )


def _classes(column: pa.ChunkedArray) -> tuple[np.ndarray, list[object]]:
    """The class of each sample, int64 [sample], a place among the classes; and these."""
    import pyarrow as pa

    column = column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column
    try:
        encoded = column.combine_chunks().dictionary_encode("encode")
    except pa.ArrowNotImplementedError:
        raise ConfigError(
            "select", [f"balance.by: is to be one number or text a sample; it is {column.type}"]
        ) from None
    return np.asarray(encoded.indices.to_numpy(zero_copy_only=False), np.int64), encoded.dictionary.to_pylist()


def _balance(made: Decision, store: Store, name: str, balance: Balance, values: pa.Table, places: np.ndarray) -> None:
    wrong = sorted(set(balance.splits or ()) - set(made.parts))
    if wrong:
        raise ConfigError(
            "balance", [f"splits: no split {each!r}; there are {', '.join(made.parts)}" for each in wrong]
        )
    counted = [number for number, part in enumerate(made.parts) if balance.splits is None or part in balance.splits]

    def splits() -> np.ndarray:
        """Where the samples that count are, -1 for others."""
        return np.where(made.left & np.isin(made.split, counted), made.split, -1)

    if balance.by is not None:
        classes, names = _classes(values["balance.by"])
        for fault in balance.unknown(names):
            log.warning("selection=%s place=%s %s", name, store.url, fault)
        made.leave_out(balance.over(classes, names, splits(), places), CAP)
        made.weight = balance.weights(classes, names, splits())
    if balance.expression is not None:
        weights = _numbers(values["balance.weight"], "balance.weight")
        wrong_rows = (splits() >= 0) & ~(np.isfinite(weights) & (weights >= 0))
        if wrong_rows.any():
            first = int(np.flatnonzero(wrong_rows)[0])
            fault = f"weight: {balance.expression!r} is null, negative or no number for {int(wrong_rows.sum())} samples"
            raise ConfigError("balance", [f"{fault}, such as {made.keys[first]!r}: use coalesce(), or leave them out"])
        made.weight = np.where(splits() >= 0, weights, 1.0)
