from __future__ import annotations

import math

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec


def test_a_scalar_is_a_spec_without_axes() -> None:
    spec = ArraySpec(dtype="float32")
    assert spec.shape == ()
    assert spec.item_bytes == 4
    assert spec.fault(np.float32(1.5)) is None  # type: ignore[arg-type]


def test_a_fixed_array_knows_its_bytes_and_a_varying_one_its_axis() -> None:
    assert ArraySpec(dims=("row", "column"), sizes={"row": 3, "column": 4}, dtype="float16").item_bytes == 24
    spec = ArraySpec(dims=("time", "mel"), sizes={"mel": 80})
    assert (spec.varying, spec.item_bytes, spec.shape) == (("time",), None, (None, 80))


@pytest.mark.parametrize(
    ("array", "text"),
    [
        (np.zeros((3, 80), np.float64), "dtype is float64, promised was float32"),
        (np.zeros(80, np.float32), "it has 1 axes"),
        (np.zeros((3, 81), np.float32), "axis 'mel' has 81 entries, promised were 80"),
    ],
)
def test_a_broken_promise_is_named(array: np.ndarray, text: str) -> None:
    assert text in str(ArraySpec(dims=("time", "mel"), sizes={"mel": 80}).fault(array))


def test_a_kept_promise_has_no_fault_whatever_the_varying_length() -> None:
    spec = ArraySpec(dims=("time", "mel"), sizes={"mel": 80})
    assert spec.fault(np.zeros((0, 80), np.float32)) is None
    assert spec.fault(np.zeros((7, 80), np.float32)) is None


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        ({"dims": ("a", "a")}, "must differ"),
        ({"dims": ("a",), "sizes": {"b": 1}}, "lacks"),
        ({"dims": ("a",), "sizes": {"a": -1}}, "negative"),
        ({"dtype": "object"}, "boolean, integer or floating"),
    ],
)
def test_an_impossible_promise_is_refused(settings: dict[str, object], text: str) -> None:
    with pytest.raises(ValueError, match=text):
        ArraySpec(**settings)  # type: ignore[arg-type]


def test_json_keeps_all_of_it_and_equal_specs_hash_alike() -> None:
    spec = ArraySpec(dims=("time", "mel"), sizes={"mel": 80}, dtype="int16", hop_s=0.01)
    again = ArraySpec.from_json(spec.to_json())
    assert again == spec
    assert len({spec, again}) == 1


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(0.5, "float32"), (3, "float16"), (True, "float32"), (255, "uint8"), (True, "bool"), (math.inf, "float32")],
)
def test_a_number_of_python_s_own_takes_the_promised_dtype(value: float, dtype: str) -> None:
    spec = ArraySpec(dtype=dtype)
    found = spec.number(value)
    assert (spec.fault(found), found.item()) == (None, value)


@pytest.mark.parametrize(
    ("value", "dtype"),
    [(256, "uint8"), (-1, "uint8"), (2.0, "int32"), (1e300, "float32"), (70_000, "float16"), (10**400, "float64"),
     (1, "bool"), (1.0, "bool")],
)  # fmt: skip
def test_a_number_that_the_dtype_does_not_hold_is_refused(value: float, dtype: str) -> None:
    with pytest.raises(ValueError, match=f"is no {dtype}"):
        ArraySpec(dtype=dtype).number(value)
