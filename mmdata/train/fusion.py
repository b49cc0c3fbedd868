"""What makes one vector of several inputs, some of which a sample may lack. A new way is one more class here."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from typing import cast

import torch
from torch import Tensor, nn

from mmdata.errors import ConfigError
from mmdata.train.config import guess


class Fusion(nn.Module, ABC):
    """Several encoded inputs to one vector.

    Args:
        n_inputs: how many there are. width: numbers each.

    Attributes:
        n_out: numbers of the fused vector.
    """

    n_out: int

    def __init__(self, n_inputs: int, width: int) -> None:
        super().__init__()
        self.n_inputs, self.width = n_inputs, width

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


def fusion_class(name: str) -> type[Fusion]:
    """The class of that name: "concat" is `Concat`; "package.module.Class" is one that was imported already.

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
    known = {item.__name__.lower(): item for item in globals().values() if _is_fusion(item)}
    if name not in known:
        raise ConfigError("train", [f"fusion: there is no {name!r}{guess(name, known)}"])
    return cast(type[Fusion], known[name])


def _is_fusion(item: object) -> bool:
    return isinstance(item, type) and issubclass(item, Fusion) and item is not Fusion


def silence(present: Tensor, share: float) -> Tensor:
    """Take inputs away from bool [batch, input] with probability `share`; who would lose all of them keeps them."""
    kept = present & (torch.rand(present.shape, device=present.device) >= share)
    return torch.where(kept.any(dim=1, keepdim=True), kept, present)
