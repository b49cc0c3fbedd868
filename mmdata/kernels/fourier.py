"""Fourier transforms of rows of real numbers: scipy's, on float32 three to seven times as fast as numpy's.

What scipy.fft computes with is a module of its own, pypocketfft, which loads in 2 ms. scipy.fft itself takes 0.25 s of
processor time in every worker, for kinds of transform and of arrays that are not needed here. So that one module is
loaded alone where it can be, under its own name, so that a later import of scipy.fft finds it; else by scipy.fft.
"""

from __future__ import annotations

import importlib.util
import sys
from functools import lru_cache
from importlib.machinery import EXTENSION_SUFFIXES
from pathlib import Path
from typing import Any

import numpy as np

NAME = "scipy.fft._pocketfft.pypocketfft"
UNSCALED, BY_LENGTH = 0, 2  # its words for whether a result is divided by the length


def rfft(rows: np.ndarray, n: int | None = None) -> np.ndarray:
    """The transform of each row: float32 [..., time] to complex64 [..., bin], float64 to complex128.

    Args:
        rows: along the last axis; whole numbers count as float64.
        n: length of the transform, for which rows are cut or continued with zeros; None is their own.

    Raises:
        ValueError: rows of no length.
    """
    given = rows if rows.dtype in (np.float32, np.float64) else rows.astype(np.float64)
    if n is not None and n != given.shape[-1]:
        given = _of_length(given, n)
    if not given.shape[-1]:
        raise ValueError("rows of no length have no spectrum")
    spectrum: np.ndarray = _pocketfft().r2c(given, (given.ndim - 1,), True, UNSCALED, None, 1)
    return spectrum


def irfft(spectrum: np.ndarray, n: int) -> np.ndarray:
    """The rows of n samples that have these spectra: complex64 [..., bin] to float32 [..., time]; 128 to float64.

    Args:
        spectrum: n // 2 + 1 bins along the last axis; real ones have no phases.
        n: length of the transform.
    """
    if spectrum.dtype.kind != "c":
        spectrum = spectrum.astype(np.complex64 if spectrum.dtype == np.float32 else np.complex128)
    rows: np.ndarray = _pocketfft().c2r(spectrum, (spectrum.ndim - 1,), n, False, BY_LENGTH, None, 1)
    return rows


@lru_cache(maxsize=256)
def fast_length(least: int) -> int:
    """The least length from there on whose transform is quick: a product of small primes.

    >>> fast_length(1021)
    1024
    """
    return int(_pocketfft().good_size(least, True))


def _of_length(rows: np.ndarray, n: int) -> np.ndarray:
    if n < rows.shape[-1]:
        return rows[..., :n]
    whole = np.zeros((*rows.shape[:-1], n), rows.dtype)
    whole[..., : rows.shape[-1]] = rows
    return whole


@lru_cache(maxsize=1)
def _pocketfft() -> Any:
    """The module, alone where it lies where it should and computes as it should."""
    try:
        module = sys.modules.get(NAME) or _alone()
        probe = np.array([[1.0, 2.0, 3.0, 4.0]], np.float32)
        spectrum = module.r2c(probe, (1,), True, UNSCALED, None, 1)
        back = module.c2r(spectrum, (1,), 4, False, BY_LENGTH, None, 1)
        if np.allclose(spectrum, [[10, -2 + 2j, -2]]) and np.allclose(back, probe) and module.good_size(7, True) >= 7:
            return module
    except (ImportError, AttributeError, TypeError, ValueError, OSError):
        sys.modules.pop(NAME, None)
    import scipy.fft

    return scipy.fft._pocketfft.pypocketfft  # what it is called since scipy 1.4


def _alone() -> Any:
    found = importlib.util.find_spec("scipy")
    places = found.submodule_search_locations if found is not None else None
    if not places:
        raise ModuleNotFoundError("No module named 'scipy'", name="scipy")
    folder = Path(places[0]) / "fft" / "_pocketfft"
    path = next((path for suffix in EXTENSION_SUFFIXES if (path := folder / f"pypocketfft{suffix}").exists()), None)
    spec = None if path is None else importlib.util.spec_from_file_location(NAME, path)
    if spec is None or spec.loader is None:
        raise ImportError(f"there is no {NAME}")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    sys.modules[NAME] = module
    return module
