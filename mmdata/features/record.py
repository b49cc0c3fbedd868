"""Records, such as a row of a table or an answer of a form, as numbers that a model takes."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Text
from mmdata.core.step import Extract
from mmdata.errors import DecodeError

LARGEST = 3e38  # what float32 holds


@dataclass(frozen=True, kw_only=True)
class RecordFields(Extract[Text]):
    """Fields of a record, a JSON object as text, as numbers: float32 [field].

    First each of `numbers`, two entries: its value, and 1 where it is given. Then each value of each of `classes`, an
    entry that is 1 where the field has it, and else 0. Fields go by their names, A to Z, values as they are listed. A
    field that is not there, or null, is not given; others of the record are passed over. A sample without the record
    has no feature, which a model tells from a record in which nothing is given.

    Args:
        numbers: fields, and what stands for their value where it is not given: {age: 50}. Truth values are 0 and 1.
        classes: fields, and the values that they are known to have, as text: {sex: [f, m]}; others are zeros.

    Reference:
        Indicators of what is missing: Cohen and Cohen, "Applied Multiple Regression" (1975), as scikit-learn's
        MissingIndicator; one entry a class, as its OneHotEncoder.
    """

    on: str = "record"
    into: str = "record.fields"
    numbers: Mapping[str, float] = field(default_factory=dict)
    classes: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        super().__post_init__()
        if not self.numbers and not any(self.classes.values()):
            raise ValueError("numbers, classes: name at least one field, as in {numbers: {age: 50}}")
        if both := sorted(set(self.numbers) & set(self.classes)):
            raise ValueError(f"a field is of numbers or of classes, not of both: {', '.join(both)}")

    def spec(self) -> ArraySpec:
        n = 2 * len(self.numbers) + sum(map(len, self.classes.values()))
        return ArraySpec(dims=("field",), sizes={"field": n})

    def extract(self, record: Text) -> np.ndarray:
        known = _object(record.text)
        row: list[float] = []
        for name, usual in sorted(self.numbers.items()):
            given = known.get(name)
            row += [usual, 0.0] if given is None else [_number(name, given), 1.0]
        for name, values in sorted(self.classes.items()):
            given = known.get(name)
            row += [float(given is not None and _text(given) == value) for value in values]
        return np.array(row, np.float32)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise DecodeError(f"the record is no JSON: {error}") from None
    if not isinstance(found, dict):
        raise DecodeError(f"a record is a JSON object {{...}}, not {type(found).__name__}")
    return found


def _number(name: str, given: Any) -> float:
    """A field's value; text is none, also where it looks like one."""
    if not isinstance(given, bool | int | float) or not abs(given) < LARGEST:
        raise DecodeError(f"{name!r} of the record is {_text(given)[:40]!r}, expected was a number")
    return float(given)


def _text(given: Any) -> str:
    """A value as it is written in JSON; text without its quotes."""
    return given if isinstance(given, str) else json.dumps(given)
