from __future__ import annotations

import pytest

from mmdata.loader.plan import Plan
from mmdata.loader.quality import quality

CHUNKS = (50,) * 80
SHARDS = [str(number // 5) for number in range(80)]


def test_a_window_of_all_rows_is_a_full_shuffle() -> None:
    found = quality(Plan(chunk_rows=CHUNKS, global_batch_size=64, window_rows=4000), SHARDS)
    assert found.neighbour_distance == pytest.approx(1, abs=0.05)
    assert found.shard_entropy == pytest.approx(found.shard_entropy_full, abs=0.05)
    assert found.steps == 62


def test_the_stored_order_is_not_mixed() -> None:
    found = quality(Plan(chunk_rows=CHUNKS, global_batch_size=50, shuffle=False), SHARDS)
    assert found.neighbour_distance == pytest.approx(1 / (4001 / 3))
    assert found.shard_entropy == 0
    assert found.shard_entropy_full > 3


def test_more_lanes_and_larger_windows_mix_better() -> None:
    def mixed(**settings: int) -> float:
        return quality(Plan(chunk_rows=CHUNKS, global_batch_size=64, **settings), SHARDS).shard_entropy  # type: ignore[arg-type]

    assert mixed(lanes=1, window_rows=100) < mixed(lanes=8, window_rows=100) < mixed(lanes=8, window_rows=1000)


def test_batches_of_one_row_have_no_neighbours() -> None:
    assert quality(Plan(chunk_rows=(3,), global_batch_size=1), ["a"]).neighbour_distance == 1
