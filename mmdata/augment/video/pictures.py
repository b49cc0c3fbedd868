"""Change the pictures of frames at random, in the same way throughout."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.nested import nested, over, spec_over
from mmdata.core.sample import Frames, Image
from mmdata.core.step import Drop, RandomMap


@dataclass(frozen=True, kw_only=True)
class AugmentFrames(RandomMap[Frames, Frames]):
    """Do with each frame what a random step on pictures does, by one draw for all of them.

    So a clip is flipped, turned, cropped, blurred or recoloured as a whole, and what moves in it moves as before. Noise
    is the same in each frame, too. The frames' space map follows.

    Args:
        step: a random step on pictures with its settings, as in a list of steps: {use: augment.image.FlipImage, p: 1}.
        same: one draw for all frames; else one for each, as for noise. Steps that move pixels need it.

    Reference:
        That of the step.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    step: Mapping[str, Any]
    same: bool = True

    def __post_init__(self) -> None:
        nested(self.step, kind=RandomMap, takes=Image)

    def settings(self) -> dict[str, Any]:
        inner = nested(self.step, kind=RandomMap, takes=Image)
        return {**super().settings(), "step": [inner.name, inner.version, inner.settings()]}

    def map(self, frames: Frames, rng: np.random.Generator) -> Frames | Drop:
        inner = nested(self.step, kind=RandomMap, takes=Image)
        seed = int(rng.integers(2**63))
        if self.same:
            return over(frames, lambda image: inner.map(image, np.random.default_rng(seed)), inner.name)
        each = np.random.default_rng(seed)
        return over(frames, lambda image: inner.map(image, each), inner.name)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its frames, after that of those it takes."""
        return spec_over(spec, nested(self.step, kind=RandomMap, takes=Image))
