"""Colours, and a picture in small."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image.color import Space, color_histogram, colorfulness, rgb
from mmdata.kernels.image.sizes import resize, shrink
from mmdata.kernels.image.turns import turn_upright


@dataclass(frozen=True, kw_only=True)
class ColorHistogram(Extract[Image]):
    """The share of pixels in each cell of a colour space: float32 [bin] of n_bins ** 3, sum 1.

    Args:
        n_bins: cells an axis.
        space: "rgb", "hsv" or "lab".

    Reference:
        Swain and Ballard, "Color indexing" (IJCV 1991), by OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.colors"
    n_bins: Annotated[int, Ge(2), Le(16)] = 4
    space: Space = "hsv"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("bin",), sizes={"bin": self.n_bins**3})

    def extract(self, image: Image) -> np.ndarray:
        return color_histogram(image.pixels, n_bins=self.n_bins, space=self.space)


@dataclass(frozen=True, kw_only=True)
class Colorfulness(Extract[Image]):
    """How colourful a picture looks: a float32 scalar, 0 for grey, 15 for slightly, 45 for quite, 80 for highly.

    See `kernels.image.color.colorfulness`.

    Reference:
        Hasler and Suesstrunk, "Measuring colourfulness in natural images" (2003), equation 3.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.colorfulness"

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, image: Image) -> np.ndarray:
        return np.asarray(colorfulness(image.pixels), np.float32)


@dataclass(frozen=True, kw_only=True)
class TinyImage(Extract[Image]):
    """The picture stretched to a small square, RGB: uint8 [row, column, channel].

    32 px are enough to tell scenes apart. To be looked at, take `Thumbnail`.

    Args:
        size_px: its side.

    Reference:
        Torralba, Fergus and Freeman, "80 million tiny images" (PAMI 2008).
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.tiny"
    size_px: Annotated[int, Gt(0)] = 16

    def spec(self) -> ArraySpec:
        sizes = {"row": self.size_px, "column": self.size_px, "channel": 3}
        return ArraySpec(dims=("row", "column", "channel"), sizes=sizes, dtype="uint8")

    def extract(self, image: Image) -> np.ndarray:
        return rgb(resize(image.pixels, width=self.size_px, height=self.size_px))


@dataclass(frozen=True, kw_only=True)
class Thumbnail(Extract[Image]):
    """The whole picture in small, upright, in its own aspect, RGB: uint8 [row, column, channel].

    For reports and sheets, which then open no media. Nothing is cut off, and no part is preferred.

    Args:
        size_px: its longest side; a smaller picture keeps its size.

    Reference:
        Exact averages by area, as INTER_AREA of OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.thumbnail"
    size_px: Annotated[int, Gt(0), Le(1024)] = 96

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("row", "column", "channel"), sizes={"channel": 3}, dtype="uint8")

    def extract(self, image: Image) -> np.ndarray:
        small, _ = turn_upright(rgb(shrink(image.pixels, self.size_px)), image.orientation)
        return np.ascontiguousarray(small)
