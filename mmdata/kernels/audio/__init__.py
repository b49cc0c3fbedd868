"""Sound as arrays: `waves`, `spectrum` and what is read off it (`mel`, `shape`, `chroma`), `pitch` and `rhythm`.

Loudness stands in `kernels.loudness`.
"""

from mmdata.kernels.audio.chroma import chroma, chroma_filters, spectral_peaks, tuning
from mmdata.kernels.audio.mel import dct_matrix, delta, hz_to_mel, mel_bands, mel_filters, mel_of, mel_power, mel_to_hz
from mmdata.kernels.audio.pitch import pyin
from mmdata.kernels.audio.rhythm import onset_frames, onset_strength, tempo_bpm
from mmdata.kernels.audio.shape import (
    contrast_ends,
    contrast_of,
    flatness,
    moments,
    rolloff,
    root_mean_square,
    zero_crossings,
)
from mmdata.kernels.audio.spectrum import (
    centred_ends,
    cut_up,
    frame_blocks,
    frame_starts,
    hann,
    istft,
    n_frames,
    power_of,
    power_spectra,
    power_spectrum,
    side_by_side,
    spectra,
    stft,
    stfts,
)
from mmdata.kernels.audio.waves import (
    BLOCK_BYTES,
    QUIETEST,
    Color,
    frame,
    levels_db,
    mono,
    noise,
    power_to_db,
    resample,
)

__all__ = [
    "BLOCK_BYTES",
    "QUIETEST",
    "Color",
    "centred_ends",
    "chroma",
    "chroma_filters",
    "contrast_ends",
    "contrast_of",
    "cut_up",
    "dct_matrix",
    "delta",
    "flatness",
    "frame",
    "frame_blocks",
    "frame_starts",
    "hann",
    "hz_to_mel",
    "istft",
    "levels_db",
    "mel_bands",
    "mel_filters",
    "mel_of",
    "mel_power",
    "mel_to_hz",
    "moments",
    "mono",
    "n_frames",
    "noise",
    "onset_frames",
    "onset_strength",
    "power_of",
    "power_spectra",
    "power_spectrum",
    "power_to_db",
    "pyin",
    "resample",
    "rolloff",
    "root_mean_square",
    "side_by_side",
    "spectra",
    "spectral_peaks",
    "stft",
    "stfts",
    "tempo_bpm",
    "tuning",
    "zero_crossings",
]
