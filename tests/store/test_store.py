"""What is written is what is read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.sample import Sample
from mmdata.errors import StoreError
from mmdata.store.read import StoredBlob
from mmdata.store.store import Store

Made = Any  # the fixtures' class; conftest can't be imported


def data(sample: Sample, part: str) -> bytes:
    blob = sample.parts[part]
    assert isinstance(blob, StoredBlob)
    return blob.data()


def test_reads_back_keys_features_and_parts(filled: Made) -> None:
    store = Store.open(filled.url)
    assert len(store) == 15
    assert store.keys() == [f"src/{shard}/{row}.png" for shard in range(3) for row in range(5)]
    assert set(store.families) == {"image.phash", "image.phash.score", "speech.mfcc"}
    sample = store.sample("src/1/3.png")
    assert data(sample, "image") == bytes([3]) * 103
    assert data(sample, "caption").decode() == "hé 3"
    assert sample.meta == {"label": "cat", "n": 3}


def test_gives_arrays_in_the_order_of_the_keys(filled: Made) -> None:
    store = Store.open(filled.url)
    first, failed, last = store.arrays("speech.mfcc", ["src/2/4.png", "src/0/2.png", "src/0/1.png"])
    assert failed is None
    assert first is not None
    assert last is not None
    np.testing.assert_array_equal(first, np.full((4, 3), 4, np.float32))
    np.testing.assert_array_equal(last, np.full((1, 3), 1, np.float32))


def test_names_what_is_there_instead_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(StoreError, match=r"no store at .*it holds 'photo.jpg'"):
        Store.open(tmp_path)
