from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.pipeline import RunSettings
from mmdata.core.ports import Entry, Fault, Member, Scan
from mmdata.engine.division import amend, divide, entries_of, shard_id

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
    settings = RunSettings(shard_samples=samples, shard_bytes=room)
    shards = list(divide(entries(n), settings).values())
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
