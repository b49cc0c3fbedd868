"""Best paths against all paths, on graphs small enough to list them."""

from __future__ import annotations

from itertools import pairwise, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.kernels.align.ctc import label_chain
from mmdata.kernels.align.paths import NEVER, Graph, best_path


def cost_of(graph: Graph, before: int, state: int) -> float:
    """The cost of the cheapest way from one state to another."""
    ways = [float(cost) for way, cost in zip(graph.before[state], graph.costs[state], strict=True) if way == before]
    return max(ways, default=-np.inf)


def total_of(scores: np.ndarray, graph: Graph, path: tuple[int, ...]) -> float:
    if not graph.first[path[0]] or not graph.last[path[-1]]:
        return -np.inf
    own = sum(float(scores[time, graph.columns[state]]) for time, state in enumerate(path))
    return own + sum(cost_of(graph, before, state) for before, state in pairwise(path))


@st.composite
def problems(draw: st.DrawFn) -> tuple[np.ndarray, Graph]:
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_states, n_frames, n_ways = draw(st.integers(1, 4)), draw(st.integers(1, 5)), draw(st.integers(1, 3))
    before = rng.integers(-1, n_states, (n_states, n_ways))
    costs = np.where(before < 0, NEVER, rng.normal(size=before.shape))
    first, last = rng.random(n_states) < 0.6, rng.random(n_states) < 0.6
    graph = Graph(rng.integers(0, 3, n_states), before, costs, first, last)
    return rng.normal(size=(n_frames, 3)).astype(np.float32), graph


@settings(deadline=None, max_examples=150)
@given(problems())
def test_no_path_is_likelier_than_the_best_one(problem: tuple[np.ndarray, Graph]) -> None:
    scores, graph = problem
    every = {path: total_of(scores, graph, path) for path in product(range(len(graph.columns)), repeat=len(scores))}
    path, gains = best_path(scores, graph)
    if max(every.values()) == -np.inf:
        assert not len(path)
        assert not len(gains)
        return
    assert every[tuple(path.tolist())] == pytest.approx(max(every.values()), abs=1e-5)
    assert gains.sum() == pytest.approx(max(every.values()), abs=1e-5)


def collapsed(columns: list[int], blank: int) -> list[int]:
    """What a series of frames says by the rule of CTC: repeats are one, blanks are none."""
    once = [columns[0], *(b for a, b in pairwise(columns) if a != b)]
    return [column for column in once if column != blank]


@settings(deadline=None, max_examples=80)
@given(
    labels=st.lists(st.integers(1, 2), max_size=3), n_frames=st.integers(1, 6), seed=st.integers(0, 2**32),
    open_end=st.booleans(),
)  # fmt: skip
def test_labels_are_aligned_as_the_likeliest_of_all_frame_labellings(
    labels: list[int], n_frames: int, seed: int, open_end: bool
) -> None:
    scores = np.log(np.random.default_rng(seed).dirichlet(np.ones(3), n_frames)).astype(np.float32)
    ends = list(range(len(labels) + 1)) if open_end else None
    allowed = [labels[:end] for end in ends] if ends is not None else [labels]
    every = {
        series: sum(float(scores[time, column]) for time, column in enumerate(series))
        for series in product(range(3), repeat=n_frames)
        if collapsed(list(series), 0) in allowed
    }
    graph = label_chain(labels, blank=0, ends=ends)
    path, gains = best_path(scores, graph)
    if not every:
        assert not len(path)
        return
    found = tuple(graph.columns[path].tolist())
    assert every[found] == pytest.approx(max(every.values()), abs=1e-5)
    assert gains.sum() == pytest.approx(max(every.values()), abs=1e-5)


def test_equal_neighbours_need_a_blank_between_them() -> None:
    scores = np.log(np.array([[0.1, 0.9], [0.1, 0.9]], np.float32))
    assert not len(best_path(scores, label_chain([1, 1], blank=0))[0])
    three = np.log(np.array([[0.1, 0.9], [0.9, 0.1], [0.1, 0.9]], np.float32))
    assert best_path(three, label_chain([1, 1], blank=0))[0].tolist() == [1, 2, 3]


def test_no_frames_and_no_states_have_no_path() -> None:
    graph = label_chain([1], blank=0)
    assert not len(best_path(np.empty((0, 2), np.float32), graph)[0])
    empty = Graph(np.empty(0, int), np.empty((0, 1), int), np.empty((0, 1)), np.empty(0, bool), np.empty(0, bool))
    assert not len(best_path(np.ones((2, 2), np.float32), empty)[0])


def test_too_many_ways_into_a_state_are_refused() -> None:
    n = 257
    graph = Graph(np.zeros(1, int), np.zeros((1, n), int), np.zeros((1, n)), np.ones(1, bool), np.ones(1, bool))
    with pytest.raises(ValueError, match="at most 256 ways"):
        best_path(np.zeros((1, 1), np.float32), graph)
