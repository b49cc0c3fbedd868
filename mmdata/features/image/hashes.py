"""Hashes by which near duplicates are found: 64 bits each, those of the Python package ImageHash."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Image
from mmdata.core.step import Extract
from mmdata.kernels.image.hashes import average_hash, difference_hash, perceptual_hash, tiny_grey, wavelet_hash

_BITS = ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8")


@dataclass(frozen=True, kw_only=True)
class PerceptualHash(Extract[Image]):
    """The 64 bits of pHash, by which near duplicates are found: uint8 [byte].

    See `kernels.image.hashes.perceptual_hash`.

    Reference:
        Zauner, "Implementation and benchmarking of perceptual image hash functions" (2010), 3.2.1, as ImageHash has it.
    """

    version: ClassVar[int] = 2  # 2: Pillow's Lanczos filter, for the bits of ImageHash
    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.phash"

    def spec(self) -> ArraySpec:
        return _BITS

    def extract(self, image: Image) -> np.ndarray:
        return perceptual_hash(image.pixels)


@dataclass(frozen=True, kw_only=True)
class AverageHash(Extract[Image]):
    """The 64 bits of aHash, which cells are lighter than the mean: uint8 [byte].

    See `kernels.image.hashes.average_hash`.

    Reference:
        Krawetz, "Looks like it" (The Hacker Factor Blog, 2011), as ImageHash has it.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.ahash"

    def spec(self) -> ArraySpec:
        return _BITS

    def extract(self, image: Image) -> np.ndarray:
        return average_hash(image.pixels)


@dataclass(frozen=True, kw_only=True)
class DifferenceHash(Extract[Image]):
    """The 64 bits of dHash, which cells are darker than their right neighbour: uint8 [byte].

    See `kernels.image.hashes.difference_hash`.

    Reference:
        Krawetz, "Kind of like that" (The Hacker Factor Blog, 2013), as ImageHash has it.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.dhash"

    def spec(self) -> ArraySpec:
        return _BITS

    def extract(self, image: Image) -> np.ndarray:
        return difference_hash(image.pixels)


@dataclass(frozen=True, kw_only=True)
class WaveletHash(Extract[Image]):
    """The 64 bits of wHash, which Haar coefficients are above their median: uint8 [byte].

    See `kernels.image.hashes.wavelet_hash`.

    Reference:
        `whash` of ImageHash: Haar wavelets.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.whash"

    def spec(self) -> ArraySpec:
        return _BITS

    def extract(self, image: Image) -> np.ndarray:
        return wavelet_hash(image.pixels)


@dataclass(frozen=True, kw_only=True)
class TinyGrey(Extract[Image]):
    """The picture stretched to 32 x 32, grey: uint8 [row, column]. What `select.dedup.NearView` compares.

    Filtered as the hashes are; see `kernels.image.hashes.tiny_grey`.

    Reference:
        Torralba, Fergus and Freeman, "80 million tiny images" (PAMI 2008); the levels are Pillow's.
    """

    extra: ClassVar[str | None] = "image"

    on: str = "image"
    into: str = "image.grey"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("row", "column"), sizes={"row": 32, "column": 32}, dtype="uint8")

    def extract(self, image: Image) -> np.ndarray:
        return tiny_grey(image.pixels)
