"""Rows on ticks against a loop that does what the docstring says."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.align.clock import How, on_ticks, tick_count

MS = 0.001


def by_loop(
    values: np.ndarray, starts: list[int], ends: list[int], hop: int, n_ticks: int, how: How
) -> tuple[np.ndarray, np.ndarray]:
    """The same, tick by tick and row by row; times in whole milliseconds."""
    found, mask = np.zeros((n_ticks, *values.shape[1:])), np.zeros(n_ticks, bool)
    for tick in range(n_ticks):
        low, high = tick * hop, (tick + 1) * hop
        middle = (low + high) / 2
        shared = [max(0, min(end, high) - max(start, low)) for start, end in zip(starts, ends, strict=True)]
        holding = [row for row in range(len(values)) if starts[row] <= middle < ends[row]]
        if how in ("mean", "max"):
            rows = [row for row in range(len(values)) if shared[row] > 0]
            if not rows:
                continue
            if how == "mean":
                weighted = sum(values[row] * shared[row] for row in rows)
                found[tick] = weighted / sum(shared[row] for row in rows)
            else:
                found[tick] = np.max([values[row] for row in rows], axis=0)
            mask[tick] = True
        elif holding:
            mask[tick] = True
            if how == "hold":
                found[tick] = values[max(holding, key=lambda row: (starts[row], row))]
            else:
                found[tick] = line(values, starts, ends, middle)
    return found, mask


def line(values: np.ndarray, starts: list[int], ends: list[int], at: float) -> np.ndarray:
    rows = [row for row in range(len(values)) if ends[row] > starts[row]]
    rows.sort(key=lambda row: ((starts[row] + ends[row]) / 2, starts[row], row))
    middles = [(starts[row] + ends[row]) / 2 for row in rows]
    return np.array([np.interp(at, middles, values[rows][:, column]) for column in range(values.shape[1])])


@st.composite
def rows_in_time(draw: st.DrawFn) -> tuple[np.ndarray, list[int], list[int]]:
    n = draw(st.integers(0, 8))
    starts = draw(st.lists(st.integers(0, 60), min_size=n, max_size=n, unique=True))
    lengths = draw(st.lists(st.integers(0, 25), min_size=n, max_size=n))
    seed = draw(st.integers(0, 2**32))
    return (
        np.random.default_rng(seed).normal(size=(n, 2)),
        starts,
        [a + b for a, b in zip(starts, lengths, strict=True)],
    )


@settings(deadline=None, max_examples=200)
@given(
    rows=rows_in_time(),
    hop=st.integers(1, 20),
    n_ticks=st.integers(0, 12),
    how=st.sampled_from(["hold", "mean", "max"]),
)
def test_ticks_are_those_of_a_loop(
    rows: tuple[np.ndarray, list[int], list[int]], hop: int, n_ticks: int, how: How
) -> None:
    values, starts, ends = rows
    found, mask = on_ticks(values, np.array(starts) * MS, np.array(ends) * MS, hop_s=hop * MS, n_ticks=n_ticks, how=how)
    expected, where = by_loop(values, starts, ends, hop, n_ticks, how)
    assert mask.tolist() == where.tolist()
    np.testing.assert_allclose(found, expected, atol=1e-9)


@settings(deadline=None, max_examples=100)
@given(rows=rows_in_time(), hop=st.integers(1, 20), n_ticks=st.integers(0, 12))
def test_lines_are_those_of_a_loop(rows: tuple[np.ndarray, list[int], list[int]], hop: int, n_ticks: int) -> None:
    values, starts, ends = rows
    middles = [a + b for a, b in zip(starts, ends, strict=True) if b > a]
    if len(set(middles)) < len(middles):
        return  # two rows with one middle: either may be the end of a line
    found, mask = on_ticks(
        values, np.array(starts) * MS, np.array(ends) * MS, hop_s=hop * MS, n_ticks=n_ticks, how="linear"
    )
    expected, where = by_loop(values, starts, ends, hop, n_ticks, "linear")
    assert mask.tolist() == where.tolist()
    np.testing.assert_allclose(found, expected, atol=1e-9)


def test_a_tenth_of_a_second_is_ten_hundredths() -> None:
    values = np.arange(100, dtype=np.float32)
    edges = np.arange(101) * 0.01
    found, mask = on_ticks(values, edges[:-1], edges[1:], hop_s=0.1, n_ticks=10, how="max")
    assert mask.all()
    assert found.tolist() == [float(n) for n in range(9, 100, 10)]


@pytest.mark.parametrize(
    ("how", "dtype", "given_back"),
    [
        ("hold", "int32", "int32"), ("max", "uint8", "uint8"), ("hold", "bool", "bool"), ("mean", "int32", "float32"),
        ("mean", "float16", "float32"), ("linear", "float64", "float64"), ("mean", "int64", "float32"),
    ],
)  # fmt: skip
def test_numbers_are_of_the_promised_kind(how: How, dtype: str, given_back: str) -> None:
    found, _ = on_ticks(np.ones(3, dtype), np.arange(3.0), np.arange(3.0) + 1, hop_s=0.5, n_ticks=4, how=how)
    assert found.dtype == np.dtype(given_back)


def test_what_is_not_a_number_stays_in_its_own_ticks() -> None:
    values = np.array([1.0, np.nan, 3.0], np.float32)
    for how in ("mean", "max", "hold"):
        found, mask = on_ticks(values, np.arange(3.0), np.arange(3.0) + 1, hop_s=1, n_ticks=3, how=how)
        assert mask.all()
        np.testing.assert_array_equal(found, values)


def test_endless_negative_and_missing_times_do_no_harm() -> None:
    values = np.arange(5, dtype=np.float32)
    starts = np.array([-np.inf, np.nan, 1.0, 2.0, 3.0])
    ends = np.array([0.5, 1.0, np.nan, 1.5, np.inf])
    found, mask = on_ticks(values, starts, ends, hop_s=0.5, n_ticks=10, how="hold")
    assert mask.tolist() == [True] + [False] * 5 + [True] * 4
    assert found.tolist() == [0.0] * 6 + [4.0] * 4


def test_wrong_arguments_are_refused() -> None:
    one = np.ones(1)
    with pytest.raises(ValueError, match="hop_s must be"):
        on_ticks(one, one, one, hop_s=0, n_ticks=1, how="hold")
    with pytest.raises(ValueError, match="2 rows, 1 starts"):
        on_ticks(np.ones(2), one, one, hop_s=1, n_ticks=1, how="hold")


def test_as_many_ticks_as_cover_a_clip() -> None:
    assert [tick_count(s, 0.1) for s in (0, 0.05, 0.1, 0.1001, 3600)] == [0, 1, 1, 2, 36000]
