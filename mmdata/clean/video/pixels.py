"""Change the pixels of frames: noise taken away over time, and any step on pictures on each of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

from annotated_types import Ge, Gt, Le

from mmdata.core.arrays import ArraySpec
from mmdata.core.nested import nested, over, spec_over
from mmdata.core.sample import Frames, Image
from mmdata.core.step import Drop, Map
from mmdata.kernels.image.sequence import temporal_means, temporal_medians


@dataclass(frozen=True, kw_only=True)
class DenoiseFrames(Map[Frames, Frames]):
    """Take noise away by what neighbouring frames show. It smears cuts: split scenes first.

    Args:
        method: "median" of each pixel over time, which keeps what stands still and fast changes; "non_local_means"
            averages over places that look alike in the frame and its neighbours (Buades, Coll and Morel, "Nonlocal
            image and movie denoising", IJCV 2008, as OpenCV has it), seconds a megapixel.
        n_frames: how many frames are looked at for each, odd; at both ends the outermost frame is repeated.
        levels: of "non_local_means": how unlike places may be, of 255; about that of the noise.

    Reference:
        Medians; Buades, Coll and Morel, "Nonlocal image and movie denoising" (IJCV 2008), as OpenCV has it.
    """

    extra: ClassVar[str | None] = "video"
    keeps_form: ClassVar[bool] = True

    on: str = "frames"
    method: Literal["median", "non_local_means"] = "median"
    n_frames: Annotated[int, Ge(3), Le(15)] = 3
    levels: Annotated[float, Gt(0), Le(255)] = 5.0

    def __post_init__(self) -> None:
        if self.n_frames % 2 == 0:
            raise ValueError(f"n_frames must be odd, so that a frame is in the middle, not {self.n_frames}")

    def map(self, frames: Frames) -> Frames | Drop:
        if len(frames.pixels) < 2:
            return frames
        if self.method == "median":
            return frames.changed(temporal_medians(frames.pixels, n_frames=self.n_frames))
        return frames.changed(temporal_means(frames.pixels, n_frames=self.n_frames, strength=self.levels))


@dataclass(frozen=True, kw_only=True)
class EachFrame(Map[Frames, Frames]):
    """Do with each frame what a step on pictures does: sharpen, denoise, resize, crop, even out contrast...

    The step must give all frames one size; where it drops a frame, the sample is dropped. Its space map is kept.

    Args:
        step: a map of pictures with its settings, as in a list of steps: {use: clean.image.SharpenImage, amount: 2}.

    Reference:
        That of the step.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    step: Mapping[str, Any]

    def __post_init__(self) -> None:
        nested(self.step, kind=Map, takes=Image)

    def settings(self) -> dict[str, Any]:
        inner = nested(self.step, kind=Map, takes=Image)
        return {**super().settings(), "step": [inner.name, inner.version, inner.settings()]}

    def map(self, frames: Frames) -> Frames | Drop:
        inner = nested(self.step, kind=Map, takes=Image)
        return over(frames, inner.map, inner.name)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its frames, after that of those it takes."""
        return spec_over(spec, nested(self.step, kind=Map, takes=Image))
