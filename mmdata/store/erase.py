"""Taking every trace of samples out of a store's files, when nothing live speaks of them any more."""

from __future__ import annotations

import json
import tarfile
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pyarrow as pa

from mmdata.store import selections, snapshots
from mmdata.store.entries import SHARDS, ShardEntries, keys_of, write_entries
from mmdata.store.files import Files, Listed
from mmdata.store.forgotten import Sought
from mmdata.store.layout import MEDIA, PLANS, RUNS, SCRATCH, SELECTIONS, folder
from mmdata.store.log import Log, Logged
from mmdata.store.media import key_of
from mmdata.store.parquet import read_rows, write_rows
from mmdata.store.tidy import families, live_paths

_KEYS = ("key", "first_key", "last_key")
IN_PLACE_OF_IT = "[forgotten]"


def erase_files(files: Files, sought: Sought, suspects: Callable[[str], bool]) -> list[str]:
    """Delete the files that nothing needs and that hold a sample that is sought, and all that was being written.

    Args:
        files: the store's.
        sought: what to look for.
        suspects: whether a shard's files are to be looked into.

    Returns:
        Their paths.
    """
    tables = families(files)
    kept = {path for family in tables for path in live_paths(files, family)} | set(snapshots.pinned_paths(files))
    gone = [listed.path for listed in files.listing(SCRATCH)]
    for family in tables:
        idle = [listed for listed in files.listing(folder(family)) if listed.path not in kept]
        gone += [listed.path for listed in idle if _holds(files, family, listed, sought, suspects)]
    tars = [each for each in files.listing(MEDIA) if each.path not in kept and each.path.endswith(".tar")]
    gone += [tar.path for tar in tars if suspects(_shard(tar)) and _in_tar(files, tar.path, sought)]
    for path in gone:
        files.delete(path)
    return gone


def _shard(listed: Listed) -> str:
    return listed.path.rpartition("/")[2].partition("-")[0]


def _holds(files: Files, family: str, listed: Listed, sought: Sought, suspects: Callable[[str], bool]) -> bool:
    if not listed.path.endswith(".parquet"):
        return False
    if family not in (PLANS, RUNS) and not family.startswith(f"{SELECTIONS}/") and not suspects(_shard(listed)):
        return False
    try:
        rows = read_rows(files, listed.path)
    except FileNotFoundError:
        return False
    except (pa.ArrowInvalid, OSError):
        return True  # what it holds can't be told, and nothing needs it
    if family == RUNS:
        return any(_tells(text, sought) for text in _texts(rows))
    named = [name for name in _KEYS if name in rows.column_names]
    return any(sought.any(key for key in rows.column(name).to_pylist() if key is not None) for name in named)


def _in_tar(files: Files, path: str, sought: Sought) -> bool:
    try:
        with files.open(path) as raw, tarfile.open(fileobj=raw) as tar:
            return any(sought(key_of(member.name.partition(".")[0])) for member in tar)
    except FileNotFoundError:
        return False
    except (OSError, tarfile.TarError):
        return True


# ---- selections


def rewritten_selections(files: Files, sought: Sought) -> list[str]:
    """Put selections without the samples in the place of those that have them; returns their names."""
    done = []
    for name in selections.names(files):
        rows = selections.read(files, name)
        stay = [not sought(key) for key in rows.column("key").to_pylist()]
        if not all(stay):
            selections.write(files, name, rows.filter(pa.array(stay)), fp=selections.fp_of(files, name))
            done.append(name)
    return done


# ---- what runs told


def erase_runs(files: Files, sought: Sought) -> None:
    """Cross the keys out where a run's record tells them: in its command, say."""
    log = Log(files, RUNS)
    log.refresh()
    for entry in list(log.live().values()):
        rows = read_rows(files, f"{RUNS}/{entry.name}")
        if not any(_tells(text, sought) for text in _texts(rows)):
            continue
        columns = [
            pa.array([_crossed_out(value, sought) for value in rows.column(field.name).to_pylist()], field.type)
            if pa.types.is_string(field.type)
            else rows.column(field.name)
            for field in rows.schema
        ]
        made = pa.Table.from_arrays(columns, schema=rows.schema)
        path, size, digest = write_rows(files, RUNS, entry.name.removesuffix(".parquet"), made)
        values = {**entry.values, "digest": digest}
        _exchange(log, [entry.name], [Logged(path.rpartition("/")[2], size, entry.rows, values)])
        files.delete(f"{RUNS}/{entry.name}")


def _texts(rows: pa.Table) -> Iterator[str]:
    for field in rows.schema:
        if pa.types.is_string(field.type):
            yield from (value for value in rows.column(field.name).to_pylist() if value is not None)


def _forms(key: str) -> set[str]:
    """A key as it stands in text, and within JSON."""
    return {key, json.dumps(key)[1:-1], json.dumps(key, ensure_ascii=False)[1:-1]}


def _tells(text: str, sought: Sought) -> bool:
    return any(form in text for key in sought.keys for form in _forms(key))


def _crossed_out(text: str | None, sought: Sought) -> str | None:
    for key in sorted(sought.keys, key=len, reverse=True) if text is not None else ():
        for form in _forms(key):
            text = text.replace(form, IN_PLACE_OF_IT) if text is not None else None
    return text


# ---- the plan's history


def erase_plans(files: Files, source: str, sought: Sought) -> None:
    """Write those increments of a source's plan anew that tell of the samples, in the place of the old ones.

    The plan's version stays, and so do the ids of former shards: they only lose the entries.
    """
    log = Log(files, PLANS)
    log.refresh()
    entries = [entry for entry in log.live().values() if entry.values["source"] == source]
    for entry in entries:
        if entry.values["holds"] == "shards":
            _erase_increment(files, log, entry, sought)


def _erase_increment(files: Files, log: Log, entry: Logged, sought: Sought) -> None:
    batches = read_rows(files, f"{PLANS}/{entry.name}").cast(SHARDS).combine_chunks().to_batches()
    if not batches:
        return
    rows: list[dict[str, Any]] = batches[0].to_pylist()
    within: dict[str, list[int]] = defaultdict(list)
    for at, row in enumerate(rows):
        if row["op"] == "add" and row["file"] is not None:
            within[row["file"]].append(at)
    adds: list[Logged] = []
    removes: list[str] = []
    for name, places in within.items():
        held = {at: ShardEntries(files, batches[0], at) for at in places}
        if not any(sought.any(keys_of(theirs)) for theirs in held.values()):
            continue
        left = {rows[at]["shard"]: [each for each in theirs if not sought(each.key)] for at, theirs in held.items()}
        written, made = write_entries(files, name.removesuffix(".parquet"), left)
        for at, row in zip(places, made, strict=True):
            rows[at] = row
        known = {**entry.values, "holds": "entries"}
        adds += [Logged(w.name, w.size_bytes, w.rows, {**known, "digest": w.digest}) for w in written]
        removes.append(name)
    if not removes:
        return
    shards = pa.Table.from_pylist(rows, schema=SHARDS)
    path, size, digest = write_rows(files, PLANS, entry.name.removesuffix(".parquet"), shards)
    adds.append(Logged(path.rpartition("/")[2], size, len(rows), {**entry.values, "digest": digest}))
    _exchange(log, [entry.name, *removes], adds)
    for name in (entry.name, *removes):
        files.delete(f"{PLANS}/{name}")


def _exchange(log: Log, old: Sequence[str], new: Sequence[Logged]) -> None:
    """Put files of a log in the place of others, in one commit."""
    log.commit(
        lambda live: (
            [each for each in new if each.name not in live],
            [live[name] for name in old if name in live],
        ),
        None,
    )
