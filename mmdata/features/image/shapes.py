"""Edges, corners, outlines."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image.color import grey
from mmdata.kernels.image.shapes import edge_share, fast_corners, harris_corners, hu_moments, orb
from mmdata.kernels.image.sizes import resize, shrink
from mmdata.kernels.image.texture import oriented_gradients


@dataclass(frozen=True, kw_only=True)
class OrientedGradients(Extract[Image]):
    """Histograms of oriented gradients (HOG) of the grey picture stretched to a square: float32 [feature].

    Says what shapes are where, whatever their colours: see `kernels.image.oriented_gradients`.

    Args:
        size_px: side of the square.
        cell_px: side of a cell; at least two fit into the square.
        n_bins: orientations in half a turn.

    Reference:
        Dalal and Triggs, "Histograms of oriented gradients for human detection" (CVPR 2005), as scikit-image has it.
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


@dataclass(frozen=True, kw_only=True)
class EdgeShare(Extract[Image]):
    """The share of pixels on edges (Canny), longest side at most `working_px`: a float32 scalar.

    See `kernels.image.shapes.edge_share`.

    Args:
        low: the gradient to which an edge is followed. high: that at which one begins.
        working_px: the longest side at which it is measured.

    Reference:
        Canny, "A computational approach to edge detection" (PAMI 1986), by OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.edges"
    low: Annotated[float, Ge(0)] = 100.0
    high: Annotated[float, Ge(0)] = 200.0
    working_px: Annotated[int, Gt(0)] = 512

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.high < self.low:
            raise ValueError(f"high ({self.high}) is below low ({self.low})")

    def spec(self) -> ArraySpec:
        return ArraySpec()

    def extract(self, image: Image) -> np.ndarray:
        levels = shrink(grey(image.pixels), self.working_px)
        return np.asarray(edge_share(levels, low=self.low, high=self.high), np.float32)


@dataclass(frozen=True, kw_only=True)
class Corners(Extract[Image]):
    """How many corners there are, longest side at most `working_px`: int32 scalars `harris` and `fast`.

    See `kernels.image.shapes.harris_corners` and `fast_corners`.

    Args:
        quality: of Harris: the least measure, in shares of the greatest. apart_px: the least distance between two.
        threshold: of FAST: by how many levels the circle must differ.
        working_px: the longest side at which they are counted.

    Reference:
        Harris and Stephens, "A combined corner and edge detector" (1988); Rosten and Drummond, "Machine learning for
        high-speed corner detection" (ECCV 2006); by OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.corners"
    quality: Annotated[float, Gt(0), Le(1)] = 0.01
    apart_px: Annotated[float, Ge(0)] = 5.0
    threshold: Annotated[int, Ge(1), Le(254)] = 20
    working_px: Annotated[int, Gt(0)] = 512

    def spec(self) -> dict[str, ArraySpec]:
        return {"harris": ArraySpec(dtype="int32"), "fast": ArraySpec(dtype="int32")}

    def extract(self, image: Image) -> dict[str, np.ndarray]:
        levels = shrink(grey(image.pixels), self.working_px)
        return {
            "harris": np.asarray(harris_corners(levels, quality=self.quality, apart_px=self.apart_px), np.int32),
            "fast": np.asarray(fast_corners(levels, threshold=self.threshold), np.int32),
        }


@dataclass(frozen=True, kw_only=True)
class HuMoments(Extract[Image]):
    """The seven moments that do not change with place, size and turn, by their logarithms: float32 [moment].

    For masks and drawings, light on dark. See `kernels.image.shapes.hu_moments`.

    Reference:
        Hu, "Visual pattern recognition by moment invariants" (1962), by OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.hu"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("moment",), sizes={"moment": 7})

    def extract(self, image: Image) -> np.ndarray:
        return hu_moments(grey(image.pixels)).astype(np.float32)


@dataclass(frozen=True, kw_only=True)
class OrbKeypoints(Extract[Image]):
    """Keypoints by ORB: descriptors, uint8 [keypoint, byte] of 32, and `places`, float32 [keypoint, xy] in pixels.

    Places are on the picture's own grid, pixel edges. See `kernels.image.shapes.orb`.

    Args:
        n_most: the strongest so many are kept.
        working_px: the longest side at which they are sought.

    Reference:
        Rublee et al., "ORB: an efficient alternative to SIFT or SURF" (ICCV 2011), by OpenCV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.orb"
    n_most: Annotated[int, Ge(1), Le(10_000)] = 200
    working_px: Annotated[int, Gt(0)] = 512

    def spec(self) -> dict[str, ArraySpec]:
        return {
            "": ArraySpec(dims=("keypoint", "byte"), sizes={"byte": 32}, dtype="uint8"),
            "places": ArraySpec(dims=("keypoint", "xy"), sizes={"xy": 2}),
        }

    def extract(self, image: Image) -> dict[str, np.ndarray]:
        levels = shrink(grey(image.pixels), self.working_px)
        places, descriptors = orb(np.ascontiguousarray(levels), n_most=self.n_most)
        scale = np.array([image.width / levels.shape[1], image.height / levels.shape[0]], np.float32)
        return {"": descriptors, "places": places * scale}
