"""Whether a store is what its log says: every file's size and digest, every tar's members, every family's rows."""

from __future__ import annotations

import tarfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import pyarrow as pa

from mmdata.core.fingerprint import keys_digest
from mmdata.errors import StoreError
from mmdata.store import read, snapshots
from mmdata.store.files import Files
from mmdata.store.layout import SAMPLES, DataFile, Media
from mmdata.store.media import safe_key, suffixes
from mmdata.store.store import Store
from mmdata.store.view import ShardView


@dataclass(frozen=True)
class Fault:
    """What is wrong with a file: its path in the store, and what a person is told."""

    path: str
    error: str


@dataclass
class Verified:
    """What was checked and found.

    Args:
        n_files, n_bytes: how much was read. n_samples: rows of live shards.
        faults: what is wrong.
        lacking: by feature family, how many shards have no file of it; that is no fault.
        damaged: the data files that have faults: remove them from the log, and the next run makes them again.
    """

    n_files: int = 0
    n_bytes: int = 0
    n_samples: int = 0
    faults: list[Fault] = field(default_factory=list)
    lacking: dict[str, int] = field(default_factory=dict)
    damaged: list[DataFile] = field(default_factory=list)

    @property
    def is_sound(self) -> bool:
        return not self.faults


def verify(store: Store) -> Verified:
    """Check all that is live or pinned by a snapshot. Reads every byte."""
    files = Files.at(store.url, store.storage_options)
    view, found = store.view(), Verified()
    live = view.files()
    for file in {file.path: file for file in [*live, *snapshots.pinned(files)]}.values():
        _check(found, file, _bytes_faults(files, file, found))
    seen: dict[str, str] = {}
    bad = {file.path for file in found.damaged}
    for shard in view.shards:
        found.n_samples += shard.rows
        if shard.samples.path not in bad:
            _check(found, shard.samples, _shard_faults(files, shard, seen))
        for feature in shard.features.values():
            if feature.path not in bad:
                _check(found, feature, _row_faults(files, feature))
    found.lacking = {family: len(lacking) for family in view.families if (lacking := view.lacking(family))}
    return found


def _check(found: Verified, file: DataFile, faults: Iterable[Fault]) -> None:
    there = list(faults)
    found.faults += there
    if there and file not in found.damaged:
        found.damaged.append(file)


def _bytes_faults(files: Files, file: DataFile, found: Verified) -> Iterator[Fault]:
    for item in (file, file.media):
        if item is not None:
            found.n_files += 1
            found.n_bytes += item.size_bytes
            yield from _digest_faults(files, item)


def _digest_faults(files: Files, item: DataFile | Media) -> Iterator[Fault]:
    try:
        size, digest = files.measure(item.path)
    except FileNotFoundError:
        yield Fault(item.path, "it is gone")
    except OSError as error:
        yield Fault(item.path, f"it can't be read: {error}")
    else:
        if size != item.size_bytes:
            yield Fault(item.path, f"it has {size} bytes, the log says {item.size_bytes}")
        elif digest != item.digest:
            yield Fault(item.path, f"its bytes changed: the digest is {digest}, the log says {item.digest}")


def _row_faults(files: Files, file: DataFile) -> Iterator[Fault]:
    """Rows against the log."""
    try:
        keys = read.keys(files, file)
    except StoreError as error:
        yield Fault(file.path, str(error))
        return
    if len(keys) != file.rows:
        yield Fault(file.path, f"it has {len(keys)} rows, the log says {file.rows}")
    elif (digest := keys_digest(keys)) != file.keys:
        yield Fault(file.path, f"its keys have the digest {digest}, the log says {file.keys}")


def _shard_faults(files: Files, shard: ShardView, seen: dict[str, str]) -> Iterator[Fault]:
    """Rows against the log, keys against those of other shards, and offsets against the tar's members."""
    yield from _row_faults(files, shard.samples)
    rows = read.open_rows(files, shard.samples, ["key", "parts"])
    for key in rows.column("key").to_pylist():
        if key in seen:
            yield Fault(shard.samples.path, f"key {key!r} is in shard {seen[key]}, too")
        seen[key] = shard.shard
    if shard.samples.media is not None:
        yield from _tar_faults(files, shard.samples.media.path, rows)


def _tar_faults(files: Files, path: str, rows: pa.Table) -> Iterator[Fault]:
    try:
        with files.open(path) as raw, tarfile.open(fileobj=raw) as tar:
            members = {member.name: (member.offset_data, member.size) for member in tar}
    except (OSError, tarfile.TarError) as error:
        yield Fault(path, f"it is no sound tar: {error}")
        return
    for row in rows.to_pylist():
        base = safe_key(row["key"])
        stored = [part for part in row["parts"] if part["offset"] is not None]
        for part, suffix in zip(stored, suffixes((p["name"], p["extension"]) for p in stored), strict=True):
            if members.pop(f"{base}.{suffix}", None) != (part["offset"], part["length"]):
                yield Fault(path, f"{base}.{suffix} is not at byte {part['offset']} with {part['length']} bytes")
        if members.pop(f"{base}.json", None) is None:
            yield Fault(path, f"{base}.json is not there")
    if members:
        yield Fault(path, f"no row has {next(iter(members))!r}, nor {len(members) - 1} other members")


def forget(store: Store, found: Verified) -> None:
    """Take damaged files out of the log, so that the next run makes them again; the files go when `gc` comes.

    With a samples file go the features and drops of its shard, as nothing joins them any more.
    """
    from mmdata.store.commits import Change

    shards = {file.shard for file in found.damaged if file.family == SAMPLES}
    gone = {file.path: file for file in found.damaged}
    for view in store.view().shards:
        if view.shard in shards:
            gone |= {file.path: file for file in (*view.features.values(), view.drops, view.rejects) if file}
    live = {file.path for family in {file.family for file in gone.values()} for file in store.files(family)}
    store.commit([Change(file.family, remove=[file]) for file in gone.values() if file.path in live])
