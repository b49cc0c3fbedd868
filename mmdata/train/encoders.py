"""What turns one input into `width` numbers: a vector, a picture, a sequence or tokens go in, float32 [batch, width]
comes out.

Sequences go through a chain of layers as their real steps laid end to end, so that padding costs nothing (a batch of
spoken captions was 60 % padding) and a sample's numbers don't hang on its batch. For an export they stay padded, and
steps are [batch, time, width] in place of [step, width]: `train.padded`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

from mmdata.errors import ConfigError
from mmdata.train import padded
from mmdata.train.attention import transform
from mmdata.train.chance import Dropout
from mmdata.train.config import arrangement, guess
from mmdata.train.inputs import Input, real

CLIP = 8.0  # in standard deviations: a number rarer than that teaches nothing and can upset everything
N_HEADS = 4  # of an attention, where the width can be divided so


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


class Encoder(nn.Module, ABC):
    """One input to `width` numbers, by way of steps that an attention may look at; a vector is one step.

    In a cascade it is given another input's encoding, `n_given` numbers, which stand beside those of each of its steps
    (conditioning by concatenation, see Dumoulin et al., 2018).
    """

    standardize: Standardize | None  # by statistics of the training split; tokens have none
    keeps_padding: bool = False  # for an export

    @abstractmethod
    def steps(self, values: Tensor, length: Tensor | None = None, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Of a part's values and lengths (see `inputs.Part`), float32 [step, width] end to end, and int64 [batch].

        `given` is float32 [batch, n_given], or None where the encoder is given nothing.
        """

    def summary(self, steps: Tensor, length: Tensor) -> Tensor:  # noqa: ARG002  a vector is its own
        """Float32 [batch, width] of what `steps` gave."""
        return steps[:, 0] if self.keeps_padding else steps

    def forward(self, values: Tensor, length: Tensor | None = None) -> Tensor:
        """Float32 [batch, width] of a part's values and lengths."""
        return self.summary(*self.steps(values, length))


class VectorEncoder(Encoder):
    """One hidden layer over standardised numbers, its result normalised, so that inputs of any size weigh alike."""

    standardize: Standardize

    def __init__(self, size: int, width: int, dropout: float, n_given: int = 0) -> None:
        super().__init__()
        self.standardize = Standardize(size)
        self.layers = nn.Sequential(
            Dropout(dropout), nn.Linear(size + n_given, width), nn.GELU(), nn.LayerNorm(width), Dropout(dropout)
        )

    def steps(
        self,
        values: Tensor,
        length: Tensor | None = None,  # noqa: ARG002  as all
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Float32 [batch, size] to [batch, width], a step each."""
        own = self.standardize(values)
        return _one_each(self.layers(own if given is None else torch.cat([own, given], dim=1)), self.keeps_padding)


class ImageEncoder(Encoder):
    """Three strided convolutions over a picture, then the mean over all places."""

    standardize: Standardize

    def __init__(self, channels: int, width: int, dropout: float, n_given: int = 0) -> None:
        super().__init__()
        self.standardize = Standardize(channels)
        sizes = [channels + n_given, max(8, width // 4), max(8, width // 2), width]
        self.layers = nn.ModuleList(
            nn.Conv2d(n_in, n_out, kernel_size=3, stride=2, padding=1) for n_in, n_out in pairwise(sizes)
        )
        self.finish = nn.Sequential(nn.LayerNorm(width), Dropout(dropout), nn.Linear(width, width), nn.GELU())

    def steps(
        self,
        values: Tensor,
        length: Tensor | None = None,  # noqa: ARG002  as all
        given: Tensor | None = None,
    ) -> tuple[Tensor, Tensor]:
        """Float32 [batch, row, column, channel] to [batch, width], a step each."""
        maps = self.standardize(values).permute(0, 3, 1, 2)
        if given is not None:
            maps = torch.cat([maps, given[:, :, None, None].expand(-1, -1, *maps.shape[2:])], dim=1)
        for layer in self.layers:
            maps = nn.functional.gelu(layer(maps))
        return _one_each(self.finish(maps.mean(dim=(2, 3))), self.keeps_padding)


class SequenceEncoder(Encoder):
    """A chain of layers over time, one after the other, then mean and maximum over the steps that are real.

    Args:
        size: numbers a step. chain: names of layers: "cnn", "gru", "lstm", "transformer".
        vocabulary: of tokens: how many ids there are; a step is one id then, and `size` is not looked at.
        n_given: numbers of another input.
    """

    def __init__(
        self,
        size: int,
        width: int,
        dropout: float,
        chain: Sequence[str] = ("cnn",),
        vocabulary: int | None = None,
        n_given: int = 0,
    ) -> None:
        super().__init__()
        self.standardize = Standardize(size) if vocabulary is None else None
        self.embedding = None if vocabulary is None else nn.Embedding(vocabulary + 1, width)  # the last: any other id
        sizes = [n_given + (size if vocabulary is None else width), *[width] * len(chain)]
        self.chain = nn.ModuleList(LAYERS[name](n_in, width) for name, n_in in zip(chain, sizes, strict=False))
        self.finish = nn.Sequential(nn.LayerNorm(2 * width), Dropout(dropout), nn.Linear(2 * width, width), nn.GELU())

    def steps(self, values: Tensor, length: Tensor | None = None, given: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """Float32 [batch, time, size], or tokens int64 [batch, time], and int64 [batch] to steps end to end."""
        if length is None:
            raise ValueError("a sequence comes with its lengths")
        steps = values if self.keeps_padding else values[real(length, values.shape[1])]
        if self.embedding is not None:
            steps = self.embedding(steps.clamp(0, self.embedding.num_embeddings - 1))
        elif self.standardize is not None:
            steps = self.standardize(steps)
        if given is not None:
            wide = steps.ndim == 3
            beside = given[:, None].expand(-1, steps.shape[1], -1) if wide else given.repeat_interleave(length, dim=0)
            steps = torch.cat([steps, beside], dim=-1)
        for layer in self.chain:
            steps, length = layer(steps, length)
        return steps, length

    def summary(self, steps: Tensor, length: Tensor) -> Tensor:
        """Float32 [step, width] and int64 [batch] to [batch, width]."""
        summed: Tensor = self.finish(pooled(steps, length))
        return summed


class Layer(nn.Module, ABC):
    """Sequences in, sequences out.

    Args:
        size: numbers a step that goes in. width: of one that comes out.
    """

    @abstractmethod
    def forward(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """Float32 [step, size], the sequences end to end, and int64 [sequence]: the same two of what comes out."""


class Convolutions(Layer):
    """Two convolutions of stride 2: a quarter of the steps."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.first = nn.Conv1d(size, width, kernel_size=5, stride=2, padding=2)
        self.second = nn.Conv1d(width, width, kernel_size=5, stride=2, padding=2)

    def forward(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """As `Layer`."""
        for layer in (self.first, self.second):
            steps, length = convolved(layer, steps, length)
            steps = nn.functional.gelu(steps)
        return steps, length


class Recurrent(Layer):
    """A GRU (Cho et al., 2014) or LSTM (Hochreiter and Schmidhuber, 1997) in both directions, half the width each."""

    kind: type[nn.GRU] | type[nn.LSTM] = nn.GRU

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        if width % 2:
            raise ConfigError("train", [f"width: {width} can't be halved, as an encoder of two directions needs"])
        self.cells = self.kind(size, width // 2, batch_first=True, bidirectional=True)

    def forward(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """As `Layer`."""
        if steps.ndim == 3:
            return padded.both_ways(self.cells, steps, length), length
        there = length > 0
        if not bool(there.any()):
            return steps.new_zeros(0, 2 * self.cells.hidden_size), length
        wide = spread(steps, length)[there]
        packed = pack_padded_sequence(wide, length[there].cpu(), batch_first=True, enforce_sorted=False)
        out, _ = pad_packed_sequence(self.cells(packed)[0], batch_first=True)
        return out[real(length[there], out.shape[1])], length


class Lstm(Recurrent):
    """An LSTM in both directions."""

    kind = nn.LSTM


class SelfAttention(Layer):
    """A layer of a Transformer (Vaswani et al., 2017) over a sequence's steps, which know their places by sinusoids."""

    def __init__(self, size: int, width: int) -> None:
        super().__init__()
        self.into = nn.Linear(size, width)
        n_heads = heads(width)
        self.layer = nn.TransformerEncoderLayer(
            width, n_heads, 2 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )

    def forward(self, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
        """As `Layer`."""
        there, steps = length > 0, self.into(steps)
        if steps.ndim == 3:
            placed = steps + places(steps.shape[1], steps.shape[2])
            return transform(self.layer, placed, real(length, steps.shape[1])), length
        if not bool(there.any()):
            return steps, length
        wide = spread(steps, length)[there]
        known = real(length[there], wide.shape[1])
        out = self.layer(wide + places(wide.shape[1], wide.shape[2], wide.device), src_key_padding_mask=~known)
        return out[known], length


LAYERS: dict[str, type[Layer]] = {
    "cnn": Convolutions,
    "gru": Recurrent,
    "lstm": Lstm,
    "transformer": SelfAttention,
}
VECTORS, PICTURES = "mlp", "image"
AUTO = "auto"


def _one_each(encoded: Tensor, keeps_padding: bool) -> tuple[Tensor, Tensor]:
    """Vectors as sequences of one step."""
    ones = torch.ones(encoded.shape[0], dtype=torch.int64, device=encoded.device)
    return encoded[:, None] if keeps_padding else encoded, ones


def check_encoder(item: Input, name: str) -> str | None:
    """What is wrong with an encoder for an input, or None. Its name is "auto", "mlp", "image", or a chain "cnn+gru"."""
    known = [AUTO, VECTORS, PICTURES, *LAYERS]
    unknown = [part for part in name.split("+") if part not in known]
    if unknown:
        return f"there is no {unknown[0]!r}{guess(unknown[0], known)}"
    fits = {"vector": {AUTO, VECTORS}, "image": {AUTO, PICTURES}}.get(item.kind, {AUTO, *LAYERS})
    wrong = [part for part in name.split("+") if part not in fits]
    if wrong or (AUTO in name and name != AUTO):
        return f"{name!r} is for no {item.kind}; {item.column!r} takes {', '.join(sorted(fits))}"
    return None


def encoder(item: Input, name: str, width: int, dropout: float) -> Encoder:
    """The encoder of an input, by a name that `check_encoder` found right, with or without "<-" and another input."""
    own, given = arrangement(name)
    n_given = 0 if given is None else width
    if item.kind == "vector":
        return VectorEncoder(item.size, width, dropout, n_given)
    if item.kind == "image":
        return ImageEncoder(item.size, width, dropout, n_given)
    chain = ("cnn",) if own == AUTO else tuple(own.split("+"))
    return SequenceEncoder(item.size, width, dropout, chain, item.size if item.kind == "tokens" else None, n_given)


def heads(width: int) -> int:
    """How many heads an attention of that width has."""
    return math.gcd(width, N_HEADS)


def places(n_steps: int, width: int, device: torch.device | str = "cpu") -> Tensor:
    """Sinusoids by which a step knows its place (Vaswani et al., 2017): float32 [time, width]."""
    rates = torch.exp(torch.arange(0, width, 2, device=device) * (-math.log(10_000.0) / width))
    angles = torch.arange(n_steps, device=device)[:, None] * rates
    return torch.stack([angles.sin(), angles.cos()], dim=2).flatten(1)[:, :width]


def spread(steps: Tensor, length: Tensor) -> Tensor:
    """Sequences end to end, float32 [step, width], to zero-padded ones: [sequence, time, width]."""
    if steps.ndim == 3:
        return steps
    longest = int(length.max()) if len(length) else 0
    wide = steps.new_zeros(len(length), longest, steps.shape[1])
    wide[real(length, longest)] = steps
    return wide


def convolved(layer: nn.Conv1d, steps: Tensor, length: Tensor) -> tuple[Tensor, Tensor]:
    """Run a convolution over each of several sequences, as if zeros went on at both ends of each.

    Args:
        layer: of stride 2 or more, padded by no more than its stride.
        steps: float32 [step, size], the sequences end to end.
        length: int64 [sequence], how many steps each has.

    Returns:
        The same two of what comes out: float32 [step, width], int64 [sequence]; one step for `stride` of them.
    """
    if steps.ndim == 3:
        return padded.convolved(layer, steps, length)
    stride = layer.stride[0]
    after = (length + stride - 1) // stride
    starts = (after + 1).cumsum(0) - after  # in steps of the result; before each sequence stands a gap of one
    room = steps.new_zeros((int((after + 1).sum()) + 1) * stride, steps.shape[1])
    filled = room.index_copy(0, _places(starts * stride, length), steps)
    return layer(filled.T[None])[0].T[_places(starts, after)], after


def pooled(steps: Tensor, length: Tensor) -> Tensor:
    """Mean and maximum of each of several sequences; zeros where one has no steps.

    Args:
        steps: float32 [step, width], the sequences end to end.
        length: int64 [sequence].

    Returns:
        Float32 [sequence, 2 * width].
    """
    if steps.ndim == 3:
        return padded.pooled(steps, length)
    owner = torch.arange(len(length), device=steps.device).repeat_interleave(length)
    empty = steps.new_zeros(len(length), steps.shape[1])
    mean = empty.index_add(0, owner, steps) / length.clamp(min=1)[:, None]
    top = empty.scatter_reduce(0, owner[:, None].expand_as(steps), steps, "amax", include_self=False)
    return torch.cat([mean, top], dim=1)


def _places(starts: Tensor, length: Tensor) -> Tensor:
    """starts[0], starts[0] + 1, ... for length[0] of them, then the same of the next: int64 [sum of length]."""
    before = length.cumsum(0) - length
    return (starts - before).repeat_interleave(length) + torch.arange(int(length.sum()), device=length.device)
