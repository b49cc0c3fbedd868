"""Arrays and scalars of a sound: `mel`, `shape` of spectra and waves, `music`, `levels`, and a `fingerprint`."""

from mmdata.features.audio.fingerprint import AudioFingerprint
from mmdata.features.audio.levels import AudioDuration, AudioQuality, Loudness, LoudnessTrack, SpeechShare
from mmdata.features.audio.mel import LogMel, MelSpectrum, Mfcc, MfccStats
from mmdata.features.audio.music import Onsets, OnsetStrength, Pitch, Tempo
from mmdata.features.audio.shape import (
    Chroma,
    Rms,
    SpectralBandwidth,
    SpectralCentroid,
    SpectralContrast,
    SpectralFlatness,
    SpectralRolloff,
    Stft,
    ZeroCrossings,
)

__all__ = [
    "AudioDuration",
    "AudioFingerprint",
    "AudioQuality",
    "Chroma",
    "LogMel",
    "Loudness",
    "LoudnessTrack",
    "MelSpectrum",
    "Mfcc",
    "MfccStats",
    "OnsetStrength",
    "Onsets",
    "Pitch",
    "Rms",
    "SpectralBandwidth",
    "SpectralCentroid",
    "SpectralContrast",
    "SpectralFlatness",
    "SpectralRolloff",
    "SpeechShare",
    "Stft",
    "Tempo",
    "ZeroCrossings",
]
