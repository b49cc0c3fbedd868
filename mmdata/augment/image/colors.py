"""Change a picture's colours at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Image
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.image.color import grey, rgb, turn_hue

Strength = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class JitterColors(RandomMap[Image, Image]):
    """Change brightness, contrast, saturation and hue, each by a random amount, in a random order.

    Factors are uniform from 1 - x to 1 + x, the hue's turn from -x to x. A grey picture has brightness and contrast
    alone.

    Args:
        brightness: the factor of all levels. contrast: of their distance from the mean grey level.
        saturation: of their distance from the pixel's grey. hue: in whole turns, at most 0.5.
        p: the share of pictures that are changed.

    Reference:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012), 4.1;
        factors as ColorJitter of torchvision draws them.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    brightness: Strength = 0.2
    contrast: Strength = 0.2
    saturation: Strength = 0.2
    hue: Annotated[float, Ge(0), Le(0.5)] = 0.02
    p: Strength = 1.0

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        drawn = {name: rng.uniform(1 - x, 1 + x) for name, x in self._strengths().items()}
        turn = rng.uniform(-self.hue, self.hue)
        order = rng.permutation(4)
        pixels = image.pixels
        for index in order:
            name = ("brightness", "contrast", "saturation", "hue")[index]
            if name == "hue":
                pixels = pixels if turn == 0 or pixels.shape[2] == 1 else turn_hue(pixels, turn)
            elif drawn[name] != 1 and not (name == "saturation" and pixels.shape[2] == 1):
                pixels = blended(pixels, _anchor(pixels, name), drawn[name])
        return image if pixels is image.pixels else image.changed(pixels)

    def _strengths(self) -> dict[str, float]:
        return {"brightness": self.brightness, "contrast": self.contrast, "saturation": self.saturation}


@dataclass(frozen=True, kw_only=True)
class DropColors(RandomMap[Image, Image]):
    """Make pictures grey, in as many channels as they have.

    Args:
        p: the share of pictures.

    Reference:
        Chen et al., "A simple framework for contrastive learning" (SimCLR, ICML 2020), appendix A.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    p: Strength = 0.2

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p or image.pixels.shape[2] == 1:
            return image
        return image.changed(rgb(grey(image.pixels)[..., None]))


def blended(pixels: np.ndarray, anchor: np.ndarray | float, factor: float) -> np.ndarray:
    """Levels whose distance from an anchor is multiplied, rounded and clipped: uint8 as `pixels`."""
    levels = np.float32(factor) * pixels + np.float32(1 - factor) * np.asarray(anchor, np.float32)
    moved: np.ndarray = np.clip(np.rint(levels), 0, 255).astype(np.uint8)
    return moved


def _anchor(pixels: np.ndarray, name: str) -> np.ndarray | float:
    if name == "brightness":
        return 0.0
    levels = grey(pixels)
    return float(levels.mean()) if name == "contrast" else levels[..., None]
