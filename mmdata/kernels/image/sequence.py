"""Noise taken away over time: uint8 [time, row, column, channel] in, the same form out."""

from __future__ import annotations

import numpy as np

from mmdata.kernels.image.color import as_array


def temporal_medians(pixels: np.ndarray, *, n_frames: int) -> np.ndarray:
    """Each pixel the median of what it was and will be, over `n_frames` (odd); the outermost frames are repeated."""
    made = np.empty_like(pixels)
    for index, around in enumerate(_around(len(pixels), n_frames)):
        if n_frames == 3:
            first, second, third = pixels[around]
            made[index] = np.maximum(np.minimum(first, second), np.minimum(np.maximum(first, second), third))
        else:
            made[index] = np.partition(pixels[around], n_frames // 2, axis=0)[n_frames // 2]
    return made


def temporal_means(pixels: np.ndarray, *, n_frames: int, strength: float) -> np.ndarray:
    """Non-local means over a frame and its neighbours, `n_frames` (odd) in all.

    Args:
        pixels: uint8 [time, row, column, channel].
        n_frames: in all; the outermost frames are repeated.
        strength: how unlike 7 x 7 surroundings may be, in levels.
    """
    import cv2

    made = np.empty_like(pixels)
    for index, around in enumerate(_around(len(pixels), n_frames)):
        frames = [np.ascontiguousarray(pixels[each]) for each in around]
        if pixels.shape[3] == 1:
            denoised = cv2.fastNlMeansDenoisingMulti(frames, n_frames // 2, n_frames, h=strength)
        else:
            denoised = cv2.fastNlMeansDenoisingColoredMulti(
                frames, n_frames // 2, n_frames, h=strength, hColor=strength
            )
        made[index] = as_array(denoised).reshape(made[index].shape)
    return made


def _around(n: int, n_frames: int) -> np.ndarray:
    """For each of n frames, itself and its neighbours: int64 [frame, n_frames]."""
    around: np.ndarray = np.clip(np.arange(n)[:, None] + np.arange(n_frames) - n_frames // 2, 0, n - 1)
    return around
