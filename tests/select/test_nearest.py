"""The samples that are most like one."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.select.nearest import comparable, measure_of, nearest
from mmdata.select.search import having, words


def column(values: np.ndarray, *, without: tuple[int, ...] = ()) -> pa.ChunkedArray:
    """A column of tensors; some rows have none."""
    kind = pa.fixed_shape_tensor(pa.from_numpy_dtype(values.dtype), [values.shape[1]])
    mask = pa.array([row in without for row in range(len(values))])
    flat = pa.array(values.reshape(-1))
    listed = pa.FixedSizeListArray.from_arrays(flat, type=kind.storage_type, mask=mask)
    return pa.chunked_array([pa.ExtensionArray.from_storage(kind, listed)])


def test_the_nearest_are_those_of_all_shards_in_order() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=(300, 8)).astype(np.float32)
    shards = [column(values[at : at + 100]) for at in (0, 100, 200)]
    rows, scores = nearest(shards, values[137], "cosine", 5)
    units = values / np.linalg.norm(values, axis=1, keepdims=True)
    expected = np.argsort(-(units @ units[137]), kind="stable")[:5]
    assert rows.tolist() == expected.tolist()
    assert rows[0] == 137
    assert scores == pytest.approx((units @ units[137])[expected], abs=1e-5)


def test_rows_without_a_value_or_a_direction_are_like_none() -> None:
    values = np.array([[1, 0], [0, 0], [np.nan, 1], [1, 1], [-1, 0]], np.float32)
    rows, _ = nearest([column(values, without=(3,)), column(values[:1])], values[0], "cosine", 9)
    assert rows.tolist() == [0, 5, 4]


def test_hashes_are_compared_by_bits_and_signatures_by_what_is_equal() -> None:
    hashes = np.array([[0, 0], [0, 255], [1, 0]], np.uint8)
    rows, bits = nearest([column(hashes)], hashes[0], "bits", 3)
    assert (rows.tolist(), bits.tolist()) == ([0, 2, 1], [0, 1, 8])
    signatures = np.array([[1, 2, 3, 4], [1, 2, 0, 0], [9, 9, 9, 9]], np.uint32)
    rows, share = nearest([column(signatures)], signatures[0], "share", 3)
    assert (rows.tolist(), share.tolist()) == ([0, 1, 2], [1, 0.5, 0])


def test_what_can_be_compared_is_told_by_its_form() -> None:
    vector = ArraySpec(dims=("feature",), sizes={"feature": 4})
    specs = {
        "a.histogram": vector,
        "b.phash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8"),
        "c.embedding": vector,
        "d.scalar": ArraySpec(),
        "e.mfcc": ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 4}),
        "f.thumb": ArraySpec(dims=("row",), sizes={"row": 4}, dtype="uint8"),
    }
    assert comparable(specs) == {"c.embedding": "cosine", "b.phash": "bits", "a.histogram": "cosine"}
    assert next(iter(comparable(specs))) == "c.embedding"
    assert measure_of(ArraySpec(dims=("feature",))) is None


def test_words_are_found_in_any_case_and_are_no_patterns() -> None:
    texts = pa.chunked_array([["A red Apple", "50% off", None], ["ärger (.*)"]])
    keys = pa.chunked_array([["k/0", "k/1", "k/apple", "k/3"]])
    assert having([texts, keys], ["apple"]).tolist() == [0, 2]
    assert having([texts, keys], ["APPLE", "red"]).tolist() == [0]
    assert having([texts, keys], ["%"]).tolist() == [1]
    assert having([texts, keys], ["(.*)"]).tolist() == [3]
    assert having([texts, keys], ["Ärger"]).tolist() == [3]
    assert having([texts, keys], []).tolist() == [0, 1, 2, 3]
    assert having([], ["x"]).tolist() == []


def test_a_query_is_cut_into_words_and_quotes() -> None:
    assert words(' one  "two three" "four') == ["one", "two three", '"four']
    assert len(words("x " * 100)) == 16
