"""A plan is a table of shards; entries are read from it a shard at a time, when they are looked at."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from mmdata.core.ports import Entry, Fault, Member
from mmdata.errors import StoreError
from mmdata.store import entries as module
from mmdata.store.entries import Extent, ShardEntries, extent, keys_of
from mmdata.store.store import Store

Made = Any  # the fixtures' class; conftest can't be imported
A, B, C = ("a" * 16, "b" * 16, "c" * 16)


def entry(number: int, size: int = 7) -> Entry:
    members = (Member("image", f"{number}.png", size, "t"),)
    return Entry(f"s/{number:03d}", members if number % 2 else (*members, Member("text", f"{number}.txt", 1, "t")))


@pytest.fixture
def reads(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[tuple[str, int, str]]]:
    """File, row group and column of each read of entries."""
    done: list[tuple[str, int, str]] = []
    read = module._read

    def noted(files: Any, name: str, group: int, column: str, count: int) -> list[str]:
        done.append((name, group, column))
        return read(files, name, group, column, count)

    module._loaded.cache_clear()
    monkeypatch.setattr(module, "_read", noted)
    yield done
    module._loaded.cache_clear()


def planned(made: Made, **shards: list[Entry]) -> dict[str, ShardEntries]:
    made.store.commit_plan("s", -1, add=shards)
    found = Store.open(made.url).plan("s").shards
    assert all(isinstance(each, ShardEntries) for each in found.values())
    return dict(found)  # type: ignore[arg-type]


def test_numbers_and_extents_are_known_without_reading_entries(made: Made, reads: list[Any]) -> None:
    found = planned(made, **{A: [entry(2), entry(1), entry(4)], B: []})
    parts = {"image": (3, 21), "text": (2, 2)}
    assert [len(each) for each in found.values()] == [3, 0]
    assert found[A].extent == extent(list(found[A])) == Extent(3, 23, parts, "s/001", "s/004")
    assert found[B].extent == extent([]) == Extent()
    del reads[:]
    assert extent(found[A]).parts == parts
    assert keys_of(found[B]) == []
    assert list(found[B]) == []
    assert reads == []


def test_a_shard_is_read_alone_and_keys_without_the_rest(made: Made, reads: list[Any]) -> None:
    found = planned(made, **{A: [entry(1)], C: [], B: [entry(3), entry(2)]})
    assert keys_of(found[B]) == ["s/003", "s/002"]
    assert list(found[B]) == [entry(3), entry(2)]
    assert (found[B][1], found[B][:1], found[B][-1:]) == (entry(2), (entry(3),), (entry(2),))
    assert [(group, column) for _, group, column in reads] == [(1, "key"), (1, "entry")]


def test_large_plans_take_several_files(made: Made, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "ENTRIES_A_FILE", 3)
    shards = {f"{n:016x}": [entry(10 * n + i) for i in range(n % 4)] for n in range(9)}
    found = planned(made, **shards)
    assert found == shards
    assert [len(each) for each in found.values()] == [len(each) for each in shards.values()]
    written = sorted(path.name for path in (Path(made.url) / "plans").glob("*.parquet"))
    assert len(written) == 1 + 4  # the shards, and 3, 3, 5 and 1 entries or so


def test_pickled_it_says_where_the_entries_are(made: Made) -> None:
    many = [entry(n) for n in range(3000)]
    found = planned(made, **{B: [entry(5)], A: many})
    data = pickle.dumps(found[A])
    assert len(data) < 1000
    assert b"s/0042" not in data
    back = pickle.loads(data)
    assert (back, back.extent, repr(back)) == (many, found[A].extent, f"<3000 entries of shard {A}>")


def test_it_equals_lists_of_the_same_entries_only(made: Made) -> None:
    found = planned(made, **{A: [entry(1), entry(2)]})[A]
    assert found == [entry(1), entry(2)]
    assert [entry(1), entry(2)] == found
    assert found != [entry(2), entry(1)]
    assert found != [entry(1)]
    assert found != "ab"


def test_faults_and_odd_metadata_come_back_as_they_were(made: Made) -> None:
    odd = [
        Entry("s/é\n", (), {"rows": [1, {"x": None}], "q": '"'}),
        Entry("s/f", (), fault=Fault("s/f", "link_loop", "a loop", "f")),
    ]
    assert list(planned(made, **{A: odd})[A]) == odd


def test_a_file_that_is_gone_or_cut_is_told(made: Made) -> None:
    found = planned(made, **{A: [entry(n) for n in range(200)]})
    (file,) = (Path(made.url) / "plans").glob("*-00000.parquet")
    whole = file.read_bytes()
    file.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(StoreError, match=r"plans/0-.*: the plan's entries can't be read"):
        list(found[A])
    file.unlink()
    with pytest.raises(StoreError, match="the plan's entries can't be read"):
        list(found[A])


def test_a_file_of_other_entries_is_not_taken_for_the_shards(made: Made) -> None:
    found = planned(made, **{A: [entry(1)], B: [entry(2), entry(3)]})
    batch = found[A]._rows
    rows = batch.to_pylist()
    rows[0]["row_group"] = 1
    wrong = ShardEntries(found[A]._files, type(batch).from_pylist(rows, schema=batch.schema), 0)
    with pytest.raises(StoreError, match="row group 1 has 2 entries, the plan says 1"):
        list(wrong)
