"""What holds for every step, as tests: a subclass with one fixture gets them all.

    from mmdata.testing.contracts.steps import Case, StepContract

    class TestFlipImage(StepContract):
        @pytest.fixture
        def case(self) -> Case:
            return Case(FlipImage(p=1.0), picture(64, 48))

One class can take many cases: `@pytest.fixture(params=[...], ids=str)`. Steps of other packages
are tested the same way.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import operator
import pickle
import re
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
from pydantic import TypeAdapter

from mmdata.core.rng import rng_for
from mmdata.core.sample import Array, Audio, Blob, Frames, Image, Part, Sample, Text
from mmdata.core.step import BatchExtract, Drop, Extract, Feature, Filter, Map, RandomMap, Split, Step
from mmdata.engine.models import compute, model_of, together


@dataclass(frozen=True, eq=False)
class Case:
    """A step and what it is tried on.

    Args:
        step: with settings under which it does something to `value`.
        value: what the step takes: a part, or a whole sample. Its arrays are made read-only.
        unchanged: a value that the step has nothing to change in (Map and RandomMap): the very same object must come
            back. None where there is no such value.
        others: by setting, a value unlike the step's, where the contract can't guess one.
        beside: values of other sizes, with which `value` is put into a group (BatchExtract).
    """

    step: Step
    value: Part | Sample
    unchanged: Part | Sample | None = None
    others: Mapping[str, object] = field(default_factory=dict)
    beside: Sequence[Part | Sample] = ()

    def __str__(self) -> str:
        return self.step.name


class StepContract:
    """Tests of one step, or of each of several. What does not concern a kind of step holds for it without more ado."""

    @pytest.fixture
    def case(self) -> Case:
        raise NotImplementedError("a subclass of StepContract gives a fixture `case` that returns a Case")

    @pytest.fixture(autouse=True)
    def arrays_are_read_only(self, case: Case) -> None:
        for value in (case.value, case.unchanged, *case.beside):
            freeze(value)

    def test_takes_the_value_it_is_tried_on(self, case: Case) -> None:
        takes = Sample if isinstance(case.step, Split) else case.step.takes  # a split is told the part that it cuts
        assert isinstance(case.value, takes)

    def test_settings_survive_json(self, case: Case) -> None:
        fields = {entry.name: getattr(case.step, entry.name) for entry in dataclasses.fields(case.step)}
        again = TypeAdapter(type(case.step)).validate_python(json.loads(json.dumps(fields, allow_nan=False)))
        assert again == case.step
        assert again.fingerprint() == case.step.fingerprint()

    def test_survives_the_way_to_another_process(self, case: Case) -> None:
        again = pickle.loads(pickle.dumps(case.step))  # noqa: S301  bytes of our own, as `spawn` sends them
        assert again == case.step
        assert digest(run(again, case.value)) == digest(run(case.step, case.value))

    def test_every_setting_changes_the_fingerprint(self, case: Case) -> None:
        before = case.step.fingerprint()
        own = {entry.name for entry in dataclasses.fields(case.step)}
        for name in own & case.step.settings().keys():  # a step may add what is no setting, such as a digest of weights
            setting: dict[str, Any] = {name: another(case, name)}
            changed = dataclasses.replace(case.step, **setting)
            assert changed.fingerprint() != before, f"fingerprint does not change with {name!r}"

    def test_part_names_do_not_change_the_fingerprint(self, case: Case) -> None:
        names = [entry.name for entry in dataclasses.fields(case.step) if entry.name in ("on", "into")]
        moved = dataclasses.replace(case.step, **dict.fromkeys(names, "elsewhere.name"))
        assert moved.fingerprint() == case.step.fingerprint()

    def test_leaves_its_input_as_it_was(self, case: Case) -> None:
        before = digest(case.value)
        run(case.step, case.value)
        assert digest(case.value) == before

    def test_gives_the_same_again(self, case: Case) -> None:
        assert digest(run(case.step, case.value)) == digest(run(case.step, case.value))

    def test_gives_what_it_says_it_gives(self, case: Case) -> None:
        result = run(case.step, case.value)
        if isinstance(result, Drop):
            assert re.fullmatch(r"[a-z][a-z0-9_]*", result.reason), f"a reason is a constant: {result.reason!r}"
        elif isinstance(case.step, Filter):
            assert result is True
        elif isinstance(case.step, Map | RandomMap):
            assert isinstance(result, case.step.gives)

    def test_a_changed_part_has_no_origin(self, case: Case) -> None:
        if not isinstance(case.step, Map | RandomMap) or not isinstance(case.value, Text | Image | Audio | Array):
            return
        read = dataclasses.replace(case.value, origin=Blob.of(b"as it was read"))
        result = run(case.step, read)
        assert result is read or getattr(result, "origin", None) is None, "the store would keep the unchanged bytes"

    def test_gives_the_very_object_back_when_nothing_changes(self, case: Case) -> None:
        if case.unchanged is None:
            return
        assert run(case.step, case.unchanged) is case.unchanged

    def test_arrays_are_as_promised(self, case: Case) -> None:
        if not isinstance(case.step, Feature):
            return
        arrays = case.step.named(compute(case.step, case.value))
        columns = case.step.columns()
        assert list(arrays) == list(columns)
        assert {name: columns[name].fault(array) for name, array in arrays.items()} == dict.fromkeys(columns)

    def test_a_batch_equals_its_values_one_by_one(self, case: Case) -> None:
        if not isinstance(case.step, Extract):
            return
        one = digest(case.step.named(case.step.extract(case.value)))
        for size in (0, 1, 3):
            many = case.step.extract_many([case.value] * size)
            assert [digest(case.step.named(arrays)) for arrays in many] == [one] * size

    def test_a_group_for_a_model_equals_its_values_one_by_one(self, case: Case) -> None:
        step = case.step
        if not isinstance(step, BatchExtract):
            return
        values = [case.value, *case.beside]
        alone = [step.named(compute(step, value)) for value in values]
        for order in (range(len(values)), range(len(values))[::-1], [0] * 3):
            prepared = [step.prepare(values[index]) for index in order]
            for arrays, index in zip(together(step, model_of(step, "cpu"), prepared, "cpu"), order, strict=True):
                assert_close(step.named(arrays), alone[index])

    def test_a_prepared_value_has_a_cost_and_stays_as_it_was(self, case: Case) -> None:
        step = case.step
        if not isinstance(step, BatchExtract):
            return
        prepared = step.prepare(case.value)
        assert operator.index(step.cost(prepared)) >= 1
        before = digest(prepared)
        together(step, model_of(step, "cpu"), [prepared], "cpu")  # where memory runs out it is computed again
        assert digest(prepared) == before


def assert_close(arrays: Mapping[str, np.ndarray], others: Mapping[str, np.ndarray]) -> None:
    """That arrays differ by no more than 1e-5 of 1 or of their size; half precision by its last bits."""
    for name, array in arrays.items():
        near = 2e-3 if np.asarray(array).dtype == np.float16 else 1e-5
        np.testing.assert_allclose(array, others[name], rtol=near, atol=near, err_msg=name)


def run(step: Step, value: Any) -> Any:
    """What a step makes of a value; a random one gets the same generator each time."""
    match step:
        case Map():
            return step.map(value)
        case RandomMap():
            return step.map(value, rng_for(7, step.name, "contract"))
        case Filter():
            return step.keep(value)
        case Split():
            return step.split(value)
        case Feature():
            return compute(step, value)
    raise TypeError(f"{step.name} is of no kind that the contract knows")


def another(case: Case, name: str) -> object:
    """A value for a setting unlike the one it has: the case's own, or one guessed from its type."""
    if name in case.others:
        return case.others[name]
    value = getattr(case.step, name)
    hint = typing.get_type_hints(type(case.step))[name]
    for choice in _choices(hint):
        if choice != value:
            return choice
    if isinstance(value, bool):
        return not value
    if isinstance(value, int | float):
        return value + 1
    if isinstance(value, str):
        return value + "x"
    raise TypeError(
        f"no other value for {name!r} of {case.step.name} could be guessed: give Case(others={{{name!r}: ...}})"
    )


def _choices(hint: object) -> list[object]:
    """The members of a Literal, also of one inside a union."""
    if typing.get_origin(hint) is typing.Literal:
        return list(typing.get_args(hint))
    if typing.get_origin(hint) in (typing.Union, types.UnionType):
        return [choice for part in typing.get_args(hint) for choice in _choices(part)]
    return []


def freeze(value: object) -> None:
    """Make every array of a part or sample read-only, so that a step that writes into one fails at once."""
    for array in _arrays(value):
        array.flags.writeable = False


def _arrays(value: object) -> list[np.ndarray]:
    if isinstance(value, Sample):
        return [array for part in value.parts.values() for array in _arrays(part)]
    if isinstance(value, Image | Frames | Audio | Array):
        fields = (getattr(value, entry.name) for entry in dataclasses.fields(value))
        return [entry for entry in fields if isinstance(entry, np.ndarray)]
    return []


def digest(value: object) -> str:
    """A hash of all that a value holds: equal for equal parts, samples, arrays and drops."""
    state = hashlib.blake2b(digest_size=16)
    _feed(state, value)
    return state.hexdigest()


def _feed(state: hashlib.blake2b, value: object) -> None:
    if hasattr(value, "detach"):  # a tensor of torch
        value = value.detach().cpu().numpy()
    if isinstance(value, np.ndarray):
        state.update(f"{value.dtype.str}{value.shape}".encode() + np.ascontiguousarray(value).tobytes())
    elif isinstance(value, Blob):
        state.update(value.data())
    elif isinstance(value, Mapping):
        for key, item in value.items():
            state.update(repr(key).encode())
            _feed(state, item)
    elif isinstance(value, Sequence) and not isinstance(value, str | bytes):
        state.update(f"{len(value)}".encode())
        for item in value:
            _feed(state, item)
    elif dataclasses.is_dataclass(value) and not isinstance(value, type):
        state.update(type(value).__name__.encode())
        for entry in dataclasses.fields(value):
            _feed(state, getattr(value, entry.name))
    else:
        state.update(repr(value).encode())
