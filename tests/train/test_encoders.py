from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdata.train.encoders import CLIP, SequenceEncoder, Standardize, VectorEncoder, convolved, pooled
from mmdata.train.inputs import real

LENGTHS = torch.tensor([1, 2, 3, 4, 5, 8, 11, 0])


def padded(n_steps: int) -> torch.Tensor:
    values = torch.randn(len(LENGTHS), 11, 3, generator=torch.Generator().manual_seed(1))
    longer = torch.zeros(len(LENGTHS), n_steps, 3)
    longer[:, :11] = values
    return longer.masked_fill(~real(LENGTHS, n_steps)[..., None], 0)


def test_a_sequence_is_read_the_same_whatever_it_is_batched_with() -> None:
    torch.manual_seed(0)
    encoder = SequenceEncoder(3, 8, 0.5).eval()
    assert encoder.standardize is not None
    encoder.standardize.mean.fill_(0.7)  # padding is no longer zero once it is shifted
    short, long = encoder(padded(11), LENGTHS), encoder(padded(32), LENGTHS)
    assert short.shape == (len(LENGTHS), 8)
    torch.testing.assert_close(short, long, rtol=1e-5, atol=1e-6)  # sums in another order
    alone = torch.cat([encoder(padded(11)[i : i + 1, : max(1, n)], LENGTHS[i : i + 1]) for i, n in enumerate(LENGTHS)])
    torch.testing.assert_close(short, alone, rtol=1e-5, atol=1e-6)


def test_every_real_step_of_a_sequence_matters_and_no_other() -> None:
    torch.manual_seed(0)
    values = padded(11).requires_grad_()
    SequenceEncoder(3, 8, 0.0).eval()(values, LENGTHS).square().sum().backward()
    assert values.grad is not None
    assert (values.grad.abs().sum(dim=2) > 0).tolist() == real(LENGTHS, 11).tolist()


@given(st.lists(st.integers(0, 13), min_size=1, max_size=6), st.integers(2, 4), st.integers(0, 2), st.integers(0, 99))
def test_sequences_end_to_end_are_convolved_each_on_its_own(
    lengths: list[int], stride: int, padding: int, seed: int
) -> None:
    torch.manual_seed(seed)
    layer = torch.nn.Conv1d(2, 3, kernel_size=2 * padding + 1, stride=stride, padding=padding)
    each = [torch.randn(n, 2) for n in lengths]
    steps, length = convolved(layer, torch.cat(each), torch.tensor(lengths))
    expected = [layer(one.T[None])[0].T for one in each if len(one)]
    assert length.tolist() == [-(-n // stride) for n in lengths]
    torch.testing.assert_close(steps, torch.cat([*expected, torch.empty(0, 3)]), rtol=1e-5, atol=1e-6)


def test_vectors_are_standardised_first() -> None:
    torch.manual_seed(0)
    encoder = VectorEncoder(2, 8, 0.0).eval()
    plain = encoder(torch.tensor([[0.5, -1.0]]))
    encoder.standardize.mean.copy_(torch.tensor([10.0, 20.0]))
    encoder.standardize.scale.copy_(torch.tensor([2.0, 4.0]))
    torch.testing.assert_close(encoder(torch.tensor([[11.0, 16.0]])), plain)


def test_outliers_are_clipped_on_both_sides() -> None:
    values = torch.tensor([1e30, -1e30, CLIP - 0.5, -CLIP + 0.5])[:, None]
    assert Standardize(1)(values)[:, 0].tolist() == [CLIP, -CLIP, CLIP - 0.5, -CLIP + 0.5]


def test_statistics_are_kept_but_not_trained() -> None:
    encoder = VectorEncoder(2, 4, 0.0)
    assert {"standardize.mean", "standardize.scale"} <= set(encoder.state_dict())
    assert not any("standardize" in name for name, _ in encoder.named_parameters())


def test_pooling_has_known_means_and_maxima() -> None:
    steps = torch.tensor([1.0, 3.0, -4.0, -2.0, -3.0])[:, None]
    assert pooled(steps, torch.tensor([2, 0, 3])).tolist() == [[2, 3], [0, 0], [-3, -2]]
