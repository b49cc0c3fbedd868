"""WAV without a library: the commonest sound is read in microseconds, and written without a clock in its header.

libsndfile writes the time of day into float WAV files (their PEAK chunk), so equal sound would give unequal bytes.
"""

from __future__ import annotations

import struct

import numpy as np

from mmdata.errors import DataError

_PCM, _FLOAT = 1, 3
_MAX_DATA_BYTES = 0xFFFFFFFF - 64


def read_wav(data: bytes) -> tuple[np.ndarray, int] | None:
    """Samples (float32 [channel, time], full scale -1 to 1) and rate of 16-bit PCM or 32-bit float WAV.

    None for any other kind of WAV, and for headers that are not as simple as they can be: libsndfile reads those.
    """
    form, at = None, 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind == b"fmt " and 16 <= size <= len(data) - at - 8:
            form = struct.unpack_from("<HHIIHH", data, at + 8)
        elif kind == b"data":
            return None if form is None else _samples(data, at + 8, size, form)
        at += 8 + size + (size & 1)
    return None


def _samples(data: bytes, first: int, size: int, form: tuple[int, ...]) -> tuple[np.ndarray, int] | None:
    coding, n_channels, rate_hz, _, frame_bytes, bits = form
    dtype = {(_PCM, 16): "<i2", (_FLOAT, 32): "<f4"}.get((coding, bits))
    if dtype is None or not n_channels or not rate_hz or frame_bytes != n_channels * bits // 8:
        return None
    if size in (0, 0xFFFFFFFF) or size > len(data) - first:
        return None  # streamed or cut short: it takes judgement
    raw = np.frombuffer(data, dtype, count=size // frame_bytes * n_channels, offset=first).reshape(-1, n_channels).T
    if coding == _FLOAT:
        return np.ascontiguousarray(raw, np.float32), rate_hz
    return np.multiply(raw, np.float32(1 / 32768), dtype=np.float32, order="C"), rate_hz


def write_wav(samples: np.ndarray, rate_hz: int) -> bytes:
    """WAV bytes of samples [channel, time]: 32-bit float of float32, 16-bit PCM of int16."""
    body = np.ascontiguousarray(samples.T, samples.dtype.newbyteorder("<")).tobytes()
    if len(body) > _MAX_DATA_BYTES:
        raise DataError(f"{len(body):,} bytes of samples are more than WAV holds (4 GiB): split or shorten the sound")
    n_channels, width = samples.shape[0], samples.dtype.itemsize
    coding = _FLOAT if samples.dtype.kind == "f" else _PCM
    form = struct.pack(
        "<HHIIHH", coding, n_channels, rate_hz, rate_hz * n_channels * width, n_channels * width, width * 8
    )
    extra = b""
    if coding == _FLOAT:  # Microsoft's rule for what is not PCM: an extension size, and a fact chunk
        form += struct.pack("<H", 0)
        extra = struct.pack("<4sII", b"fact", 4, samples.shape[1])
    pad = b"\0" * (len(body) & 1)
    chunks = struct.pack("<4sI", b"fmt ", len(form)) + form + extra + struct.pack("<4sI", b"data", len(body))
    return struct.pack("<4sI4s", b"RIFF", 4 + len(chunks) + len(body) + len(pad), b"WAVE") + chunks + body + pad
