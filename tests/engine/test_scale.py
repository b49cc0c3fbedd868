"""Large catalogs cost what is looked at: nothing is read or made for each shard, still less for each sample.

`benchmarks/scale.py` measures the same with 100,000 shards.
"""

from __future__ import annotations

import pickle
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.pipeline import RunSettings
from mmdata.engine.check import compile_for
from mmdata.engine.division import amend, entries_of
from mmdata.engine.look import look
from mmdata.engine.options import RunOptions
from mmdata.features.text import HashedNgrams
from mmdata.store import entries as entries_module
from mmdata.store import live as live_module
from mmdata.store.store import Store
from mmdata.testing import catalog

SHARDS = 2000
FROM_THE_RECORD = RunOptions(look_at_source=False)


@dataclass
class Counted:
    """How many files became objects, and how many shards' entries were read."""

    files: int = 0
    reads: int = 0


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> str:
    made = str(tmp_path_factory.mktemp("catalog") / "store")
    catalog.make(made, shards=SHARDS, a_commit=SHARDS)
    return made


@pytest.fixture
def counted(monkeypatch: pytest.MonkeyPatch) -> Counted:
    count = Counted()
    at, read, values = live_module.logged_at, entries_module._read, live_module.Live.values

    def counted_at(*given: Any) -> Any:
        count.files += 1
        return at(*given)

    def counted_read(*given: Any) -> Any:
        count.reads += 1
        return read(*given)

    def counted_values(live: live_module.Live) -> Any:
        count.files += len(live)
        return values(live)

    monkeypatch.setattr(live_module, "logged_at", counted_at)
    monkeypatch.setattr("mmdata.store.view.logged_at", counted_at)
    monkeypatch.setattr(entries_module, "_read", counted_read)
    monkeypatch.setattr(live_module.Live, "values", counted_values)
    return count


def test_opening_and_counting_makes_no_objects(url: str, counted: Counted) -> None:
    store = Store.open(url)
    assert len(store) == SHARDS * catalog.SAMPLES_A_SHARD
    assert len(store.view().families) == 3
    assert counted.files < 10  # of the runs, which hold the recipes


def test_a_plan_where_all_is_done_looks_at_no_shard(url: str, counted: Counted) -> None:
    found = look(catalog.PIPELINE, url, FROM_THE_RECORD, commit=False)
    assert found.is_done
    assert (found.todo.done, found.todo.entries) == (SHARDS, SHARDS * catalog.SAMPLES_A_SHARD)
    assert (counted.files < 10, counted.reads) == (True, 0)


def test_jobs_for_every_shard_are_made_without_reading_entries(url: str, counted: Counted) -> None:
    pipeline = replace(catalog.PIPELINE, features=(*catalog.PIPELINE.features, HashedNgrams()))
    found = look(pipeline, url, FROM_THE_RECORD, commit=False)
    assert len(found.todo.jobs) == SHARDS
    assert found.todo.families[HashedNgrams().into].rows == SHARDS * catalog.SAMPLES_A_SHARD
    assert counted.reads == 0
    assert max(len(pickle.dumps(job)) for job in found.todo.jobs[::100]) < 4000


def test_a_commit_beside_many_files_looks_at_few(tmp_path: Path, counted: Counted) -> None:
    made = str(tmp_path / "store")
    catalog.make(made, shards=SHARDS, a_commit=SHARDS)
    compiled = compile_for(catalog.PIPELINE, ["image", "text"])
    store = Store.open(made)
    store.commit(catalog.changes(compiled, range(SHARDS, SHARDS + 5)))
    counted.files = 0
    store.commit(catalog.changes(compiled, range(SHARDS + 5, SHARDS + 10)))
    store.commit(catalog.changes(compiled, range(SHARDS + 5, SHARDS + 10)))  # again, which changes nothing
    assert counted.files <= 100
    assert len(Store.open(made)) == (SHARDS + 10) * catalog.SAMPLES_A_SHARD


def test_a_source_that_did_not_change_is_compared_without_reading_the_plan(tmp_path: Path, counted: Counted) -> None:
    store = Store.create(tmp_path / "store")
    found = entries_of(catalog.Listed(n=5000).scan())
    first = amend({}, found, RunSettings(shard_samples=100))
    store.commit_plan(catalog.SOURCE, -1, add=first.add)
    shards = Store.open(tmp_path / "store").plan(catalog.SOURCE).shards
    assert amend(shards, found, RunSettings(shard_samples=100)).keep.keys() == first.add.keys()
    assert counted.reads == 0
    changed = entries_of(catalog.Listed(n=5000, changed=frozenset([7, 8, 4999])).scan())
    assert amend(shards, changed, RunSettings(shard_samples=100)).changed == 3
    assert counted.reads == 2
