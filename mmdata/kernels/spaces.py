"""Linear maps between spaces of vectors."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Head:
    """A linear map into a shared space: float64 `mean` [feature] and `weights` [feature, place]."""

    mean: np.ndarray
    weights: np.ndarray

    def __call__(self, vectors: np.ndarray) -> np.ndarray:
        """[sample, feature] to float64 [sample, place], each of length 1; zeros where nothing is left of a vector."""
        placed: np.ndarray = (np.asarray(vectors, np.float64) - self.mean) @ self.weights
        placed /= np.maximum(np.linalg.norm(placed, axis=1, keepdims=True), 1e-12)
        return placed


def shared_space(one: np.ndarray, other: np.ndarray, *, size: int = 64, ridge: float = 1.0) -> tuple[Head, Head]:
    """Learn heads that bring vectors of two kinds, such as of pictures and of captions, into one space.

    Regularised canonical correlation analysis in closed form (Hotelling, 1936; Vinod, 1976), its places weighted by
    the root of their correlation. Similar are those whose inner product is great.

    Args:
        one: [sample, feature] of one kind.
        other: [sample, feature] of the other, row by row of the same samples.
        size: places of the space, at most; there are no more than samples or features.
        ridge: shrinks directions in which a kind hardly varies, in multiples of its mean variance along a direction.

    Raises:
        ValueError: the rows do not belong together, or there are fewer than two.

    >>> rng = np.random.default_rng(0)
    >>> pictures = rng.normal(size=(50, 4))
    >>> captions = pictures @ rng.normal(size=(4, 4))
    >>> of_pictures, of_captions = shared_space(pictures, captions, ridge=0.0)
    >>> bool(np.allclose(of_pictures(pictures), of_captions(captions)))
    True
    """
    if len(one) != len(other) or len(one) < 2:
        raise ValueError(
            f"expected as many vectors of one kind as of the other, two at least: {len(one)}, {len(other)}"
        )
    (mean, whitener, white), (mean_2, whitener_2, white_2) = _whitened(one, ridge), _whitened(other, ridge)
    left, strength, right = np.linalg.svd(white.T @ white_2, full_matrices=False)
    weight = np.sqrt(strength[:size])
    return Head(mean, whitener @ left[:, :size] * weight), Head(mean_2, whitener_2 @ right[:size].T * weight)


def _whitened(vectors: np.ndarray, ridge: float) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Mean, whitening map [feature, direction] and whitened vectors, shrunk by the ridge."""
    vectors = np.asarray(vectors, np.float64)
    mean = vectors.mean(axis=0)
    rows, spread, directions = np.linalg.svd(vectors - mean, full_matrices=False)
    kept = spread > 1e-9 * max(spread.max(initial=0.0), 1e-300)
    rows, spread, directions = rows[:, kept], spread[kept], directions[kept]
    scale = np.sqrt(spread**2 + ridge * (spread**2).mean()) if spread.size else spread
    return mean, directions.T / scale, rows * (spread / scale)
