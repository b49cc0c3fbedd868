from __future__ import annotations

import copy
import math
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.loader.mix import Batches, Deal, MixEpoch, MixOrder, apportion
from mmdata.loader.order import WindowId
from mmdata.loader.plan import Plan

Row = tuple[int, int, int]  # part, pass, position in the pass


def chunks(count: int) -> tuple[int, ...]:
    """At most 5 rows each, and of many rows 1,000."""
    size = 1000 if count > 1000 else 5
    return (size,) * (count // size) + ((count % size,) if count % size else ())


def mixture(
    rows: list[int],
    shares: list[float] | None = None,
    *,
    size: int = 12,
    lanes: int = 4,
    window_rows: int = 7,
    shuffle: bool = True,
    **settings: object,
) -> MixOrder:
    """Parts of so many rows."""
    plans = tuple(
        Plan(
            chunk_rows=chunks(count),
            global_batch_size=size,
            seed=part,
            shuffle=shuffle,
            window_rows=window_rows,
            lanes=lanes,
        )
        for part, count in enumerate(rows)
    )
    goals = settings.pop("goals", (1.0,) * len(rows))
    made = shares or [float(count) for count in rows]
    return MixOrder(plans=plans, shares=tuple(made), goals=tuple(goals), **settings)  # type: ignore[arg-type]


def rows_of(epoch: MixEpoch, step: int, rank: int = 0, world: int = 1) -> list[Row]:
    found = []
    for one in epoch.taken(step, rank=rank, world=world):
        first = epoch.order.plans[one.window.part].epoch(one.window.epoch).span(one.window.number)[0]
        found += [(one.window.part, one.window.epoch, first + int(place)) for place in one.places]
    return found


mixtures = st.builds(
    mixture,
    st.lists(st.integers(1, 60), min_size=1, max_size=4),
    size=st.sampled_from([1, 4, 6, 12]),
    lanes=st.integers(1, 8),
    window_rows=st.integers(1, 20),
    shuffle=st.booleans(),
    until=st.sampled_from(["first", "all"]),
    batches=st.sampled_from(["mixed", "single"]),
)


@given(weights=st.lists(st.integers(1, 1000), min_size=1, max_size=9), slots=st.integers(0, 5000))
def test_slots_are_shared_out_whole_and_nobody_loses_one(weights: list[int], slots: int) -> None:
    now, then = apportion(slots, weights), apportion(slots + 1, weights)
    assert sum(now) == slots
    assert sum(then) == slots + 1
    assert all(after >= before for before, after in zip(now, then, strict=True))
    bound = 1 + math.log2(len(weights)) / 2
    assert all(abs(n - slots * w / sum(weights)) <= bound for n, w in zip(now, weights, strict=True))


@given(n_rows=st.integers(1, 60), n_lanes=st.integers(1, 9), stop=st.integers(0, 200))
def test_a_deal_gives_each_row_of_a_sequence_to_one_lane(n_rows: int, n_lanes: int, stop: int) -> None:
    deal = Deal(n_rows, n_lanes)
    dealt = [deal.at(lane, count)[:2] for lane in range(n_lanes) for count in range(deal.rows_before(stop, lane))]
    assert sorted(dealt) == [divmod(position, n_rows) for position in range(stop)]


@given(order=mixtures)
@settings(max_examples=60)
def test_every_world_sees_the_same_global_batches_and_each_is_full(order: MixOrder) -> None:
    size = order.plans[0].global_batch_size
    epoch = order.begin(1)
    for step in range(min(order.n_steps(1), 6)):
        reference = rows_of(epoch, step)
        assert len(reference) == size
        for world in [world for world in range(1, size + 1) if size % world == 0]:
            assert [row for rank in range(world) for row in rows_of(epoch, step, rank, world)] == reference


@given(order=mixtures)
@settings(max_examples=60)
def test_no_row_of_a_pass_comes_twice_and_lanes_go_through_a_part_alike(order: MixOrder) -> None:
    seen: Counter[Row] = Counter()
    for number in range(2):
        epoch = order.begin(number)
        for step in range(min(order.n_steps(number), 40)):
            seen.update(rows_of(epoch, step))
            taken = [order.before(number * order.n_steps(number) + step, lane) for lane in range(order.n_lanes)]
            apart = [max(rows) - min(rows) for rows in zip(*taken, strict=True)]
            assert max(apart) <= 4 + 2 * math.log2(len(order.plans))
    assert set(seen.values()) <= {1}


@pytest.mark.parametrize("batches", ["mixed", "single"])
@pytest.mark.parametrize("rows", [[57, 57], [40, 100, 9], [300, 12], [10, 3]])
def test_until_first_repeats_no_row_and_until_all_leaves_none_out(rows: list[int], batches: Batches) -> None:
    first = mixture(rows, [1.0] * len(rows), size=4, until="first", batches=batches)
    seen = Counter(row for step in range(first.n_steps(0)) for row in rows_of(first.begin(0), step))
    assert {turn for _, turn, _ in seen} <= {0}
    assert set(seen.values()) <= {1}
    everything = mixture(rows, [1.0] * len(rows), size=4, until="all", batches=batches)
    epoch = everything.begin(0)
    seen = Counter(row for step in range(everything.n_steps(0)) for row in rows_of(epoch, step))
    assert all((part, 0, position) in seen for part, count in enumerate(rows) for position in range(count))
    last = everything.n_steps(0) - 1
    before = Counter(row for step in range(last) for row in rows_of(epoch, step))
    assert any((part, 0, at) not in before for part, count in enumerate(rows) for at in range(count))


def test_a_mixed_batch_has_the_shares_of_the_weights_and_so_has_every_lane() -> None:
    order = mixture([400, 100, 100], [0.5, 0.3, 0.2], size=40, lanes=4, window_rows=50)
    epoch = order.begin(0)
    for step in range(order.n_steps(0)):
        counts = Counter(part for part, _, _ in rows_of(epoch, step))
        assert all(abs(counts[part] - share) <= 2 for part, share in enumerate((20, 12, 8)))
        for rank in range(4):
            counts = Counter(part for part, _, _ in rows_of(epoch, step, rank, 4))
            assert all(abs(counts[part] - share) <= 2 for part, share in enumerate((5, 3, 2)))


def test_lanes_of_one_row_a_step_get_all_parts() -> None:
    order = mixture([64, 64], [1, 1], size=8, lanes=8)
    epoch = order.begin(0)
    for rank in range(8):
        parts = [part for step in range(8) for part, _, _ in rows_of(epoch, step, rank, 8)]
        assert Counter(parts) == {0: 4, 1: 4}


def test_single_batches_are_of_one_part_each_by_weight() -> None:
    order = mixture([90, 30], [3, 1], size=6, lanes=2, batches="single", until="all")
    epoch = order.begin(0)
    parts = [{part for part, _, _ in rows_of(epoch, step)} for step in range(20)]
    assert all(len(found) == 1 for found in parts)
    assert Counter(part for found in parts for part in found) == {0: 15, 1: 5}


def test_epochs_follow_each_other_without_a_gap() -> None:
    order = mixture([57, 23], [1, 1], size=4)
    n_steps = order.n_steps(0)
    parts: list[list[Row]] = [[], []]
    for number in range(8):
        epoch = order.begin(number)
        for step in range(n_steps):
            for row in rows_of(epoch, step):
                parts[row[0]].append(row)
    for part, count in enumerate((57, 23)):
        turns = Counter(turn for _, turn, _ in parts[part])
        assert [turns[turn] for turn in range(2)] == [count, count]


def test_goals_say_how_often_parts_are_gone_through() -> None:
    order = mixture([100, 40], [100.0, 120.0], size=4, goals=(1.0, 3.0), until="all")
    epoch = order.begin(0)
    seen = Counter((part, at) for step in range(order.n_steps(0)) for part, _, at in rows_of(epoch, step))
    assert all(seen[0, at] >= 1 for at in range(100))
    assert all(seen[1, at] >= 3 for at in range(40))
    assert abs(order.n_steps(0) - 220 // 4) <= 3


@pytest.mark.parametrize("batches", ["mixed", "single"])
def test_windows_stay_until_their_rows_are_taken(batches: Batches) -> None:
    order = mixture([200, 60, 20], [5, 2, 0.5], size=12, batches=batches, until="all", window_rows=10)
    epoch = order.begin(0)
    read: Counter[WindowId] = Counter()
    held: set[WindowId] = set()
    for step in range(order.n_steps(0)):
        taken = {one.window for one in epoch.taken(step, rank=1, world=2)}
        wanted = taken | set(epoch.kept(step, rank=1, world=2))
        read.update(wanted - held)
        if step:
            ahead = set(copy.copy(epoch).ahead(step - 1, rank=1, world=2))
            assert taken - held <= ahead | held or step < 2 or len(taken - held - ahead) <= 1
        held = wanted
    assert max(read.values()) <= 2  # a section may end within a window, in which another lane begins


def test_a_mixture_of_one_part_is_a_plain_epoch_of_whole_batches() -> None:
    order = mixture([60], size=12, lanes=4)
    epoch = order.begin(0)
    assert order.n_steps(0) == 5
    assert [row[2] for row in rows_of(epoch, 0)] == [0, 1, 2, 15, 16, 17, 30, 31, 32, 45, 46, 47]


def test_a_rare_part_takes_many_steps_and_the_first_question_stays_quick() -> None:
    order = mixture([10**7, 50], [1.0, 1e-6], size=256, lanes=8, window_rows=4096, until="all")
    assert order.n_steps(0) == pytest.approx(50 / 1e-6 / 256, rel=0.3)  # 6 or 8 rows a lane
    assert len(order.begin(9).taken(10**5, rank=0, world=1)) >= 8


def test_the_order_of_a_mixture_is_the_same_for_ever() -> None:
    assert [apportion(slots, [2, 1, 1]) for slots in range(5)] == [
        [0, 0, 0],
        [1, 0, 0],
        [1, 1, 0],
        [2, 1, 0],
        [2, 1, 1],
    ]
    order = mixture([20, 10, 5], [3, 2, 1], size=6, lanes=2)
    batches = [[(part, at) for part, _, at in rows_of(order.begin(0), step)] for step in range(2)]
    assert batches == [
        [(0, 0), (0, 1), (1, 0), (0, 10), (1, 5), (2, 2)],
        [(0, 2), (1, 1), (2, 0), (0, 11), (0, 12), (1, 6)],
    ]
