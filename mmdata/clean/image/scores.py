"""Drop pictures by a classifier of yours: of watermarks, of nudity, of beauty."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Len

from mmdata.core.sample import Image
from mmdata.core.step import Drop, Filter
from mmdata.features.embed.scores import ImageScore

_REASON = re.compile("[a-z][a-z0-9_]*")


@dataclass(frozen=True, kw_only=True)
class KeepByScore(Filter[Image]):
    """Keep pictures whose score by a model of yours lies between two bounds, both included.

    The model is loaded once a process and run picture by picture, on the processor. For a large model, compute
    `features.embed.ImageScore` instead, in groups and on a GPU, and choose by a selection: the score is the same.

    Args:
        min_score: the least that is kept; None is no bound. max_score: the greatest.
        reason: what dropped pictures are counted under, in snake_case.
        model: an ONNX file, the folder of a transformers classifier, or `package:NAME/path`.
        label: whose score is taken, as in `ImageScore`. Needed where there are several.
        activation: as in `ImageScore`.
        size_px, mean, std, channels, layout, output: of ONNX files, as in `ImageScore`.

    Raises:
        ConfigError: the model is not there, is no classifier, or has no such label.

    Reference:
        The model's own.
    """

    extra: ClassVar[str | None] = "models"

    on: str = "image"
    model: str
    min_score: float | None = None
    max_score: float | None = None
    reason: str = "score"
    label: str | Annotated[int, Ge(0)] | None = None
    activation: Literal["auto", "none", "softmax", "sigmoid"] = "auto"
    size_px: tuple[Annotated[int, Ge(1)], Annotated[int, Ge(1)]] | None = None
    mean: Annotated[tuple[float, ...], Len(3, 3)] = (0.485, 0.456, 0.406)
    std: Annotated[tuple[float, ...], Len(3, 3)] = (0.229, 0.224, 0.225)
    channels: Literal["rgb", "bgr"] = "rgb"
    layout: Literal["nchw", "nhwc"] = "nchw"
    output: str | None = None

    def __post_init__(self) -> None:
        if self.min_score is None and self.max_score is None:
            raise ValueError("give min_score, max_score, or both")
        if self.min_score is not None and self.max_score is not None and self.max_score < self.min_score:
            raise ValueError(f"max_score ({self.max_score}) is below min_score ({self.min_score})")
        if not _REASON.fullmatch(self.reason):
            raise ValueError(f"reason must be in snake_case, as it becomes a column, not {self.reason!r}")

    def settings(self) -> dict[str, Any]:
        """The fields, with a digest of the model's files in place of its name."""
        return {**super().settings(), "model": self._score().one().settings()["model"]}

    def keep(self, image: Image) -> Literal[True] | Drop:
        score = self._score()
        value = float(score.extract(_model(score, score.fingerprint()), [score.prepare(image)])[0])
        low = self.min_score is not None and not value >= self.min_score  # what is no number is not kept
        high = self.max_score is not None and not value <= self.max_score
        return Drop(self.reason) if low or high else True

    def _score(self) -> ImageScore:
        return ImageScore(
            model=self.model,
            label=self.label,
            activation=self.activation,
            size_px=self.size_px,
            mean=self.mean,
            std=self.std,
            channels=self.channels,
            layout=self.layout,
            output=self.output,
        )


@lru_cache(maxsize=4)
def _model(score: ImageScore, _fingerprint: str) -> Any:
    """The model, once a process; again where its files have changed."""
    return score.load("cpu")
