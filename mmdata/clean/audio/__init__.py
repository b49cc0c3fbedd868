"""Mend a sound, cut it, or drop it."""

from mmdata.clean.audio.filters import KeepBandwidth, KeepDuration, KeepSnr, KeepSounding, KeepUnclipped
from mmdata.clean.audio.levels import LimitPeak, NormalizeLoudness
from mmdata.clean.audio.noise import Denoise, RemoveHum, RepairClipping
from mmdata.clean.audio.silence import SplitOnSilence, TrimSilence
from mmdata.clean.audio.speech import KeepSpeech, SplitOnSpeech, TrimToSpeech
from mmdata.clean.audio.waves import MixDown, PickChannel, RemoveOffset, Resample

__all__ = [
    "Denoise",
    "KeepBandwidth",
    "KeepDuration",
    "KeepSnr",
    "KeepSounding",
    "KeepSpeech",
    "KeepUnclipped",
    "LimitPeak",
    "MixDown",
    "NormalizeLoudness",
    "PickChannel",
    "RemoveHum",
    "RemoveOffset",
    "RepairClipping",
    "Resample",
    "SplitOnSilence",
    "SplitOnSpeech",
    "TrimSilence",
    "TrimToSpeech",
]
