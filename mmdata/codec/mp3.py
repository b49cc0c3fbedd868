"""Sound to MP3, for people to listen to: small, and played by every browser. Stores don't keep it."""

from __future__ import annotations

import io

import numpy as np

from mmdata.errors import DataError

RATES_HZ = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)


def mp3_bytes(wave: np.ndarray, rate_hz: int, *, level: float = 0.9) -> bytes:
    """Encode one channel at a variable bit rate.

    Args:
        wave: float32 [time], full scale -1 to 1.
        rate_hz: one of `RATES_HZ`.
        level: from 0, the best, to 0.9, the smallest.

    Raises:
        DataError: MP3 knows no such rate, or libsndfile can't write it.
    """
    import soundfile

    if rate_hz not in RATES_HZ:
        raise DataError(f"MP3 has the rates {', '.join(map(str, RATES_HZ))} Hz, not {rate_hz}")
    file = io.BytesIO()
    clipped = np.clip(np.nan_to_num(wave), -1, 1).astype(np.float32)
    settings = {"format": "MP3", "subtype": "MPEG_LAYER_III", "compression_level": level, "bitrate_mode": "VARIABLE"}
    try:
        soundfile.write(file, clipped, rate_hz, **settings)
    except (soundfile.LibsndfileError, ValueError, TypeError) as error:
        raise DataError(f"MP3 can't be written here: {error}") from None
    return file.getvalue()
