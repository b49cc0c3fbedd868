"""Rates: what steps take and rows weigh, from a store's own runs and files, or from a try on a few samples."""

from __future__ import annotations

import json
import random
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from time import perf_counter, process_time
from typing import Any

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry
from mmdata.engine.look import Look
from mmdata.engine.reading import SOURCE
from mmdata.engine.shard import STORING, ShardJob, ShardResult, ShardWork
from mmdata.errors import MMDataError
from mmdata.store.layout import DROPS, REJECTS, SAMPLES, DataFile
from mmdata.store.store import Store

MEDIA, WHOLE = "media", "shard"
STEPS_OF_ALL = (SOURCE, STORING)
WARM_UP = 2  # samples before the clock counts: what is imported and loaded once
SHARDS_TRIED = 10


@dataclass
class Rates:
    """What work costs.

    Args:
        call_s: seconds a call of each step. calls: calls of it a sample that was read. load_s: to load its model.
        rest_s: seconds a sample beside all steps. stored: rows stored a sample that was read.
        row_bytes, file_bytes: bytes a row, and a file beside its rows, by family.
        samples: how many samples of the newest run, or of the try, this rests on.
        cpu_share: of the seconds, how many the processor worked; None where that was not measured.
    """

    call_s: dict[str, float] = field(default_factory=dict)
    calls: dict[str, float] = field(default_factory=dict)
    load_s: dict[str, float] = field(default_factory=dict)
    rest_s: float | None = None
    stored: float | None = None
    row_bytes: dict[str, float] = field(default_factory=dict)
    file_bytes: dict[str, float] = field(default_factory=dict)
    samples: int = 0
    cpu_share: float | None = None

    def learn(self, counts: Mapping[str, Any]) -> None:
        """Take from a run's counts what is not known yet."""
        read, steps = int(counts.get("read") or 0), counts.get("steps") or {}
        for name, times in steps.items():
            if name == WHOLE or not times["n"] or name in self.call_s:
                continue
            load_s = times.get("stages", {}).get("load", 0.0)
            self.call_s[name] = max(0.0, times["seconds"] - load_s) / times["n"]
            self.load_s[name] = load_s
            if read:
                self.calls[name] = times["n"] / read
        if read and WHOLE in steps and self.rest_s is None:
            known = sum(times["seconds"] for name, times in steps.items() if name != WHOLE)
            self.rest_s = max(0.0, steps[WHOLE]["seconds"] - known) / read
            self.stored = counts["stored"] / read
            self.samples = read

    def weigh(self, files: Sequence[DataFile]) -> None:
        """Take the bytes a row from a store's files."""
        for family in {file.family for file in files}:
            of = [file for file in files if file.family == family]
            rows = sum(file.rows for file in of)
            if not rows:
                continue
            self.row_bytes.setdefault(family, sum(file.size_bytes for file in of) / rows)
            if any(file.media for file in of):
                self.row_bytes.setdefault(MEDIA, sum(file.media.size_bytes for file in of if file.media) / rows)


def recorded(store: Store | None, families: Sequence[str]) -> Rates:
    """The rates that a store's runs and files tell, the newest first."""
    rates = Rates()
    if store is None:
        return rates
    for text in reversed(store.runs()["counts"].to_pylist()):
        if text:
            rates.learn(json.loads(text))
    for family in (SAMPLES, *families):
        rates.weigh(store.files(family))
    return rates


class NotMeasured(MMDataError):
    """A try of the pipeline came to nothing."""


def tried(found: Look, n: int, families: Sequence[str], settings: RunSettings) -> Rates:
    """The rates of carrying `n` samples through the whole pipeline, into a store that is thrown away.

    Args:
        found: the source, the pipeline and what is to be done.
        n: how many, spread over the shards.
        families: the features to be made.
        settings: of the run.

    Raises:
        NotMeasured: nothing could be read, or a step is wrong.
    """
    entries = sorted(_spread(found.todo.jobs, n), key=lambda entry: entry.key)
    if not entries:
        raise NotMeasured("there is no sample to try")
    with tempfile.TemporaryDirectory(prefix="mmdata-measure-") as folder:
        Store.create(folder)
        work = ShardWork(folder, {}, found.source, found.compiled, settings)
        try:
            first = work(_job(found, "first", entries[:WARM_UP], families))
            began_s, cpu_s = perf_counter(), process_time()
            result = work(_job(found, "tried", entries, families))
            cpu_share = (process_time() - cpu_s) / (perf_counter() - began_s)
        except Exception as error:
            raise NotMeasured(f"{type(error).__name__}: {error}") from error
    rates = Rates(cpu_share=cpu_share)
    rates.learn(result.counts.to_json())
    for name, times in first.counts.steps.items():
        rates.load_s[name] = times.stages.get("load", 0.0)
    rates.samples = len(entries)
    _weigh(rates, first, result)
    return rates


def _weigh(rates: Rates, first: ShardResult, result: ShardResult) -> None:
    """Bytes a row and a file: what more rows added is the rows', the rest is the file's."""
    before, after = dict(_sizes(first)), dict(_sizes(result))
    for family, (rows, size) in after.items():
        had_rows, had = before.get(family, (0, 0))
        each = max(0.0, (size - had) / (rows - had_rows)) if rows > had_rows else size / max(1, rows)
        rates.row_bytes[family] = each
        rates.file_bytes[family] = max(0.0, size - each * rows)


def _sizes(result: ShardResult) -> Iterator[tuple[str, tuple[int, int]]]:
    for file in result.files:
        if file.family not in (DROPS, REJECTS):
            yield file.family, (file.rows, file.size_bytes)
        if file.media is not None:
            yield MEDIA, (file.rows, file.media.size_bytes)


def _job(found: Look, shard: str, entries: Sequence[Entry], families: Sequence[str]) -> ShardJob:
    return ShardJob(shard, found.source.name, entries, True, families)


def _spread(jobs: Sequence[ShardJob], n: int) -> list[Entry]:
    """Some entries of shards that lie far from each other, the same each time."""
    shards = [jobs[index * len(jobs) // min(SHARDS_TRIED, len(jobs))] for index in range(min(SHARDS_TRIED, len(jobs)))]
    rng, chosen = random.Random(0), list[Entry]()
    for left, job in zip(range(len(shards), 0, -1), shards, strict=True):
        wanted = min(-(-(n - len(chosen)) // left), len(job.entries))
        picked = set(rng.sample(range(len(job.entries)), wanted))
        chosen += [entry for index, entry in enumerate(job.entries) if index in picked]
    return chosen
