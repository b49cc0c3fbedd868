"""Steps after which a film is another one to the engine, or belongs to several samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

from mmdata.core.sample import Sample, Text, Video
from mmdata.core.step import Map, Split


@dataclass(frozen=True, kw_only=True)
class Retold(Map[Video, Video]):
    """The same film as another object: to the engine, a film that was changed."""

    on: str = "video"

    def map(self, video: Video) -> Video:
        return replace(video)


@dataclass(frozen=True, kw_only=True)
class Doubled(Split[Text]):
    """Two samples of one, with the same film."""

    on: str = "text"

    def split(self, sample: Sample) -> Sequence[Sample]:
        return [sample.child("1"), sample.child("2")]
