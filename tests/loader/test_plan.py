from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.loader.permuting import permutation
from mmdata.loader.plan import TAILS, Plan, Run, Tail

plans = st.builds(
    Plan,
    chunk_rows=st.lists(st.integers(1, 9), min_size=1, max_size=12).map(tuple),
    global_batch_size=st.integers(1, 24),
    seed=st.integers(0, 3),
    shuffle=st.booleans(),
    window_rows=st.integers(1, 30),
    lanes=st.integers(1, 8),
    tail=st.sampled_from(TAILS),
)


def positions(runs: list[Run], *, real_only: bool = False) -> list[int]:
    return [place for run in runs if run.real or not real_only for place in range(run.start, run.stop)]


def global_batch(plan: Plan, step: int, world: int) -> list[int]:
    return [place for rank in range(world) for place in positions(plan.share(step, rank=rank, world=world))]


@given(plan=plans)
def test_an_epoch_holds_every_row_once(plan: Plan) -> None:
    chunk, row = plan.epoch(3).sequence()
    expected = {(number, at) for number, count in enumerate(plan.chunk_rows) for at in range(count)}
    assert len(chunk) == plan.n_rows
    assert set(zip(chunk.tolist(), row.tolist(), strict=True)) == expected


@given(plan=plans)
def test_every_world_that_divides_the_batch_sees_the_same_global_batches(plan: Plan) -> None:
    worlds = [world for world in range(1, plan.global_batch_size + 1) if plan.global_batch_size % world == 0]
    for step in range(plan.n_steps):
        reference = global_batch(plan, step, 1)
        whole = plan.tail != "short" or step < plan.n_steps - 1
        assert len(reference) == (plan.global_batch_size if whole else plan.n_rows - step * plan.global_batch_size)
        for world in worlds:
            assert global_batch(plan, step, world) == reference
            if whole:
                assert len(positions(plan.share(step, rank=0, world=world))) == plan.batch_size(world)


@given(plan=plans)
def test_steps_cover_the_sequence_and_no_row_twice(plan: Plan) -> None:
    seen = [place for step in range(plan.n_steps) for place in positions(plan.share(step), real_only=True)]
    assert len(set(seen)) == len(seen)
    if plan.tail == "drop":
        assert len(seen) == plan.n_rows - plan.n_rows % plan.global_batch_size
    else:
        assert sorted(seen) == list(range(plan.n_rows))


@given(plan=plans)
def test_fillers_come_from_the_start_and_in_the_last_step_alone(plan: Plan) -> None:
    fillers = [run for step in range(plan.n_steps) for run in plan.share(step) if not run.real]
    missing = plan.n_steps * plan.global_batch_size - plan.n_rows
    expected = [] if plan.tail in ("drop", "short") else [at % plan.n_rows for at in range(missing)]
    assert positions(fillers) == expected
    assert all(run.real for step in range(plan.n_steps - 1) for run in plan.share(step))


@given(plan=plans)
def test_a_window_is_found_by_position_and_places_its_rows_within_itself(plan: Plan) -> None:
    epoch = plan.epoch(0)
    for window in range(epoch.n_windows):
        low, high = epoch.window_starts[window], epoch.window_starts[window + 1]
        assert {epoch.window_at(place) for place in range(low, high)} == {window}
        chunks, rows, places = epoch.window(window)
        assert sorted(places.tolist()) == list(range(high - low))
        assert [plan.chunk_rows[number] for number in chunks] == [len(each) for each in rows]
        assert sum(map(len, rows)) == high - low


def test_without_shuffle_batches_are_the_stored_order() -> None:
    plan = Plan(chunk_rows=(3, 5, 2), global_batch_size=4, shuffle=False, window_rows=3, tail="short")
    assert [global_batch(plan, step, 2) for step in range(3)] == [[0, 1, 2, 3], [4, 5, 6, 7], [8, 9]]
    chunk, row = plan.epoch(5).sequence()
    assert chunk.tolist() == [0] * 3 + [1] * 5 + [2] * 2
    assert row.tolist() == [0, 1, 2, 0, 1, 2, 3, 4, 0, 1]


def test_seed_and_epoch_change_the_order_of_chunks_and_of_rows() -> None:
    plan = Plan(chunk_rows=(50,) * 20, global_batch_size=10, seed=1, window_rows=200)
    other = Plan(chunk_rows=(50,) * 20, global_batch_size=10, seed=2, window_rows=200)
    first, second, third = plan.epoch(0), plan.epoch(1), other.epoch(0)
    assert len({tuple(epoch.chunks.tolist()) for epoch in (first, second, third)}) == 3
    assert len({tuple(epoch.window(0).order.tolist()) for epoch in (first, second, third)}) == 3
    assert not np.array_equal(first.window(0).order, first.window(1).order)


def test_a_window_mixes_its_chunks_and_no_others() -> None:
    epoch = Plan(chunk_rows=(50,) * 20, global_batch_size=10, window_rows=200).epoch(0)
    chunk, _ = epoch.sequence()
    for window in range(5):
        within = chunk[window * 200 : (window + 1) * 200]
        assert set(within.tolist()) == set(epoch.chunks[window * 4 : window * 4 + 4].tolist())
        assert len(set(within[:20].tolist())) > 1


def test_a_batch_draws_on_every_lane() -> None:
    plan = Plan(chunk_rows=(100,) * 16, global_batch_size=16, lanes=4, window_rows=100)
    assert plan.n_lanes == 4
    assert [run.start for run in plan.share(0)] == [0, 400, 800, 1200]
    assert [run.start for run in plan.share(7)] == [28, 428, 828, 1228]
    assert [run.start for run in plan.share(7, rank=1, world=2)] == [828, 1228]
    assert [plan.lane_end(lane) for lane in range(4)] == [400, 800, 1200, 1600]


@pytest.mark.parametrize(
    ("rows", "tail", "steps"),
    [(8, "drop", 2), (9, "drop", 2), (9, "short", 3), (3, "drop", 0), (3, "mask", 1), (0, "mask", 0)],
)
def test_the_number_of_steps(rows: int, tail: Tail, steps: int) -> None:
    assert Plan(chunk_rows=(1,) * rows, global_batch_size=4, tail=tail).n_steps == steps


def test_a_rank_without_rows_has_an_empty_run_where_its_last_row_was() -> None:
    plan = Plan(chunk_rows=(5,), global_batch_size=4, lanes=4, tail="short")
    shares = [plan.share(1, rank=rank, world=4) for rank in range(4)]
    assert [[(run.start, run.stop) for run in share] for share in shares] == [[(0, 0)], [(1, 1)], [(2, 2)], [(4, 5)]]
    epoch = plan.epoch(0)
    assert [list(epoch.pieces(run)) for run in shares[1]] == [[(0, 1, 1)]]
    one_lane = Plan(chunk_rows=(5,), global_batch_size=4, lanes=1, tail="short")
    assert one_lane.share(1, rank=1, world=4) == [Run(4, 4, 0, real=False)]


def test_a_batch_larger_than_the_data_goes_round_and_round() -> None:
    plan = Plan(chunk_rows=(3,), global_batch_size=8, lanes=2, tail="repeat")
    assert sorted(positions(plan.share(0))) == [0, 0, 0, 1, 1, 1, 2, 2]


@given(n=st.integers(0, 200), key=st.integers())
@settings(max_examples=50)
def test_a_permutation_holds_every_number_once(n: int, key: int) -> None:
    assert sorted(permutation(n, key).tolist()) == list(range(n))


def test_a_permutation_is_the_same_for_ever() -> None:
    assert permutation(8, 7, 0, "chunks").tolist() == [0, 1, 7, 5, 4, 6, 2, 3]


def test_first_places_of_permutations_are_uniform() -> None:
    counts = np.bincount([permutation(10, key)[0] for key in range(5000)], minlength=10)
    assert (np.abs(counts - 500) < 5 * np.sqrt(500 * 0.9)).all()


@pytest.mark.parametrize(
    "fault", [{"global_batch_size": 0}, {"window_rows": 0}, {"lanes": 0}, {"tail": "wrap"}, {"chunk_rows": (3, 0)}]
)
def test_numbers_out_of_range_are_refused(fault: dict[str, object]) -> None:
    with pytest.raises(ValueError, match=r"at least 1|at least one|must be one of drop, repeat"):
        Plan(**{"chunk_rows": (3,), "global_batch_size": 2, **fault})  # type: ignore[arg-type]


def test_ranks_and_steps_that_do_not_exist_are_refused() -> None:
    plan = Plan(chunk_rows=(8,), global_batch_size=4)
    with pytest.raises(ValueError, match="3 ranks can't share a global batch of 4 rows"):
        plan.share(0, world=3)
    for step, rank in ((2, 0), (-1, 0), (0, 2)):
        with pytest.raises(ValueError, match="there is no rank"):
            plan.share(step, rank=rank, world=2)
