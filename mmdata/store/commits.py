"""The order of commits: readers see each shard whole at each moment, and doing it again changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mmdata.core.arrays import ArraySpec
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.log import FamilyLog, Txn
from mmdata.store.tables import delta_schema


@dataclass(frozen=True)
class Change:
    """Files of one family that come and go together.

    Args:
        family: "samples", "drops", "rejects", or a feature family.
        columns: what a feature family promises; may be left out, as its files say so too.
    """

    family: str
    columns: Mapping[str, ArraySpec] = field(default_factory=dict)
    add: Sequence[DataFile] = ()
    remove: Sequence[DataFile] = ()


def apply(
    changes: Sequence[Change], logs: Callable[[str], FamilyLog], files: Files, *, txn: Txn | None = None
) -> set[str]:
    """Commit changes as `Store.commit` says: what comes beside samples, samples, what goes beside them."""
    changes = _merged(changes)
    schemas = {change.family: _schema(change, files) for change in changes}
    for change in changes:
        logs(change.family).refresh()
        _check(change, logs(change.family), schemas[change.family], txn)
    beside = [change for change in changes if change.family != SAMPLES]
    core = [change for change in changes if change.family == SAMPLES]
    apart = any(change.remove for change in core)  # what goes with replaced samples must outlive them
    added: set[str] = set()
    for change in beside:
        remove = () if apart else change.remove
        added |= logs(change.family).change(change.add, remove, schemas[change.family], txn=_part(txn, "add"))
    for change in core:
        added |= logs(SAMPLES).change(change.add, change.remove, schemas[SAMPLES], txn=_part(txn, "add"))
    for change in beside if apart else ():
        logs(change.family).change((), change.remove, None, txn=_part(txn, "remove"))
    return added


def _check(change: Change, log: FamilyLog, schema: pa.Schema | None, txn: Txn | None) -> None:
    """Find what can't be done before anything is committed."""
    if schema is not None:
        log.check(schema)
    mark = _part(txn, "add")
    if mark is None or log.transaction(mark[0]) < mark[1]:
        log.decide(log.live(), change.add, change.remove)


def _schema(change: Change, files: Files) -> pa.Schema | None:
    if not change.add:
        return None
    columns = change.columns
    if not columns and change.family not in (SAMPLES, DROPS, REJECTS):
        columns = read.file_specs(files, change.add[0])
    return delta_schema(change.family, columns)


def _merged(changes: Sequence[Change]) -> list[Change]:
    """One change a family."""
    made: dict[str, Change] = {}
    for each in changes:
        had = made.get(each.family, Change(each.family))
        made[each.family] = Change(
            each.family, {**had.columns, **each.columns}, [*had.add, *each.add], [*had.remove, *each.remove]
        )
    return list(made.values())


def _part(txn: Txn | None, what: str) -> Txn | None:
    return None if txn is None else (f"{txn[0]}:{what}", txn[1])
