"""Vectors of films by models of `transformers`, from their decoded frames."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames
from mmdata.errors import DataError
from mmdata.features.embed.image import Picturing, Pixels, fitted, pixels_of
from mmdata.features.embed.pretrained import Tower


@dataclass(frozen=True, kw_only=True)
class FrameEmbedding(Picturing[Frames]):
    """Vectors of a film's frames by a model of pictures, and their mean: float32 [feature], or [frame, feature].

    Frames are taken from the middles of equal stretches; a film of fewer gives fewer.

    Args:
        n_frames: how many are looked at.
        over_time: "mean" of the frames' vectors, or "none": each by itself.

    Reference:
        The model's own, by `transformers`. The mean over frames: Luo et al., "CLIP4Clip" (2021).
    """

    on: str = "frames"
    into: str = "frames.embedding"
    n_frames: Annotated[int, Ge(1)] = 8
    over_time: Literal["mean", "none"] = "mean"

    def spec(self) -> ArraySpec:
        if self.over_time == "mean":
            return self.vector(self.size())
        return ArraySpec(dims=("frame", "feature"), sizes={"feature": self.size()}, dtype=self.dtype)

    def prepare(self, value: Frames) -> Pixels:
        chosen = _evenly(len(value.pixels), min(self.n_frames, len(value.pixels)))
        each = [fitted(self.processor(), value.pixels[index]) for index in chosen]
        return {name: np.stack([pixels[name] for pixels in each]) for name in each[0]}

    def cost(self, prepared: Pixels) -> int:
        return pixels_of(prepared)

    def extract(self, model: Tower, prepared: Sequence[Pixels]) -> Sequence[np.ndarray]:
        frames = [
            {name: array[index] for name, array in film.items()} for film in prepared for index in range(_n(film))
        ]
        if not frames:
            return []
        vectors = self.pictured(model, frames)
        found, start = [], 0
        for film in prepared:
            own = vectors[start : start + _n(film)]
            start += _n(film)
            found.append(self.finished(own if self.over_time == "none" else own.float().mean(dim=0)))
        return found


@dataclass(frozen=True, kw_only=True)
class VideoEmbedding(Picturing[Frames]):
    """A vector of a film by a model of moving pictures such as VideoMAE or TimeSformer: float32 [feature].

    As many frames as the model was made for are taken from the middles of equal stretches; a film of fewer shows some
    of them twice. Only "mean" and "cls" pool; "auto" is "mean".

    Reference:
        The model's own, by `transformers`. Which frames it sees is of mmdata.
    """

    tower: ClassVar[str] = "video_model"

    on: str = "frames"
    into: str = "frames.embedding"

    def spec(self) -> ArraySpec:
        return self.vector(self.size())

    def how(self) -> str:
        return "mean" if self.pooling == "auto" else super().how()

    def prepare(self, value: Frames) -> Pixels:
        chosen = _evenly(len(value.pixels), self.own_config().num_frames)
        found = self.processor()(
            [_rgb(value.pixels[index]) for index in chosen], input_data_format="channels_last", return_tensors="np"
        )
        return {name: np.asarray(array)[0] for name, array in found.items()}

    def cost(self, prepared: Pixels) -> int:
        return pixels_of(prepared)

    def extract(self, model: Tower, prepared: Sequence[Pixels]) -> Sequence[np.ndarray]:
        return list(self.finished(self.pictured(model, prepared))) if prepared else []


def _rgb(pixels: np.ndarray) -> np.ndarray:
    return np.repeat(pixels, 3, axis=2) if pixels.shape[2] == 1 else pixels


def _evenly(n_in: int, n_out: int) -> list[int]:
    """Middles of `n_out` equal stretches of `n_in` frames, some twice where there are fewer.

    >>> _evenly(10, 2), _evenly(2, 4)
    ([2, 7], [0, 0, 1, 1])
    """
    if n_in == 0:
        raise DataError("the film has no frames")
    return [(2 * place + 1) * n_in // (2 * n_out) for place in range(n_out)]


def _n(film: Pixels) -> int:
    return len(film["pixel_values"])
