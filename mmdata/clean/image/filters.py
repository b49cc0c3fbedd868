"""Drop pictures that are not worth keeping. What each measures is a feature too: a selection can do the same later."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from mmdata.core.sample import Image
from mmdata.core.step import Drop, Filter
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

Share = Annotated[float, Ge(0), Le(1)]


@dataclass(frozen=True, kw_only=True)
class KeepImageSize(Filter[Image]):
    """Drop pictures that are too small or too large, by their sides and by how many pixels they have.

    Args:
        min_px: of the shorter side. max_px: of the longer side; None is no bound.
        min_pixels: width times height. max_pixels: the same; None is no bound.

    Reference:
        Gadre et al., "DataComp" (NeurIPS 2023), basic filtering, with other bounds.
    """

    on: str = "image"
    min_px: Annotated[int, Ge(1)] = 64
    max_px: Annotated[int, Ge(1)] | None = None
    min_pixels: Annotated[int, Ge(1)] = 1
    max_pixels: Annotated[int, Ge(1)] | None = None

    def __post_init__(self) -> None:
        in_order("min_px", self.min_px, "max_px", self.max_px)
        in_order("min_pixels", self.min_pixels, "max_pixels", self.max_pixels)

    def keep(self, image: Image) -> Literal[True] | Drop:
        pixels = image.width * image.height
        if min(image.width, image.height) < self.min_px or pixels < self.min_pixels:
            return Drop("too_small")
        over = self.max_px is not None and max(image.width, image.height) > self.max_px
        return Drop("too_large") if over or (self.max_pixels is not None and pixels > self.max_pixels) else True


@dataclass(frozen=True, kw_only=True)
class KeepAspect(Filter[Image]):
    """Drop pictures that are too tall or too wide, as they are seen: EXIF's orientation counts.

    Args:
        min_aspect: width / height. max_aspect: the same.

    Reference:
        Gadre et al., "DataComp" (NeurIPS 2023), basic filtering: the greatest aspect is 3.
    """

    on: str = "image"
    min_aspect: Annotated[float, Gt(0)] = 1 / 3
    max_aspect: Annotated[float, Gt(0)] = 3.0

    def __post_init__(self) -> None:
        in_order("min_aspect", self.min_aspect, "max_aspect", self.max_aspect)

    def keep(self, image: Image) -> Literal[True] | Drop:
        width, height = image.width, image.height
        if image.orientation >= 5:  # EXIF's 5 to 8 swap rows and columns before the picture is seen
            width, height = height, width
        if width < self.min_aspect * height:
            return Drop("too_tall")
        return Drop("too_wide") if width > self.max_aspect * height else True


@dataclass(frozen=True, kw_only=True)
class DropBlurred(Filter[Image]):
    """Drop pictures that are blurred, or that show nothing: those whose `features.image.Sharpness` is low.

    Args:
        min_sharpness: the least variance of the Laplacian that is kept.
        working_px: the longest side at which it is measured.

    Reference:
        Pech-Pacheco et al., "Diatom autofocusing in brightfield microscopy" (ICPR 2000), LAPV.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_sharpness: Annotated[float, Ge(0)] = 20.0
    working_px: Annotated[int, Gt(0)] = 512

    def keep(self, image: Image) -> Literal[True] | Drop:
        sharpness = laplacian_variance(image.pixels, working_px=self.working_px)
        return True if sharpness >= self.min_sharpness else Drop("blurred")


@dataclass(frozen=True, kw_only=True)
class KeepExposure(Filter[Image]):
    """Drop pictures that are too dark or too light, on the whole or in large parts. See `features.image.Exposure`.

    Args:
        min_level: the least mean grey level, 0 to 255. max_level: the greatest.
        max_dark: the greatest share of pixels next to black. max_bright: of those next to white.

    Reference:
        Of mmdata.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_level: Annotated[float, Ge(0), Le(255)] = 20.0
    max_level: Annotated[float, Ge(0), Le(255)] = 235.0
    max_dark: Share = 1.0
    max_bright: Share = 1.0

    def __post_init__(self) -> None:
        in_order("min_level", self.min_level, "max_level", self.max_level)

    def keep(self, image: Image) -> Literal[True] | Drop:
        shares = level_shares(image.pixels)
        level = mean_level(shares)
        if level < self.min_level or dark_share(shares) > self.max_dark:
            return Drop("too_dark")
        return Drop("too_bright") if level > self.max_level or bright_share(shares) > self.max_bright else True


@dataclass(frozen=True, kw_only=True)
class KeepContrast(Filter[Image]):
    """Drop pictures with little contrast: the standard deviation of their grey levels, 0 to 127.5, is low.

    Reference:
        Peli, "Contrast in complex images" (JOSA A, 1990), the RMS contrast, times 255.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_deviation: Annotated[float, Ge(0), Le(127.5)] = 10.0

    def keep(self, image: Image) -> Literal[True] | Drop:
        deviation = level_deviation(level_shares(image.pixels))
        return True if deviation >= self.min_deviation else Drop("low_contrast")


@dataclass(frozen=True, kw_only=True)
class KeepEntropy(Filter[Image]):
    """Drop pictures whose grey levels have little entropy (drawings, blanks) or too much (noise): 0 to 8 bits.

    Reference:
        Shannon, "A mathematical theory of communication" (1948), of grey levels as scikit-image has it.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    min_bits: Annotated[float, Ge(0), Le(8)] = 3.0
    max_bits: Annotated[float, Ge(0), Le(8)] = 8.0

    def __post_init__(self) -> None:
        in_order("min_bits", self.min_bits, "max_bits", self.max_bits)

    def keep(self, image: Image) -> Literal[True] | Drop:
        bits = entropy_bits(level_shares(image.pixels))
        if bits < self.min_bits:
            return Drop("low_entropy")
        return Drop("high_entropy") if bits > self.max_bits else True


@dataclass(frozen=True, kw_only=True)
class DropPlain(Filter[Image]):
    """Drop pictures that are one colour but for little: placeholders, blank pages, lens caps.

    Args:
        max_share: the greatest share of pixels near the picture's median colour that is kept.
        tolerance: how near, in levels of each channel.

    Reference:
        Of mmdata.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    max_share: Share = 0.98
    tolerance: Annotated[int, Ge(0), Le(255)] = 8

    def keep(self, image: Image) -> Literal[True] | Drop:
        share = plain_share(image.pixels, tolerance=self.tolerance)
        return Drop("plain") if share > self.max_share else True


def in_order(low: str, least: float, high: str, most: float | None) -> None:
    """Raise ValueError where a greatest value lies below the least."""
    if most is not None and most < least:
        raise ValueError(f"{high} ({most}) is below {low} ({least})")
