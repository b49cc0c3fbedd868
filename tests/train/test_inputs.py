from __future__ import annotations

import numpy as np
import pytest
import torch

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, DataError
from mmdata.train.inputs import UNLABELLED, Batch, Input, class_numbers, labels_of, parts_of, plan_inputs

VECTOR = Input("v", "image.v", "vector", 2)
SEQUENCE = Input("s", "speech.s", "sequence", 2)


def spec(*dims: str, **sizes: int) -> ArraySpec:
    return ArraySpec(dims=dims, sizes=sizes)


@pytest.mark.parametrize(
    ("promised", "kind", "size"),
    [
        (spec(), "vector", 1),
        (spec("feature", feature=7), "vector", 7),
        (spec("mel", "time", mel=4, time=3), "vector", 12),
        (spec("time"), "sequence", 1),
        (spec("time", "mel", mel=80), "sequence", 80),
        (spec("frame", "y", "x", y=2, x=3), "sequence", 6),
    ],
)
def test_the_promised_form_chooses_the_encoder(promised: ArraySpec, kind: str, size: int) -> None:
    (found,) = plan_inputs({"a": "x.a"}, {"x.a": promised})
    assert (found.name, found.column, found.kind, found.size) == ("a", "x.a", kind, size)


def test_all_faulty_inputs_are_named_at_once() -> None:
    specs = {"x.mel": spec("mel", "time", mel=4), "x.two": spec("time", "box"), "x.none": spec("feature", feature=0)}
    with pytest.raises(ConfigError) as caught:
        plan_inputs({"a": "x.mel", "b": "x.two", "c": "x.mell", "d": "x.none"}, specs)
    told = str(caught.value)
    assert len(caught.value.faults) == 4
    assert "inputs.a: of 'x.mel' ('mel', 'time') only the first axis may vary" in told
    assert "inputs.b: of 'x.two'" in told
    assert "inputs.c: no column 'x.mell', did you mean 'x.mel'?" in told
    assert "inputs.d: 'x.none' holds no numbers" in told


@pytest.mark.parametrize("dtype", ["float32", "float16", "float64", "uint8", "int64", "bool"])
def test_any_dtype_becomes_float32(dtype: str) -> None:
    (part,) = parts_of({"image.v": np.array([[0, 1], [1, 0]], dtype=dtype)}, [VECTOR])
    assert part.values.dtype == torch.float32
    assert part.values.tolist() == [[0, 1], [1, 0]]
    assert part.present.tolist() == [True, True]
    assert part.length is None


def test_scalars_and_bare_sequences_get_an_axis_of_one() -> None:
    batch = {"a": torch.tensor([5, 6]), "b": torch.tensor([[1.0, 2.0], [3.0, 0.0]]), "b.length": torch.tensor([2, 1])}
    vector, sequence = parts_of(batch, [Input("a", "a", "vector", 1), Input("b", "b", "sequence", 1)])
    assert vector.values.tolist() == [[5], [6]]
    assert sequence.values.tolist() == [[[1], [2]], [[3], [0]]]


def test_further_axes_are_laid_flat() -> None:
    grid = np.arange(4)
    batch = {"image.v": grid.reshape(1, 2, 2), "speech.s": grid.reshape(1, 2, 2, 1), "speech.s.length": np.array([2])}
    vector, sequence = parts_of(batch, [Input("v", "image.v", "vector", 4), SEQUENCE])
    assert vector.values.tolist() == [[0, 1, 2, 3]]
    assert sequence.values.tolist() == [[[0, 1], [2, 3]]]


def test_what_is_missing_or_padding_is_zero_whatever_stood_there() -> None:
    batch: Batch = {
        "image.v": np.array([[1, 2], [np.nan, 9]], dtype=np.float32),
        "image.v.mask": np.array([True, False]),
        "speech.s": np.array([[[1, 1], [np.inf, 7]], [[7, 7], [7, 7]]], dtype=np.float32),
        "speech.s.length": np.array([1, 2]),
        "speech.s.mask": np.array([True, False]),
    }
    vector, sequence = parts_of(batch, [VECTOR, SEQUENCE])
    assert vector.values.tolist() == [[1, 2], [0, 0]]
    assert vector.present.tolist() == [True, False]
    assert sequence.values.tolist() == [[[1, 1], [0, 0]], [[0, 0], [0, 0]]]
    assert sequence.present.tolist() == [True, False]
    assert sequence.length is not None
    assert sequence.length.tolist() == [1, 0]


def test_an_empty_sequence_counts_as_missing_and_keeps_a_step() -> None:
    batch: Batch = {"speech.s": np.zeros((2, 0, 2), dtype=np.float32), "speech.s.length": np.zeros(2, dtype=np.int64)}
    (part,) = parts_of(batch, [SEQUENCE])
    assert part.values.shape == (2, 1, 2)
    assert part.present.tolist() == [False, False]


@pytest.mark.parametrize("number", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_is_refused_with_its_key(number: float) -> None:
    values = np.ones((3, 2), dtype=np.float32)
    values[1, 1] = number
    with pytest.raises(
        DataError, match=r"'image.v' of 'corpus/b.png' holds NaN or infinity: .*; `mmdata verify STORE` says"
    ):
        parts_of({"image.v": values, "key": ["corpus/a.png", "corpus/b.png", "corpus/c.png"]}, [VECTOR])


def test_labels_are_text_and_none_stays_none() -> None:
    assert labels_of({"label": ["b", None, "a"]}, "label") == ["b", None, "a"]
    assert labels_of({"meta.n": np.array([2, 10])}, "meta.n") == ["2", "10"]
    assert labels_of({"meta.n": torch.tensor([True])}, "meta.n") == ["True"]


def test_class_numbers_tell_unseen_from_unlabelled() -> None:
    assert class_numbers(["b", "a", None, "z"], ("a", "b")).tolist() == [1, 0, UNLABELLED, 2]
    assert class_numbers([], ("a",)).shape == (0,)
