"""Mend films and their frames, cut them, or drop them.

Steps on films (`video`) look into the container or decode it once, in chunks, and cut clips; steps on `frames` come
after `codec.video.DecodeFrames`.
"""

from mmdata.clean.video.enlarging import EnlargeFrames
from mmdata.clean.video.filters import KeepByFrames, KeepDuration, KeepFrameRate, KeepMotion, KeepResolution, KeepSharp
from mmdata.clean.video.framing import CutBlackBorders
from mmdata.clean.video.passages import CutPassages, KeepEventful
from mmdata.clean.video.pixels import DenoiseFrames, EachFrame
from mmdata.clean.video.scenes import SplitEvery, SplitScenes
from mmdata.clean.video.timeline import ResampleFrames

__all__ = [
    "CutBlackBorders",
    "CutPassages",
    "DenoiseFrames",
    "EachFrame",
    "EnlargeFrames",
    "KeepByFrames",
    "KeepDuration",
    "KeepEventful",
    "KeepFrameRate",
    "KeepMotion",
    "KeepResolution",
    "KeepSharp",
    "ResampleFrames",
    "SplitEvery",
    "SplitScenes",
]
