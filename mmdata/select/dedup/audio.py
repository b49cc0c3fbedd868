"""Recordings that have landmarks in common."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.errors import ConfigError
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.overlaps import overlapping
from mmdata.select.dedup.reading import series
from mmdata.select.dedup.rule import Asked, Rule

CHANCE = 3e-5  # that a landmark is another one: of 119,000 landmarks of 363 spoken prompts, 2.7e-5


@dataclass(frozen=True, kw_only=True)
class NearAudio(Rule):
    """Recordings of which one has at least a share of its landmarks in common with the other.

    The share is that of the shorter of the two, so that a piece is found in the whole; what long recordings have of
    any other by chance is taken off. It bears with another gain, a codec, noise, and cuts, and not with another speed.

    Args:
        on: a column of `features.audio.AudioFingerprint`.
        min_overlap: of the landmarks that are not there by chance. Of prompts by one speaker, copies after Opus have
            0.88 at least, 19 of 20 after the telephone's GSM 0.15, and other recordings less.
        min_common: the fewest landmarks that both must have, as a short recording has some in common with any long
            one by chance. One with fewer landmarks is like no other.
    """

    name: ClassVar[str] = "near_audio"

    on: str = "audio.fingerprint"
    min_overlap: Annotated[float, Gt(0), Le(1)] = 0.15
    min_common: Annotated[int, Ge(1)] = 12

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        values, starts, rows = series(asked, self.on)
        if values.dtype != np.uint32 or values.ndim != 1:
            raise ConfigError("dedup", [f"{self.on!r} is {values.dtype}; landmarks are a series of uint32"])
        for one, other in overlapping(values, starts, self.min_overlap, self.min_common, CHANCE):
            clusters.join(rows[one], rows[other])
