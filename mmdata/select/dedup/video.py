"""Films that show the same frames, one as much later than the other throughout."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Ge, Gt, Le

from mmdata.errors import ConfigError
from mmdata.kernels.video import match
from mmdata.select.clusters import Clusters
from mmdata.select.dedup.bits import near_pairs
from mmdata.select.dedup.reading import series
from mmdata.select.dedup.rule import Asked, Rule


@dataclass(frozen=True, kw_only=True)
class NearVideo(Rule):
    """Films of which one shows a share of the other's frames, each as much later: `kernels.video.match`.

    Films that have two frames of nearly the same hash are candidates, found without comparing all with all; `match`
    decides on each pair of them. It bears with another size, codec and quality, and with cuts.

    Args:
        on: a column of `features.video.VideoFingerprint`; its column `.times_s` is read, too.
        min_share: of the frames of the film that has fewer.
        min_frames: a film with fewer frames that tell anything is like no other.
        candidate_bits: of 256, most in which a frame of a candidate differs.
    """

    name: ClassVar[str] = "near_video"

    on: str = "video.fingerprint"
    min_share: Annotated[float, Gt(0), Le(1)] = 0.5
    min_frames: Annotated[int, Ge(1)] = 4
    candidate_bits: Annotated[int, Ge(0)] = 15

    @property
    def features(self) -> tuple[str, ...]:
        return self.on, f"{self.on}.times_s"

    def link(self, asked: Sequence[Asked], clusters: Clusters) -> None:
        hashes, starts, rows = series(asked, self.on)
        times_s, time_starts, _ = series(asked, f"{self.on}.times_s")
        if hashes.dtype != np.uint8 or hashes.ndim != 2 or not np.array_equal(starts, time_starts):
            raise ConfigError("dedup", [f"{self.on!r} is no fingerprint of films: hashes of frames, and their times"])
        owners = np.repeat(np.arange(len(rows)), np.diff(starts))
        owners = np.where(np.diff(starts)[owners] >= self.min_frames, owners, -1)
        for one, other in self._candidates(hashes, owners):
            if clusters.together(int(rows[one]), int(rows[other])):
                continue
            first, second = (slice(starts[film], starts[film + 1]) for film in (one, other))
            if match(hashes[first], times_s[first], hashes[second], times_s[second]).share >= self.min_share:
                clusters.join(rows[[one]], rows[[other]])

    def _candidates(self, hashes: np.ndarray, owners: np.ndarray) -> list[tuple[int, int]]:
        """Pairs of films with a frame in common, about: those with many such frames first."""
        there = np.flatnonzero(owners >= 0)
        unique, inverse = np.unique(hashes[there], axis=0, return_inverse=True)
        n = int(owners.max(initial=0)) + 1
        shown = np.unique(inverse * n + owners[there])  # which film shows which hash
        frame, film = shown // n, shown % n
        same = np.flatnonzero(frame[1:] == frame[:-1])
        found = [film[same] * n + film[same + 1]]
        first = np.searchsorted(frame, np.arange(len(unique)))
        for one, other in near_pairs(unique, self.candidate_bits):
            a, b = film[first[one]], film[first[other]]
            found.append((np.minimum(a, b) * n + np.maximum(a, b))[a != b])
        pairs, counts = np.unique(np.concatenate(found), return_counts=True)
        order = np.argsort(-counts, kind="stable")
        return [(int(pair // n), int(pair % n)) for pair in pairs[order]]
