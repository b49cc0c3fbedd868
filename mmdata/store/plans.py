"""Plans: how each source is divided into shards. Increments, so that a shard's entries are written once."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mmdata.core.fingerprint import fingerprint
from mmdata.core.ports import Entry
from mmdata.errors import CommitConflict
from mmdata.store.files import Files
from mmdata.store.layout import PLANS
from mmdata.store.log import Log, Logged
from mmdata.store.parquet import read_rows, write_rows
from mmdata.store.tables import FILES, delta_schema


@dataclass(frozen=True)
class StoredPlan:
    """A source's plan.

    Args:
        version: -1 before the first.
        shards: entries by shard, in the order that the shards were planned.
        left: the shards that were taken out of it, as they were: of a killed run, some may still be in the store.
    """

    version: int = -1
    shards: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    left: Mapping[str, Sequence[Entry]] = field(default_factory=dict)


def read(files: Files, log: Log, source: str) -> StoredPlan:
    """A source's plan as of the log's last refresh: its increments, replayed."""
    increments = [entry for entry in log.live().values() if entry.values["source"] == source]
    shards: dict[str, list[Entry]] = {}
    left: dict[str, list[Entry]] = {}
    for increment in sorted(increments, key=lambda entry: int(entry.values["version"])):
        rows = read_rows(files, f"{PLANS}/{increment.name}").to_pydict()
        for op, shard, text in zip(rows["op"], rows["shard"], rows["entry"], strict=True):
            if op == "remove":
                left[shard] = shards.pop(shard, [])
            elif text is None:
                shards[shard] = []
            else:
                shards.setdefault(shard, []).append(Entry.from_json(json.loads(text)))
    gone = {shard: entries for shard, entries in left.items() if shard not in shards}
    return StoredPlan(log.transaction(_app(source)), shards, gone)


def commit(
    files: Files, log: Log, source: str, version: int, *, add: Mapping[str, Sequence[Entry]], remove: Sequence[str]
) -> int:
    """Record the next increment of a plan that was read at `version`; returns the new version.

    Raises:
        CommitConflict: another run planned this source since: read its plan, and divide only the rest.
    """
    following = version + 1
    rows = _rows(add, remove)
    name = f"{following}-{fingerprint(source, rows)}"
    columns = [pa.array(column, each.type) for column, each in zip(rows, FILES[PLANS], strict=True)]
    path, size, digest = write_rows(files, PLANS, name, pa.Table.from_arrays(columns, schema=FILES[PLANS]))
    values = {"source": source, "version": str(following), "digest": digest}
    entry = Logged(path.rpartition("/")[2], size, len(rows[0]), values)

    def decide(_: Mapping[str, Logged]) -> tuple[list[Logged], list[Logged]]:
        if (newest := log.transaction(_app(source))) != version:
            raise CommitConflict(f"the plan of source {source!r} is at version {newest} by now, not at {version}")
        return [entry], []

    log.refresh()
    decide({})
    if not log.commit(decide, delta_schema(PLANS, {}), txn=(_app(source), following)):
        raise CommitConflict(f"the plan of source {source!r} has another version {following} by now")
    return following


def _app(source: str) -> str:
    return f"plan:{source}"


def _rows(add: Mapping[str, Sequence[Entry]], remove: Sequence[str]) -> list[list[object]]:
    """Columns of an increment: removals first. A shard without entries has one row without an entry."""
    rows: list[tuple[object, ...]] = [("remove", shard, None, None, None) for shard in remove]
    for shard, entries in add.items():
        rows += [("add", shard, at, entry.key, json.dumps(entry.to_json())) for at, entry in enumerate(entries)]
        if not entries:
            rows.append(("add", shard, 0, None, None))
    return [list(column) for column in zip(*rows, strict=True)] or [[] for _ in FILES[PLANS]]
