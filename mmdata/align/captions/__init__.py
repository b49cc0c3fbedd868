"""Captions: put right in time, moved along with their sound, checked, and made the text of clips."""

from mmdata.align.captions.checks import CaptionQuality, KeepReadable
from mmdata.align.captions.cutting import CutAtCaptions
from mmdata.align.captions.fitting import FitCaptions
from mmdata.align.captions.moving import MoveCaptions, ShiftCaptions

__all__ = ["CaptionQuality", "CutAtCaptions", "FitCaptions", "KeepReadable", "MoveCaptions", "ShiftCaptions"]
