"""The division of a source into shards, and what becomes of it when the source changes.

A shard is a fixed list of entries; its id hashes what they are and nothing else. A division is recorded in the store
before work starts and then only amended: new entries make new shards, a changed or deleted entry replaces its shard.
"""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Container, Mapping, Sequence
from dataclasses import dataclass, field, replace

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry, Scan
from mmdata.store.entries import ShardEntries, extent
from mmdata.store.plans import StoredPlan
from mmdata.store.shards import entry_of, shard_id

__all__ = ["Division", "amend", "divide", "entries_of", "entry_of", "samples_a_shard", "shard_id", "with_heirs"]

SMALLEST, LARGEST = 128, 8192  # samples a shard, where the setting leaves it to their number
SHARDS_WANTED = 64  # enough for workers to share evenly, and for a killed run to lose little


@dataclass(frozen=True)
class Division:
    """An amendment of a recorded division.

    Args:
        keep: shards that stay as they are. add: new ones. removed: those that leave, as they were.
        replaces: for a shard, the removed ones whose entries it takes over.
        new, changed, gone: how many entries.
    """

    keep: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    add: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    removed: Mapping[str, Sequence[Entry]] = field(default_factory=dict)
    replaces: Mapping[str, Sequence[str]] = field(default_factory=dict)
    new: int = 0
    changed: int = 0
    gone: int = 0

    @property
    def shards(self) -> dict[str, Sequence[Entry]]:
        """All shards that the source is divided into once the amendment is made."""
        return {**self.keep, **self.add}

    def entries(self, shard: str) -> Sequence[Entry]:
        """Those of one of the shards."""
        return self.add[shard] if shard in self.add else self.keep[shard]

    def unchanged(self, shard: str) -> frozenset[str]:
        """The keys of a shard's entries that were the same in those that it takes over."""
        replaced = self.replaces.get(shard, ())
        before = {entry.key: entry for other in replaced for entry in self.removed.get(other, ())}
        if not before:
            return frozenset()
        return frozenset(entry.key for entry in self.entries(shard) if before.get(entry.key) == entry)

    @property
    def parts(self) -> set[str]:
        """The names of all parts that entries have."""
        return {part for entries in self.shards.values() for part in extent(entries).parts}


def entries_of(scan: Scan) -> list[Entry]:
    """What a scan found, in order of key: samples, and faults as entries that will be rejected.

    A fault whose key a sample has too gets a key of its own, as both must be counted.
    """
    taken = {entry.key for entry in scan.entries}
    entries = list(scan.entries)
    for fault in scan.faults:
        key, count = fault.key, 1
        while key in taken:
            count += 1
            key = f"{fault.key}#{count}"
        taken.add(key)
        entries.append(Entry(key, (), {}, fault))
    return sorted(entries, key=lambda entry: entry.key)


def samples_a_shard(n_entries: int, settings: RunSettings) -> int:
    """How many samples a shard of a source of so many entries should have, at most."""
    return settings.shard_samples or min(max(-(-n_entries // SHARDS_WANTED), SMALLEST), LARGEST)


def divide(entries: Sequence[Entry], settings: RunSettings) -> dict[str, list[Entry]]:
    """Cut entries, in their order, into shards of like numbers, none above the limits."""
    n_shards = max(1, -(-len(entries) // samples_a_shard(len(entries), settings)))
    shards: list[list[Entry]] = []
    for index in range(n_shards):
        stretch = entries[len(entries) * index // n_shards : len(entries) * (index + 1) // n_shards]
        shards.append([])
        room = settings.shard_bytes
        for entry in stretch:
            if shards[-1] and room < entry.size:
                shards.append([])
                room = settings.shard_bytes
            shards[-1].append(entry)
            room -= entry.size
    return {shard_id(shard): shard for shard in shards if shard}


def amend(planned: Mapping[str, Sequence[Entry]], found: Sequence[Entry], settings: RunSettings) -> Division:
    """Compare what a source holds with its recorded division.

    A recorded shard's entries are read only where it is not plain from its id that nothing of it changed.

    Args:
        planned: the recorded division.
        found: what the source holds now, in order of key.
        settings: how new shards are cut.
    """
    keys = [entry.key for entry in found]
    is_planned = bytearray(len(found))
    keep: dict[str, Sequence[Entry]] = {}
    add: dict[str, Sequence[Entry]] = {}
    replaces: dict[str, Sequence[str]] = {}
    removed: dict[str, Sequence[Entry]] = {}
    changed = gone = 0
    for shard, entries in planned.items():
        if same := _unchanged(shard, entries, found, keys):
            keep[shard] = entries
            is_planned[same.start : same.stop] = b"\1" * len(same)
            continue
        places = [(entry, _place(keys, entry.key)) for entry in entries]
        fresh = [found[place] for _, place in places if place is not None]
        n_changed = sum(found[place] != entry for entry, place in places if place is not None)
        changed, gone = changed + n_changed, gone + len(entries) - len(fresh)
        for _, place in places:
            if place is not None:
                is_planned[place] = 1
        if len(fresh) == len(entries) and not n_changed:
            keep[shard] = entries
            continue
        removed[shard] = entries
        if fresh:
            add[shard_id(fresh)] = fresh
            replaces[shard_id(fresh)] = [shard]
    new = [entry for entry, known in zip(found, is_planned, strict=True) if not known]
    add |= divide(new, settings)
    return Division(keep, add, removed, replaces, len(new), changed, gone)


def _unchanged(shard: str, entries: Sequence[Entry], found: Sequence[Entry], keys: Sequence[str]) -> range | None:
    """Where the entries of a recorded shard stand among those found, when they stand together and are the same.

    The id hashes all that they are, so what has the id is the shard.
    """
    if not isinstance(entries, ShardEntries) or not len(entries):
        return None
    start = bisect_left(keys, entries.extent.first_key)
    stop = start + len(entries)
    if stop > len(keys) or keys[stop - 1] != entries.extent.last_key or shard_id(found[start:stop]) != shard:
        return None
    return range(start, stop)


def _place(keys: Sequence[str], key: str) -> int | None:
    place = bisect_left(keys, key)
    return place if place < len(keys) and keys[place] == key else None


def with_heirs(division: Division, plan: StoredPlan, stored: Container[str]) -> Division:
    """The same, also with the replacements that runs before decided on and did not finish.

    Args:
        division: an amendment of a plan.
        plan: the plan, as it is recorded by now.
        stored: the shards that have files in the store.
    """
    shards = division.shards
    before = {shard: plan.left[shard] for shard in plan.left if shard in stored and shard not in division.removed}
    heirs = {**plan.heirs, **{shard: heir for heir, replaced in division.replaces.items() for shard in replaced}}
    replaces: dict[str, list[str]] = defaultdict(list)
    for shard in [*before, *division.removed]:
        heir = heirs.get(shard)
        while heir is not None and heir not in shards:  # it was replaced in its turn
            heir = heirs.get(heir)
        if heir is not None and shard not in shards:
            replaces[heir].append(shard)
    return replace(division, removed={**before, **division.removed}, replaces=dict(replaces))
