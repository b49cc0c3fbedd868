"""Transforms are scipy's to the last bit, and come without scipy.fft."""

from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
import scipy.fft
from hypothesis import given, settings
from hypothesis import strategies as st

from mmdata.core.rng import rng_for
from mmdata.kernels import fourier

ROWS = rng_for(0, "rows").standard_normal((5, 600))


@settings(deadline=None)
@given(
    n=st.integers(1, 600),
    length=st.none() | st.integers(1, 700),
    dtype=st.sampled_from([np.float32, np.float64, np.int16]),
)
def test_transforms_there_and_back_are_scipys_to_the_last_bit(n: int, length: int | None, dtype: type) -> None:
    both: list[np.ndarray] = [(ROWS[:, :n] * 100).astype(dtype), (ROWS[0, :n] * 100).astype(dtype)]
    for rows in both:
        spectrum = fourier.rfft(rows, length)
        given_ = rows if dtype != np.int16 else rows.astype(np.float64)
        expected = scipy.fft.rfft(given_, length, axis=-1)
        assert spectrum.dtype == expected.dtype
        np.testing.assert_array_equal(spectrum, expected)
        back = fourier.irfft(spectrum, length or n)
        np.testing.assert_array_equal(back, scipy.fft.irfft(expected, length or n, axis=-1))
        assert back.dtype == (np.float32 if dtype == np.float32 else np.float64)


def test_real_spectra_views_and_no_rows_are_taken() -> None:
    power = np.square(ROWS[:, :301])
    np.testing.assert_array_equal(fourier.irfft(power, 600), scipy.fft.irfft(power, 600, axis=1))
    view = np.lib.stride_tricks.sliding_window_view(ROWS[0].astype(np.float32), 64)[::16]
    np.testing.assert_array_equal(fourier.rfft(view), scipy.fft.rfft(view, axis=1))
    assert fourier.rfft(np.zeros((0, 8), np.float32)).shape == (0, 5)
    with pytest.raises(ValueError, match="no length"):
        fourier.rfft(np.zeros((3, 0), np.float32))


@pytest.mark.parametrize("least", [1, 2, 7, 17, 1021, 44101])
def test_fast_lengths_are_scipys(least: int) -> None:
    assert fourier.fast_length(least) == scipy.fft.next_fast_len(least, real=True)


LOADED = """
import sys
from mmdata.features.audio import Loudness, Mfcc, LogMel
from mmdata.testing.sounds import noise
for step in (Mfcc(), LogMel(), Loudness()):
    step.extract(noise(0.5))
print(sorted({name.partition(".")[0] for name in sys.modules} & {"scipy", "pandas", "torch", "librosa", "numba"}))
print("scipy.fft" in sys.modules)
import scipy.fft
from mmdata.kernels import fourier
print(scipy.fft._pocketfft.basic.pfft is fourier._pocketfft())
print(float(abs(scipy.fft.rfft(noise(0.1).samples[0]) - fourier.rfft(noise(0.1).samples[0])).max()))
"""


def test_features_of_speech_load_no_scipy_and_scipy_still_loads() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.split() == ["['scipy']", "False", "True", "0.0"]  # of scipy, the one module


FALLBACK = """
import sys
from pathlib import Path
from mmdata.kernels import fourier
import numpy as np
fourier.EXTENSION_SUFFIXES = [".none"]
print(fourier.rfft(np.ones((1, 4), np.float32)).tolist(), "scipy.fft" in sys.modules)
"""


def test_where_the_module_lies_elsewhere_scipy_itself_is_loaded() -> None:
    done = subprocess.run([sys.executable, "-c", FALLBACK], capture_output=True, text=True, check=True, timeout=300)
    assert done.stdout.strip() == "[[(4+0j), 0j, 0j]] True"
