"""Delta tables as a log of files, read and written straight: a commit costs what it changes, however much is live.

deltalake builds all of a table's state anew for each commit: seconds, where 100,000 files are live. A commit log needs
little of the protocol: the actions add, remove, txn, metaData and protocol, and checkpoints of one file. Tables are
made, widened and checkpointed by deltalake.

The protocol: https://github.com/delta-io/delta/blob/master/PROTOCOL.md
"""

from __future__ import annotations

import json
import os
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import quote, unquote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mmdata.errors import SchemaMismatch
from mmdata.store.files import Files
from mmdata.store.layout import LOG
from mmdata.store.live import Live, Logged, form

CHECKPOINT = "_last_checkpoint"
READ_AT_ONCE = 16  # commits, from places where each is a request
_NEWEST_READER, _NEWEST_WRITER = 1, 2  # of the protocol, without table features
_PICKED = ("path", "size", "partitionValues", "stats")


@dataclass(frozen=True)
class State:
    """A version of a table.

    Args:
        version: its number. live: its files.
        transactions: the newest version of each application's.
        columns: the table's schema, as JSON.
        summed_up: the version of the newest checkpoint; -1 where there is none.
        n_changes: of files, since then.
    """

    version: int
    live: Live
    transactions: Mapping[str, int] = field(default_factory=dict)
    columns: str = ""
    summed_up: int = -1
    n_changes: int = 0


def newest(files: Files, folder: str, logged: Sequence[str], state: State | None) -> State | None:
    """The newest version of a table; None where there is no table.

    Args:
        files: the store.
        folder: the table's.
        logged: its partition columns.
        state: a version that was read before: what came since is read.

    Raises:
        SchemaMismatch: another program changed the table in a way that this one does not understand.
    """
    while True:
        if state is None:
            state = _checkpoint(files, folder, logged)
        for number, text in _commits(files, folder, state.version + 1 if state else 0):
            state = _following(state or State(-1, Live(form(logged).empty_table())), number, text, logged, folder)
        if state is None:
            return None
        summed_up = _summed_up(files, folder)
        if state.summed_up < summed_up <= state.version:  # by another writer
            return replace(state, summed_up=summed_up, n_changes=0)
        if summed_up <= state.version:
            return state
        state = None  # the commits since were swept, as a checkpoint sums them up


def _summed_up(files: Files, folder: str) -> int:
    """The version of the newest checkpoint; -1 where there is none."""
    try:
        value = json.loads(files.read(f"{folder}/{LOG}/{CHECKPOINT}"))
        return int(value["version"]) if "parts" not in value and "v2Checkpoint" not in value else -1
    except (FileNotFoundError, NotADirectoryError):
        return -1
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaMismatch(f"{files.url}/{folder}/{LOG}/{CHECKPOINT} is damaged: {error}") from error


def _checkpoint(files: Files, folder: str, logged: Sequence[str]) -> State | None:
    """The version that the newest checkpoint sums up."""
    version = _summed_up(files, folder)
    if version < 0:
        return None
    columns = [f"add.{name}" for name in _PICKED]
    columns += ["txn.appId", "txn.version", "metaData.schemaString", "metaData.partitionColumns"]
    columns += ["protocol.minReaderVersion", "protocol.minWriterVersion"]
    with files.open(f"{folder}/{LOG}/{version:020}.checkpoint.parquet") as opened:
        rows = pq.ParquetFile(opened).read(columns=columns)
    told = _present(rows, "metaData")[0]
    _check(told["partitionColumns"], logged, folder)
    _check_protocol(_present(rows, "protocol")[0], folder)
    marks = {mark["appId"]: mark["version"] for mark in _present(rows, "txn")}
    return State(version, Live(_listed(rows.column("add"), logged)), marks, told["schemaString"], version)


def _present(rows: pa.Table, action: str) -> list[dict[str, Any]]:
    """The actions of a kind, of which there are few."""
    column = rows.column(action)
    places = np.flatnonzero(column.is_valid().to_numpy())
    return column.take(pa.array(places)).to_pylist()  # type: ignore[no-any-return]


def _listed(adds: pa.ChunkedArray, logged: Sequence[str]) -> pa.Table:
    """The files of a checkpoint, as `live.form` has them."""
    path, size, values, stats = (pc.struct_field(adds, name).combine_chunks() for name in _PICKED)
    there = path.is_valid()
    path, size, stats = path.filter(there), size.filter(there), stats.filter(there)
    if pc.any(pc.match_substring(path, "%")).as_py():
        path = pa.array([unquote(each) for each in path.to_pylist()], pa.string())
    told = stats.dictionary_encode()  # many files have the same number of rows
    found = pc.struct_field(pc.extract_regex(told.dictionary, r'"numRecords":\s*(?P<rows>\d+)'), "rows")
    rows = pc.fill_null(pc.cast(found, pa.int64()).take(told.indices), 0)
    each = [pc.fill_null(column, "") for column in _values(values, np.flatnonzero(there.to_numpy(False)), logged)]
    return pa.Table.from_arrays([path, size, rows, *each], schema=form(logged))


def _values(maps: pa.MapArray, there: np.ndarray, names: Sequence[str]) -> Iterator[pa.Array]:
    """The values of some keys in those maps that are there; a key that each of them has is found without search."""
    keys = maps.keys.dictionary_encode()
    codes, known = keys.indices.to_numpy(), keys.dictionary.to_pylist()
    row_of = np.repeat(np.arange(len(maps)), np.diff(maps.offsets.to_numpy()))
    for name in names:
        at = np.flatnonzero(codes == known.index(name)) if name in known else np.array([], np.int64)
        if np.array_equal(row_of[at], there):
            yield maps.items.take(pa.array(at))
        else:
            yield pc.map_lookup(maps, pa.scalar(name), "first").take(pa.array(there))


def _commits(files: Files, folder: str, first: int) -> Iterator[tuple[int, bytes]]:
    """The commits from a version on. Where each is a request, ever more are asked for at once."""
    if files.is_local:
        while (text := _commit(files, folder, first)) is not None:
            yield first, text
            first += 1
        return
    at_once = 1
    with ThreadPoolExecutor(READ_AT_ONCE) as threads:
        while True:
            for text in threads.map(lambda at: _commit(files, folder, at), range(first, first + at_once)):
                if text is None:
                    return
                yield first, text
                first += 1
            at_once = min(2 * at_once, READ_AT_ONCE)


def _commit(files: Files, folder: str, version: int) -> bytes | None:
    try:
        return files.read(_name(folder, version))
    except (FileNotFoundError, NotADirectoryError):
        return None


def _name(folder: str, version: int) -> str:
    return f"{folder}/{LOG}/{version:020}.json"


def _following(state: State, version: int, text: bytes, logged: Sequence[str], folder: str) -> State:
    """The version after a commit.

    Raises:
        SchemaMismatch: it holds what this does not understand.
    """
    adds: list[Logged] = []
    removes: list[str] = []
    marks, columns = dict(state.transactions), state.columns
    try:
        for line in text.splitlines():
            ((kind, action),) = json.loads(line).items()
            if kind == "add":
                adds.append(_logged(action, logged))
            elif kind == "remove":
                removes.append(unquote(action["path"]))
            elif kind == "txn":
                marks[action["appId"]] = action["version"]
            elif kind == "metaData":
                _check(action["partitionColumns"], logged, folder)
                columns = action["schemaString"]
            elif kind == "protocol":
                _check_protocol(action, folder)
    except (ValueError, KeyError, TypeError) as error:
        raise SchemaMismatch(f"{_name(folder, version)} is damaged: {type(error).__name__}: {error}") from error
    changes = state.n_changes + len(adds) + len(removes)
    return State(version, state.live.changed(adds, removes), marks, columns, state.summed_up, changes)


def _logged(action: Mapping[str, Any], logged: Sequence[str]) -> Logged:
    if action.get("deletionVector"):
        raise ValueError(f"rows of {action['path']!r} were deleted by another program")
    rows = json.loads(action.get("stats") or "{}").get("numRecords", 0)
    values = {name: action["partitionValues"].get(name) or "" for name in logged}
    return Logged(unquote(action["path"]), action["size"], rows, values)


def _check(have: Sequence[str], logged: Sequence[str], folder: str) -> None:
    if lacking := [name for name in logged if name not in have]:
        raise SchemaMismatch(
            f"{folder}: the log lacks {lacking[0]!r}: another mmdata made it; the samples can be read as they are, and "
            "for all else make the store anew: run its pipeline into another folder"
        )


def _check_protocol(action: Mapping[str, Any], folder: str) -> None:
    reader, writer = action["minReaderVersion"], action["minWriterVersion"]
    if reader > _NEWEST_READER or writer > _NEWEST_WRITER:
        raise SchemaMismatch(f"{folder}: another program raised the table's protocol to {reader} and {writer}")


def append(
    files: Files,
    folder: str,
    state: State,
    adds: Sequence[Logged],
    removes: Sequence[Logged],
    txn: tuple[str, int] | None,
) -> State:
    """Commit the version that follows a state.

    Args:
        files: the store.
        folder: the table's.
        state: what the change was decided on.
        adds: files that come.
        removes: files that go.
        txn: an application's name and version.

    Raises:
        FileExistsError: another writer was first.
    """
    now_ms = int(time.time() * 1000)
    info = {
        "timestamp": now_ms,
        "operation": "WRITE",
        "operationParameters": {"mode": "Append"},
        "txnId": uuid.uuid4().hex,
    }
    actions: list[Mapping[str, Any]] = [{"commitInfo": info | {"engineInfo": "mmdata"}}]
    actions += [{"txn": {"appId": txn[0], "version": txn[1], "lastUpdated": now_ms}}] if txn else []
    actions += [{"add": _add(entry, now_ms)} for entry in adds]
    actions += [{"remove": _remove(entry, now_ms)} for entry in removes]
    _create(files, _name(folder, state.version + 1), "\n".join(map(json.dumps, actions)).encode())
    marks = {**state.transactions, **({txn[0]: txn[1]} if txn else {})}
    live = state.live.changed(adds, (entry.name for entry in removes))
    changes = state.n_changes + len(adds) + len(removes)
    return replace(state, version=state.version + 1, live=live, transactions=marks, n_changes=changes)


def _create(files: Files, path: str, data: bytes) -> None:
    """Write a commit, whole or not at all; of many writers one succeeds. Raises FileExistsError for the others."""
    if not files.is_local:
        files.create(path, data)
        return
    scratch = files.scratch("commit")
    try:
        with open(scratch, "wb") as file:
            file.write(data)
        os.link(scratch, files.full(path))  # a file system without hard links can't hold a log: nothing else is sure
    finally:
        if os.path.exists(scratch):
            os.unlink(scratch)


def _add(entry: Logged, now_ms: int) -> dict[str, Any]:
    stats = json.dumps({"numRecords": entry.rows})
    return {
        "path": quote(entry.name),
        "partitionValues": _partition(entry),
        "size": entry.size_bytes,
        "modificationTime": now_ms,
        "dataChange": True,
        "stats": stats,
    }


def _remove(entry: Logged, now_ms: int) -> dict[str, Any]:
    return {
        "path": quote(entry.name),
        "deletionTimestamp": now_ms,
        "dataChange": True,
        "extendedFileMetadata": True,
        "partitionValues": _partition(entry),
        "size": entry.size_bytes,
    }


def _partition(entry: Logged) -> dict[str, str | None]:
    return {name: value or None for name, value in entry.values.items()}
