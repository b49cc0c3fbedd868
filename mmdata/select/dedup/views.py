"""Pictures of which one is like the other, like its mirror image, or like a piece cut out of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Le

from mmdata.errors import ConfigError
from mmdata.kernels.hashing import mix
from mmdata.kernels.image.views import SIDE, VIEWS, view_bits, view_cells
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.bits import near_between
from mmdata.select.dedup.reading import spacious, vectors
from mmdata.select.dedup.rule import Asked, Rule

ROWS = 1 << 12  # pictures whose views are made at once


@dataclass(frozen=True, kw_only=True)
class NearView(Rule):
    """Pictures in small of which one as a whole is like a view of the other.

    Views are the picture, its mirror image, and it cropped by 5 % and by 10 % of each side, the latter in the middle,
    at edges and in corners. Hashes of 64 bits propose pairs, all within `max_bits`; the correlation of 16 x 16 cells
    decides. It bears with size, format, quality and light, and is blind to color; a picture without contrast is like no
    other. Each picture is looked up among the views of all: `docs/select.md` has figures, and what it costs.

    Args:
        on: a column of `features.image.TinyGrey`.
        max_bits: most bits in which a picture and a view differ; more than 11 take five times as long.
        min_correlation: least that cells have in common, up to 1.
    """

    name: ClassVar[str] = "near_view"

    on: str = "image.grey"
    max_bits: Annotated[int, Ge(0)] = 11
    min_correlation: Annotated[float, Ge(0), Le(1)] = 0.94

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        levels, rows = vectors(asked, self.on)
        if levels.dtype != np.uint8 or levels.shape[1] != SIDE * SIDE:
            told = f"{self.on!r} is {levels.dtype} of {levels.shape[1]}"
            raise ConfigError("dedup", [f"{told}; a column of features.image.TinyGrey is uint8 of {SIDE * SIDE}"])
        levels = levels.reshape(-1, SIDE, SIDE)
        firsts = _firsts(levels)
        clusters.join(rows[np.maximum(firsts, 0)][firsts >= 0], rows[firsts >= 0])
        which = np.flatnonzero(firsts == np.arange(len(levels)))  # equal ones are asked for once
        n = len(which)
        hashes = spacious((len(VIEWS) * n, 8), np.uint8)
        for first, view in zip(range(0, len(hashes), max(n, 1)), VIEWS, strict=False):
            for part in _parts(n):
                hashes[first + part.start : first + part.stop] = view_bits(levels[which[part]], view)
        for one, place in near_between(hashes[:n], hashes, self.max_bits):
            number, other = np.divmod(place, n)
            for each in np.unique(number).tolist():
                mine, theirs = which[one[number == each]], which[other[number == each]]
                alike = self._alike(levels, mine, theirs, each)
                clusters.join(rows[mine[alike]], rows[theirs[alike]])

    def _alike(self, levels: np.ndarray, one: np.ndarray, other: np.ndarray, view: int) -> np.ndarray:
        """Which of some pictures are like a view of others: bool [pair]."""
        found = one != other
        pairs = np.flatnonzero(found)
        for part in _parts(len(pairs)):
            at = pairs[part]
            whole, seen = view_cells(levels[one[at]], VIEWS[0]), view_cells(levels[other[at]], VIEWS[view])
            found[at] = (whole * seen).sum(axis=1) >= self.min_correlation
        return np.asarray(found)


def _parts(n: int) -> Iterator[slice]:
    for start in range(0, n, ROWS):
        yield slice(start, min(start + ROWS, n))


def _firsts(levels: np.ndarray) -> np.ndarray:
    """The first picture of the same levels as each: int64 [picture]; -1 for those without contrast."""
    numbers = np.arange(len(levels))
    keys, has_contrast = np.empty(len(levels), np.uint64), np.empty(len(levels), bool)
    weights = mix(np.arange(1, SIDE * SIDE // 8 + 1, dtype=np.uint64)) | np.uint64(1)
    for part in _parts(len(levels)):
        words = np.ascontiguousarray(levels[part]).reshape(-1, SIDE * SIDE).view(np.uint64)
        keys[part] = (words * weights).sum(axis=1, dtype=np.uint64)
        has_contrast[part] = view_cells(levels[part], VIEWS[0]).any(axis=1)
    _, at, inverse = np.unique(keys, return_index=True, return_inverse=True)
    firsts = at[inverse]
    for part in _parts(len(levels)):
        same = (levels[part] == levels[firsts[part]]).all(axis=(1, 2))
        firsts[part] = np.where(same, firsts[part], numbers[part])  # pictures of one key by chance
    return np.where(has_contrast, firsts, -1)
