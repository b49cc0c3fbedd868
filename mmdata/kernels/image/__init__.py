"""Pixels: sizes, turns, quality, hashes, descriptors. Pictures are uint8 [row, column, channel], RGB or grey."""

from __future__ import annotations

from mmdata.kernels.image.color import Space, color_histogram, colorfulness, grey, rgb
from mmdata.kernels.image.hashes import average_hash, cosines, difference_hash, perceptual_hash, wavelet_hash
from mmdata.kernels.image.quality import laplacian_variance
from mmdata.kernels.image.sizes import fitted_size, resize, shrink
from mmdata.kernels.image.texture import oriented_gradients
from mmdata.kernels.image.turns import TURNS, mirrored, mirroring, turn_upright

__all__ = [
    "TURNS",
    "Space",
    "average_hash",
    "color_histogram",
    "colorfulness",
    "cosines",
    "difference_hash",
    "fitted_size",
    "grey",
    "laplacian_variance",
    "mirrored",
    "mirroring",
    "oriented_gradients",
    "perceptual_hash",
    "resize",
    "rgb",
    "shrink",
    "turn_upright",
    "wavelet_hash",
]
