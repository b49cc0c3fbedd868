"""What was run: a row a run, and the recipes that say which features belong to which samples."""

from __future__ import annotations

import json
import os
import platform
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa

from mmdata.errors import StoreError
from mmdata.store.files import Files
from mmdata.store.layout import RUNS
from mmdata.store.log import Log, Logged
from mmdata.store.parquet import read_rows, write_rows
from mmdata.store.tables import FILES, delta_schema


@dataclass(frozen=True)
class Recipe:
    """Which files of a run belong together: the samples' fingerprint, and each feature family's."""

    samples: str
    features: Mapping[str, str] = field(default_factory=dict)

    def to_json(self) -> str:
        return json.dumps({"samples": self.samples, "features": dict(self.features)}, sort_keys=True)

    @classmethod
    def from_json(cls, text: str) -> Recipe:
        value = json.loads(text)
        return cls(value["samples"], value["features"])


def recipes(log: Log) -> list[Recipe]:
    """The recipes of all runs, the newest run's first; as of the log's last refresh, without reading a file."""
    entries = sorted(log.live().values(), key=lambda entry: entry.values["run"], reverse=True)
    return [Recipe.from_json(text) for text in dict.fromkeys(entry.values["recipe"] for entry in entries)]


def start(
    files: Files,
    log: Log,
    *,
    command: str,
    recipe: Recipe,
    pipeline: Mapping[str, Any],
    code_version: str,
    machine: Mapping[str, Any],
) -> str:
    """Record that a run begins, before any data of it is committed; returns its id. Ids sort by time."""
    now = datetime.now(UTC)
    run = f"{now:%Y%m%dT%H%M%S.%f}-{uuid.uuid4().hex[:8]}"
    row = {
        "started": now.isoformat(),
        "finished": None,
        "command": command,
        "pipeline": json.dumps(dict(pipeline), sort_keys=True),
        "code_version": code_version,
        "counts": None,
        "seconds": None,
        "machine": json.dumps(dict(machine), sort_keys=True),
    }
    entry = _written(files, run, "started", recipe.to_json(), row)
    log.commit(lambda live: ([] if entry.name in live else [entry], []), delta_schema(RUNS, {}))
    return run


def finish(files: Files, log: Log, run: str, *, counts: Mapping[str, Any], seconds: float) -> None:
    """Record how a run ended.

    Raises:
        StoreError: no run of that id was started.
    """
    log.refresh()
    before = next((entry for entry in log.live().values() if entry.values["run"] == run), None)
    if before is None:
        raise StoreError(f"no run {run!r} was started in {files.url!r}")
    row = read_rows(files, f"{RUNS}/{before.name}").to_pylist()[0]
    row |= {
        "finished": datetime.now(UTC).isoformat(),
        "counts": json.dumps(dict(counts), sort_keys=True),
        "seconds": seconds,
    }
    after = _written(files, run, "finished", before.values["recipe"], row)
    log.commit(lambda live: ([after], [before]) if before.name in live else ([], []), delta_schema(RUNS, {}))


def going_on(files: Files, log: Log) -> Iterator[tuple[str, bool, datetime]]:
    """Run, whether its process lives on this machine, and when it began, of each that did not end.

    One of this machine whose process is gone was killed and is not among them; of another machine's that is not known
    here: `pulse.going_on` tells by its signs of life.
    """
    for entry in log.live().values():
        if entry.values["state"] != "started":
            continue
        row = read_rows(files, f"{RUNS}/{entry.name}").to_pylist()[0]
        machine = json.loads(row["machine"])
        host, is_here = machine.get("host"), machine.get("host") == platform.node()
        if host is not None and (not is_here or _lives(machine.get("pid"))):
            yield entry.values["run"], is_here, datetime.fromisoformat(row["started"])


def _lives(pid: object) -> bool:
    if not isinstance(pid, int):
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _written(files: Files, run: str, state: str, recipe: str, row: Mapping[str, object]) -> Logged:
    table = pa.Table.from_pylist([dict(row)], schema=FILES[RUNS])
    path, size, digest = write_rows(files, RUNS, f"{run}-{state}", table)
    return Logged(path.rpartition("/")[2], size, 1, {"run": run, "state": state, "recipe": recipe, "digest": digest})


def table(files: Files, log: Log) -> pa.Table:
    """All runs, the oldest first: run, state, recipe and the columns of the table."""
    rows = []
    for entry in sorted(log.live().values(), key=lambda entry: entry.values["run"]):
        known = {name: entry.values[name] for name in ("run", "state", "recipe")}
        rows += [known | row for row in read_rows(files, f"{RUNS}/{entry.name}").to_pylist()]
    schema = pa.schema([("run", pa.string()), ("state", pa.string()), ("recipe", pa.string()), *FILES[RUNS]])
    return pa.Table.from_pylist(rows, schema=schema)
