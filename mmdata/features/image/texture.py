"""Textures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image.color import grey
from mmdata.kernels.image.sizes import shrink
from mmdata.kernels.image.texture import (
    PROPERTIES,
    co_occurrence,
    co_occurrence_properties,
    local_binary_patterns,
)


@dataclass(frozen=True, kw_only=True)
class LocalBinaryPatterns(Extract[Image]):
    """How frequent each local binary pattern is, longest side at most `working_px`: float32 [pattern] of 10, sum 1.

    See `kernels.image.texture.local_binary_patterns`.

    Args:
        working_px: the longest side at which they are counted.

    Reference:
        Ojala, Pietikainen and Maenpaa, "Multiresolution gray-scale and rotation invariant texture classification" (PAMI
        2002), LBP riu2.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.lbp"
    working_px: Annotated[int, Gt(0)] = 512

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("pattern",), sizes={"pattern": 10})

    def extract(self, image: Image) -> np.ndarray:
        return local_binary_patterns(shrink(grey(image.pixels), self.working_px))


@dataclass(frozen=True, kw_only=True)
class CoOccurrence(Extract[Image]):
    """What grey levels lie beside each other (GLCM): float32 [direction, property], 4 by 5.

    Directions are right, down and right, down, down and left; properties contrast, dissimilarity, homogeneity, energy
    and correlation. See `kernels.image.texture.co_occurrence` and `co_occurrence_properties`.

    Args:
        n_levels: into how many steps the levels are cut.
        distance_px: between the two of a pair.
        working_px: the longest side at which they are counted.

    Reference:
        Haralick, Shanmugam and Dinstein, "Textural features for image classification" (1973), as scikit-image has it.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.glcm"
    n_levels: Annotated[int, Ge(2), Le(256)] = 16
    distance_px: Annotated[int, Ge(1)] = 1
    working_px: Annotated[int, Gt(0)] = 512

    def spec(self) -> ArraySpec:
        sizes = {"direction": 4, "property": len(PROPERTIES)}
        return ArraySpec(dims=("direction", "property"), sizes=sizes)

    def extract(self, image: Image) -> np.ndarray:
        levels = shrink(grey(image.pixels), self.working_px)
        matrices = co_occurrence(levels, n_levels=self.n_levels, distance_px=self.distance_px)
        return co_occurrence_properties(matrices)
