"""How a source is divided is recorded once, whoever comes second."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from mmdata.core.ports import Entry, Fault, Member
from mmdata.errors import CommitConflict
from mmdata.store.store import Store

Made = Any  # the fixtures' class; conftest can't be imported
A, B, C = ("a" * 16, "b" * 16, "c" * 16)


def entry(key: str, **meta: Any) -> Entry:
    return Entry(
        key, (Member("image", f"{key}.png", 7, "mtime=1"), Member("text", f"{key}.txt#bytes=1-2", 1, "x")), meta
    )


def test_a_source_without_a_plan_is_at_version_minus_one(made: Made) -> None:
    plan = made.store.plan("src")
    assert (plan.version, dict(plan.shards)) == (-1, {})


def test_entries_come_back_as_they_were_in_their_order(made: Made) -> None:
    shards = {
        B: [entry("src/2", label="é"), entry("src/1", rows=[1, {"x": None}])],
        A: [],
        C: [Entry("src/f", (), fault=Fault("src/f", "collision", "two files", "f.png"))],
    }
    assert made.store.commit_plan("src", -1, add=shards) == 0
    plan = Store.open(made.url).plan("src")
    assert plan.version == 0
    assert list(plan.shards) == [B, A, C]
    assert {shard: list(entries) for shard, entries in plan.shards.items()} == shards


def test_increments_add_and_remove(made: Made) -> None:
    store = made.store
    store.commit_plan("src", -1, add={A: [entry("a")], B: [entry("b")]})
    store.commit_plan("src", 0, add={C: [entry("c")]}, remove=[A])
    assert store.commit_plan("src", 1, add={A: [entry("a2")]}) == 2
    plan = store.plan("src")
    assert {shard: [each.key for each in entries] for shard, entries in plan.shards.items()} == {
        B: ["b"], C: ["c"], A: ["a2"],
    }  # fmt: skip


def test_a_replaced_shard_of_one_id_has_only_its_new_entries(made: Made) -> None:
    made.store.commit_plan("src", -1, add={A: [entry("a")]})
    made.store.commit_plan("src", 0, add={A: [entry("b")]}, remove=[A])
    assert [each.key for each in made.store.plan("src").shards[A]] == ["b"]


def test_sources_are_planned_apart(made: Made) -> None:
    names = ["src", "src/é", "a b,c=d", "s" * 300, ".."]
    for name in names:
        assert made.store.commit_plan(name, -1, add={A: [entry(name)]}) == 0
    for name in names:
        assert [each.key for each in made.store.plan(name).shards[A]] == [name]
    assert all(path.name.endswith(".parquet") for path in (Path(made.url) / "plans").iterdir() if path.is_file())


@pytest.mark.parametrize("same", [True, False], ids=["the same plan", "another plan"])
def test_the_second_of_two_planners_is_told(made: Made, same: bool) -> None:
    first, second = Store.open(made.url), Store.open(made.url)
    assert first.plan("src").version == second.plan("src").version == -1
    first.commit_plan("src", -1, add={A: [entry("first")]})
    with pytest.raises(CommitConflict, match=r"plan of source 'src' is at version 0 by now, not at -1"):
        second.commit_plan("src", -1, add={A: [entry("first" if same else "second")]})
    assert [each.key for each in second.plan("src").shards[A]] == ["first"]
    assert second.commit_plan("src", 0, add={B: [entry("rest")]}) == 1


def test_a_plan_of_a_later_version_than_there_is_is_refused(made: Made) -> None:
    with pytest.raises(CommitConflict, match="at version -1 by now, not at 3"):
        made.store.commit_plan("src", 3, add={})


def test_an_increment_of_nothing_is_a_version_too(made: Made) -> None:
    assert made.store.commit_plan("src", -1, add={}) == 0
    assert made.store.plan("src").version == 0
