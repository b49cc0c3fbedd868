"""What turns one input into `width` numbers: a vector or a sequence goes in, float32 [batch, width] comes out."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from mmdata.train.inputs import real

CLIP = 8.0  # in standard deviations: a number rarer than that teaches nothing and can upset everything


class Standardize(nn.Module):
    """Shift and scale by statistics of the training split, which stay in the checkpoint; far outliers are clipped."""

    mean: Tensor
    scale: Tensor

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("mean", torch.zeros(size))
        self.register_buffer("scale", torch.ones(size))

    def forward(self, values: Tensor) -> Tensor:
        """[..., size] to the same form."""
        return ((values - self.mean) / self.scale).clamp(-CLIP, CLIP)


class VectorEncoder(nn.Module):
    """One hidden layer over standardised numbers, its result normalised, so that inputs of any size weigh alike."""

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.standardize = Standardize(size)
        self.layers = nn.Sequential(
            nn.Dropout(dropout), nn.Linear(size, width), nn.GELU(), nn.LayerNorm(width), nn.Dropout(dropout)
        )

    def forward(self, values: Tensor, length: Tensor | None = None) -> Tensor:  # noqa: ARG002  one form for all encoders
        """Float32 [batch, size] to [batch, width]."""
        encoded: Tensor = self.layers(self.standardize(values))
        return encoded


class SequenceEncoder(nn.Module):
    """Two strided convolutions over time, then mean and maximum over the steps that are real.

    The real steps of a batch are laid end to end, with gaps of zeros that no convolution reaches across. So padding
    costs nothing (a batch of spoken captions was 60 % padding), and a sample's numbers don't hang on its batch.
    """

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.standardize = Standardize(size)
        self.first = nn.Conv1d(size, width, kernel_size=5, stride=2, padding=2)
        self.second = nn.Conv1d(width, width, kernel_size=5, stride=2, padding=2)
        self.finish = nn.Sequential(
            nn.LayerNorm(2 * width), nn.Dropout(dropout), nn.Linear(2 * width, width), nn.GELU()
        )

    def forward(self, values: Tensor, length: Tensor) -> Tensor:
        """Float32 [batch, time, size] and int64 [batch] to [batch, width]."""
        steps = self.standardize(values[real(length, values.shape[1])])
        for layer in (self.first, self.second):
            steps, length = convolved(layer, steps, length)
            steps = nn.functional.gelu(steps)
        encoded: Tensor = self.finish(pooled(steps, length))
        return encoded


def convolved(layer: nn.Conv1d, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Run a convolution over each of several sequences, as if zeros went on at both ends of each.

    Args:
        layer: of stride 2 or more, padded by no more than its stride.
        steps: float32 [step, size], the sequences end to end.
        length: int64 [sequence], how many steps each has.

    Returns:
        The same two of what comes out: float32 [step, width], int64 [sequence]; one step for `stride` of them.
    """
    stride = layer.stride[0]
    after = (length + stride - 1) // stride
    starts = (after + 1).cumsum(0) - after  # in steps of the result; before each sequence stands a gap of one
    room = steps.new_zeros((int((after + 1).sum()) + 1) * stride, steps.shape[1])
    spread = room.index_copy(0, _places(starts * stride, length), steps)
    return layer(spread.T[None])[0].T[_places(starts, after)], after


def pooled(steps: Tensor, length: Tensor) -> Tensor:
    """Mean and maximum of each of several sequences; zeros where one has no steps.

    Args:
        steps: float32 [step, width], the sequences end to end.
        length: int64 [sequence].

    Returns:
        Float32 [sequence, 2 * width].
    """
    owner = torch.arange(len(length), device=steps.device).repeat_interleave(length)
    empty = steps.new_zeros(len(length), steps.shape[1])
    mean = empty.index_add(0, owner, steps) / length.clamp(min=1)[:, None]
    top = empty.scatter_reduce(0, owner[:, None].expand_as(steps), steps, "amax", include_self=False)
    return torch.cat([mean, top], dim=1)


def _places(starts: Tensor, length: Tensor) -> Tensor:
    """starts[0], starts[0] + 1, ... for length[0] of them, then the same of the next: int64 [sum of length]."""
    before = length.cumsum(0) - length
    return (starts - before).repeat_interleave(length) + torch.arange(int(length.sum()), device=length.device)
