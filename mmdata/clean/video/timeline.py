"""When frames are shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from annotated_types import Gt

from mmdata.codec.limits import MIB, within
from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Frames
from mmdata.core.step import Drop, Map
from mmdata.kernels.timeline import on_grid


@dataclass(frozen=True, kw_only=True)
class ResampleFrames(Map[Frames, Frames]):
    """Bring frames of any rate, fixed or varying, to a grid of `fps` from the first one on: at each of its times the
    frame that is shown then. Frames are repeated or left out, never mixed; what was reversed stays so.

    To decode at a rate from the start, which holds fewer frames: `codec.video.DecodeFrames(fps=...)`.

    Args:
        fps: frames a second.
        max_bytes: refuse what would take more memory.

    Reference:
        Plain sampling.

    Raises:
        DecodeError: it would take more.
    """

    extra: ClassVar[str | None] = "video"

    on: str = "frames"
    fps: Annotated[float, Gt(0)] = 25.0
    max_bytes: Annotated[int, Gt(0)] = 2048 * MIB

    def map(self, frames: Frames) -> Frames | Drop:
        rows, times_s = on_grid(frames.times_s, fps=self.fps)
        if len(rows) == len(frames.times_s) and np.allclose(times_s, frames.times_s, rtol=0, atol=1e-9):
            return frames
        within("bytes of frames at this rate", len(rows) * frames.pixels[:1].nbytes, "max_bytes", self.max_bytes)
        return resampled(frames, rows, times_s)

    def spec_given(self, spec: ArraySpec) -> ArraySpec:
        """The promise of its frames, after that of those it takes."""
        kept = {dim: size for dim, size in spec.sizes.items() if dim != "time"}
        return ArraySpec(dims=spec.dims, sizes=kept, dtype=spec.dtype)


def resampled(frames: Frames, rows: np.ndarray, times_s: np.ndarray) -> Frames:
    """Frames by index, shown at other times: a key is the first row that shows a key frame, or follows one left out."""
    keys_before = np.concatenate([[0], np.cumsum(frames.is_key)])
    seen = keys_before[rows + 1]
    is_key = np.diff(np.concatenate([[0], seen])) > 0
    chosen = frames.rows(rows)
    return Frames(chosen.pixels, times_s, is_key, frames.space_map)
