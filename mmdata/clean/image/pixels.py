"""Change a picture's pixels where they are: colours, noise, sharpness, contrast."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Drop, Map
from mmdata.kernels.image.color import grey, rgb
from mmdata.kernels.image.enhance import bilateral, deblur, equalize, median, non_local_means, sharpen


@dataclass(frozen=True, kw_only=True)
class ConvertToGrey(Map[Image, Image]):
    """Take the colours away, by the luma of ITU-R BT.601.

    Args:
        channels: 1 for one channel, 3 for three that are alike.

    Reference:
        ITU-R BT.601-7, 2.5.1.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    channels: Literal[1, 3] = 1

    def map(self, image: Image) -> Image | Drop:
        if image.pixels.shape[2] == 1:
            return image if self.channels == 1 else image.changed(rgb(image.pixels))
        levels = grey(image.pixels)[..., None]
        if self.channels == 1:
            return image.changed(levels)
        return image if (image.pixels == levels).all() else image.changed(rgb(levels))

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its pictures, after that of those it takes."""
        return spec.fixed(channel=self.channels)


@dataclass(frozen=True, kw_only=True)
class EqualizeImage(Map[Image, Image]):
    """Even out contrast, tile by tile (CLAHE), of the lightness alone. See `kernels.image.enhance.equalize`.

    Args:
        clip_limit: the most a level may hold, in multiples of an even share; more is stronger.
        n_tiles: tiles a side.

    Reference:
        Zuiderveld, "Contrast limited adaptive histogram equalization" (Graphics Gems IV, 1994), as OpenCV has it.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    clip_limit: Annotated[float, Ge(1), Le(256)] = 2.0
    n_tiles: Annotated[int, Gt(0), Le(64)] = 8

    def map(self, image: Image) -> Image | Drop:
        return image.changed(equalize(image.pixels, clip_limit=self.clip_limit, n_tiles=self.n_tiles))


@dataclass(frozen=True, kw_only=True)
class DenoiseImage(Map[Image, Image]):
    """Take noise away. `kernels.image.enhance` has the methods and their papers.

    Args:
        method: "median" against single wrong pixels, "bilateral" keeps edges, "non_local_means" is best and takes a
            second or two for a million pixels.
        size_px: side of the median's square, odd; for "bilateral", twice the deviation in pixels.
        levels: of "bilateral" and "non_local_means": how far colours that are averaged may lie apart, of 255.

    Reference:
        Tomasi and Manduchi, "Bilateral filtering for gray and color images" (ICCV 1998); Buades, Coll and Morel, "A
        non-local algorithm for image denoising" (CVPR 2005); as OpenCV has them.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    method: Literal["median", "bilateral", "non_local_means"] = "median"
    size_px: Annotated[int, Ge(3), Le(31)] = 3
    levels: Annotated[float, Gt(0), Le(255)] = 10.0

    def __post_init__(self) -> None:
        if self.size_px % 2 == 0:
            raise ValueError(f"size_px must be odd, so that the square has a centre, not {self.size_px}")

    def map(self, image: Image) -> Image | Drop:
        if self.method == "median":
            return image.changed(median(image.pixels, size_px=self.size_px))
        if self.method == "bilateral":
            return image.changed(bilateral(image.pixels, sigma_px=self.size_px / 2, sigma_levels=self.levels))
        return image.changed(non_local_means(image.pixels, strength=self.levels))


@dataclass(frozen=True, kw_only=True)
class SharpenImage(Map[Image, Image]):
    """Make edges stand out (unsharp masking): add `amount` times what a blur of `radius_px` takes away.

    Reference:
        Gonzalez and Woods, "Digital Image Processing", unsharp masking.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    radius_px: Annotated[float, Gt(0), Le(100)] = 1.0
    amount: Annotated[float, Ge(0), Le(10)] = 1.0

    def map(self, image: Image) -> Image | Drop:
        if self.amount == 0:
            return image
        pixels = sharpen(image.pixels, radius_px=self.radius_px, amount=self.amount)
        return image if np.array_equal(pixels, image.pixels) else image.changed(pixels)


@dataclass(frozen=True, kw_only=True)
class DeblurImage(Map[Image, Image]):
    """Undo a blur, as of a lens out of focus: a Gaussian of `radius_px`, by `n_steps` of Richardson and Lucy.

    Args:
        radius_px: the blur's deviation; one that is greater than the picture's own leaves rings.
        n_steps: more bring out finer detail, and noise with it.

    Reference:
        Richardson (1972) and Lucy (1974), beginning with the picture itself.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    radius_px: Annotated[float, Gt(0), Le(20)] = 1.5
    n_steps: Annotated[int, Ge(1), Le(200)] = 10

    def map(self, image: Image) -> Image | Drop:
        pixels = deblur(image.pixels, radius_px=self.radius_px, n_steps=self.n_steps)
        return image if np.array_equal(pixels, image.pixels) else image.changed(pixels)
