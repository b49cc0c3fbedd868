"""Change frames at random: their rate, their stretch of time, their direction, and their pictures, all alike.

The times of frames stay those of the source: they are the time map by which captions and sound are found again.
"""

from mmdata.augment.video.pictures import AugmentFrames
from mmdata.augment.video.timeline import ChangeFrameRate, CropTime, ReverseFrames
from mmdata.augment.video.together import CropTogether

__all__ = ["AugmentFrames", "ChangeFrameRate", "CropTime", "CropTogether", "ReverseFrames"]
