"""Plans: how each source is divided into shards. Increments, so that a shard's entries are written once.

An increment is a file with a row a shard, and files with the entries of those that it adds.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from mmdata.core.fingerprint import fingerprint
from mmdata.core.ports import Entry
from mmdata.errors import CommitConflict, StoreError
from mmdata.store.entries import SHARDS, ShardEntries, Written, extent, keys_of, write_entries
from mmdata.store.files import Files
from mmdata.store.layout import PLANS
from mmdata.store.log import Log, Logged
from mmdata.store.parquet import read_rows, write_rows
from mmdata.store.tables import delta_schema


@dataclass(frozen=True)
class StoredPlan:
    """A source's plan. Its entries are read when they are looked at; that takes time where there are many.

    Args:
        version: -1 before the first.
        shards: entries by shard, in the order that the shards were planned.
        left: the shards that were taken out of it, as they were: of a killed run, some may still be in the store.
        heirs: for those of them that another shard replaced, which.
    """

    version: int = -1
    shards: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    left: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    heirs: Mapping[str, str] = field(default_factory=dict)

    def holders(self, keys: Iterable[str]) -> dict[str, str]:
        """The shards of those of some keys that the plan has. Reads the keys of the shards that may have them."""
        wanted = sorted(set(keys))
        found: dict[str, str] = {}
        for shard, entries in self.shards.items():
            known = extent(entries)
            inside = wanted[bisect_left(wanted, known.first_key) : bisect_right(wanted, known.last_key)]
            if inside:
                theirs = set(keys_of(entries))
                found |= {key: shard for key in inside if key in theirs}
        return found


def read(files: Files, log: Log, source: str) -> StoredPlan:
    """A source's plan as of the log's last refresh: its increments, replayed.

    Raises:
        StoreError: an increment is damaged.
    """
    increments = [entry for entry in log.live().values() if entry.values["source"] == source]
    shards: dict[str, Sequence[Entry]] = {}
    left: dict[str, Sequence[Entry]] = {}
    heirs: dict[str, str | None] = {}
    numbered = [entry for entry in increments if entry.values["holds"] == "shards"]
    for increment in sorted(numbered, key=lambda entry: int(entry.values["version"])):
        rows = _increment(files, f"{PLANS}/{increment.name}")
        told = (rows.column(name).to_pylist() for name in ("op", "shard", "heir"))
        for at, (op, shard, heir) in enumerate(zip(*told, strict=True)):
            if op == "remove":
                left[shard], heirs[shard] = shards.pop(shard, []), heir
            else:
                shards[shard] = ShardEntries(files, rows, at)
    gone = {shard: entries for shard, entries in left.items() if shard not in shards}
    known = {shard: heir for shard, heir in heirs.items() if heir is not None and shard in gone}
    return StoredPlan(log.transaction(_app(source)), shards, gone, known)


def _increment(files: Files, path: str) -> pa.RecordBatch:
    rows = read_rows(files, path)
    if rows.schema.names != SHARDS.names:
        raise StoreError(f"{files.url}/{path} is no increment of a plan: it has the columns {rows.schema.names}")
    batches = rows.cast(SHARDS).combine_chunks().to_batches()
    return batches[0] if batches else pa.RecordBatch.from_pylist([], schema=SHARDS)


def commit(
    files: Files,
    log: Log,
    source: str,
    version: int,
    *,
    add: Mapping[str, Sequence[Entry]],
    remove: Sequence[str],
    heirs: Mapping[str, str],
) -> int:
    """Record the next increment of a plan; returns its version.

    Args:
        files: the store.
        log: of its plans.
        source: whose plan.
        version: that of the plan when it was read.
        add: new shards, with their entries.
        remove: shards that leave.
        heirs: for some of these, which shard takes over their entries.

    Raises:
        CommitConflict: another run planned this source since: read its plan, and divide only the rest.
    """
    log.refresh()
    _check(log, source, version)
    following = version + 1
    stem = f"{following}-{fingerprint(source, list(remove), list(add))}"
    written, rows = write_entries(files, stem, add)
    gone = [{"op": "remove", "shard": shard, "heir": heirs.get(shard)} for shard in remove]
    record(files, log, source, following, pa.Table.from_pylist([*gone, *rows], schema=SHARDS), written)
    return following


def record(files: Files, log: Log, source: str, version: int, shards: pa.Table, written: Sequence[Written]) -> None:
    """Record an increment whose entries are written.

    Args:
        files: the store.
        log: of its plans.
        source: whose plan.
        version: the increment's.
        shards: rows of `SHARDS`, removals first.
        written: the files of the entries.

    Raises:
        CommitConflict: another run planned this source since.
    """
    names = shards.column("shard").to_pylist()
    path, size, digest = write_rows(files, PLANS, f"{version}-{fingerprint(source, names)}", shards)
    known = {"source": source, "version": str(version)}
    first = Logged(path.rpartition("/")[2], size, shards.num_rows, known | {"holds": "shards", "digest": digest})
    others = [Logged(f.name, f.size_bytes, f.rows, known | {"holds": "entries", "digest": f.digest}) for f in written]

    def decide(_: Mapping[str, Logged]) -> tuple[list[Logged], list[Logged]]:
        _check(log, source, version - 1)
        return [first, *others], []

    if not log.commit(decide, delta_schema(PLANS, {}), txn=(_app(source), version)):
        raise CommitConflict(f"the plan of source {source!r} has another version {version} by now")


def _check(log: Log, source: str, version: int) -> None:
    if (newest := log.transaction(_app(source))) != version:
        raise CommitConflict(f"the plan of source {source!r} is at version {newest} by now, not at {version}")


def _app(source: str) -> str:
    return f"plan:{source}"
