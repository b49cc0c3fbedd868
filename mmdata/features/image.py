"""Numbers about pictures, without a model."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image import (
    Space,
    color_histogram,
    grey,
    laplacian_variance,
    oriented_gradients,
    perceptual_hash,
    resize,
    rgb,
)


@dataclass(frozen=True, kw_only=True)
class PerceptualHash(Extract[Image]):
    """The 64 bits of pHash, by which near duplicates are found: uint8 [byte]. See `kernels.image.perceptual_hash`."""

    version: ClassVar[int] = 2  # 2: Pillow's Lanczos filter, for the bits of ImageHash
    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.phash"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8")

    def extract(self, image: Image) -> np.ndarray:
        return perceptual_hash(image.pixels)


@dataclass(frozen=True, kw_only=True)
class Sharpness(Extract[Image]):
    """Variance of the Laplacian of grey levels 0 to 255, longest side at most `working_px`: a float32 scalar.

    It tells how sharp a picture looks at that size, whatever size it is stored at: see
    `kernels.image.laplacian_variance`. 0 is flat; a photograph in focus has hundreds.
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
class ImageSize(Extract[Image]):
    """Scalars `width` and `height` (int32, pixels as they are stored) and `aspect` (float32, width / height)."""

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
class ColorHistogram(Extract[Image]):
    """The share of pixels in each cell of a colour space: float32 [bin] of n_bins ** 3, sum 1.

    Args:
        n_bins: cells an axis.
        space: "rgb", "hsv" or "lab".
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
class TinyImage(Extract[Image]):
    """The picture stretched to a small square, RGB: uint8 [row, column, channel].

    After Torralba, Fergus and Freeman, "80 million tiny images" (2008): 32 px are enough to tell scenes apart.

    Args:
        size_px: its side.
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
class OrientedGradients(Extract[Image]):
    """Histograms of oriented gradients (HOG) of the grey picture stretched to a square: float32 [feature].

    Says what shapes are where, whatever their colours: see `kernels.image.oriented_gradients`.

    Args:
        size_px: side of the square.
        cell_px: side of a cell; at least two fit into the square.
        n_bins: orientations in half a turn.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.hog"
    size_px: Annotated[int, Gt(0)] = 64
    cell_px: Annotated[int, Gt(0)] = 8
    n_bins: Annotated[int, Ge(1)] = 9

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.size_px < 2 * self.cell_px:
            raise ValueError(f"size_px ({self.size_px}) must hold two cells of {self.cell_px} px")

    def spec(self) -> ArraySpec:
        n_blocks = (self.size_px // self.cell_px - 1) ** 2
        return ArraySpec(dims=("feature",), sizes={"feature": n_blocks * 4 * self.n_bins})

    def extract(self, image: Image) -> np.ndarray:
        levels = resize(grey(image.pixels), width=self.size_px, height=self.size_px)
        return oriented_gradients(levels, cell_px=self.cell_px, n_bins=self.n_bins)
