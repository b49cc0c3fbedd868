"""Tiny features with models, for tests of what runs them: their numbers are known, or known to be sensitive."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image, Text
from mmdata.core.step import BatchExtract


@dataclass(frozen=True, kw_only=True)
class Projection(BatchExtract[Image]):
    """The mean colour of a picture by a fixed random matrix, in numpy: float32 [feature]."""

    on: str = "image"
    into: str = "image.projection"
    size: Annotated[int, Ge(1)] = 8
    seed: Annotated[int, Ge(0)] = 0

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": self.size})

    def load(self, device: str) -> np.ndarray:  # noqa: ARG002  numpy knows one device
        return np.random.default_rng(self.seed).normal(size=(3, self.size)).astype(np.float32)

    def prepare(self, image: Image) -> np.ndarray:
        return np.broadcast_to(image.pixels.mean(axis=(0, 1), dtype=np.float64), 3).astype(np.float32) / 255

    def cost(self, prepared: np.ndarray) -> int:
        return int(prepared.size)

    def extract(self, model: np.ndarray, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return list(np.einsum("nc,cf->nf", np.stack(prepared), model))


@dataclass(frozen=True, kw_only=True)
class LetterVectors(BatchExtract[Text]):
    """The mean over a text's characters of a random Transformer's vectors, padded and masked: float32 [feature].

    Without the mask, a text's vector would depend on the longest text of its group.

    Args:
        masks: whether padding is masked, as it must be.
    """

    extra: ClassVar[str | None] = "torch"

    on: str = "text"
    into: str = "text.letters"
    size: Annotated[int, Ge(4)] = 16
    layers: Annotated[int, Ge(1)] = 2
    seed: Annotated[int, Ge(0)] = 0
    masks: bool = True

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("feature",), sizes={"feature": self.size})

    def load(self, device: str) -> Any:
        import torch
        from torch import nn

        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(self.seed)
            layer = nn.TransformerEncoderLayer(self.size, 4, 4 * self.size, dropout=0.0, batch_first=True)
            model = nn.ModuleDict(
                {
                    "letters": nn.Embedding(256, self.size),
                    "places": nn.Embedding(64, self.size),
                    "encoder": nn.TransformerEncoder(layer, self.layers, enable_nested_tensor=False),
                }
            )
        return model.eval().to(device)

    def prepare(self, text: Text) -> np.ndarray:
        return np.frombuffer(text.text.encode() or b"\0", np.uint8).astype(np.int64)

    def cost(self, prepared: np.ndarray) -> int:
        return len(prepared)

    def extract(self, model: Any, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        import torch

        longest = max(map(len, prepared))
        device = model["letters"].weight.device
        letters = np.stack([np.pad(each, (0, longest - len(each))) for each in prepared])
        lengths = torch.tensor([len(each) for each in prepared], device=device)
        places = torch.arange(longest, device=device)
        padding = places[None] >= lengths[:, None]
        vectors = model["letters"](torch.from_numpy(letters).to(device)) + model["places"](places % 64)
        vectors = model["encoder"](vectors, src_key_padding_mask=padding if self.masks else None)
        if self.masks:
            vectors = vectors.masked_fill(padding[..., None], 0.0)
        means = vectors.sum(1) / lengths[:, None]
        return list(means.float().cpu().numpy())
