"""A fingerprint of a film, by which its copies are found."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Video
from mmdata.core.watch import View, Watch, Watching
from mmdata.kernels import video as kernels
from mmdata.kernels.video.fingerprint import HASH_BYTES, LEAST_QUALITY


@dataclass(frozen=True, kw_only=True)
class VideoFingerprint(Watch):
    """A hash of each frame of a grid: uint8 [time, byte], 256 signs each; near-duplicates share most of them.

    Hashes are of 64 x 64 averages of luma. Frames of hardly any detail, black ones among them, are left out.
    The column "times_s" is float64 [time]; "mean" is float32 [frequency], one vector of norm 1 for the whole film, for
    a search among many (0 where every frame was left out). Of two films `kernels.video.match` tells how much they
    share, and at which offset: films that were encoded anew, made smaller, or cut keep nearly all of it.

    Args:
        fps: frames a second of the grid.

    Reference:
        PDQ: Facebook ThreatExchange, "The TMK+PDQF video-hashing algorithm and the PDQ image-hashing algorithm" (2019),
        and its `vpdq`. "mean" is of mmdata.
    """

    extra: ClassVar[str | None] = "video"

    into: str = "video.fingerprint"
    fps: Annotated[float, Gt(0)] = 2.0

    def spec(self) -> Mapping[str, ArraySpec]:
        return {
            "": ArraySpec(dims=("time", "byte"), sizes={"byte": HASH_BYTES}, dtype="uint8"),
            "times_s": ArraySpec(dims=("time",), dtype="float64"),
            "mean": ArraySpec(dims=("frequency",), sizes={"frequency": 8 * HASH_BYTES}),
        }

    def view(self, video: Video) -> View:  # noqa: ARG002  every film alike
        return View(fps=self.fps, size_px=256, grey=True)

    def watch(self, video: Video) -> Watching:  # noqa: ARG002  what it sees is enough
        hashes, times_s, total = [np.empty((0, HASH_BYTES), np.uint8)], list[float](), np.zeros(8 * HASH_BYTES)
        while (frames := (yield)) is not None:
            for pixels, time_s in zip(frames.pixels, frames.times_s.tolist(), strict=True):
                signs, quality, frequencies = kernels.frame_hash(pixels[..., 0])
                if quality >= LEAST_QUALITY:
                    hashes.append(signs[None])
                    times_s.append(time_s)
                    total += frequencies
        mean = total / (np.linalg.norm(total) or 1.0)
        return {"": np.concatenate(hashes), "times_s": np.array(times_s), "mean": mean.astype(np.float32)}
