"""Vectors of pictures by models of `transformers`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, ClassVar, Generic, Literal, TypeVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.features.embed.pretrained import SHARED, Pretrained, Tower, first_line, of_one_form, quiet
from mmdata.features.embed.text import resolved, shared_size
from mmdata.features.embed.weights import unusable

Takes = TypeVar("Takes")
Pixels = dict[str, np.ndarray]


@dataclass(frozen=True, kw_only=True)
class Picturing(Pretrained[Takes], Generic[Takes]):
    """What steps with a model of pictures share.

    Args:
        pooling: "cls" the first place, where such models sum a picture up, "mean" of the places that show something,
            "pooler" the model's own head, "shared" the space that a model of pictures and texts has in common. "auto"
            is "shared" where there is such a space, "mean" for convolutions, and "cls" elsewhere.
    """

    tower: ClassVar[str] = "vision_model"

    pooling: Literal["auto", "cls", "mean", "pooler", "shared"] = "auto"

    def size(self) -> int:
        """Numbers of one vector. Raises ConfigError when there is no such layer or pooling."""
        config, how = self.own_config(), self.how()
        self.check_layer(config)
        if how == SHARED:
            return shared_size(self.config(), config)
        widths = getattr(config, "hidden_sizes", None)
        return int(widths[-1] if widths else config.hidden_size)

    def how(self) -> str:
        """The pooling, "auto" resolved."""
        return resolved(self, self.pooling, "mean" if self._is_convolution() else "cls")

    def _is_convolution(self) -> bool:
        return not hasattr(self.own_config(), "num_attention_heads")

    def may_lack(self, weight: str) -> bool:
        return super().may_lack(weight) or (self.how() not in ("pooler", SHARED) and "pooler." in weight)

    def load(self, device: str) -> Tower:
        self.processor()  # what is wrong with it is found now, not at the first picture
        tower = super().load(device)
        if self.how() == "cls" and not _has_first(tower):
            raise unusable(self.model, "sums no picture up in its first place: pool by mean, pooler or shared")
        return tower

    def processor(self) -> Any:
        """What makes a model's input of pixels: always the one by Pillow, whatever else is installed."""
        return processor_at(self.folder, self.model)

    def pictured(self, model: Tower, pixels: Sequence[Pixels]) -> Any:
        """Vectors of pictures whose arrays stack: torch [picture, feature]."""
        batch = {name: model.tensor(np.stack([each[name] for each in pixels])) for name in pixels[0]}
        how = self.how()
        if how == SHARED:
            return model.whole.get_image_features(**batch).pooler_output
        output = model.part(**batch, **self.asks)
        if how == "pooler":
            return output.pooler_output.flatten(1)
        states = self.states(output)
        if states.ndim == 4:  # [picture, feature, row, column]
            return states.mean(dim=(2, 3))
        return states[:, 0] if how == "cls" else states[:, self._n_marks(model) :].mean(dim=1)

    def _n_marks(self, model: Tower) -> int:
        """How many places of a picture show nothing: the first, and what some models keep notes in."""
        return int(_has_first(model)) + int(getattr(self.own_config(), "num_register_tokens", 0) or 0)


@dataclass(frozen=True, kw_only=True)
class ImageEmbedding(Picturing[Image]):
    """A vector of a picture: float32 [feature].

    For ViT, DINOv2 and their like, ConvNeXt, ResNet, and the picture towers of CLIP and SigLIP. Pictures are resized,
    cropped and scaled by the model's own processor, in its form that needs Pillow only.

    Reference:
        The model's own, by `transformers`.
    """

    on: str = "image"
    into: str = "image.embedding"

    def spec(self) -> ArraySpec:
        return self.vector(self.size())

    def prepare(self, value: Image) -> Pixels:
        return fitted(self.processor(), value.pixels)

    def cost(self, prepared: Pixels) -> int:
        return pixels_of(prepared)

    def extract(self, model: Tower, prepared: Sequence[Pixels]) -> Sequence[np.ndarray]:
        found: dict[int, np.ndarray] = {}
        for places in of_one_form(prepared):
            vectors = self.finished(self.pictured(model, [prepared[place] for place in places]))
            found.update(zip(places, vectors, strict=True))
        return [found[place] for place in range(len(prepared))]


def _has_first(model: Tower) -> bool:
    return any("cls_token" in name or "class_embedding" in name for name, _ in model.part.named_parameters())


def fitted(processor: Any, pixels: np.ndarray) -> Pixels:
    """A picture, uint8 [height, width, channel], as its model wants it, by name of the input."""
    if pixels.shape[2] == 1:
        pixels = np.repeat(pixels, 3, axis=2)
    found = processor(images=pixels, input_data_format="channels_last", return_tensors="np")
    return {name: np.asarray(array)[0] for name, array in found.items()}


def pixels_of(prepared: Mapping[str, np.ndarray]) -> int:
    """How many pixels a model sees of a prepared value."""
    return max(1, int(prepared["pixel_values"].size) // 3)


@lru_cache(maxsize=16)
def processor_at(folder: Path, model: str) -> Any:
    with quiet():
        from transformers import AutoImageProcessor

        try:
            return AutoImageProcessor.from_pretrained(
                folder, backend="pil", local_files_only=True, trust_remote_code=False
            )
        except Exception as error:  # whatever stands in a stranger's files
            raise unusable(model, f"its processor of pictures can't be used: {first_line(error)}") from error
