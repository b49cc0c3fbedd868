"""Pictures whose hashes differ in few bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from mmdata.errors import ConfigError
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.bits import near_pairs
from mmdata.select.dedup.reading import vectors
from mmdata.select.dedup.rule import Asked, Rule


@dataclass(frozen=True, kw_only=True)
class NearBits(Rule):
    """Samples whose hashes differ in at most `max_bits` bits; every such pair is found.

    Args:
        on: a column of hashes: uint8 [byte], of an even number of bytes.
        max_bits: more finds more, and takes longer.
    """

    name: ClassVar[str] = "near_bits"

    max_bits: Annotated[int, Ge(0)] = 6

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        hashes, rows = vectors(asked, self.on)
        if hashes.dtype != np.uint8 or hashes.shape[1] % 2:
            told = f"{self.on!r} is {hashes.dtype} of {hashes.shape[1]}"
            raise ConfigError("dedup", [f"{told}; a hash is an even number of bytes (uint8)"])
        unique, inverse = np.unique(hashes, axis=0, return_inverse=True)
        first = np.full(len(unique), -1)
        first[inverse[::-1]] = rows[::-1]
        clusters.join(first[inverse], rows)
        for one, other in near_pairs(unique, self.max_bits):
            clusters.join(first[one], first[other])


@dataclass(frozen=True, kw_only=True)
class NearImage(NearBits):
    """Pictures whose perceptual hashes differ in at most `max_bits` of 64 bits; every such pair is found.

    Such a hash bears with another size, format and quality, with slight changes of light, and not with cuts.

    Args:
        on: a column of `features.image.PerceptualHash`, or of another hash of pictures.
    """

    name: ClassVar[str] = "near_image"

    on: str = "image.phash"
