"""Change a sound at random, as its rng says."""

from mmdata.augment.audio.channel import BandPass, Recode, Reverberate
from mmdata.augment.audio.level import ChangeGain
from mmdata.augment.audio.masks import MaskBand, MaskSpectrum, MaskTime
from mmdata.augment.audio.noise import AddNoise, MixBackground
from mmdata.augment.audio.pace import ChangeSpeed, ChangeTempo, ShiftPitch

__all__ = [
    "AddNoise",
    "BandPass",
    "ChangeGain",
    "ChangeSpeed",
    "ChangeTempo",
    "MaskBand",
    "MaskSpectrum",
    "MaskTime",
    "MixBackground",
    "Recode",
    "Reverberate",
    "ShiftPitch",
]
