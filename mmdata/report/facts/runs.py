"""What a store's runs were: recipes, versions, and where their time went."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

WHOLE = "shard"  # the name under which a run records all that its workers did
STAGES = {"source": "read", "store": "write"}
IDLE = "idle"


@dataclass(frozen=True)
class StepTime:
    """A step's part in a run.

    Args:
        step: its name, or "source" and "store". stage: "read", "decode", "compute" or "write", what it mostly is.
        n: calls. seconds: of work. share: of all workers' time, 0 to 1.
    """

    step: str
    stage: str
    n: int
    seconds: float
    share: float


@dataclass(frozen=True)
class RunFacts:
    """One run.

    Args:
        run: its id. state: "started" (and not ended) or "finished". started, finished: ISO 8601, UTC.
        command: of mmdata. version: of mmdata. machine: what it ran on. location: the source, where it was given.
        pipeline: the file's text; "" where it was made in Python. recipe: fingerprints by family.
        counts: the balance. seconds: on the clock. times: by step, the longest first.
        bottleneck: what most of the workers' time went to; None where next to nothing was done.
    """

    run: str
    state: str
    started: str
    finished: str | None
    command: str
    version: str
    seconds: float | None
    pipeline: str = ""
    location: str | None = None
    machine: Mapping[str, Any] = field(default_factory=dict)
    recipe: Mapping[str, str] = field(default_factory=dict)
    counts: Mapping[str, Any] = field(default_factory=dict)
    times: Sequence[StepTime] = ()
    bottleneck: StepTime | None = None


def runs(table: pa.Table) -> list[RunFacts]:
    """All runs, the oldest first, of the table that `Store.runs` gives."""
    return [_run(row) for row in table.to_pylist()]


def newest_pipeline(found: Sequence[RunFacts]) -> str:
    """The text of the newest pipeline file; "" where there was none."""
    return next((run.pipeline for run in reversed(found) if run.pipeline), "")


def longest(found: Sequence[RunFacts]) -> RunFacts | None:
    """The newest run that did most of a store's work: one that spent at least half of what any did; None without."""
    spent = [sum(time.seconds for time in run.times) for run in found]
    most = max(spent, default=0.0)
    return next((run for run, s in zip(reversed(found), reversed(spent), strict=True) if most and s >= most / 2), None)


def _run(row: Mapping[str, Any]) -> RunFacts:
    pipeline, counts = _object(row["pipeline"]), _object(row["counts"])
    recipe = _object(row["recipe"])
    times = _times(counts)
    return RunFacts(
        run=row["run"],
        state=row["state"],
        started=row["started"],
        finished=row["finished"],
        command=row["command"],
        version=row["code_version"],
        seconds=row["seconds"],
        pipeline=str(pipeline.get("file") or ""),
        location=pipeline.get("source"),
        machine=_object(row["machine"]),
        recipe={"samples": str(recipe.get("samples", "")), **dict(recipe.get("features") or {})},
        counts=counts,
        times=times,
        bottleneck=_bottleneck(counts, times),
    )


def _object(text: str | None) -> dict[str, Any]:
    value = json.loads(text) if text else {}
    return value if isinstance(value, dict) else {}


def _times(counts: Mapping[str, Any]) -> list[StepTime]:
    steps = counts.get("steps") or {}
    known = {name: float(times.get("seconds", 0.0)) for name, times in steps.items() if name != WHOLE}
    whole = float((steps.get(WHOLE) or {}).get("seconds", 0.0)) or sum(known.values())
    made = [
        StepTime(name, _stage(name), int(steps[name].get("n", 0)), seconds, min(1.0, seconds / whole) if whole else 0.0)
        for name, seconds in known.items()
    ]
    return sorted(made, key=lambda time: (-time.seconds, time.step))


def _stage(step: str) -> str:
    return STAGES.get(step) or ("decode" if step.startswith("codec.") else "compute")


def _bottleneck(counts: Mapping[str, Any], times: Sequence[StepTime]) -> StepTime | None:
    """As the run itself named it; the longest step where it did not, and took a second or more."""
    named = counts.get("bottleneck") or {}
    own = [time for time in times if time.step == named.get("step")]
    return own[0] if own else next((time for time in times[:1] if time.seconds >= 1), None)
