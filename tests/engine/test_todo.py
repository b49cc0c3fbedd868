"""What is left to do, for each way in which a store can lag behind."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from mmdata.clean.text import NormalizeText
from mmdata.core.pipeline import Compiled, Pipeline
from mmdata.core.ports import Entry, Member
from mmdata.engine.check import check
from mmdata.engine.division import Division
from mmdata.engine.todo import Todo, add_replays, by_shard, work_left
from mmdata.features.image import Sharpness
from mmdata.features.text import TextLength
from mmdata.store.layout import DataFile
from mmdata.store.view import ShardView

NAMES = ("image.sharpness", "text.length")
Files = dict[str, list[DataFile]]


def entry(number: int) -> Entry:
    return Entry(
        f"s/{number}", (Member("image", f"{number}.png", 9, "then"), Member("text", f"{number}.txt", 5, "then"))
    )


DIVISION = Division(keep={"one": [entry(0), entry(1)], "two": [entry(2)]})


@pytest.fixture
def compiled() -> Compiled:
    return check(Pipeline(ingest=(NormalizeText(),), features=(Sharpness(), TextLength())))


def file(family: str, shard: str, fp: str, keys: str = "k", rows: int = 2) -> DataFile:
    return DataFile(family, f"{family}/{shard}-{fp}", shard, fp, keys, rows, 10, "d" * 32, "s")


def finished(compiled: Compiled) -> Files:
    fps = {"samples": compiled.samples_fp, **compiled.recipe}
    return {family: [file(family, shard, fp) for shard in ("one", "two")] for family, fp in fps.items()}


def left(compiled: Compiled, files: Files, division: Division = DIVISION, **settings: Any) -> Todo:
    views = views_of(files)
    return work_left(compiled, division, "s", {name: by_shard(each) for name, each in files.items()}, views, **settings)


def views_of(files: Files) -> dict[str, ShardView]:
    return {
        samples.shard: ShardView(
            shard=samples.shard, source="s", rows=samples.rows, samples=samples,
            features={name: each for name in NAMES for each in files[name] if each.shard == samples.shard},
        )
        for samples in files["samples"]
    }  # fmt: skip


def test_a_finished_store_needs_nothing(compiled: Compiled) -> None:
    todo = left(compiled, finished(compiled))
    assert todo.is_empty
    assert (todo.done, todo.entries, todo.entries_todo) == (2, 3, 0)


def test_an_empty_store_needs_all(compiled: Compiled) -> None:
    todo = left(compiled, {name: [] for name in ("samples", *NAMES)})
    assert [(job.shard, job.samples, list(job.families)) for job in todo.jobs] == [
        ("one", True, list(NAMES)),
        ("two", True, list(NAMES)),
    ]
    assert {plan.why for plan in todo.families.values()} == {"it is not in the store"}
    assert {plan.rows for plan in todo.families.values()} == {3}


def test_features_that_were_not_asked_for_are_left_alone(compiled: Compiled) -> None:
    todo = left(compiled, {name: [] for name in ("samples", *NAMES)}, families=["text.length"])
    assert [list(job.families) for job in todo.jobs] == [["text.length"]] * 2
    assert list(todo.families) == ["text.length"]


SPOILT: dict[str, tuple[Callable[[DataFile], list[DataFile]], list[str], str]] = {
    "gone": (lambda _: [], [], "there are new samples"),
    "of another setting": (lambda old: [replace(old, fp="x")], [], "its setting, or a step before it, changed"),
    "of other rows": (
        lambda old: [replace(old, keys="x")],
        ["text.length"],
        "the set of samples, or how they are stored, changed; sound rows are taken over",
    ),
}


@pytest.mark.parametrize("how", SPOILT)
def test_a_file_that_does_not_fit_is_made_again(compiled: Compiled, how: str) -> None:
    spoil, gathered, why = SPOILT[how]
    files = finished(compiled)
    files["text.length"] += spoil(files["text.length"].pop(0))
    todo = left(compiled, files)
    (job,) = todo.jobs
    assert (job.shard, job.samples, list(job.families), list(job.gather)) == ("one", False, ["text.length"], gathered)
    assert todo.families["text.length"].why == why
    assert todo.families["image.sharpness"].shards == 0


def test_samples_of_other_steps_are_made_again_and_what_still_fits_is_taken_over(compiled: Compiled) -> None:
    files = finished(compiled)
    files["samples"][1] = replace(files["samples"][1], fp="older")
    (job,) = left(compiled, files).jobs
    assert (job.shard, job.samples, sorted(job.gather)) == ("two", True, sorted(NAMES))


def test_a_replaced_shard_takes_rows_of_unchanged_entries_over(compiled: Compiled) -> None:
    changed = replace(entry(1), meta={"label": "other"})
    division = Division(
        keep={"two": [entry(2)]},
        add={"new": [entry(0), changed]},
        removed={"one": [entry(0), entry(1)]},
        replaces={"new": ["one"]},
        changed=1,
    )
    todo = left(compiled, finished(compiled), division)
    (job,) = todo.jobs
    assert (job.shard, job.samples, job.unchanged) == ("new", True, frozenset({"s/0"}))
    assert {each.shard for each in job.gather.values()} == {"one"}
    assert {(plan.rows, plan.gathered) for plan in todo.families.values()} == {(1, 1)}
    assert todo.changed == 1


def test_a_replay_takes_up_shards_with_rejects_and_no_others(compiled: Compiled) -> None:
    files = finished(compiled)
    found = {name: by_shard(each) for name, each in files.items()}
    views = views_of(files)
    views["two"] = replace(views["two"], rejects=file("rejects", "two", "r"))
    todo = work_left(compiled, DIVISION, "s", found, views)
    add_replays(todo, compiled, DIVISION, found, views, {})
    assert [(job.shard, job.samples, sorted(job.gather)) for job in todo.jobs] == [("two", True, sorted(NAMES))]
    assert (todo.done, todo.entries_todo) == (1, 1)


def test_entries_that_are_gone_are_work_too() -> None:
    assert not Todo(gone=1).is_empty
    assert Todo().is_empty
