"""What makes one vector of several inputs, some of which a sample may lack. A new way is one more class here."""

from __future__ import annotations

import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import ClassVar, Literal, cast

import torch
from torch import Tensor, nn

from mmdata.errors import ConfigError
from mmdata.train.attention import ask
from mmdata.train.chance import drawn
from mmdata.train.config import guess
from mmdata.train.encoders import heads, spread
from mmdata.train.inputs import real


class Fusion(nn.Module, ABC):
    """Several encoded inputs to one vector.

    Args:
        n_inputs: how many there are. width: numbers each.

    Attributes:
        n_out: numbers of the fused vector.
        of: what it takes: "vectors" is one an input, "steps" is what `Encoder.steps` gives, too, "logits" is each
            input's own answer, and "raw" are the inputs' own numbers.
        look: is given how much each input counts, float32 [batch, input], or [batch, input, input] for how much each
            looks at each; does nothing with it, but may be watched. Fusions without such weights don't call it.
    """

    of: ClassVar[Literal["vectors", "steps", "logits", "raw"]] = "vectors"
    n_out: int

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.n_inputs, self.width, self.n_out = n_inputs, width, width
        self.look = nn.Identity()

    @abstractmethod
    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, n_out].

        What `encoded` holds where `present` is False must not matter.
        """


class Concat(Fusion):
    """Inputs side by side; a missing one is stood for by a learned vector."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.n_out = n_inputs * width
        self.missing = nn.Parameter(torch.zeros(n_inputs, width))

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, input * width]."""
        return torch.where(present[..., None], encoded, self.missing).flatten(1)


class Early(Fusion):
    """Inputs side by side before anything is learned: the head sees all numbers at once, standardised.

    A sequence goes in as mean and maximum over its steps. A missing input is zeros, its mean; which ones are there
    goes in, too.

    Args:
        n_inputs: how many there are. width: numbers of all of them together.
    """

    of = "raw"

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.n_out = width + n_inputs

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, width], zeros where inputs are missing, and bool [batch, input] to [batch, width + input]."""
        return torch.cat([encoded, present.to(encoded.dtype)], dim=1)


class WeightedSum(Fusion):
    """The sum of the inputs, each times a learned weight; the weights of those that are there add up to 1."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.score = nn.Parameter(torch.zeros(n_inputs))

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        return _mean(encoded, present, self.look(_shares(self.score.expand(present.shape), present)))


class Product(Fusion):
    """The inputs multiplied number by number, each passed through tanh; a missing one counts as 1."""

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        return torch.where(present[..., None], encoded.tanh(), 1.0).prod(dim=1)


class Gated(Fusion):
    """The gated multimodal unit (Arevalo et al., 2017): each input's share of each number hangs on all inputs."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.values = nn.Parameter(_uniform(n_inputs, width, width))
        self.gates = nn.Linear(n_inputs * width, n_inputs * width)

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        there = _there(encoded, present)
        gates = self.gates(there.flatten(1)).sigmoid().view_as(there)
        self.look(torch.where(present, gates.mean(dim=2), 0.0))
        values = torch.einsum("biw,iwv->biv", there, self.values).tanh()
        return torch.sum(gates * values, dim=1)


class LowRank(Fusion):
    """The outer product of all inputs, by factors of rank 4 (low-rank multimodal fusion, Liu et al., 2018).

    Each input has a 1 put before it, so that every subset of the inputs has its share; a missing one is the 1 alone.
    """

    RANK: ClassVar[int] = 4

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.factors = nn.Parameter(
            _uniform(self.RANK * n_inputs, width + 1, width).view(self.RANK, n_inputs, -1, width)
        )
        self.weights = nn.Parameter(torch.full((self.RANK,), self.RANK**-0.5))
        self.bias = nn.Parameter(torch.zeros(width))

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        ones = encoded.new_ones(*encoded.shape[:2], 1)
        there = torch.cat([ones, _there(encoded, present)], dim=2)
        factors = torch.einsum("biw,riwv->briv", there, self.factors).prod(dim=2)
        return torch.einsum("brv,r->bv", factors, self.weights) + self.bias


class AttentionPool(Fusion):
    """A weighted mean whose weights hang on the sample: what an input says decides how much it counts."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.hidden = nn.Linear(width, width)
        self.score = nn.Linear(width, 1, bias=False)

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        return _mean(encoded, present, self.look(self.weights(encoded, present)))

    def weights(self, encoded: Tensor, present: Tensor) -> Tensor:
        """How much each input counts: float32 [batch, input], with a sum of 1 where any is there."""
        scores: Tensor = self.score(self.hidden(_there(encoded, present)).tanh())[..., 0]
        return _shares(scores, present)


class Additive(Fusion):
    """w1 x + w2 y + Att(x, y): a learned weight a input, and what an attention between the inputs adds to that."""

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.weight = nn.Parameter(torch.full((n_inputs,), 1 / n_inputs))
        self.attention = nn.MultiheadAttention(width, heads(width), batch_first=True)

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Float32 [batch, input, width] and bool [batch, input] to [batch, width]."""
        there = _there(encoded, present)
        asked, weights = ask(self.attention, there, there, present)
        self.look(torch.where(present[:, :, None] & present[:, None], weights, 0.0))
        n_there = present.sum(dim=1, keepdim=True).clamp(min=1)
        return (there * self.weight[:, None]).sum(dim=1) + _there(asked, present).sum(dim=1) / n_there


class CrossAttention(Fusion):
    """Each input asks the steps of all others, by multi-head attention as in MulT (Tsai et al., 2019).

    The answers are added to the inputs, which then stand side by side, normalised; a missing one is a learned vector.
    """

    of = "steps"

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.n_out = n_inputs * width
        self.origin = nn.Parameter(torch.randn(n_inputs, width) * 0.02)
        self.attention = nn.ModuleList(
            nn.MultiheadAttention(width, heads(width), batch_first=True) for _ in range(n_inputs)
        )
        self.norm = nn.LayerNorm(width)
        self.missing = nn.Parameter(torch.zeros(n_inputs, width))

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """As `over`, where each input is one step."""
        length = torch.ones(len(encoded), dtype=torch.int64, device=encoded.device)
        return self.over(encoded, present, [(encoded[:, at], length) for at in range(self.n_inputs)])

    def over(self, encoded: Tensor, present: Tensor, steps: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Float32 [batch, input, width], bool [batch, input] and each input's steps to [batch, input * width].

        Args:
            encoded: float32 [batch, input, width].
            present: bool [batch, input].
            steps: of each input float32 [step, width] end to end, and int64 [batch].
        """
        there = _there(encoded, present)
        wide = [self._keys(at, *pair, present) for at, pair in enumerate(steps)]
        fused, looks = [], []
        for at, attention in enumerate(self.attention):
            keys = torch.cat([steps for other, (steps, _) in enumerate(wide) if other != at] or [there[:, :0]], dim=1)
            real_keys = torch.cat([real for other, (_, real) in enumerate(wide) if other != at] or [present[:, :0]], 1)
            answer = torch.zeros_like(there[:, at])
            if keys.shape[1]:
                asked, weights = ask(cast(nn.MultiheadAttention, attention), there[:, at : at + 1], keys, real_keys)
                answer = torch.where(real_keys.any(dim=1, keepdim=True), asked[:, 0], 0.0)
                looks.append(self._looks(at, torch.where(real_keys, weights[:, 0], 0.0), wide))
            fused.append(self.norm(there[:, at] + answer))
        if looks:
            self.look(torch.where(present[..., None], torch.stack(looks, dim=1), 0.0))
        return torch.where(present[..., None], torch.stack(fused, dim=1), self.missing).flatten(1)

    def _looks(self, at: int, weights: Tensor, wide: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
        """Weights of steps, [batch, key], summed up for the input that they are of: [batch, input]."""
        others = [steps.shape[1] for other, (steps, _) in enumerate(wide) if other != at]
        sums = [each.sum(dim=1) for each in torch.split(weights, others, dim=1)]
        sums.insert(at, torch.zeros_like(weights[:, 0]))
        return torch.stack(sums, dim=1)

    def _keys(self, at: int, steps: Tensor, length: Tensor, present: Tensor) -> tuple[Tensor, Tensor]:
        """An input's steps as others see them, [batch, time, width], and which are real: bool [batch, time]."""
        padded = spread(steps, length)
        known = real(length * present[:, at], padded.shape[1])
        return torch.where(known[..., None], padded + self.origin[at], 0.0), known


class LateAverage(Fusion):
    """Each input answers by itself; the mean of the logits of those that are there is the answer."""

    of = "logits"

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Logits, float32 [batch, input, class], and bool [batch, input] to [batch, class]."""
        return _mean(encoded, present, _shares(torch.zeros_like(encoded[..., 0]), present))


class LateWeighted(Fusion):
    """Each input answers by itself; how much an answer counts is learned, one weight an input."""

    of = "logits"

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__(n_inputs, width)
        self.score = nn.Parameter(torch.zeros(n_inputs))

    def forward(self, encoded: Tensor, present: Tensor) -> Tensor:
        """Logits, float32 [batch, input, class], and bool [batch, input] to [batch, class]."""
        return _mean(encoded, present, self.look(_shares(self.score.expand(present.shape), present)))


def _there(encoded: Tensor, present: Tensor) -> Tensor:
    """Zeros in the place of what is missing, whatever stood there."""
    return torch.where(present[..., None], encoded, 0.0)


def _shares(scores: Tensor, present: Tensor) -> Tensor:
    """Softmax over the inputs that are there; zeros where none is."""
    open_to = present | ~present.any(dim=1, keepdim=True)
    return torch.where(present, scores.masked_fill(~open_to, -torch.inf).softmax(dim=1), 0.0)


def _mean(encoded: Tensor, present: Tensor, shares: Tensor) -> Tensor:
    """The weighted mean of the inputs that are there: [batch, width]."""
    return (_there(encoded, present) * shares[..., None]).sum(dim=1)


def _uniform(n: int, n_in: int, n_out: int) -> Tensor:
    """Matrices [n, n_in, n_out] with the spread of `nn.Linear`'s."""
    return torch.empty(n, n_in, n_out).uniform_(-(n_in**-0.5), n_in**-0.5)


def fusion_class(name: str) -> type[Fusion]:
    """The class of that name: "low_rank" is `LowRank`; "package.module.Class" is one that was imported already.

    Nothing is imported here: a name in a checkpoint or a pipeline file runs no code that was not asked for before
    (a pipeline's `plugins:`).

    Raises:
        ConfigError: there is none, or it is no `Fusion`.
    """
    module, _, attribute = name.rpartition(".")
    if module:
        found = getattr(sys.modules.get(module), attribute, None)
        if isinstance(found, type) and issubclass(found, Fusion):
            return found
        raise ConfigError(
            "train", [f"fusion: no class of Fusion {name!r} is imported; list its package under plugins:"]
        )
    known = {_snake(item.__name__): item for item in globals().values() if _is_fusion(item)}
    if name not in known:
        raise ConfigError("train", [f"fusion: there is no {name!r}{guess(name, known)}"])
    return cast(type[Fusion], known[name])


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _is_fusion(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, Fusion) and item is not Fusion


def silence(present: Tensor, share: float) -> Tensor:
    """Take inputs away from bool [batch, input] with probability `share`; who would lose all of them keeps them."""
    numbers = drawn(lambda n: torch.rand(n, *present.shape[1:], device=present.device), len(present))
    kept = present & (numbers >= share)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
