"""One sample's whole story, put together from what the store recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmdata.core.ports import Entry, Member
from mmdata.core.sample import Part
from mmdata.engine.division import entry_of
from mmdata.engine.seeking import MOST_NEAR, seek
from mmdata.errors import DataError, StoreError
from mmdata.store import selections
from mmdata.store.files import Files
from mmdata.store.store import Store

STORED, DROPPED, REJECTED, PLANNED, SPLIT, UNKNOWN = "stored", "dropped", "rejected", "not yet run", "split", "unknown"


@dataclass
class Trace:
    """What became of a key.

    Args:
        outcome: "stored", "dropped", "rejected", "split" (into `children`), "not yet run" or "unknown".
        members: its files in the source. story: sentences, in order.
        parts: what is stored of it. features: what is computed, in words.
    """

    key: str
    outcome: str = UNKNOWN
    members: Sequence[Member] = ()
    story: list[str] = field(default_factory=list)
    parts: dict[str, Part] = field(default_factory=dict)
    features: dict[str, str] = field(default_factory=dict)
    children: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        return {
            "key": self.key,
            "outcome": self.outcome,
            "source": [{"part": m.part, "pointer": m.pointer, "bytes": m.size} for m in self.members],
            "story": self.story,
            "parts": sorted(self.parts),
            "features": self.features,
            "children": self.children,
        }


def trace(store: Store, key: str) -> Trace:
    """Tell the story of a key: as the plan, the rows, the drops and the rejects have it.

    Args:
        store: where.
        key: a sample's; or one of its files, by name or pointer, where no other sample has such a one.
    """
    table = store.table(["key", "parent"], incomplete=True).to_pylist()
    found = _told(store, key, table)
    if found.outcome != UNKNOWN:
        return found
    hits = seek(store, key, [row["key"] for row in table])
    if len(hits.of_file) == 1 and hits.of_file[0] != key:
        found = _told(store, hits.of_file[0], table)
        found.story.insert(0, f"{key!r} is a file of it")
        return found
    near = [each for each in (*hits.of_file, *hits.near) if each != key][:MOST_NEAR]
    similar = f"; similar are {', '.join(dict.fromkeys(near))}" if near else ""
    found.story.append(f"the store knows no such key{similar}")
    return found


def _told(store: Store, key: str, table: Sequence[Mapping[str, Any]]) -> Trace:
    """The story of just that key. `table` holds every stored sample's key and parent."""
    found = Trace(key)
    entry, shard = planned(store, key)
    if entry is not None:
        found.outcome, found.members = PLANNED, entry.members
        found.story.append(f"planned in shard {shard}")
    _decided(store, found)
    found.children = [row["key"] for row in table if row["parent"] == key] + found.children
    if found.outcome == PLANNED and any(view.shard == shard for view in store.view().shards):
        found.outcome = SPLIT if found.children else UNKNOWN  # its shard is made
    _stored(store, found)
    return found


def planned(store: Store, key: str) -> tuple[Entry | None, str]:
    """The entry that a key is of, or of whose descendants, and its shard."""
    plan = store.plan(key.partition("/")[0])
    holders = plan.holders(_lineage(key))
    own = entry_of(key, holders)
    if own is None:
        return None, ""
    shard = holders[own]
    return next(entry for entry in plan.shards[shard] if entry.key == own), shard


def _lineage(key: str) -> Iterator[str]:
    """A key, and those that it would be a child of, a grandchild and so on."""
    yield key
    while "@" in key:
        key = key.rpartition("@")[0]
        yield key


def _decided(store: Store, found: Trace) -> None:
    """What was decided against the key, and against children of its own."""
    for row in store.drops().to_pylist():
        if _is_own(row["key"], found):
            found.outcome = DROPPED
            found.story.append(f"dropped by {row['step']}: {row['reason']}")
    for row in store.rejects().to_pylist():
        if _is_own(row["key"], found):
            found.outcome = REJECTED
            found.story.append(f"rejected in {row['step']} as {row['kind']}: {row['error']}")


def _is_own(key: str, found: Trace) -> bool:
    """Whether a key is the one that is asked for; notes it where it is a child's."""
    if key.rpartition("@")[0] == found.key:
        found.children.append(key)
    return key == found.key


def _stored(store: Store, found: Trace) -> None:
    try:
        sample = store.sample(found.key)
    except StoreError:
        return
    found.outcome = STORED
    for name in sample.parts:
        try:
            found.parts[name] = sample.parts[name]
        except DataError as error:
            found.story.append(f"part {name!r}: {error}")
    found.story += [f"{name} = {value!r}" for name, value in sample.meta.items()]
    found.features |= dict(_features(store, found.key))
    files = Files.at(store.url, store.storage_options)
    for name in selections.names(files):
        rows = selections.read(files, name).to_pylist()
        for row in rows:
            if row["key"] == found.key:
                where = f"left out: {row['reason']}" if row["reason"] else row["split"] or "selected"
                found.story.append(f"selection {name!r}: {where}{_alike(row, rows)}")


def _features(store: Store, key: str) -> Iterator[tuple[str, str]]:
    """Each feature of a stored sample in words; where its file is damaged, that."""
    shard = store.shard_of(key)
    for column in store.families:
        family = store.family_of(column)
        try:
            array = store.arrays(column, [key], incomplete=True)[0]
            if array is not None:
                yield column, _said(array)
                continue
            errors = {row["key"]: row["error"] for row in store.missing([shard.only(family)]).to_pylist()}
            yield column, errors.get(key, "none: the sample has no such part")
        except StoreError as error:
            yield column, str(error)
    yield from store.unreadable.items()


def _alike(row: Mapping[str, Any], rows: Sequence[Mapping[str, Any]]) -> str:
    """Of which selected samples one is a duplicate that a rule of dedup left out, in words."""
    reason = row["reason"] or ""
    if not reason.startswith("dedup.") or reason.endswith(".against") or row["cluster"] is None:
        return ""
    kept = [other["key"] for other in rows if other["cluster"] == row["cluster"] and not other["reason"]]
    return f", a duplicate of {', '.join(kept[:5])}" if kept else ""


def _said(array: np.ndarray) -> str:
    if array.ndim == 0:
        return f"{array.item():.6g}" if array.dtype.kind == "f" else str(array.item())
    return (
        f"{array.dtype} {list(array.shape)}, {np.nanmin(array):.4g} to {np.nanmax(array):.4g}"
        if array.size
        else "empty"
    )
