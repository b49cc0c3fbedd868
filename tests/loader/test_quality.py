from __future__ import annotations

import numpy as np
import pytest

from mmdata.loader.budgets import BudgetOrder
from mmdata.loader.mix import MixOrder
from mmdata.loader.order import PlanOrder
from mmdata.loader.plan import Plan
from mmdata.loader.quality import Quality, quality

CHUNKS = (50,) * 80
SHARDS = [str(number // 5) for number in range(80)]


def of(size: int, **settings: int | bool) -> Quality:
    return quality(PlanOrder(Plan(chunk_rows=CHUNKS, global_batch_size=size, **settings)), [SHARDS])  # type: ignore[arg-type]


def test_a_window_of_all_rows_is_a_full_shuffle() -> None:
    found = of(64, window_rows=4000)
    assert found.neighbour_distance == pytest.approx(1, abs=0.05)
    assert found.shard_entropy == pytest.approx(found.shard_entropy_full, abs=0.05)
    assert found.steps == 62
    assert found.part_shares == (1.0,)
    assert found.padding == 0


def test_the_stored_order_is_not_mixed() -> None:
    found = of(50, shuffle=False)
    assert found.neighbour_distance == pytest.approx(1 / (4001 / 3))
    assert found.shard_entropy == 0
    assert found.shard_entropy_full > 3


def test_more_lanes_and_larger_windows_mix_better() -> None:
    mixed = [of(64, lanes=lanes, window_rows=rows).shard_entropy for lanes, rows in ((1, 100), (8, 100), (8, 1000))]
    assert mixed[0] < mixed[1] < mixed[2]


def test_batches_of_one_row_have_no_neighbours() -> None:
    order = PlanOrder(Plan(chunk_rows=(3,), global_batch_size=1))
    assert quality(order, [["a"]]).neighbour_distance == 1


def mixture(**settings: object) -> Quality:
    plans = tuple(
        Plan(chunk_rows=chunks, global_batch_size=64, seed=seed, **settings)  # type: ignore[arg-type]
        for seed, chunks in enumerate((CHUNKS, CHUNKS[:20]))
    )
    return quality(MixOrder(plans=plans, shares=(3, 1), goals=(1, 1)), [SHARDS, SHARDS[:20]])


def test_a_mixture_is_judged_by_the_rows_of_each_part() -> None:
    full = mixture(window_rows=4000)
    assert full.part_shares == pytest.approx((0.75, 0.25), abs=0.01)
    assert full.neighbour_distance == pytest.approx(1, abs=0.05)
    assert full.shard_entropy == pytest.approx(full.shard_entropy_full, abs=0.1)
    assert full.shard_entropy_full > of(64, window_rows=4000).shard_entropy_full  # more shards
    assert mixture(window_rows=50, lanes=1).shard_entropy < full.shard_entropy - 1


def test_batches_by_length_are_judged_by_their_padding_too() -> None:
    lengths = np.random.default_rng(0).integers(1, 101, 4000).astype(np.float64)
    plan = Plan(chunk_rows=CHUNKS, global_batch_size=1, window_rows=2000, lanes=1)
    found = quality(BudgetOrder(plan=plan, lengths=lengths, budget=4000, shares=1), [SHARDS])
    assert 0 < found.padding < 0.05
    assert found.neighbour_distance == pytest.approx(1, abs=0.1)
