"""Arrays and scalars of films and of their frames.

What works on `Video` watches it (`core/watch.py`): however many of these a pipeline names, a film is decoded once.
"""

from mmdata.features.video.differences import VideoDifference
from mmdata.features.video.fingerprint import VideoFingerprint
from mmdata.features.video.flow import OpticalFlow, VideoFlow, summed_up
from mmdata.features.video.frames import FrameDifference, Keyframes, VideoSize
from mmdata.features.video.passages import VideoPassages
from mmdata.features.video.scenes import SceneCuts, VideoSummary
from mmdata.features.video.stills import ThumbnailStrip, VideoFrames, VideoKeyframes

__all__ = [
    "FrameDifference",
    "Keyframes",
    "OpticalFlow",
    "SceneCuts",
    "ThumbnailStrip",
    "VideoDifference",
    "VideoFingerprint",
    "VideoFlow",
    "VideoFrames",
    "VideoKeyframes",
    "VideoPassages",
    "VideoSize",
    "VideoSummary",
    "summed_up",
]
