"""Graphs of what a text looks like to a model trained with connectionist temporal classification (CTC)."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mmdata.kernels.align.paths import NEVER, Graph


def label_chain(labels: Sequence[int], *, blank: int, ends: Sequence[int] | None = None) -> Graph:
    """The graph of a series of labels (Graves et al., "Connectionist Temporal Classification", 2006, section 4.1).

    State 2k + 1 is label k, and state 2k the blank before it. A blank may be left out, except between two equal labels.

    Args:
        labels: int [label], columns of the scores; may be empty.
        blank: the column of the blank.
        ends: numbers of labels after which a path may end, 0 being before the first; None is after all of them.
    """
    n = len(labels)
    columns = np.full(2 * n + 1, blank, np.int64)
    columns[1::2] = labels
    states = np.arange(2 * n + 1)
    before = np.stack([states, states - 1, states - 2], axis=1)
    skips = np.zeros(2 * n + 1, bool)
    skips[3::2] = columns[3::2] != columns[1:-2:2]
    before[~skips, 2] = -1
    costs = np.where(before < 0, NEVER, 0.0)
    first, last = states < 2, np.zeros(2 * n + 1, bool)
    for end in [n] if ends is None else ends:
        last[2 * end] = True
        if end:
            last[2 * end - 1] = True
    return Graph(columns, before, costs, first, last)
