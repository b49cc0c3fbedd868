"""Layers over sequences that are padded to one length, in place of end to end: the same numbers, by more arithmetic.

For formats that know neither runs of rows nor Python's loops, such as ONNX: no form here hangs on what a length is.
Everywhere `steps` is float32 [sequence, time, width], and `length` int64 [sequence]; what stands past a length is
anything.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdata.train.inputs import real


def convolved(layer: nn.Conv1d, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Run a convolution over each of several sequences, as if zeros went on at both ends of each."""
    known = real(length, steps.shape[1])
    found = layer(torch.where(known[..., None], steps, 0.0).transpose(1, 2)).transpose(1, 2)
    return found, (length + layer.stride[0] - 1) // layer.stride[0]


def both_ways(cells: nn.GRU | nn.LSTM, steps: Tensor, length: Tensor) -> Tensor:
    """Run cells in both directions: [sequence, time, width].

    The way back begins at the last step of the time: so it is taken from sequences that are moved to end there.
    """
    time = steps.shape[1]
    at, gap = torch.arange(time, device=steps.device), (time - length)[:, None]
    moved = _taken(steps, (at - gap).clamp(min=0))
    there = cells(steps)[0][..., : cells.hidden_size]
    back = cells(moved)[0][..., cells.hidden_size :]
    return torch.cat([there, _taken(back, torch.minimum(at + gap, at[-1:]))], dim=2)


def _taken(steps: Tensor, places: Tensor) -> Tensor:
    """Of each sequence the steps at int64 [sequence, time]."""
    return steps.gather(1, places[..., None].expand(-1, -1, steps.shape[2]))


def pooled(steps: Tensor, length: Tensor) -> Tensor:
    """Mean and maximum of each sequence; zeros where one has no steps: [sequence, 2 * width]."""
    known = real(length, steps.shape[1])[..., None]
    mean = torch.where(known, steps, 0.0).sum(dim=1) / length.clamp(min=1)[:, None]
    top = steps.masked_fill(~known, torch.finfo(steps.dtype).min).amax(dim=1)
    return torch.cat([mean, torch.where((length > 0)[:, None], top, 0.0)], dim=1)
