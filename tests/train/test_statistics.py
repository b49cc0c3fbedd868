from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mmdata.train.config import TrainConfig
from mmdata.train.inputs import Batch, Input
from mmdata.train.statistics import Moments, buffers, gather


@given(st.lists(st.integers(0, 7), min_size=1, max_size=8), st.integers(0, 2**32))
def test_moments_do_not_hang_on_how_rows_are_batched(sizes: list[int], seed: int) -> None:
    rows = torch.as_tensor(np.random.default_rng(seed).normal(5000, 0.1, (sum(sizes), 3)))
    found = Moments.empty(3)
    for batch in torch.split(rows, sizes):
        found.add(batch)
    assert found.n == len(rows)
    if len(rows) > 1:
        np.testing.assert_allclose(found.mean, rows.mean(dim=0), rtol=1e-12)
        np.testing.assert_allclose(found.scale(), rows.std(dim=0, correction=0), rtol=1e-6)


@pytest.mark.parametrize("value", [0.0, 0.1, 1e6, -3e-8])
def test_a_number_that_never_changes_is_not_scaled(value: float) -> None:
    found = Moments.empty(1)
    for _ in range(5):
        found.add(torch.full((7, 1), value))
    assert found.scale().tolist() == [1.0]


def test_nothing_read_leaves_numbers_as_they_are() -> None:
    found = Moments.empty(2)
    found.add(torch.zeros(0, 2))
    assert (found.mean.tolist(), found.scale().tolist()) == ([0, 0], [1, 1])


def test_padding_and_missing_rows_do_not_count(
    world: Callable[..., Any], inputs: tuple[Input, ...], config: TrainConfig
) -> None:
    batches = world(50, missing=0.4)
    found = gather(batches, inputs, config)
    rows = batches.rows
    image = rows["image.embedding"][rows["image.embedding.mask"]]
    speech = np.concatenate([one[:n] for one, n in zip(rows["speech.mfcc"], rows["speech.mfcc.length"], strict=True)])
    assert (found.moments["image"].n, found.moments["speech"].n) == (len(image), len(speech))
    mean, scale = buffers(found.moments)["speech"]
    np.testing.assert_allclose(mean, speech.mean(axis=0), rtol=1e-5)
    np.testing.assert_allclose(scale, speech.std(axis=0), rtol=1e-5)


def test_classes_are_sorted_and_those_without_one_are_counted(inputs: tuple[Input, ...], config: TrainConfig) -> None:
    labels = ["b", None, "a", "b"]
    batch: Batch = {"image.embedding": np.zeros((4, 4), np.float32), "label": labels}
    found = gather([batch], inputs[:1], config)
    target = found.targets[""]
    assert target.names == ("a", "b")
    assert found.n_unlabelled == 1
    assert target.classes == {"b": 2, "a": 1, None: 1}


def test_tokens_and_pictures_are_measured_in_their_own_way(config: TrainConfig) -> None:
    inputs = (Input("t", "text.tokens", "tokens", 1), Input("i", "image.small", "image", 3, (2, 2, 3)))
    pictures = np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3)
    batch: dict[str, Any] = {
        "text.tokens": np.array([[4, 9, 0], [2, 0, 0]]),
        "text.tokens.length": np.array([2, 1]),
        "image.small": pictures,
        "label": ["a", "b"],
    }
    found = gather([batch], inputs, config)
    assert found.n_ids == {"t": 10}
    np.testing.assert_allclose(found.moments["i"].mean, pictures.reshape(-1, 3).mean(axis=0))
    assert found.moments["i"].n == 8
    assert (found.targets[""].names, found.targets[""].counts) == (("a", "b"), (1, 1))
