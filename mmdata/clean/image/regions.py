"""Boxes, points and masks that go with a picture, moved to where the picture now shows what they mark."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Image, Part, Sample
from mmdata.core.step import Drop, Map
from mmdata.errors import DataError
from mmdata.kernels.image.warps import move_boxes, project, warp


@dataclass(frozen=True, kw_only=True)
class MoveRegions(Map[Sample, Sample]):
    """Move boxes, points and a mask along with a picture: put it after all that turns, cuts, resizes or flips.

    They come on the grid of the file's own pixels, before EXIF's orientation, and leave on that of the picture as it
    then is. Where each pixel came from, the picture's space map says; nothing else is looked at.

    Args:
        image: the part that is the picture.
        boxes: the metadata that lists boxes as [left, top, right, bottom] in pixels, or objects that hold one under
            "box". A box is cut at the picture's edges, and left out where too little of it is left.
        points: the metadata that lists points as [x, y], or objects that hold one under "point". A point that is no
            longer in the picture becomes null, so that the others keep their numbers.
        mask: a part that is a picture of classes of the file's size; it is drawn anew without mixing.
        min_visible: the least share of a box's area that must be left.
        outside: the level of a mask's pixels that the file never had.

    Raises:
        DataError: the metadata is no such list.

    Reference:
        Hartley and Zisserman, "Multiple View Geometry" (2004), 2.3: homographies.
    """

    extra: ClassVar[str | None] = "image"

    image: str = "image"
    boxes: str = "boxes"
    points: str = "points"
    mask: str = "mask"
    min_visible: Annotated[float, Gt(0), Le(1)] = 0.1
    outside: Annotated[int, Ge(0), Le(255)] = 0

    def needs(self, parts: Collection[str] | None) -> Mapping[str, type]:
        return dict.fromkeys((self.image, *({self.mask} & set(parts or ()))), Image)

    def map(self, sample: Sample) -> Sample | Drop:
        image = sample.parts.get(self.image)
        if not isinstance(image, Image):
            return sample
        back = np.array(image.space_map.matrix).reshape(3, 3)
        forward = np.linalg.inv(back)
        meta, parts = dict(sample.meta), dict(sample.parts)
        if self.boxes in meta:
            meta[self.boxes] = self._boxes(meta[self.boxes], forward, image)
        if self.points in meta:
            meta[self.points] = self._points(meta[self.points], forward, image)
        if self.mask in parts:
            parts[self.mask] = self._mask(parts[self.mask], back, image)
        if meta == sample.meta and parts.get(self.mask) is sample.parts.get(self.mask):
            return sample
        return Sample(sample.key, parts, meta, sample.parent)

    def _mask(self, mask: Part, back: np.ndarray, image: Image) -> Part:
        if not isinstance(mask, Image):
            raise DataError(
                f"the mask {self.mask!r} is not decoded: put codec.image.DecodeImage on it before this step"
            )
        size = (image.width, image.height)
        if mask.space_map == image.space_map and (mask.width, mask.height) == size:
            return mask
        step = np.linalg.inv(np.array(mask.space_map.matrix).reshape(3, 3)) @ back
        color = (self.outside,) * 3
        pixels = warp(mask.pixels, step, width=size[0], height=size[1], color=color, nearest=True)
        return mask.changed(pixels, space_map=image.space_map, orientation=image.orientation)

    def _boxes(self, listed: Any, forward: np.ndarray, image: Image) -> list[Any]:
        given = _numbers(listed, self.boxes, "box", 4)
        moved, visible = move_boxes(given, forward, width=image.width, height=image.height)
        kept = zip(listed, moved.tolist(), visible, strict=True)
        return [_with(item, "box", box) for item, box, share in kept if share >= self.min_visible]

    def _points(self, listed: Any, forward: np.ndarray, image: Image) -> list[Any]:
        given = _numbers(listed, self.points, "point", 2)
        moved = project(forward, given)
        inside = np.logical_and(moved >= 0, moved <= [image.width, image.height]).min(axis=1)
        kept = zip(listed, moved.tolist(), inside.tolist(), strict=True)
        return [_with(item, "point", point if seen else None) for item, point, seen in kept]


def _numbers(listed: Any, name: str, key: str, length: int) -> np.ndarray:
    """The rows of numbers that metadata lists, float64 [row, length]; a null row is nowhere."""
    try:
        rows = [item[key] if isinstance(item, Mapping) else item for item in listed]
        filled = [[np.nan] * length if row is None else row for row in rows]
        return np.array(filled, np.float64).reshape(len(rows), length)
    except (KeyError, TypeError, ValueError):
        raise DataError(f"metadata {name!r} must list {length} numbers a {key}, not {listed!r:.80}") from None


def _with(item: Any, key: str, value: Any) -> Any:
    return {**item, key: value} if isinstance(item, Mapping) else value
