from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.core.sample import Text
from mmdata.errors import DecodeError
from mmdata.features.record import RecordFields
from mmdata.testing.contracts.steps import Case, StepContract

FIELDS = RecordFields(numbers={"pressure": 120, "age": 50}, classes={"sex": ("f", "m")})


class TestRecordFields(StepContract):
    @pytest.fixture(params=['{"age": 61, "sex": "m", "pressure": null}', "{}"])
    def case(self, request: pytest.FixtureRequest) -> Case:
        return Case(FIELDS, Text(request.param), others={"numbers": {"age": 1.0}, "classes": {"sex": ("f",)}})


def row(record: Mapping[str, Any], step: RecordFields = FIELDS) -> list[float]:
    found: list[float] = step.extract(Text(json.dumps(record))).tolist()
    return found


@pytest.mark.parametrize(
    ("record", "expected"),
    [
        ({"age": 61, "pressure": 130.5, "sex": "m"}, [61, 1, 130.5, 1, 0, 1]),  # by name, whatever the order
        ({"sex": "f", "name": "Ada", "age": True}, [1, 1, 120, 0, 1, 0]),
        ({"age": None, "sex": None}, [50, 0, 120, 0, 0, 0]),
        ({"sex": "other"}, [50, 0, 120, 0, 0, 0]),
        ({}, [50, 0, 120, 0, 0, 0]),
    ],
)
def test_fields_become_numbers(record: dict[str, Any], expected: list[float]) -> None:
    assert row(record) == expected


def test_values_of_classes_are_told_by_how_json_writes_them() -> None:
    step = RecordFields(classes={"grade": ("1", "2", "true")})
    assert [row({"grade": grade}, step) for grade in (1, "2", True, 3)] == [[1, 0, 0], [0, 1, 0], [0, 0, 1], [0, 0, 0]]


def test_the_order_of_settings_changes_nothing() -> None:
    other = RecordFields(numbers={"age": 50, "pressure": 120}, classes={"sex": ("f", "m")})
    assert other.fingerprint() == FIELDS.fingerprint()
    assert row({"age": 3}, other) == row({"age": 3})


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "no JSON"),
        ('{"age": 1', "no JSON"),
        ("[" * 100_000, "no JSON"),
        ("[1]", "JSON object"),
        ('{"age": "61"}', "'age' of the record is '61', expected was a number"),
        ('{"age": [61]}', "expected was a number"),
        ('{"age": 1e39}', "expected was a number"),
        ('{"age": NaN}', "expected was a number"),
        ('{"age": -Infinity}', "expected was a number"),
        ('{"age": %s}' % ("9" * 400), "expected was a number"),
        ('{"age": %s}' % ("9" * 5000), "no JSON"),  # Python reads no longer whole number
    ],
)
def test_what_is_no_such_record_is_refused(text: str, why: str) -> None:
    with pytest.raises(DecodeError, match=why):
        FIELDS.extract(Text(text))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({}, "at least one field"),
        ({"classes": {"sex": ()}}, "at least one field"),
        ({"numbers": {"a": 0}, "classes": {"a": ("b",)}}, "not of both: a"),
    ],
)
def test_settings_that_say_nothing_or_two_things_are_refused(settings: dict[str, Any], why: str) -> None:
    with pytest.raises(ValueError, match=why):
        RecordFields(**settings)


@given(st.dictionaries(st.text(), st.none() | st.booleans() | st.floats() | st.integers() | st.text()))
def test_any_record_gives_finite_numbers_of_the_promised_form_or_is_refused(record: dict[str, Any]) -> None:
    step = RecordFields(numbers=dict.fromkeys([*record, "age"], 0.0), classes={"\0sex": ("f",)})
    try:
        found = step.extract(Text(json.dumps(record)))
    except DecodeError:
        return
    assert step.spec().fault(found) is None
    assert np.isfinite(found).all()
