from __future__ import annotations

import io
import struct

import numpy as np
import pytest
import soundfile
from hypothesis import given
from hypothesis import strategies as st

from mmdata.codec.wav import read_wav, write_wav
from mmdata.errors import DataError
from mmdata.testing.media import wav_bytes
from mmdata.testing.sounds import noise


@pytest.mark.parametrize("subtype", ["PCM_16", "FLOAT"])
@pytest.mark.parametrize("channels", [1, 2, 5])
def test_reading_equals_libsndfile(subtype: str, channels: int) -> None:
    data = wav_bytes(noise(0.1, channels=channels), subtype=subtype)
    expected, rate_hz = soundfile.read(io.BytesIO(data), dtype="float32", always_2d=True)
    read = read_wav(data)
    assert read is not None
    assert read[1] == rate_hz
    assert read[0].dtype == np.float32
    assert read[0].flags.c_contiguous
    assert np.array_equal(read[0], expected.T)


@pytest.mark.parametrize("dtype", [np.int16, np.float32])
@pytest.mark.parametrize("n_samples", [0, 1, 777])
def test_libsndfile_reads_what_is_written(dtype: type, n_samples: int) -> None:
    samples: np.ndarray = (noise(0.1, channels=3).samples[:, :n_samples] * (32767 if dtype is np.int16 else 1)).astype(
        dtype
    )
    data = write_wav(samples, 22050)
    read, rate_hz = soundfile.read(io.BytesIO(data), dtype=samples.dtype.name, always_2d=True)
    assert rate_hz == 22050
    assert np.array_equal(read.T, samples)
    assert len(data) == 8 + struct.unpack_from("<I", data, 4)[0]


@pytest.mark.parametrize("subtype", ["PCM_24", "PCM_U8", "ULAW"])
def test_other_kinds_are_left_to_libsndfile(subtype: str) -> None:
    assert read_wav(wav_bytes(noise(0.1), subtype=subtype)) is None


def test_a_header_that_takes_judgement_is_left_to_libsndfile() -> None:
    data = wav_bytes(noise(0.1))
    at = data.index(b"data") + 4
    for size in (0, 0xFFFFFFFF, len(data)):
        assert read_wav(data[:at] + struct.pack("<I", size) + data[at + 4 :]) is None
    assert read_wav(data[: data.index(b"data")]) is None
    assert read_wav(data.replace(b"fmt ", b"xxxx")) is None
    assert read_wav(data[:22] + b"\0\0" + data[24:]) is None, "no channels"


def test_chunks_before_the_data_are_passed_over() -> None:
    data = wav_bytes(noise(0.1))
    at = data.index(b"data")
    odd = data[:at] + struct.pack("<4sI", b"LIST", 3) + b"abc\0" + data[at:]
    first, second = read_wav(data), read_wav(odd)
    assert first is not None
    assert second is not None
    assert np.array_equal(first[0], second[0])


def test_an_odd_number_of_bytes_is_padded() -> None:
    assert len(write_wav(np.zeros((1, 3), np.int16), 8000)) % 2 == 0


def test_more_than_four_gigabytes_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mmdata.codec.wav._MAX_DATA_BYTES", 7)
    with pytest.raises(DataError, match="8 bytes of samples are more than WAV holds"):
        write_wav(np.zeros((1, 2), np.float32), 8000)


@given(st.binary(max_size=120))
def test_any_bytes_are_read_or_left(data: bytes) -> None:
    read = read_wav(b"RIFF\0\0\0\0WAVE" + data)
    assert read is None or read[0].dtype == np.float32
