"""Films as arrays of frames: pictures, the choice of frames, differences, optical flow and fingerprints."""

from mmdata.kernels.video.choosing import evenly, most_distinct, representatives
from mmdata.kernels.video.fingerprint import Match, frame_hash, match
from mmdata.kernels.video.flow import (
    Flow,
    Method,
    Preset,
    block_means,
    directions,
    flow_method,
    lengths,
    optical_flow,
    speed_shares,
)
from mmdata.kernels.video.pictures import color_histograms, grey, mean_differences, thumbnail

__all__ = [
    "Flow",
    "Match",
    "Method",
    "Preset",
    "block_means",
    "color_histograms",
    "directions",
    "evenly",
    "flow_method",
    "frame_hash",
    "grey",
    "lengths",
    "match",
    "mean_differences",
    "most_distinct",
    "optical_flow",
    "representatives",
    "speed_shares",
    "thumbnail",
]
