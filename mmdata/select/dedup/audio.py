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


@dataclass(frozen=True, kw_only=True)
class NearAudio(Rule):
    """Recordings of which one has at least a share of its landmarks in common with the other.

    The share is `kernels.audio.landmarks.overlap`, of the shorter of the two, so that a piece is found in the whole.
    It bears with another gain, a codec, and cuts.

    Args:
        on: a column of `features.audio.AudioFingerprint`.
        min_overlap: of prompts by one speaker, other recordings have 0.06 at most, a copy after Opus 0.48 at least.
        min_landmarks: a recording with fewer is like no other: what is nearly silent would be found in everything.
    """

    name: ClassVar[str] = "near_audio"

    on: str = "audio.fingerprint"
    min_overlap: Annotated[float, Gt(0), Le(1)] = 0.25
    min_landmarks: Annotated[int, Ge(1)] = 20

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        values, starts, rows = series(asked, self.on)
        if values.dtype != np.uint32:
            raise ConfigError("dedup", [f"{self.on!r} is {values.dtype}; landmarks are uint32"])
        for one, other in overlapping(values, starts, self.min_overlap, self.min_landmarks):
            clusters.join(rows[one], rows[other])
