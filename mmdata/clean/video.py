"""Mend or drop a film."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge

from mmdata.core.sample import Video
from mmdata.core.step import Drop, Filter


@dataclass(frozen=True, kw_only=True)
class KeepDuration(Filter[Video]):
    """Keep films whose picture track lasts `min_s` to `max_s` seconds, both included; None is no bound."""

    on: str = "video"
    min_s: Annotated[float, Ge(0)] | None = None
    max_s: Annotated[float, Ge(0)] | None = None

    def __post_init__(self) -> None:
        if self.min_s is not None and self.max_s is not None and self.min_s > self.max_s:
            raise ValueError(f"min_s must not be greater than max_s: {self.min_s} > {self.max_s}")

    def keep(self, video: Video) -> Literal[True] | Drop:
        if self.min_s is not None and video.duration_s < self.min_s:
            return Drop("too_short")
        if self.max_s is not None and video.duration_s > self.max_s:
            return Drop("too_long")
        return True
