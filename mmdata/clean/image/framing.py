"""What a picture shows, and at which size: turned, resized, cropped, padded."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Drop, Map
from mmdata.errors import DataError
from mmdata.kernels.image.color import grey
from mmdata.kernels.image.quality import border
from mmdata.kernels.image.sizes import fitted_size, resize
from mmdata.kernels.image.turns import turn_upright
from mmdata.kernels.image.warps import shifting

MOST_PIXELS = 100_000_000  # as the decoder has it, unless told otherwise
Level = Annotated[int, Ge(0), Le(255)]
Px = Annotated[int, Gt(0)]
Anchor = Literal["center", "top_left", "top", "top_right", "left", "right", "bottom_left", "bottom", "bottom_right"]


@dataclass(frozen=True, kw_only=True)
class FixOrientation(Map[Image, Image]):
    """Turn and mirror the pixels as the file's EXIF orientation asks, and mark the picture as upright.

    Reference:
        EXIF 2.32 (CIPA DC-008), tag 0x0112.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"

    def map(self, image: Image) -> Image | Drop:
        if image.orientation == 1:
            return image
        pixels, step = turn_upright(image.pixels, image.orientation)
        return image.changed(pixels, space_map=image.space_map.after(step), orientation=1)


@dataclass(frozen=True, kw_only=True)
class ResizeImage(Map[Image, Image]):
    """Bring pictures to one size, averaging by area where they shrink and by cubics where they grow.

    Args:
        size_px: what the side is to measure.
        side: "longest" and "shortest" keep the aspect and name the side that becomes `size_px`; "exact" stretches every
            picture to size_px x size_px.
        enlarge: whether "longest" and "shortest" also make small pictures larger.

    Reference:
        INTER_AREA and INTER_CUBIC of OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    size_px: Px = 256
    side: Literal["longest", "shortest", "exact"] = "longest"
    enlarge: bool = False

    def map(self, image: Image) -> Image | Drop:
        old = (image.width, image.height)
        new = (self.size_px, self.size_px)
        if self.side != "exact":
            new = fitted_size(*old, size_px=self.size_px, side=self.side, enlarge=self.enlarge)
        return resized(image, new)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its pictures, after that of those it takes."""
        exact = {"height": self.size_px, "width": self.size_px} if self.side == "exact" else {}
        return ArraySpec(dims=spec.dims, sizes={"channel": spec.sizes["channel"], **exact}, dtype=spec.dtype)


@dataclass(frozen=True, kw_only=True)
class CropImage(Map[Image, Image]):
    """Cut pictures to width_px x height_px: the largest part of that aspect, brought to that size.

    A picture that is yet to be turned upright is cut as its pixels lie: put `FixOrientation` before it.

    Args:
        width_px: of the frame. height_px: of it.
        at: which part of the picture is kept.
        resize: "cover" takes as much of the picture as has the frame's aspect; "never" cuts at the size there is, and
            leaves an axis that is too short as it is.
        enlarge: whether "cover" also makes small pictures larger; else they are cut to the aspect and keep their size.

    Reference:
        Plain geometry; sizes as `ResizeImage`.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    width_px: Px = 256
    height_px: Px = 256
    at: Anchor = "center"
    resize: Literal["cover", "never"] = "cover"
    enlarge: bool = True

    def map(self, image: Image) -> Image | Drop:
        width, height = min(self.width_px, image.width), min(self.height_px, image.height)
        if self.resize == "cover":
            width, height = fitted_within(self.width_px, self.height_px, image.width, image.height)
        left, top = _placed(self.at, image.width - width, image.height - height)
        part = cut(image, left, top, left + width, top + height)
        is_small = width < self.width_px or height < self.height_px
        if self.resize == "never" or (is_small and not self.enlarge):
            return part
        return resized(part, (self.width_px, self.height_px))

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its pictures, after that of those it takes."""
        is_exact = self.resize == "cover" and self.enlarge
        frame = {"height": self.height_px, "width": self.width_px} if is_exact else {}
        return ArraySpec(dims=spec.dims, sizes={"channel": spec.sizes["channel"], **frame}, dtype=spec.dtype)


@dataclass(frozen=True, kw_only=True)
class LetterboxImage(Map[Image, Image]):
    """Fit pictures into a frame of width_px x height_px, all of them to be seen, and fill what is left with a colour.

    Args:
        width_px: of the frame. height_px: of it.
        color: RGB of what is filled; a grey picture takes its luma.
        at: where in the frame the picture stands.
        enlarge: whether small pictures are made larger too.

    Reference:
        Plain geometry; sizes as `ResizeImage`.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    width_px: Px = 256
    height_px: Px = 256
    color: tuple[Level, Level, Level] = (0, 0, 0)
    at: Anchor = "center"
    enlarge: bool = True

    def map(self, image: Image) -> Image | Drop:
        fits = image.width <= self.width_px and image.height <= self.height_px
        if self.enlarge or not fits:
            image = resized(image, fitted_within(image.width, image.height, self.width_px, self.height_px))
        if (image.width, image.height) == (self.width_px, self.height_px):
            return image
        left, top = _placed(self.at, self.width_px - image.width, self.height_px - image.height)
        frame = np.empty((self.height_px, self.width_px, image.pixels.shape[2]), np.uint8)
        frame[:] = in_channels(self.color, frame.shape[2])
        frame[top : top + image.height, left : left + image.width] = image.pixels
        return image.changed(frame, space_map=image.space_map.after(shifting(-left, -top)))

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its pictures, after that of those it takes."""
        return spec.fixed(height=self.height_px, width=self.width_px)


@dataclass(frozen=True, kw_only=True)
class CutBorders(Map[Image, Image]):
    """Cut plain borders off, such as black bars and white margins; drop a picture that is nothing else.

    See `kernels.image.quality.border`.

    Args:
        tolerance: by how many levels of 255 a border's pixels may differ from its colour; 0 for drawings, 10 for JPEG.

    Reference:
        Of mmdata.
    """

    on: str = "image"
    tolerance: Level = 10

    def map(self, image: Image) -> Image | Drop:
        kept = border(image.pixels, tolerance=self.tolerance)
        return Drop("only_border") if kept is None else cut(image, *kept)


def resized(image: Image, size: tuple[int, int]) -> Image:
    """A picture brought to (width, height); itself when it has that size.

    Raises:
        DataError: it would become larger than any picture may be: one of 1 x 20000 px, say, whose shorter side grows.
    """
    old = (image.width, image.height)
    if size == old:
        return image
    if size[0] * size[1] > max(MOST_PIXELS, old[0] * old[1]):
        raise DataError(f"{old[0]}x{old[1]} px would become {size[0]}x{size[1]}: more than {MOST_PIXELS:,} pixels")
    pixels = resize(image.pixels, width=size[0], height=size[1])
    return image.changed(pixels, space_map=image.space_map.resized(from_size=old, to_size=size))


def cut(image: Image, left: int, top: int, right: int, bottom: int) -> Image:
    """A part of a picture, [left, right) by [top, bottom); itself when that is all of it."""
    if (left, top, right, bottom) == (0, 0, image.width, image.height):
        return image
    pixels = np.ascontiguousarray(image.pixels[top:bottom, left:right])
    return image.changed(pixels, space_map=image.space_map.cropped(left=left, top=top))


def fitted_within(width: int, height: int, most_width: int, most_height: int) -> tuple[int, int]:
    """The largest (width, height) of an aspect within a frame, at least 1 px a side; one side is the frame's."""
    if width * most_height >= height * most_width:
        return most_width, max(1, (2 * height * most_width + width) // (2 * width))
    return max(1, (2 * width * most_height + height) // (2 * height)), most_height


def in_channels(color: tuple[int, int, int], channels: int) -> np.ndarray:
    """A colour as a picture's pixels hold it: uint8 [channel], its luma where there is one channel."""
    pixel = np.array(color, np.uint8)
    return pixel if channels == 3 else np.asarray(grey(pixel[None, None])[0])


def _placed(at: Anchor, spare_x: int, spare_y: int) -> tuple[int, int]:
    """Left and top of what is placed where there is so much room to spare."""
    x = 0 if "left" in at else spare_x if "right" in at else spare_x // 2
    y = 0 if "top" in at else spare_y if "bottom" in at else spare_y // 2
    return x, y
