from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.engine.division import Division, amend, divide, entries_of, shard_id, with_heirs
from mmdata.store import entries as recorded_entries
from mmdata.store.entries import SHARDS, ShardEntries, write_entries
from mmdata.store.files import Files
from mmdata.store.plans import StoredPlan

SMALL = RunSettings(shard_samples=3)


def entry(number: int, *, signature: str = "a", size: int = 10) -> Entry:
    return Entry(f"s/{number:04d}", (Member("image", f"{number:04d}.png", size, signature),))


def entries(n: int) -> list[Entry]:
    return [entry(number) for number in range(n)]


def test_a_shards_id_hangs_on_members_metadata_and_signatures_alone() -> None:
    one = [entry(1)]
    assert shard_id(one) == shard_id([entry(1)])
    assert shard_id(one) != shard_id([entry(1, signature="b")])
    assert shard_id(one) != shard_id([Entry("s/0001", one[0].members, {"label": "x"})])
    assert shard_id(entries(2)) != shard_id(entries(2)[::-1])


@given(st.integers(0, 60), st.integers(1, 9), st.integers(5, 40))
def test_a_division_keeps_order_loses_nothing_and_respects_its_limits(n: int, samples: int, room: int) -> None:
    sized = RunSettings(shard_samples=samples, shard_bytes=room)
    shards = list(divide(entries(n), sized).values())
    assert [item for shard in shards for item in shard] == entries(n)
    assert all(1 <= len(shard) <= samples for shard in shards)
    assert all(sum(item.size for item in shard) <= room or len(shard) == 1 for shard in shards)


def test_shards_are_of_like_numbers() -> None:
    assert [len(shard) for shard in divide(entries(10), RunSettings(shard_samples=4)).values()] == [3, 3, 4]
    assert len(divide(entries(950), RunSettings())) == 8


def test_nothing_changed_is_no_amendment() -> None:
    planned = divide(entries(7), SMALL)
    division = amend(planned, entries(7), SMALL)
    assert (division.keep, division.add, division.removed) == (planned, {}, {})


def test_new_entries_make_new_shards_and_leave_the_old_alone() -> None:
    planned = divide(entries(6), SMALL)
    division = amend(planned, entries(7), SMALL)
    assert division.keep == planned
    assert list(division.add.values()) == [[entry(6)]]
    assert (division.new, division.changed, division.gone) == (1, 0, 0)


def test_a_changed_entry_replaces_its_shard() -> None:
    planned = divide(entries(6), SMALL)
    changed = [entry(number, signature="b" if number == 4 else "a") for number in range(6)]
    division = amend(planned, changed, SMALL)
    (shard,) = division.add
    assert division.add[shard] == changed[3:]
    assert division.replaces == {shard: [shard_id(entries(6)[3:])]}
    assert division.removed == {shard_id(entries(6)[3:]): entries(6)[3:]}
    assert (division.new, division.changed, division.gone) == (0, 1, 0)


def test_a_deleted_entry_leaves_its_shard_and_an_emptied_shard_goes() -> None:
    planned = divide(entries(4), RunSettings(shard_samples=2))
    division = amend(planned, entries(4)[:1], SMALL)
    assert list(division.add.values()) == [[entry(0)]]
    assert len(division.removed) == 2
    assert division.gone == 3


def test_a_fault_is_an_entry_that_will_be_rejected() -> None:
    found = entries_of(Scan([entry(1)], [Fault("s/0000", "link_loop", "a loop", "x")]))
    assert [item.key for item in found] == ["s/0000", "s/0001"]
    assert found[0].fault is not None
    assert Entry.from_json(found[0].to_json()) == found[0]


def test_a_fault_of_a_taken_key_is_counted_beside_the_sample() -> None:
    found = entries_of(Scan([entry(1)], [Fault("s/0001", "collision", "two", "x"), Fault("s/0001", "y", "z", "x")]))
    assert [item.key for item in found] == ["s/0001", "s/0001#2", "s/0001#3"]


def recorded(folder: str, shards: Mapping[str, Sequence[Entry]]) -> dict[str, Sequence[Entry]]:
    """The same shards, as a store gives them back."""
    files = Files.at(folder)
    rows = pa.RecordBatch.from_pylist(write_entries(files, "0", shards)[1], schema=SHARDS)
    return {shard: ShardEntries(files, rows, at) for at, shard in enumerate(shards)}


def amend_simply(planned: Mapping[str, Sequence[Entry]], found: Sequence[Entry], settings: RunSettings) -> Division:
    """What `amend` promises, with everything in memory."""
    current = {item.key: item for item in found}
    known: set[str] = set()
    keep: dict[str, Sequence[Entry]] = {}
    add: dict[str, Sequence[Entry]] = {}
    replaces: dict[str, Sequence[str]] = {}
    removed: dict[str, Sequence[Entry]] = {}
    changed = gone = 0
    for shard, items in planned.items():
        known.update(item.key for item in items)
        fresh = [current[item.key] for item in items if item.key in current]
        n_changed = sum(current[item.key] != item for item in items if item.key in current)
        changed, gone = changed + n_changed, gone + len(items) - len(fresh)
        if len(fresh) == len(items) and not n_changed:
            keep[shard] = items
            continue
        removed[shard] = items
        if fresh:
            add[shard_id(fresh)] = fresh
            replaces[shard_id(fresh)] = [shard]
    new = [item for item in found if item.key not in known]
    return Division(keep, add | divide(new, settings), removed, replaces, len(new), changed, gone)


# what became of each of some entries in each of some looks: it was there in that version, or not at all
histories = st.integers(1, 30).flatmap(
    lambda n: st.lists(st.lists(st.sampled_from("aab-"), min_size=n, max_size=n), min_size=2, max_size=4)
)


@given(histories, st.integers(1, 5))
@settings(max_examples=50, deadline=None)
def test_recorded_shards_are_amended_as_lists_in_memory_are(looks: list[list[str]], samples: int) -> None:
    sized = RunSettings(shard_samples=samples)
    planned: Mapping[str, Sequence[Entry]] = {}
    for look in looks:
        found = [entry(n, signature=version) for n, version in enumerate(look) if version != "-"]
        expected = amend_simply(planned, found, sized)
        with tempfile.TemporaryDirectory() as folder:
            recorded_entries._loaded.cache_clear()
            got = amend(recorded(folder, planned), found, sized)
            assert got == expected
            assert [*got.keep, *got.add] == [*expected.keep, *expected.add]
        planned = expected.shards


def test_shards_that_stay_as_they_are_are_not_read(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    reads: list[int] = []
    read = recorded_entries._read

    def noted(files: Files, name: str, group: int, column: str, count: int) -> list[str]:
        reads.append(group)
        return read(files, name, group, column, count)

    monkeypatch.setattr(recorded_entries, "_read", noted)
    planned = recorded(str(tmp_path), divide(entries(30), SMALL))
    assert amend(planned, entries(33), SMALL).new == 3
    assert reads == []
    assert amend(planned, [*entries(4), entry(4, signature="b"), *entries(30)[5:]], SMALL).changed == 1
    assert reads == [1]


def test_the_heir_of_a_shard_is_who_replaced_it_last() -> None:
    one, two, three, other = ([entry(n)] for n in range(4))
    plan = StoredPlan(3, {"c": three, "x": other}, {"a": one, "b": two, "gone": other}, {"a": "b", "b": "c"})
    division = with_heirs(Division(keep=plan.shards), plan, {"a", "b", "gone"})
    assert division.replaces == {"c": ["a", "b"]}
    assert division.removed == {"a": one, "b": two, "gone": other}
    division = with_heirs(Division({"x": other}, {"d": two}, {"c": three}, {"d": ["c"]}), plan, {"a"})
    assert division.replaces == {"d": ["a", "c"]}
    assert division.removed == {"a": one, "c": three}
    assert with_heirs(Division(keep=plan.shards), plan, {"c"}).removed == {}
