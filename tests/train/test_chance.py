from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.train.chance import Dropout, Rows, drawing_for, drawn
from mmdata.train.fusion import silence


@settings(deadline=None)
@given(counts=st.lists(st.integers(0, 5), min_size=1, max_size=4), seed=st.integers(0, 9))
def test_ranks_draw_together_what_one_process_draws(counts: list[int], seed: int) -> None:
    values, present = torch.ones(sum(counts), 3), torch.ones(sum(counts), 4, dtype=torch.bool)
    dropout, shares, states = Dropout(0.4), [], []
    torch.manual_seed(seed)
    whole = dropout(values), silence(present, 0.5)
    for rank, n in enumerate(counts):
        torch.manual_seed(seed)
        with drawing_for(Rows(rank, tuple(counts))):
            shares.append((dropout(values[:n]), silence(present[:n], 0.5)))
        states.append(torch.get_rng_state())
    assert all(torch.equal(state, states[0]) for state in states)
    for at in (0, 1):
        assert torch.equal(torch.cat([share[at] for share in shares]), whole[at])


def test_dropout_keeps_the_mean_and_does_nothing_when_not_training() -> None:
    torch.manual_seed(0)
    dropout, values = Dropout(0.25), torch.ones(200, 50)
    found = dropout(values)
    assert found.unique().tolist() == pytest.approx([0, 4 / 3])
    assert float((found == 0).float().mean()) == pytest.approx(0.25, abs=0.02)
    assert float(found.mean()) == pytest.approx(1, abs=0.02)
    assert torch.equal(dropout.eval()(values), values)


def test_numbers_for_another_batch_than_the_one_at_hand_are_refused() -> None:
    with drawing_for(Rows(0, (2, 2))), pytest.raises(ValueError, match="for 3 rows of a batch that has 2"):
        drawn(torch.rand, 3)
