"""Hashes by which near duplicates are found, as the Python package ImageHash has them."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from mmdata.kernels.image.color import as_array
from mmdata.kernels.image.lanczos import lanczos

_LUMA = np.array([[19595, 38470, 7471]]) / 65536  # BT.601 in whole numbers, as Pillow has it


def perceptual_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of pHash: uint8 [byte] of 8. Pictures that look alike differ in few bits.

    Zauner, "Implementation and Benchmarking of Perceptual Image Hash Functions" (2010), section 3.2.1, in the form of
    the Python package ImageHash: grey, 32 x 32, unscaled type II DCT, the 8 x 8 lowest frequencies (the constant one
    too), a bit each for those above their median, rows first, most significant bit first.
    """
    small = _small(pixels, 32, 32)
    waves = cosines(32)[:8]
    # rounded, so that noise in the last digits decides no bit of a flat picture
    lowest = np.round(waves @ small @ waves.T, 6)
    return np.packbits(lowest > _median(lowest))


def average_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of aHash: uint8 [byte] of 8, one for each of 8 x 8 cells that is lighter than their mean."""
    small = _small(pixels, 8, 8)
    return np.packbits(small > small.mean())


def difference_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of dHash: uint8 [byte] of 8, one for each of 8 x 8 cells that is darker than its right neighbour.

    Krawetz, "Kind of Like That" (The Hacker Factor Blog, 2013).
    """
    small = _small(pixels, 9, 8)
    return np.packbits(small[:, 1:] > small[:, :-1])


def wavelet_hash(pixels: np.ndarray) -> np.ndarray:
    """The 64 bits of wHash: uint8 [byte] of 8, one for each of 8 x 8 Haar coefficients above their median.

    In the form of ImageHash: grey, a square whose side is the greatest power of two within the picture's shorter side
    (8 at least), and its lowest 8 x 8 coefficients without the constant one. Those are, but for a factor, the means of
    8 x 8 cells.
    """
    side = max(8, 1 << (min(pixels.shape[:2]).bit_length() - 1))
    cells = _small(pixels, side, side).reshape(8, side // 8, 8, side // 8).mean(axis=(1, 3))
    return np.packbits(cells > _median(cells))


def tiny_grey(pixels: np.ndarray) -> np.ndarray:
    """A picture's grey levels at 32 x 32, whatever its form: uint8 [row, column]; filtered as the hashes are.

    The size of Torralba, Fergus and Freeman, "80 Million Tiny Images" (2008).
    """
    return np.asarray(np.clip(np.rint(_small(pixels, 32, 32)), 0, 255), np.uint8)


def _median(values: np.ndarray) -> float:
    """The mean of the two in the middle: `np.median` of 64 values takes as long as all else about a small picture."""
    ordered = np.sort(values, axis=None)
    return float((ordered[(ordered.size - 1) // 2] + ordered[ordered.size // 2]) / 2)


def _small(pixels: np.ndarray, width: int, height: int) -> np.ndarray:
    """Grey levels at a size, by Pillow's luma and Lanczos filter, as ImageHash takes them: float64 [row, column].

    OpenCV weighs the colours: of a million pixels ten are a level off.
    """
    import cv2

    levels = pixels[..., 0] if pixels.shape[2] == 1 else as_array(cv2.transform(pixels, _LUMA))
    return lanczos(levels, width=width, height=height)


@lru_cache(maxsize=8)
def cosines(size: int) -> np.ndarray:
    """The type II discrete cosine transform, unscaled, as a matrix: float64 [frequency, position], read-only."""
    frequency, position = np.arange(size)[:, None], np.arange(size)[None] + 0.5
    matrix: np.ndarray = np.cos(np.pi / size * frequency * position)
    matrix.flags.writeable = False
    return matrix
