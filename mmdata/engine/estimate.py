"""How long a run will take and how large its files will be: measured rates times what is to be done."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any

from mmdata.codec.decoders import decoder_name
from mmdata.core.pipeline import Family, Pipeline, RunSettings
from mmdata.core.sample import Blob
from mmdata.engine.devices import usual_workers
from mmdata.engine.look import Look, look
from mmdata.engine.measure import MEDIA, STEPS_OF_ALL, NotMeasured, Rates, recorded, tried
from mmdata.engine.options import RunOptions
from mmdata.engine.todo import Todo
from mmdata.store.layout import SAMPLES

TRIED = 20  # samples, where it is not said
START_S = 2.0  # a worker's start: the interpreter, imports and the first look into the store


@dataclass
class Cost:
    """What a family costs: seconds of one worker, and bytes."""

    seconds: float = 0.0
    bytes: float = 0.0


@dataclass
class Estimate:
    """What a run is likely to take.

    Args:
        basis: what the figures rest on, in words. lacking: steps whose time nobody knows; they are left out.
        families: by "samples" (with reading, ingest steps and storing), "media" and feature.
        start_s: before the first shard, models loaded. wall_s: from beginning to end, with `workers` workers, on a
            machine as busy as when it was measured. cpu_s: of `worker_s`, what the processor works; None if unknown.
    """

    basis: str
    workers: int
    families: dict[str, Cost] = field(default_factory=dict)
    lacking: list[str] = field(default_factory=list)
    start_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float | None = None

    @property
    def worker_s(self) -> float:
        """Seconds of work, all workers together."""
        return sum(cost.seconds for cost in self.families.values())

    @property
    def bytes(self) -> float:
        return sum(cost.bytes for cost in self.families.values())

    def to_json(self) -> dict[str, Any]:
        families = {
            name: {"seconds": round(cost.seconds, 2), "bytes": round(cost.bytes)}
            for name, cost in self.families.items()
        }
        return {
            "basis": self.basis,
            "workers": self.workers,
            "worker_seconds": round(self.worker_s, 2),
            "cpu_seconds": None if self.cpu_s is None else round(self.cpu_s, 2),
            "wall_seconds": round(self.wall_s, 2),
            "bytes": round(self.bytes),
            "families": families,
            "lacking": self.lacking,
        }


def planned(
    pipeline: Pipeline, store_url: str, options: RunOptions, *, workers: int | None = None, n: int | None = None
) -> tuple[Todo, Estimate | None]:
    """What a run would do, and what that will take; see `estimate`. Nothing is written to the store."""
    started = perf_counter()
    found = look(pipeline, store_url, options, commit=False)
    look_s = perf_counter() - started
    workers = workers or usual_workers((family.step for family in found.compiled.families), options.settings)
    return found.todo, estimate(found, options.settings, workers=workers, n=n, look_s=look_s)


def estimate(
    found: Look, settings: RunSettings, *, workers: int, n: int | None, look_s: float = 0.0
) -> Estimate | None:
    """What the work that a look found will take; None when there is none.

    Args:
        found: what is to be done.
        settings: of the run.
        workers: how many.
        n: samples to be tried in any case; 0 tries none. None tries some where the store's runs do not tell enough, and
            the source is no server of others.
        look_s: how long the look took: a run begins with one.
    """
    if not found.todo.jobs:
        return None
    wanted = [family for family in found.compiled.families if found.todo.families.get(family.name)]
    families = [family for family in wanted if found.todo.families[family.name].shards]
    names = [family.name for family in families]
    rates = recorded(found.store, names)
    basis = f"this store's runs, of {rates.samples} samples"
    lacking = _lacking(found, families, rates)
    failed = "; --measure N tries some samples"
    is_cheap = not getattr(found.source, "fetches", False)
    if n or (n is None and lacking and is_cheap):
        try:
            now = tried(found, n or TRIED, names, settings)
        except NotMeasured as error:
            basis, failed = f"{basis}; a try failed: {error}", f"; a try failed: {error}"
        else:
            rates, basis = now, f"{now.samples} samples, tried just now"
            lacking = _lacking(found, families, rates)
    if rates.rest_s is None and not rates.call_s:
        return Estimate(f"nothing: no run is recorded{failed}", workers, lacking=lacking)
    result = Estimate(basis, workers, lacking=lacking)
    _samples(result, found, rates)
    for family in families:
        _feature(result, found.todo, family, rates, samples_too=found.todo.entries_made > 0)
    result.cpu_s = None if rates.cpu_share is None else result.worker_s * rates.cpu_share
    result.start_s = look_s + START_S + sum(rates.load_s.values())
    result.wall_s = result.start_s + _makespan(found.todo, result.worker_s, workers)
    return result


def _lacking(found: Look, families: Sequence[Family], rates: Rates) -> list[str]:
    """The steps that will be called, and whose time is not known."""
    needed = [family.step.name for family in families]
    if found.todo.entries_made:
        needed = [*(placed.label for placed in found.compiled.steps), *STEPS_OF_ALL, *needed]
    return [name for name in dict.fromkeys(needed) if name not in rates.call_s]


def _samples(result: Estimate, found: Look, rates: Rates) -> None:
    """Reading, ingest steps, storing, and what no step accounts for."""
    todo = found.todo
    labels = {placed.label for placed in found.compiled.steps} | {*STEPS_OF_ALL}
    takes = {family.step.takes for family in found.compiled.families if family.step.on is not None}
    decoders = {decoder_name(kind) for kind in takes - {Blob, object}} & rates.calls.keys()  # for features alone
    a_sample = sum(
        rates.call_s[name] * rates.calls.get(name, 1.0) for name in labels | decoders if name in rates.call_s
    )
    made = todo.entries_made
    cost = result.families.setdefault(SAMPLES, Cost())
    cost.seconds = a_sample * made + (rates.rest_s or 0.0) * todo.entries_todo
    rows, shards = made * (rates.stored or 0.0), sum(lack.samples for lack in todo.jobs.lacks)
    for name in (SAMPLES, MEDIA) if made else ():
        each = result.families.setdefault(name, Cost())
        each.bytes = rows * rates.row_bytes.get(name, 0.0) + shards * rates.file_bytes.get(name, 0.0)


def _feature(result: Estimate, todo: Todo, family: Family, rates: Rates, *, samples_too: bool) -> None:
    plan = todo.families[family.name]
    share = min(1.0, rates.stored or 1.0) if samples_too else 1.0
    step = family.step
    a_row = rates.call_s.get(step.name, 0.0)
    if not samples_too and step.on is not None and step.takes not in (Blob, object):
        a_row += rates.call_s.get(decoder_name(step.takes), 0.0)
    cost = result.families.setdefault(family.name, Cost())
    cost.seconds = plan.rows * share * a_row
    rows = (plan.rows + plan.gathered) * share
    cost.bytes = rows * rates.row_bytes.get(family.name, 0.0) + plan.shards * rates.file_bytes.get(family.name, 0.0)


def _makespan(todo: Todo, worker_s: float, workers: int) -> float:
    """How long workers need when each takes the next shard as it is done with one; a shard costs by its samples."""
    total = sum(lack.entries for lack in todo.jobs.lacks)
    busy = [0.0] * max(1, min(workers, len(todo.jobs)))
    for lack in todo.jobs.lacks:
        heapq.heapreplace(busy, busy[0] + worker_s * lack.entries / max(1, total))
    return max(busy)
