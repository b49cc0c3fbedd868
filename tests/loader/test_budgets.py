from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.loader.budgets import BudgetEpoch, BudgetOrder
from mmdata.loader.order import WindowId
from mmdata.loader.plan import TAILS, Plan, Tail


def budget(
    chunks: list[int],
    seed: int = 0,
    *,
    most: float = 60,
    shares: int = 4,
    longest: int = 50,
    max_rows: int | None = None,
    tail: Tail = "drop",
    **plan: object,
) -> BudgetOrder:
    """Rows of lengths from 0 to `longest`."""
    made = Plan(chunk_rows=tuple(chunks), global_batch_size=1, seed=seed, tail=tail, **plan)  # type: ignore[arg-type]
    lengths = np.random.default_rng(seed).integers(0, longest + 1, made.n_rows).astype(np.float64)
    return BudgetOrder(plan=made, lengths=lengths, budget=most, shares=shares, max_rows=max_rows)


def rows_of(epoch: BudgetEpoch, step: int, rank: int = 0, world: int = 1) -> list[tuple[int, bool]]:
    """The stored rows of a batch, and whether they are real."""
    plan, found = epoch.order.plan, []
    starts = np.cumsum((0, *plan.chunk_rows))
    for one in epoch.taken(step, rank=rank, world=world):
        chunks, rows, order = epoch.window(one.window)
        stored = np.concatenate([starts[chunk] + within for chunk, within in zip(chunks, rows, strict=True)])
        found += [(int(row), one.real) for row in stored[order[one.places]]]
    return found


orders = st.builds(
    budget,
    st.lists(st.integers(1, 30), min_size=1, max_size=8),
    st.integers(0, 3),
    most=st.integers(50, 400),
    shares=st.sampled_from([1, 2, 4, 6]),
    max_rows=st.none() | st.integers(1, 9),
    tail=st.sampled_from(TAILS),
    window_rows=st.integers(1, 40),
    lanes=st.integers(1, 8),
    shuffle=st.booleans(),
)


@given(order=orders)
@settings(max_examples=80)
def test_every_row_comes_once_and_none_is_left_out_but_fewer_than_the_shares(order: BudgetOrder) -> None:
    epoch = order.begin(2)
    rows = [row for step in range(order.n_steps(2)) for row in rows_of(epoch, step)]
    real = Counter(row for row, is_real in rows if is_real)
    assert set(real.values()) <= {1}
    if order.plan.tail == "drop":
        assert order.n_rows - len(real) == order.n_rows % order.shares
    else:
        assert len(real) == order.n_rows
    fillers = 0 if order.plan.tail in ("drop", "short") else -order.n_rows % order.shares
    assert len(rows) - len(real) == fillers


@given(order=orders)
@settings(max_examples=80)
def test_every_rank_stays_within_its_budget_and_the_global_batches_are_the_same(order: BudgetOrder) -> None:
    epoch = order.begin(0)
    for step in range(order.n_steps(0)):
        reference = rows_of(epoch, step)
        for world in [world for world in range(1, order.shares + 1) if order.shares % world == 0]:
            ranks = [rows_of(epoch, step, rank, world) for rank in range(world)]
            assert [row for rank in ranks for row in rank] == reference
            sizes = {len(rank) for rank in ranks}
            assert len(sizes) == 1 or order.plan.tail == "short"
            longest = max((order.lengths[row] for row, _ in reference), default=0)
            assert max(sizes) * longest <= order.budget * order.shares / world
            assert max(sizes) <= (order.max_rows or order.n_rows + order.shares) * order.shares / world


@given(order=orders)
@settings(max_examples=40)
def test_windows_of_a_pool_are_kept_and_those_of_the_next_are_known(order: BudgetOrder) -> None:
    epoch = order.begin(1)
    before: set[WindowId] = set()
    ahead: set[WindowId] = set()
    for step in range(order.n_steps(1)):
        taken = [one for one in epoch.taken(step, rank=0, world=1) if one.real]
        kept = set(epoch.kept(step, rank=0, world=1))
        assert {one.window for one in taken} <= kept
        assert not step or kept in (ahead, before)
        before, ahead = kept, set(epoch.ahead(step, rank=0, world=1))


@given(order=orders)
@settings(max_examples=40)
def test_what_may_stand_in_for_a_row_is_within_the_budget_on_every_topology(order: BudgetOrder) -> None:
    epoch = order.begin(0)
    starts = np.cumsum((0, *order.plan.chunk_rows))
    for step in range(order.n_steps(0)):
        batch = rows_of(epoch, step)
        longest = max((order.lengths[row] for row, _ in batch), default=0)
        for one in epoch.taken(step, rank=0, world=1):
            if one.fits is None:
                continue
            chunks, rows, within = epoch.window(one.window)
            read = [starts[chunk] + each for chunk, each in zip(chunks, rows, strict=True)]
            stored = np.concatenate(read)[within]
            assert one.fits[one.places].all()
            if order.plan.tail != "short":  # there, what would fill up counts, and is not given
                assert one.fits.tolist() == (order.lengths[stored] <= longest).tolist()


def test_little_is_padded_and_epochs_differ() -> None:
    order = budget([1000] * 20, most=2000, shares=2, longest=200, window_rows=2000, lanes=4)
    padded = real = 0.0
    for step in range(order.n_steps(0)):
        lengths = [order.lengths[row] for row, _ in rows_of(order.begin(0), step)]
        padded += max(lengths) * len(lengths)
        real += sum(lengths)
    assert padded / real < 1.05  # all of one batch padded to its longest; batches at random have 1.9
    assert order.n_steps(0) < real / (2000 * 2) * 1.1
    firsts = {tuple(rows_of(order.begin(number), 0)) for number in range(3)}
    assert len(firsts) == 3


def test_short_and_long_batches_come_in_random_order() -> None:
    order = budget([100] * 20, most=500, shares=1, longest=100, window_rows=2000, lanes=1)
    sizes = [len(rows_of(order.begin(0), step)) for step in range(order.n_steps(0))]
    assert sizes != sorted(sizes)
    assert abs(np.corrcoef(sizes, range(len(sizes)))[0, 1]) < 0.3


def test_rows_without_length_make_one_batch_a_pool() -> None:
    order = budget([40], longest=0, shares=2, window_rows=10, lanes=2)
    assert [len(rows_of(order.begin(0), step)) for step in range(order.n_steps(0))] == [20, 20]
    capped = budget([40], longest=0, shares=2, window_rows=10, lanes=2, max_rows=4)
    assert sorted(len(rows_of(capped.begin(0), step)) for step in range(capped.n_steps(0))) == [4, 4, 8, 8, 8, 8]


def test_fewer_rows_than_shares() -> None:
    assert budget([3]).n_steps(0) == 0
    full = budget([3], tail="mask")
    assert {row for step in range(full.n_steps(0)) for row in rows_of(full.begin(0), step) if row[1]} == {
        (0, True),
        (1, True),
        (2, True),
    }
    short = budget([3], tail="short")
    assert [rows_of(short.begin(0), 0, rank, 4) for rank in range(4)][3] == []


def test_what_cannot_be_is_refused() -> None:
    plan = Plan(chunk_rows=(3,), global_batch_size=1)
    for fault, told in (
        ({"shares": 0}, "at least 1"),
        ({"max_rows": 0}, "at least 1"),
        ({"budget": 0.0}, "above 0"),
        ({"budget": 4.5}, "a row of length 5 is longer than the budget, 4.5"),
        ({"lengths": np.ones(2)}, "each row has a length"),
        ({"lengths": np.array([1, np.nan, 2])}, "each row has a length"),
    ):
        with pytest.raises(ValueError, match=told):
            BudgetOrder(**{"plan": plan, "lengths": np.array([5.0, 1, 2]), "budget": 9, "shares": 1, **fault})  # type: ignore[arg-type]
    order = BudgetOrder(plan=plan, lengths=np.ones(3), budget=9, shares=2)
    with pytest.raises(ValueError, match="3 ranks can't have 2 shares between them equally"):
        order.batch_size(3)
    with pytest.raises(ValueError, match="no rank 2 of 2"):
        order.shares_of(2, 2)


def test_the_order_of_batches_by_length_is_the_same_for_ever_and_fillers_are_the_sequences_first_rows() -> None:
    order = budget([7, 5, 6], 1, most=100, shares=4, tail="mask", window_rows=8, lanes=4)
    batches = [rows_of(order.begin(0), step) for step in range(order.n_steps(0))]
    assert [[row for row, _ in batch] for batch in batches] == [
        [16, 13, 10, 7, 3, 2, 6, 16],
        [11, 9, 14, 8, 17, 15, 12, 1, 4, 0, 5, 11],
    ]
    assert [row for batch in batches for row, real in batch if not real] == [16, 11]
    chunk, row = order.plan.epoch(0).sequence()
    assert [(0, 7, 12)[chunk[place]] + row[place] for place in (0, 1)] == [11, 16]
