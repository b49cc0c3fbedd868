from __future__ import annotations

from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.loader.order import PlanOrder
from mmdata.loader.plan import Plan
from mmdata.loader.quality import quality
from mmdata.loader.weights import LAYERS, Layers, Weights

positive = st.floats(1e-3, 1e3)
chunks = st.lists(st.integers(1, 9), min_size=1, max_size=8).map(tuple)


@st.composite
def weighted_plans(draw: st.DrawFn) -> Plan:
    chunk_rows = draw(chunks)
    values = draw(st.lists(positive, min_size=sum(chunk_rows), max_size=sum(chunk_rows)))
    return Plan(
        chunk_rows=chunk_rows,
        global_batch_size=draw(st.integers(1, 12)),
        seed=draw(st.integers(0, 3)),
        window_rows=draw(st.integers(1, 30)),
        lanes=draw(st.integers(1, 6)),
        weights=Weights(np.array(values)),
    )


@given(values=st.lists(positive, min_size=1, max_size=60), seed=st.integers(0, 9), epoch=st.integers(0, 9))
@settings(deadline=None)
def test_an_epoch_has_as_many_rows_as_there_are_and_each_as_often_as_it_is_due(
    values: list[float], seed: int, epoch: int
) -> None:
    weights = np.array(values)
    copies = Weights(weights).copies(seed, epoch)
    due = len(weights) * weights / weights.sum()
    assert copies.sum() == len(weights)
    assert (copies >= np.floor(due - 1e-9)).all()
    assert (copies <= np.ceil(due + 1e-9)).all()


def test_over_many_epochs_rows_come_as_often_as_their_weights_say() -> None:
    weights = np.array([0.1, 0.5, 1, 1, 2, 0.3, 3.1] * 20)
    total = sum(Weights(weights).copies(3, epoch) for epoch in range(2000))
    due = len(weights) * weights / weights.sum()
    share = due % 1
    assert (np.abs(total / 2000 - due) <= 4.5 * np.sqrt(share * (1 - share) / 2000) + 1e-9).all()


def test_rows_are_drawn_independently_of_their_neighbours() -> None:
    copies = np.stack([Weights(np.array([1.0, 3.0] * 50)).copies(0, epoch) for epoch in range(500)])
    together = np.corrcoef(copies[:, ::2].T)
    assert np.abs(together[np.triu_indices(50, 1)]).max() < 0.25


def test_equal_weights_give_the_order_without_weights() -> None:
    settings = {"chunk_rows": (5, 3, 8), "global_batch_size": 4, "window_rows": 6, "seed": 2}
    plain, weighted = Plan(**settings), Plan(**settings, weights=Weights(np.full(16, 2.0)))  # type: ignore[arg-type]
    for one, other in zip(plain.epoch(4).sequence(), weighted.epoch(4).sequence(), strict=True):
        assert one.tolist() == other.tolist()


@given(plan=weighted_plans())
@settings(deadline=None)
def test_the_sequence_has_every_row_as_often_as_it_comes(plan: Plan) -> None:
    assert plan.weights is not None
    chunk, row = plan.epoch(3).sequence()
    copies = iter(plan.weights.copies(plan.seed, 3).tolist())
    expected = {(number, at): next(copies) for number, count in enumerate(plan.chunk_rows) for at in range(count)}
    assert Counter(zip(chunk.tolist(), row.tolist(), strict=True)) == Counter(expected) - Counter()


@given(plan=weighted_plans())
@settings(deadline=None)
def test_a_window_reads_a_chunks_row_once_a_layer_and_places_each_that_it_reads(plan: Plan) -> None:
    epoch = plan.epoch(0)
    for number in range(epoch.n_windows):
        low, high = epoch.span(number)
        window = epoch.window(number)
        assert len(window.order) == high - low
        assert sorted(set(window.order.tolist())) == list(range(sum(map(len, window.rows))))
        for chunk, rows in zip(window.chunks.tolist(), window.rows, strict=True):
            assert rows.tolist() == sorted(set(rows.tolist()) & set(range(plan.chunk_rows[chunk])))


def test_copies_of_a_row_are_dealt_to_layers() -> None:
    layers = Layers.of(np.array([0, 1, 30, 2, 0, 0, 1]), (2, 2, 2, 1))
    assert layers.chunks.tolist() == [0] + [1] * LAYERS + [3]
    assert layers.sizes.sum() == len(layers.rows) == 34
    held = [layers.held(layer) for layer in range(len(layers.sizes))]
    assert [rows.tolist() for rows, _ in held[1 : LAYERS + 1]].count([0]) == LAYERS - 2
    assert sum(len(places) for _, places in held[1 : LAYERS + 1]) == 32


def test_copies_of_rare_rows_are_spread_over_the_epoch() -> None:
    weights = np.where(np.arange(20_000) % 1000 == 7, 50.0, 1.0)
    plan = Plan(chunk_rows=(1000,) * 20, global_batch_size=10, window_rows=500, lanes=2, weights=Weights(weights))
    chunk, row = plan.epoch(0).sequence()
    places = np.flatnonzero((chunk == 3) & (row == 7))
    assert len(places) > 40
    assert np.ptp(places) > 10_000
    assert len(np.unique(places // 1000)) >= 5


def test_how_well_weighted_rows_mix_is_measured_by_the_rows_that_come() -> None:
    weights = np.repeat([1.0, 7.0], 1000)
    plan = Plan(chunk_rows=(100,) * 20, global_batch_size=40, window_rows=100, weights=Weights(weights))
    found = quality(PlanOrder(plan), [["a"] * 10 + ["b"] * 10])
    assert 0.4 < found.shard_entropy < 0.65  # of shares 1/8 and 7/8: 0.54 bits


@pytest.mark.parametrize("value", [0.0, -1.0, float("nan"), float("inf")])
def test_what_is_no_weight_is_refused(value: float) -> None:
    with pytest.raises(ValueError, match="finite, and above 0"):
        Weights(np.array([1.0, value]))


@pytest.mark.parametrize("fault", [{"shuffle": False}, {"chunk_rows": (3, 1)}])
def test_weights_that_do_not_fit_the_plan_are_refused(fault: dict[str, object]) -> None:
    given = {"chunk_rows": (3,), "global_batch_size": 2, "weights": Weights(np.ones(3)), **fault}
    with pytest.raises(ValueError, match="one each, and need shuffle"):
        Plan(**given)  # type: ignore[arg-type]
