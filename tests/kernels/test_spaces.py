"""Linear maps between spaces."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.cross_decomposition import CCA

from mmdata.kernels.spaces import shared_space


def views(n: int, seed: int = 0, *, noise: float = 0.3) -> tuple[np.ndarray, np.ndarray]:
    """Two kinds of vectors of the same samples: eight hidden numbers, mixed differently, each with noise of its own."""
    rng = np.random.default_rng(seed)
    mixes = np.random.default_rng(99).normal(size=(2, 8, 30))
    hidden = rng.normal(size=(n, 8))
    one, other = [hidden @ mix + 5 + noise * rng.normal(size=(n, 30)) for mix in mixes]
    return one, other


def found_first(one: np.ndarray, other: np.ndarray) -> float:
    """The share of rows that are likest to their own other half."""
    return float(((one @ other.T).argmax(axis=1) == np.arange(len(one))).mean())


def test_held_out_halves_find_each_other() -> None:
    heads = shared_space(*views(300), size=8)
    placed = [head(vectors) for head, vectors in zip(heads, views(100, seed=1), strict=True)]
    assert placed[0].shape == (100, 8)
    np.testing.assert_allclose(np.linalg.norm(placed[1], axis=1), 1)
    assert found_first(*placed) > 0.9
    strangers = shared_space(views(300)[0], views(300, seed=2)[1], size=8)  # of other samples: nothing is shared
    assert found_first(strangers[0](views(100, 1)[0]), strangers[1](views(100, 1)[1])) < 0.1


def test_without_a_ridge_it_is_canonical_correlation_analysis() -> None:
    one, other = views(400, noise=2.0)
    heads = shared_space(one, other, size=3, ridge=0.0)
    ours = [(vectors - head.mean) @ head.weights for head, vectors in zip(heads, (one, other), strict=True)]
    theirs = CCA(n_components=3, max_iter=5000, tol=1e-9).fit(one, other).transform(one, other)
    for place in range(3):
        strength = np.corrcoef(ours[0][:, place], ours[1][:, place])[0, 1]
        np.testing.assert_allclose(strength, np.corrcoef(theirs[0][:, place], theirs[1][:, place])[0, 1], atol=1e-3)


def test_fewer_samples_than_features_and_features_that_never_change_are_no_trouble() -> None:
    one, other = views(10)
    one[:, :5] = 3.0
    for head, vectors in zip(shared_space(one, other, size=64), (one, other), strict=True):
        assert head(vectors).shape == (10, 9)
        assert np.isfinite(head(vectors)).all()
    still = shared_space(np.ones((4, 3)), other[:4])[0](np.ones((4, 3)))
    assert not still.any()


def test_rows_that_do_not_belong_together_are_refused() -> None:
    one, other = views(10)
    for faulty in ((one, other[:9]), (one[:1], other[:1])):
        with pytest.raises(ValueError, match="as many vectors"):
            shared_space(*faulty)
