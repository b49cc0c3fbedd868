"""Move a picture's pixels at random."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le, Lt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Drop, RandomMap
from mmdata.errors import DataError
from mmdata.kernels.image.sizes import resize
from mmdata.kernels.image.turns import mirrored, mirroring
from mmdata.kernels.image.warps import Beyond, rotating, scaling, shifting, tilting, warp

_MOST_PIXELS = 100_000_000  # as the decoder has it, unless told otherwise
Share = Annotated[float, Ge(0), Le(1)]
Level = Annotated[int, Ge(0), Le(255)]
Color = tuple[Level, Level, Level]


@dataclass(frozen=True, kw_only=True)
class FlipImage(RandomMap[Image, Image]):
    """Mirror a picture as it is seen: one whose EXIF orientation is still to be applied too.

    Args:
        p: the share of pictures that are mirrored.
        axis: "left_right" swaps left and right, "top_bottom" top and bottom.

    Reference:
        Krizhevsky, Sutskever and Hinton, "ImageNet classification with deep convolutional neural networks" (2012), 4.1.
    """

    extra: ClassVar[str | None] = "image"
    keeps_form: ClassVar[bool] = True

    on: str = "image"
    p: Share = 0.5
    axis: Literal["left_right", "top_bottom"] = "left_right"

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        on_its_side = image.orientation >= 5  # EXIF's 5 to 8 swap rows and columns before the picture is seen
        swaps_columns = (self.axis == "left_right") != on_its_side
        flip = {"left_right": swaps_columns, "top_bottom": not swaps_columns}
        step = mirroring(image.width, image.height, **flip)
        return image.changed(mirrored(image.pixels, **flip), space_map=image.space_map.after(step))


@dataclass(frozen=True, kw_only=True)
class RotateImage(RandomMap[Image, Image]):
    """Turn a picture about its centre, by an angle that is uniform between two.

    Args:
        min_deg: counterclockwise. max_deg: the same.
        expand: make the picture so large that no corner is cut off; else it keeps its size.
        beyond: what shows beyond the old edges: `color`, the picture mirrored ("mirror"), or its edge ("edge").
        color: RGB; a grey picture takes the first.
        p: the share of pictures that are turned.

    Reference:
        Simard, Steinkraus and Platt, "Best practices for convolutional neural networks" (ICDAR 2003), affine.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_deg: Annotated[float, Ge(-360), Le(360)] = -15.0
    max_deg: Annotated[float, Ge(-360), Le(360)] = 15.0
    expand: bool = False
    beyond: Beyond = "mirror"
    color: Color = (0, 0, 0)
    p: Share = 1.0

    def __post_init__(self) -> None:
        in_order("min_deg", self.min_deg, "max_deg", self.max_deg)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        degrees = rng.uniform(self.min_deg, self.max_deg)
        step, width, height = rotating(image.width, image.height, degrees=degrees, expand=self.expand)
        return drawn(image, step, width, height, self.beyond, self.color)


@dataclass(frozen=True, kw_only=True)
class ScaleImage(RandomMap[Image, Image]):
    """Make what a picture shows larger or smaller, in a frame of the same size.

    Args:
        min_scale: 0.5 halves what is seen. max_scale: 2 doubles it; factors are uniform by their logarithm.
        shift: by how much of its side the picture is moved at most, each way.
        beyond: what shows beyond the old edges: `color`, the picture mirrored ("mirror"), or its edge ("edge").
        color: RGB; a grey picture takes the first.
        p: the share of pictures that are scaled.

    Reference:
        Simard, Steinkraus and Platt, "Best practices for convolutional neural networks" (ICDAR 2003), affine.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_scale: Annotated[float, Gt(0), Le(100)] = 0.8
    max_scale: Annotated[float, Gt(0), Le(100)] = 1.25
    shift: Share = 0.0
    beyond: Beyond = "mirror"
    color: Color = (0, 0, 0)
    p: Share = 1.0

    def __post_init__(self) -> None:
        in_order("min_scale", self.min_scale, "max_scale", self.max_scale)

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        scale = float(np.exp(rng.uniform(np.log(self.min_scale), np.log(self.max_scale))))
        width, height = image.width, image.height
        x, y = rng.uniform(-self.shift, self.shift, 2) * (width, height)
        back = scaling(1 / scale, 1 / scale) @ shifting(-width / 2 - x, -height / 2 - y)
        return drawn(image, shifting(width / 2, height / 2) @ back, width, height, self.beyond, self.color)


@dataclass(frozen=True, kw_only=True)
class TiltImage(RandomMap[Image, Image]):
    """See a picture from aside: each corner is drawn towards the middle, by its own share of the sides.

    Args:
        max_share: the greatest share of a side by which a corner moves along it; each is uniform from 0.
        p: the share of pictures that are tilted.

    Reference:
        As RandomPerspective of torchvision draws the corners.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    max_share: Annotated[float, Ge(0), Lt(0.5)] = 0.15
    p: Share = 1.0

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        if rng.random() >= self.p:
            return image
        sides = np.array([image.width, image.height], float)
        corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
        inward = np.where(corners == 0, 1.0, -1.0) * rng.uniform(0, self.max_share, (4, 2))
        step = tilting(image.width, image.height, (corners + inward) * sides)
        return drawn(image, step, image.width, image.height, "edge", (0, 0, 0))


@dataclass(frozen=True, kw_only=True)
class CropAtRandom(RandomMap[Image, Image]):
    """Take a random part of a picture, of a random share and aspect, and bring it to a size.

    Ten draws of area and aspect (uniform by its logarithm), the first that fits; where none does, the largest part in
    the middle whose aspect is allowed.

    Args:
        width_px: of the result; None keeps the part at its size. height_px: the same; both or neither.
        min_share: of the picture's area. max_share: the same.
        min_aspect: width / height of the part. max_aspect: the same.

    Reference:
        Szegedy et al., "Going deeper with convolutions" (CVPR 2015), section 6, as RandomResizedCrop of torchvision has
        it.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    width_px: Annotated[int, Gt(0)] | None = 224
    height_px: Annotated[int, Gt(0)] | None = 224
    min_share: Annotated[float, Gt(0), Le(1)] = 0.08
    max_share: Annotated[float, Gt(0), Le(1)] = 1.0
    min_aspect: Annotated[float, Gt(0)] = 3 / 4
    max_aspect: Annotated[float, Gt(0)] = 4 / 3

    def __post_init__(self) -> None:
        in_order("min_share", self.min_share, "max_share", self.max_share)
        in_order("min_aspect", self.min_aspect, "max_aspect", self.max_aspect)
        if (self.width_px is None) != (self.height_px is None):
            raise ValueError(f"give width_px and height_px, or neither: {self.width_px}, {self.height_px}")

    def map(self, image: Image, rng: np.random.Generator) -> Image | Drop:
        left, top, width, height = self._part(image.width, image.height, rng)
        pixels = np.ascontiguousarray(image.pixels[top : top + height, left : left + width])
        space_map = image.space_map.cropped(left=left, top=top)
        if self.width_px is not None and self.height_px is not None:
            space_map = space_map.resized(from_size=(width, height), to_size=(self.width_px, self.height_px))
            pixels = resize(pixels, width=self.width_px, height=self.height_px)
        return (
            image
            if pixels.shape == image.pixels.shape and space_map == image.space_map
            else image.changed(pixels, space_map=space_map)
        )

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its pictures, after that of those it takes."""
        if self.width_px is not None and self.height_px is not None:
            return spec.fixed(height=self.height_px, width=self.width_px)
        return ArraySpec(dims=spec.dims, sizes={"channel": spec.sizes["channel"]}, dtype=spec.dtype)

    def _part(self, had_width: int, had_height: int, rng: np.random.Generator) -> tuple[int, int, int, int]:
        """Left, top, width and height."""
        for _ in range(10):
            area = had_width * had_height * rng.uniform(self.min_share, self.max_share)
            aspect = float(np.exp(rng.uniform(np.log(self.min_aspect), np.log(self.max_aspect))))
            width, height = round(float(np.sqrt(area * aspect))), round(float(np.sqrt(area / aspect)))
            if 0 < width <= had_width and 0 < height <= had_height:
                left, top = rng.integers(0, (had_width - width + 1, had_height - height + 1))
                return int(left), int(top), width, height
        aspect = min(max(had_width / had_height, self.min_aspect), self.max_aspect)
        width = max(1, min(had_width, round(had_height * aspect)))
        height = max(1, min(had_height, round(had_width / aspect)))
        return (had_width - width) // 2, (had_height - height) // 2, width, height


def drawn(image: Image, step: np.ndarray, width: int, height: int, beyond: Beyond, color: Color) -> Image:
    """A picture through a homography, from new to old; itself when that changes nothing.

    Raises:
        DataError: it would become larger than any picture may be, as a long one does that is turned in full.
    """
    if (width, height) == (image.width, image.height) and np.allclose(step, np.eye(3), rtol=0, atol=1e-12):
        return image
    if width * height > max(_MOST_PIXELS, image.width * image.height):
        raise DataError(
            f"{image.width}x{image.height} px would become {width}x{height}: more than {_MOST_PIXELS:,} pixels"
        )
    pixels = warp(image.pixels, step, width=width, height=height, beyond=beyond, color=color)
    return image.changed(pixels, space_map=image.space_map.after(step))


def in_order(low: str, least: float, high: str, most: float) -> None:
    """Raise ValueError where a greatest value lies below the least."""
    if most < least:
        raise ValueError(f"{high} ({most}) is below {low} ({least})")
