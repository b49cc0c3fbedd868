"""Mend or drop pictures."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from mmdata.core.sample import Image
from mmdata.core.step import Drop, Filter, Map
from mmdata.kernels.image import fitted_size, laplacian_variance, resize, turn_upright


@dataclass(frozen=True, kw_only=True)
class FixOrientation(Map[Image, Image]):
    """Turn and mirror the pixels as the file's EXIF orientation asks, and mark the picture as upright."""

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
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    size_px: Annotated[int, Gt(0)] = 256
    side: Literal["longest", "shortest", "exact"] = "longest"
    enlarge: bool = False

    def map(self, image: Image) -> Image | Drop:
        old = (image.width, image.height)
        new = (self.size_px, self.size_px)
        if self.side != "exact":
            new = fitted_size(*old, size_px=self.size_px, side=self.side, enlarge=self.enlarge)
        if new == old:
            return image
        pixels = resize(image.pixels, width=new[0], height=new[1])
        return image.changed(pixels, space_map=image.space_map.resized(from_size=old, to_size=new))


@dataclass(frozen=True, kw_only=True)
class DropBlurred(Filter[Image]):
    """Drop pictures that are blurred, or that show nothing: those whose `features.image.Sharpness` is low.

    Args:
        min_sharpness: the least variance of the Laplacian that is kept.
        working_px: the longest side at which it is measured.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_sharpness: Annotated[float, Ge(0)] = 20.0
    working_px: Annotated[int, Gt(0)] = 512

    def keep(self, image: Image) -> Literal[True] | Drop:
        sharpness = laplacian_variance(image.pixels, working_px=self.working_px)
        return True if sharpness >= self.min_sharpness else Drop("blurred")
