"""How far a catalog goes: time and memory of opening, planning and committing where very much is recorded already.

    python benchmarks/scale.py [--shards 100000] [--scanned 1000000] [--keep FOLDER]

A store of so many shards with 10,000 samples each is made of commits alone: a plan, samples, drops and three features,
without their files. Each figure comes from a process of its own: its wall and processor time without the imports, and
the peak of its memory (`getrusage`), imports included. Scanning, dividing and comparing use a plan whose entries are
there. `docs/scale.md` says what follows from the figures.
"""

from __future__ import annotations

import argparse
import json
import pickle
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from time import perf_counter, process_time
from typing import Any

import pyarrow.parquet as pq

from mmdata.core.pipeline import RunSettings
from mmdata.engine.check import compile_for
from mmdata.engine.division import amend, entries_of
from mmdata.engine.look import look
from mmdata.engine.options import RunOptions
from mmdata.features.text import HashedNgrams
from mmdata.loader.contents import contents_of
from mmdata.store.files import Files
from mmdata.store.log import Log
from mmdata.store.store import Store
from mmdata.store.tables import feature_schema
from mmdata.testing import catalog

PARTS = ("image", "text")
COMMITS, SHARDS_A_COMMIT = 30, 50
Figures = dict[str, Any]


@contextmanager
def timed(figures: Figures, name: str) -> Iterator[None]:
    wall, processor = perf_counter(), process_time()
    yield
    figures[name] = {"wall_s": perf_counter() - wall, "cpu_s": process_time() - processor}


def make(url: str, shards: int) -> Figures:
    """Make the store; as a run would leave it, with a checkpoint in each log."""
    figures: Figures = {}
    with timed(figures, "make"):
        store = catalog.make(url, shards=shards, a_commit=max(SHARDS_A_COMMIT, shards // 40))
    logs = ["samples", "drops", "plans", *store.feature_families()]
    with timed(figures, "checkpoints of all logs"):
        for family in logs:
            log = Log(Files.at(url), family)
            log.refresh()
            log._checkpoint()
    figures["bytes of the catalog"] = sum(path.stat().st_size for path in Path(url).rglob("*") if path.is_file())
    return figures


def opened(url: str, _: int) -> Figures:
    figures: Figures = {}
    with timed(figures, "open, and count samples and families"):
        store = Store.open(url)
        figures["samples"], figures["families"] = len(store), len(store.view().families)
    return figures


def planned(url: str, _: int) -> Figures:
    """A plan from the record: nothing is left to do."""
    figures: Figures = {}
    with timed(figures, "plan where all is done"):
        found = look(catalog.PIPELINE, url, RunOptions(look_at_source=False), commit=False)
    figures["is done"] = found.is_done
    return figures


def planned_anew(url: str, _: int) -> Figures:
    """A plan from the record: every shard lacks one feature."""
    figures: Figures = {}
    pipeline = replace(catalog.PIPELINE, features=(*catalog.PIPELINE.features, HashedNgrams()))
    with timed(figures, "plan where each shard lacks a feature"):
        found = look(pipeline, url, RunOptions(look_at_source=False), commit=False)
    figures["jobs"] = len(found.todo.jobs)
    figures["bytes of a job, pickled"] = len(pickle.dumps(found.todo.jobs[-1]))
    return figures


def committed(url: str, shards: int) -> Figures:
    """Commits of 50 shards of five families each, as a run makes them, beside what is live already."""
    figures: Figures = {}
    store, compiled = Store.open(url), compile_for(catalog.PIPELINE, PARTS)
    walls, processors = [], []
    for number in range(COMMITS + 1):
        first = 10 * shards + SHARDS_A_COMMIT * number
        changes = catalog.changes(compiled, range(first, first + SHARDS_A_COMMIT))
        wall, processor = perf_counter(), process_time()
        store.commit(changes)
        walls.append(perf_counter() - wall)
        processors.append(process_time() - processor)
    figures["first commit"] = {"wall_s": walls[0], "cpu_s": processors[0]}
    figures["a commit"] = {"wall_s": statistics.median(walls[1:]), "cpu_s": statistics.median(processors[1:])}
    return figures


def pinned(url: str, _: int) -> Figures:
    figures: Figures = {}
    store = Store.open(url)
    with timed(figures, "pin a snapshot"):
        store.snapshot("all")
    figures["bytes of the snapshot"] = (Path(url) / "snapshots/all.json").stat().st_size
    return figures


def reopened(url: str, _: int) -> Figures:
    figures: Figures = {}
    with timed(figures, "open a snapshot"):
        figures["samples"] = len(Store.open(url, snapshot="all"))
    return figures


def streamed(url: str, _: int) -> Figures:
    """What a stream over the store has to know before its first batch; it asks one file a feature for its form."""
    figures: Figures = {}
    view, families = Store.open(url).view(), compile_for(catalog.PIPELINE, PARTS).families
    for family in families:
        for file in view.by_fingerprint(family.name).values():
            form = feature_schema(family.name, family.step.columns())
            pq.write_table(form.empty_table(), Path(url, file.path))
    with timed(figures, "contents of a stream"):
        figures["chunks"] = len(contents_of(Store.open(url), ["key"], selection=None, split=None).chunks)
    return figures


def scanned(url: str, n: int) -> Figures:
    """Divide a source of n samples, and compare it with what was recorded."""
    figures: Figures = {}
    before = _memory()
    with timed(figures, "list, as objects"):
        scan = catalog.Listed(n=n).scan()
    figures["bytes an entry"] = (_memory() - before) / n
    store = Store.create(url)
    entries = entries_of(scan)
    with timed(figures, "divide"):
        division = amend({}, entries, RunSettings())
    with timed(figures, "record"):
        store.commit_plan(catalog.SOURCE, -1, add=division.add)
    figures["bytes of the plan an entry"] = sum(path.stat().st_size for path in Path(url, "plans").glob("*.*")) / n
    shards = store.plan(catalog.SOURCE).shards
    with timed(figures, "compare, nothing changed"):
        figures["kept"] = len(amend(shards, entries, RunSettings()).keep)
    changed = entries_of(catalog.Listed(n=n, changed=frozenset(range(0, n, n // 10))).scan())
    with timed(figures, "compare, ten shards changed"):
        figures["made again"] = len(amend(shards, changed, RunSettings()).add)
    return figures


def _memory() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


STAGES: dict[str, Callable[[str, int], Figures]] = {
    stage.__name__: stage
    for stage in (make, opened, planned, planned_anew, committed, pinned, reopened, streamed, scanned)
}


def stage(name: str, url: Path, n: int) -> None:
    """Run a stage in a process of its own, and print what it found."""
    done = subprocess.run(
        [sys.executable, __file__, "--stage", name, "--url", str(url), "--shards", str(n)],
        stdout=subprocess.PIPE, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        print(f"| {name} of {n} | failed with {done.returncode} | | |", flush=True)
        return
    figures = json.loads(done.stdout)
    peak = figures.pop("peak_bytes")
    for told, figure in figures.items():
        cells = (
            [f"{figure['wall_s']:.3f}", f"{figure['cpu_s']:.3f}"] if isinstance(figure, dict) else [f"{figure:,}", ""]
        )
        print(f"| {told} ({n:,}) | {' | '.join(cells)} | {peak / 1e6:.0f} |", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shards", type=int, default=100_000)
    parser.add_argument("--scanned", type=int, default=1_000_000, help="samples of the source that is scanned")
    parser.add_argument("--keep", type=Path, help="where to make the stores, and leave them")
    parser.add_argument("--only", nargs="*", default=list(STAGES), help="these stages")
    parser.add_argument("--stage", help=argparse.SUPPRESS)
    parser.add_argument("--url", help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.stage:
        figures = STAGES[asked.stage](asked.url, asked.shards)
        print(json.dumps({**figures, "peak_bytes": _memory()}))
        return
    with tempfile.TemporaryDirectory() as folder:
        root = asked.keep or Path(folder)
        print("| (shards, or samples scanned) | wall s, or count | cpu s | peak MB |\n|---|---|---|---|")
        sizes = sorted({1_000, 10_000, asked.shards})
        for size in [each for each in sizes if each <= asked.shards]:
            names = ["make", "committed", "streamed"] if size != asked.shards else list(STAGES)[:-2]
            for name in [name for name in names if name in asked.only]:
                stage(name, root / f"{size}", size)
        if "scanned" in asked.only:
            for n in (asked.scanned // 10, asked.scanned):
                stage("scanned", root / f"scanned-{n}", n)


if __name__ == "__main__":
    main()
