"""How pictures came out: size, sharpness, exposure."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image.quality import (
    bright_share,
    dark_share,
    entropy_bits,
    laplacian_variance,
    level_deviation,
    level_shares,
    mean_level,
    plain_share,
)


@dataclass(frozen=True, kw_only=True)
class ImageSize(Extract[Image]):
    """Scalars `width` and `height` (int32, pixels as they are stored) and `aspect` (float32, width / height).

    Reference:
        Plain counts.
    """

    on: str = "image"
    into: str = "image.size"

    def spec(self) -> dict[str, ArraySpec]:
        return {"width": ArraySpec(dtype="int32"), "height": ArraySpec(dtype="int32"), "aspect": ArraySpec()}

    def extract(self, image: Image) -> dict[str, np.ndarray]:
        return {
            "width": np.asarray(image.width, np.int32),
            "height": np.asarray(image.height, np.int32),
            "aspect": np.asarray(image.width / image.height, np.float32),
        }


@dataclass(frozen=True, kw_only=True)
class Sharpness(Extract[Image]):
    """Variance of the Laplacian of grey levels 0 to 255, longest side at most `working_px`: a float32 scalar.

    It tells how sharp a picture looks at that size, whatever size it is stored at: see
    `kernels.image.laplacian_variance`. 0 is flat; a photograph in focus has hundreds.

    Reference:
        Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000), LAPV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.sharpness"
    working_px: Annotated[int, Gt(0)] = 512

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, image: Image) -> np.ndarray:
        return np.asarray(laplacian_variance(image.pixels, working_px=self.working_px), np.float32)


@dataclass(frozen=True, kw_only=True)
class Exposure(Extract[Image]):
    """How light a picture is, and how much its greys tell: float32 scalars of grey levels 0 to 255.

    `mean` level, `deviation` (the contrast: 0 is flat, 127.5 half black, half white), `entropy` in bits (0 to 8), and
    the shares of pixels that are `dark` (level 5 or below) and `bright` (250 or above).

    Reference:
        Peli, "Contrast in complex images" (JOSA A, 1990); Shannon, "A mathematical theory of communication" (1948).
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.exposure"

    def spec(self) -> dict[str, ArraySpec]:
        return {name: ArraySpec() for name in ("mean", "deviation", "entropy", "dark", "bright")}

    def extract(self, image: Image) -> dict[str, np.ndarray]:
        shares = level_shares(image.pixels)
        found = {
            "mean": mean_level(shares),
            "deviation": level_deviation(shares),
            "entropy": entropy_bits(shares),
            "dark": dark_share(shares),
            "bright": bright_share(shares),
        }
        return {name: np.asarray(value, np.float32) for name, value in found.items()}


@dataclass(frozen=True, kw_only=True)
class Plainness(Extract[Image]):
    """The share of pixels near the picture's median colour: a float32 scalar, 1 for a picture of one colour.

    Args:
        tolerance: how near, in levels of each channel.

    Reference:
        Of mmdata.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.plain"
    tolerance: Annotated[int, Ge(0), Le(255)] = 8

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, image: Image) -> np.ndarray:
        return np.asarray(plain_share(image.pixels, tolerance=self.tolerance), np.float32)
