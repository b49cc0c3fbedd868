"""What sound is like after a lossy codec: encoded and decoded again, by libsndfile."""

from __future__ import annotations

import io
from collections.abc import Mapping
from typing import Literal

import numpy as np

from mmdata.kernels.audio import resample

Lossy = Literal["mp3", "vorbis", "opus", "mulaw", "alaw", "gsm"]
_FORMS: Mapping[str, tuple[str, str]] = {
    "mp3": ("MP3", "MPEG_LAYER_III"),
    "vorbis": ("OGG", "VORBIS"),
    "opus": ("OGG", "OPUS"),
    "mulaw": ("WAV", "ULAW"),
    "alaw": ("WAV", "ALAW"),
    "gsm": ("WAV", "GSM610"),
}
_OPUS_HZ = (8_000, 12_000, 16_000, 24_000, 48_000)
_MP3_HZ = (8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_100, 48_000)
_VORBIS_HZ = (8_000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000)
_RATES_HZ: Mapping[str, tuple[int, ...]] = {
    "mp3": _MP3_HZ, "vorbis": _VORBIS_HZ, "opus": _OPUS_HZ, "mulaw": (8_000,), "alaw": (8_000,), "gsm": (8_000,),
}  # fmt: skip
SETTABLE = ("mp3", "vorbis", "opus")
_LEAST_COMPRESSION = 0.01  # LAME refuses the other end


def recoded(samples: np.ndarray, *, rate_hz: int, codec: Lossy, quality: float) -> np.ndarray:
    """Encode sound and decode it again: as long as before, and in step with it.

    Rates that a codec does not know are resampled to the next that it does, and back; the telephone's (mulaw, alaw,
    gsm) know 8 kHz alone. Channels are coded each by itself.

    Args:
        samples: float32 [channel, time].
        rate_hz: its rate.
        codec: which.
        quality: from 0, the smallest files, to 1; of mp3, vorbis and opus.

    Returns:
        float32 [channel, time].
    """
    if not samples.size:
        return samples
    known = _RATES_HZ[codec]
    coded_hz = next((hz for hz in known if hz >= rate_hz), known[-1])
    inside = np.clip(resample(samples, from_hz=rate_hz, to_hz=coded_hz), -1, 1)
    again = np.zeros_like(inside)
    for place, wave in enumerate(inside):
        decoded = _through(wave, coded_hz, codec, quality)[: wave.size]
        again[place, : decoded.size] = decoded
    back = resample(again, from_hz=coded_hz, to_hz=rate_hz)
    whole = np.zeros_like(samples)
    n_samples = min(back.shape[1], samples.shape[1])
    whole[:, :n_samples] = back[:, :n_samples]
    return whole


def _through(wave: np.ndarray, rate_hz: int, codec: str, quality: float) -> np.ndarray:
    import soundfile

    container, subtype = _FORMS[codec]
    level = {"compression_level": min(1 - quality, 1 - _LEAST_COMPRESSION)} if codec in SETTABLE else {}
    coded = io.BytesIO()
    soundfile.write(coded, wave, rate_hz, format=container, subtype=subtype, **level)
    coded.seek(0)
    decoded, _ = soundfile.read(coded, dtype="float32")
    return np.asarray(decoded, np.float32)
