"""What turns one input into `width` numbers: a vector or a sequence goes in, float32 [batch, width] comes out."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

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


class ConvEncoder(nn.Module):
    """Two strided convolutions over time, averaged over the steps that are real.

    Padding is set to zero before each convolution, as beyond a sequence's end, so a sample's numbers do not hang on
    what it was batched with.
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
        steps = self.standardize(values).transpose(1, 2)
        for layer in (self.first, self.second):
            steps = nn.functional.gelu(layer(steps * real(length, steps.shape[2])[:, None]))
            length = (length + 1) // 2
        encoded: Tensor = self.finish(pooled(steps.transpose(1, 2), length))
        return encoded


class GruEncoder(nn.Module):
    """A bidirectional recurrent net (Cho et al., 2014, as torch has it), averaged over the steps that are real."""

    def __init__(self, size: int, width: int, dropout: float) -> None:
        super().__init__()
        self.standardize = Standardize(size)
        self.recurrent = nn.GRU(size, width, batch_first=True, bidirectional=True)
        self.finish = nn.Sequential(
            nn.LayerNorm(4 * width), nn.Dropout(dropout), nn.Linear(4 * width, width), nn.GELU()
        )

    def forward(self, values: Tensor, length: Tensor) -> Tensor:
        """Float32 [batch, time, size] and int64 [batch] to [batch, width]."""
        lengths = length.clamp(min=1).cpu()  # an empty sequence can't be packed; it is masked later
        packed = pack_padded_sequence(self.standardize(values), lengths, batch_first=True, enforce_sorted=False)
        steps, _ = pad_packed_sequence(self.recurrent(packed)[0], batch_first=True)
        encoded: Tensor = self.finish(pooled(steps, length))
        return encoded


SEQUENCES: dict[str, type[ConvEncoder | GruEncoder]] = {"conv": ConvEncoder, "gru": GruEncoder}


def pooled(steps: Tensor, length: Tensor) -> Tensor:
    """Mean and maximum of [batch, time, width] over the real steps: [batch, 2 * width]; zeros where there is none."""
    mask = real(length, steps.shape[1])[..., None]
    mean = (steps * mask).sum(dim=1) / length.clamp(min=1)[:, None]
    top = steps.masked_fill(~mask, -torch.inf).amax(dim=1)
    return torch.cat([mean, torch.where(length[:, None] > 0, top, 0.0)], dim=1)
