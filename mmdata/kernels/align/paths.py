"""The best path through a graph of states, one state a frame: what forced alignment of any model comes down to."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

NEVER = -1e30  # a log probability of nothing, which still can be added to
MOST_WAYS = 1 << 8  # that the table of steps back can hold
FEW = 3  # ways that nearly all states have at most


@dataclass(frozen=True, eq=False)
class Graph:
    """States in which a frame can be, and the ways between them.

    Args:
        columns: int [state], which column of the scores a state is judged by.
        before: int [state, way], the states from which a state can be reached, itself where a path may stay; -1 where
            there are fewer ways.
        costs: float [state, way], log probabilities of the ways.
        first, last: bool [state], where a path may begin, and where it may end.
    """

    columns: np.ndarray
    before: np.ndarray
    costs: np.ndarray
    first: np.ndarray
    last: np.ndarray


def best_path(scores: np.ndarray, graph: Graph) -> tuple[np.ndarray, np.ndarray]:
    """The likeliest path (Viterbi), exact: no beam, so that a text that does not fit has a path, too.

    Memory is a byte a frame and state.

    Args:
        scores: float [time, column], log likelihoods.
        graph: of at most 256 ways into a state.

    Returns:
        int32 [time], the state of each frame, and float64 [time], what each adds to the path's log likelihood: its own
        score and the way to it. Both are empty where no path of so many frames leads from a first state to a last one.

    Raises:
        ValueError: more than 256 ways lead into a state.
    """
    n_frames, (n_states, n_ways) = len(scores), graph.before.shape
    if n_ways > MOST_WAYS:
        raise ValueError(f"at most {MOST_WAYS} ways may lead into a state, not {n_ways}")
    nothing = np.empty(0, np.int32), np.empty(0, np.float64)
    if not n_frames or not n_states:
        return nothing
    order = np.argsort(graph.before < 0, axis=1, kind="stable")
    before = np.take_along_axis(np.where(graph.before < 0, n_states, graph.before), order, axis=1)
    costs = np.take_along_axis(graph.costs.astype(np.float64), order, axis=1)  # state n_states is where nobody ever is
    few, few_costs = before[:, :FEW].copy(), costs[:, :FEW].copy()
    many = np.flatnonzero((before[:, FEW:] < n_states).any(axis=1))
    all_before, all_costs = before[many], costs[many]
    back = np.zeros((n_frames, n_states), np.uint8)
    rows = np.arange(n_states)
    reached = np.full(n_states + 1, NEVER)
    reached[:-1] = np.where(graph.first, scores[0, graph.columns], NEVER)
    for time in range(1, n_frames):
        ways = reached[few] + few_costs
        best = ways.argmax(axis=1)
        gain = ways[rows, best]
        if len(many):
            wide = reached[all_before] + all_costs
            best[many] = wide.argmax(axis=1)
            gain[many] = wide.max(axis=1)
        back[time] = best
        reached[:-1] = np.maximum(gain + scores[time, graph.columns], NEVER)
    ends = np.where(graph.last, reached[:-1], NEVER)
    state = int(ends.argmax())
    if ends[state] <= NEVER / 2:
        return nothing
    path, gains = np.empty(n_frames, np.int32), np.empty(n_frames)
    for time in range(n_frames - 1, -1, -1):
        path[time], way = state, back[time, state]
        gains[time] = scores[time, graph.columns[state]] + (costs[state, way] if time else 0.0)
        state = int(before[state, way])
    return path, gains
