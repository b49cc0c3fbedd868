"""Spoil pictures at random, as cameras, codecs and what stands in the way do."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.augment.image.geometry import in_order
from mmdata.core.sample import Image
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.image.enhance import blur, jpeg_artefacts

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class AddNoise(RandomMap[Image, Image]):
    """Add white Gaussian noise, independent in each pixel and channel.

    Args:
        min_level: least standard deviation, in levels of 0 to 255; each picture's is uniform between the two.
        max_level: greatest.

    Reference:
        Hendrycks and Dietterich, "Benchmarking neural network robustness" (ICLR 2019), Gaussian noise.
    """

    keeps_form: ClassVar[bool] = True

    on: str = "image"
    min_level: Annotated[float, Ge(0)] = 2.0
    max_level: Annotated[float, Ge(0)] = 10.0

    def __post_init__(self) -> None:
        in_order("min_level", self.min_level, "max_level", self.max_level)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        level = np.float32(rng.uniform(self.min_level, self.max_level))
        noisy = rng.standard_normal(image.pixels.shape, dtype=np.float32) * level + image.pixels
        return image.changed(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))


@dataclass(frozen=True, kw_only=True)
class BlurImage(RandomMap[Image, Image]):
    """Blur a picture, as a lens out of focus does.

    Args:
        min_sigma_px: least standard deviation of the Gaussian; each picture's is uniform between the two.
        max_sigma_px: greatest.
        p: the share of pictures that are blurred.

    Reference:
        Chen et al., "A simple framework for contrastive learning" (SimCLR, ICML 2020), appendix A.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    min_sigma_px: Annotated[float, Gt(0), Le(100)] = 0.3
    max_sigma_px: Annotated[float, Gt(0), Le(100)] = 2.0
    p: Share = 0.5

    def __post_init__(self) -> None:
        in_order("min_sigma_px", self.min_sigma_px, "max_sigma_px", self.max_sigma_px)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        return image.changed(blur(image.pixels, sigma_px=rng.uniform(self.min_sigma_px, self.max_sigma_px)))


@dataclass(frozen=True, kw_only=True)
class CompressImage(RandomMap[Image, Image]):
    """Give a picture the marks of JPEG: blocks, rings, colours at half size.

    Args:
        min_quality: of libjpeg, 1 to 100; each picture's is a whole number between the two.
        max_quality: the same.
        p: the share of pictures that are compressed.

    Reference:
        Hendrycks and Dietterich, "Benchmarking neural network robustness" (ICLR 2019), JPEG; by libjpeg-turbo.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    min_quality: Annotated[int, Ge(1), Le(100)] = 30
    max_quality: Annotated[int, Ge(1), Le(100)] = 95
    p: Share = 0.5

    def __post_init__(self) -> None:
        in_order("min_quality", self.min_quality, "max_quality", self.max_quality)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p or max(image.width, image.height) > 65_500:  # more than a JPEG can hold
            return image
        quality = int(rng.integers(self.min_quality, self.max_quality, endpoint=True))
        return image.changed(jpeg_artefacts(image.pixels, quality=quality))


@dataclass(frozen=True, kw_only=True)
class EraseRectangle(RandomMap[Image, Image]):
    """Cover a rectangle of a picture.

    Ten draws of area and aspect (uniform by its logarithm), the first that fits; where none does, nothing is covered.

    Args:
        min_share: of the picture's area. max_share: the same.
        min_aspect: width / height of the rectangle. max_aspect: the same.
        fill: "noise" of random levels, the picture's "mean", or "black".
        p: the share of pictures.

    Reference:
        Zhong et al., "Random erasing data augmentation" (AAAI 2020), algorithm 1.
    """

    keeps_form: ClassVar[bool] = True

    on: str = "image"
    min_share: Annotated[float, Gt(0), Le(1)] = 0.02
    max_share: Annotated[float, Gt(0), Le(1)] = 0.33
    min_aspect: Annotated[float, Gt(0)] = 0.3
    max_aspect: Annotated[float, Gt(0)] = 3.3
    fill: Literal["noise", "mean", "black"] = "noise"
    p: Share = 0.5

    def __post_init__(self) -> None:
        in_order("min_share", self.min_share, "max_share", self.max_share)
        in_order("min_aspect", self.min_aspect, "max_aspect", self.max_aspect)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        for _ in range(10):
            area = image.width * image.height * rng.uniform(self.min_share, self.max_share)
            aspect = float(np.exp(rng.uniform(np.log(self.min_aspect), np.log(self.max_aspect))))
            width, height = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
            if 0 < width <= image.width and 0 < height <= image.height:
                left, top = rng.integers(0, (image.width - width + 1, image.height - height + 1))
                pixels = image.pixels.copy()
                pixels[top : top + height, left : left + width] = self._filled(image.pixels, height, width, rng)
                return image.changed(pixels)
        return image

    def _filled(self, pixels: np.ndarray, height: int, width: int, rng: np.random.Generator) -> np.ndarray:
        channels = pixels.shape[2]
        if self.fill == "noise":
            return rng.integers(0, 256, (height, width, channels), dtype=np.uint8)
        if self.fill == "mean":
            return np.asarray(np.rint(pixels.mean(axis=(0, 1))), np.uint8)
        return np.zeros(channels, np.uint8)
