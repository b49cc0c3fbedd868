"""Pictures whose hashes differ in few bits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge

from mmdata.errors import ConfigError
from mmdata.kernels.hashing import hamming_bits
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
        also: a column of other hashes, in which both must be near, too; None asks for nothing else.
        also_bits: most bits in which these differ.
    """

    name: ClassVar[str] = "near_bits"

    max_bits: Annotated[int, Ge(0)] = 6
    also: str | None = None
    also_bits: Annotated[int, Ge(0)] = 6

    @property
    def features(self) -> tuple[str, ...]:
        return (self.on,) if self.also is None else (self.on, self.also)

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        rows, hashes = self._hashes(asked)
        both, at = np.concatenate(hashes, axis=1), hashes[0].shape[1]
        unique, inverse = np.unique(both, axis=0, return_inverse=True)
        first = np.full(len(unique), -1)
        first[inverse[::-1]] = rows[::-1]
        clusters.join(first[inverse], rows)
        sides = [(unique[:, :at], self.max_bits), (unique[:, at:], self.also_bits)][: len(hashes)]
        sides.sort(key=lambda side: side[1] / side[0].shape[1])  # the stricter one proposes
        for one, other in near_pairs(np.ascontiguousarray(sides[0][0]), sides[0][1]):
            near = np.ones(len(one), bool)
            for confirming, bits in sides[1:]:
                near = hamming_bits(confirming[one], confirming[other]) <= bits
            clusters.join(first[one[near]], first[other[near]])

    def _hashes(self, asked: Sequence[Asked]) -> tuple[np.ndarray, list[np.ndarray]]:
        """The samples that have all hashes, and each of these."""
        found = [vectors(asked, column) for column in self.features]
        for column, (hashes, _) in zip(self.features, found, strict=True):
            if hashes.dtype != np.uint8 or hashes.shape[1] % 2:
                told = f"{column!r} is {hashes.dtype} of {hashes.shape[1]}"
                raise ConfigError("dedup", [f"{told}; a hash is an even number of bytes (uint8)"])
        rows = found[0][1]
        for _, others in found[1:]:
            rows = np.intersect1d(rows, others, assume_unique=True)
        return rows, [hashes[np.searchsorted(own, rows)] for hashes, own in found]


@dataclass(frozen=True, kw_only=True)
class NearImage(NearBits):
    """Pictures whose perceptual hashes differ in few of 64 bits, and whose difference hashes do; all pairs are found.

    Such hashes bear with another size, format and quality, and slight changes of light, not with cuts; and they are
    blind to color. One of them alone takes drawings of few lines for alike: without `also`, `max_bits` of 4 is precise
    and 6 finds more; `docs/select.md` has figures.

    Args:
        on: a column of `features.image.PerceptualHash`.
        max_bits: most bits in which two differ.
        also: a column of `features.image.DifferenceHash`; None goes by `on` alone.
        also_bits: most bits in which these differ.
    """

    name: ClassVar[str] = "near_image"

    on: str = "image.phash"
    max_bits: Annotated[int, Ge(0)] = 8
    also: str | None = "image.dhash"
    also_bits: Annotated[int, Ge(0)] = 5

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        for part in asked:
            if self.also is not None and self.on in part.store.families and self.also not in part.store.families:
                how = "compute it (features.image.DifferenceHash), or set also: null and max_bits: 4"
                raise ConfigError(
                    "dedup", [f"no feature {self.also!r} in {part.store.url!r} confirms {self.on!r}: {how}"]
                )
        super().link(asked, clusters)
