from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.kernels.gathering import LARGE_BYTES, gather


@given(st.lists(st.tuples(st.integers(0, 2), st.integers(0, 50)), max_size=700), st.integers(1, 40))
def test_values_come_from_any_buffers_at_any_offset(wanted: list[tuple[int, int]], width: int) -> None:
    buffers = [np.random.default_rng(seed).integers(0, 256, 90, np.uint8) for seed in range(3)]
    addresses = [buffers[number].ctypes.data + offset for number, offset in wanted]
    made = gather(np.array(addresses, np.int64), width)
    assert made.dtype.itemsize == width
    assert [item.tobytes() for item in made] == [
        buffers[number][offset : offset + width].tobytes() for number, offset in wanted
    ]


@pytest.mark.parametrize("width", [LARGE_BYTES - 1, LARGE_BYTES, LARGE_BYTES + 1, 100_003])
def test_large_values_are_the_same_on_both_ways(width: int) -> None:
    rows = np.random.default_rng(1).integers(0, 256, (5, width), np.uint8)
    order = np.array([4, 0, 0, 3])
    made = gather(rows.ctypes.data + order * width, width)
    np.testing.assert_array_equal(made.view(np.uint8).reshape(4, width), rows[order])
    made.view(np.uint8)[:] = 0
    assert rows.any()  # what is made is a copy
