"""Change pictures at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.core.sample import Image
from mmdata.core.step import Drop, RandomMap
from mmdata.kernels.image import mirrored, mirroring


@dataclass(frozen=True, kw_only=True)
class FlipImage(RandomMap[Image, Image]):
    """Mirror a picture left-right, as it is seen: one whose EXIF orientation is still to be applied too.

    Args:
        p: the share of pictures that are mirrored.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    p: Annotated[float, Ge(0), Le(1)] = 0.5

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        on_its_side = image.orientation >= 5  # EXIF's 5 to 8 swap rows and columns before the picture is seen
        flip = {"left_right": not on_its_side, "top_bottom": on_its_side}
        step = mirroring(image.width, image.height, **flip)
        return image.changed(mirrored(image.pixels, **flip), space_map=image.space_map.after(step))


@dataclass(frozen=True, kw_only=True)
class AddNoise(RandomMap[Image, Image]):
    """Add white Gaussian noise, independent in each pixel and channel.

    Args:
        min_level: least standard deviation, in levels of 0 to 255; each picture's is uniform between the two.
        max_level: greatest.
    """

    on: str = "image"
    min_level: Annotated[float, Ge(0)] = 2.0
    max_level: Annotated[float, Ge(0)] = 10.0

    def __post_init__(self) -> None:
        if self.max_level < self.min_level:
            raise ValueError(f"max_level ({self.max_level}) is below min_level ({self.min_level})")

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        level = np.float32(rng.uniform(self.min_level, self.max_level))
        noisy = rng.standard_normal(image.pixels.shape, dtype=np.float32) * level + image.pixels
        return image.changed(np.clip(np.rint(noisy), 0, 255).astype(np.uint8))
