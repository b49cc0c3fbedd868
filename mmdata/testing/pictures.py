"""Pictures that can be drawn at any shift, so that motion and geometry are known exactly."""

from __future__ import annotations

from typing import Literal

import numpy as np

from mmdata.core.rng import rng_for
from mmdata.core.sample import Image

Kind = Literal["texture", "gradient", "checker", "shapes"]
ShapeName = Literal["disc", "square", "triangle", "ring", "cross", "star", "bar", "diamond"]
N_WAVES = 32


def picture(width: int = 64, height: int = 48, kind: Kind = "texture", seed: int = 0) -> Image:
    """A picture, RGB.

    Args:
        width: pixels.
        height: pixels.
        kind: "texture" is band-limited noise (no two places are alike), "gradient" rises left to right in red, top to
            bottom in green, "checker" has 8 px squares of 0 and 255, "shapes" three shapes on a texture.
        seed: of texture and shapes.
    """
    if kind == "gradient":
        row, column = np.linspace(0, 255, height)[:, None], np.linspace(0, 255, width)[None]
        planes = np.broadcast_arrays(column, row, np.full((1, 1), 128.0))
        return Image(np.stack(planes, axis=-1).round().astype(np.uint8))
    if kind == "checker":
        squares = (np.arange(height)[:, None] // 8 + np.arange(width)[None] // 8) % 2
        return Image(np.repeat((squares * 255).astype(np.uint8)[..., None], 3, axis=2))
    pixels = drift(width, height, seed=seed)
    if kind == "texture":
        return Image(pixels)
    rng = rng_for(seed, "shapes")
    for name in rng.choice(list(SHAPES), size=3, replace=False):
        center = (rng.uniform(0.2, 0.8) * width, rng.uniform(0.2, 0.8) * height)
        inside = shape(name, width, height, center_px=center, radius_px=min(width, height) / 5)
        pixels[inside] = rng.integers(0, 256, 3)
    return Image(pixels)


def drift(
    width: int, height: int, *, shift_px: tuple[float, float] = (0.0, 0.0), seed: int = 0, contrast: float = 1.0
) -> np.ndarray:
    """A texture moved right and down by any fraction of a pixel: uint8 [height, width, 3].

    A sum of plane waves of 6 to 60 px in random directions, so each shift is exact, with no interpolation.
    """
    rng = rng_for(seed, "texture")
    angle, phase = rng.uniform(0, 2 * np.pi, (2, N_WAVES))
    wavelength_px = np.geomspace(6, 60, N_WAVES)
    fx, fy = 2 * np.pi * np.cos(angle) / wavelength_px, 2 * np.pi * np.sin(angle) / wavelength_px
    weights = rng.uniform(0.3, 1.0, (3, N_WAVES)) / np.sqrt(N_WAVES / 2)
    across = np.outer(fx, np.arange(width) - shift_px[0]) + phase[:, None]
    down = np.outer(np.arange(height) - shift_px[1], fy)
    # cos(a + b) = cos a cos b - sin a sin b, so that waves are evaluated on the edges of the picture only; einsum adds
    # in one order on every machine, where a matrix product does not
    rows = np.concatenate([np.cos(down), -np.sin(down)], axis=1)
    columns = np.concatenate([np.cos(across), np.sin(across)])
    planes = [np.einsum("yk,kx->yx", rows * np.tile(weight, 2), columns) for weight in weights]
    levels = 127.5 + 75 * contrast * np.stack(planes, axis=-1)
    return np.clip(levels.round(), 0, 255).astype(np.uint8)


def shape(
    name: str, width: int, height: int, *, center_px: tuple[float, float], radius_px: float, turn: float = 0.0
) -> np.ndarray:
    """Which pixels a shape covers: bool [height, width]; `turn` rotates it, in radians."""
    x, y = np.arange(width)[None] - center_px[0], np.arange(height)[:, None] - center_px[1]
    u = (np.cos(turn) * x + np.sin(turn) * y) / radius_px
    v = (np.cos(turn) * y - np.sin(turn) * x) / radius_px
    covered: np.ndarray = SHAPES[name](u, v)
    return covered


SHAPES = {
    "disc": lambda u, v: u**2 + v**2 < 1,
    "square": lambda u, v: np.maximum(abs(u), abs(v)) < 0.85,
    "triangle": lambda u, v: (v < 0.6) & (1.8 * abs(u) < v + 1),
    "ring": lambda u, v: abs(np.hypot(u, v) - 0.75) < 0.25,
    "cross": lambda u, v: (np.minimum(abs(u), abs(v)) < 0.28) & (np.maximum(abs(u), abs(v)) < 1),
    "star": lambda u, v: np.hypot(u, v) < 0.65 + 0.35 * np.cos(5 * np.arctan2(v, u)),
    "bar": lambda u, v: (abs(u) < 1) & (abs(v) < 0.35),
    "diamond": lambda u, v: abs(u) + abs(v) < 1,
}
