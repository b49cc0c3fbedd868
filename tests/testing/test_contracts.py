from __future__ import annotations

import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
import pytest
from annotated_types import Ge

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Blob, Image, Text
from mmdata.core.step import Drop, Extract, Filter, Map, RandomMap
from mmdata.errors import StepError
from mmdata.testing.build import picture
from mmdata.testing.contracts.steps import Case, StepContract, another, digest, freeze
from mmdata.testing.models import LetterVectors, Projection


@dataclass(frozen=True, kw_only=True)
class Shout(Map[Text, Text]):
    on: str = "text"
    signs: Annotated[int, Ge(0)] = 1
    mood: Literal["glad", "cross"] | None = None

    def map(self, text: Text) -> Text | Drop:
        return text.changed(text.text.upper().rstrip("!") + "!" * self.signs)


@dataclass(frozen=True, kw_only=True)
class Mean(Extract[Image]):
    on: str = "image"
    into: str = "image.mean"

    def spec(self) -> ArraySpec:
        return ArraySpec(dims=("channel",), sizes={"channel": 3})

    def extract(self, image: Image) -> np.ndarray:
        return np.asarray(image.pixels.mean(axis=(0, 1), dtype=np.float32))


class TestGoodSteps(StepContract):
    @pytest.fixture(
        params=[
            Case(Shout(), Text("hello"), unchanged=Text("HELLO!")),
            Case(Shout(mood="glad", signs=3), Text("hello")),
            Case(Mean(), Image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))),
            Case(Projection(), picture(9, 7), beside=[picture(4, 4, seed=2)]),
            Case(LetterVectors(), Text("hello"), beside=[Text("a longer text than that"), Text("")]),
        ],
        ids=str,
    )
    def case(self, request: pytest.FixtureRequest) -> Case:
        case: Case = request.param
        return case


class Writes(Mean):
    def extract(self, image: Image) -> np.ndarray:
        image.pixels[0] = 0
        return super().extract(image)


class Promises(Mean):
    def extract(self, image: Image) -> np.ndarray:
        return super().extract(image)[:2]


class Doubles(Mean):
    def extract(self, image: Image) -> np.ndarray:
        return super().extract(image).astype(np.float64)


class BatchesBadly(Mean):
    def extract_many(self, values: object) -> list[np.ndarray]:
        return [np.zeros(3, np.float32)]


class Spends(Projection):
    def prepare(self, image: Image) -> np.ndarray:
        return super().prepare(image).copy()

    def extract(self, model: np.ndarray, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        try:
            return super().extract(model, prepared)
        finally:
            prepared[0][:] = 0


class CostsNothing(Projection):
    def cost(self, prepared: np.ndarray) -> int:
        return 0


class Loses(Projection):
    def extract(self, model: np.ndarray, prepared: Sequence[np.ndarray]) -> Sequence[np.ndarray]:
        return super().extract(model, prepared[:1])


class Wanders(Mean):
    state: ClassVar[list[int]] = []

    def extract(self, image: Image) -> np.ndarray:
        self.state.append(0)
        return super().extract(image) + np.float32(len(self.state))


class ForgetsSetting(Shout):
    def settings(self) -> dict[str, object]:
        return {"signs": 1, "mood": self.mood}


class CountsPartNames(Shout):
    def settings(self) -> dict[str, object]:
        return {"on": self.on, "signs": self.signs}


class Copies(Shout):
    def map(self, text: Text) -> Text | Drop:
        return Text(text.text.upper(), text.origin)


@dataclass(frozen=True, kw_only=True)
class RambleDrop(Filter[Text]):
    on: str = "text"

    def keep(self, text: Text) -> Literal[True] | Drop:
        return Drop(f"Too short: {len(text.text)}")


@dataclass(frozen=True, kw_only=True)
class Holds(RandomMap[Text, Text]):
    on: str = "text"
    by: frozenset[int] = frozenset()

    def map(self, text: Text, rng: np.random.Generator) -> Text | Drop:
        return text


PICTURE = Image(np.arange(24, dtype=np.uint8).reshape(2, 4, 3))
TEXT = Text("hello")
GROUP = "test_a_group_for_a_model_equals_its_values_one_by_one"


@pytest.mark.parametrize(
    ("case", "test"),
    [
        (Case(Writes(), PICTURE), "test_leaves_its_input_as_it_was"),
        (Case(Promises(), PICTURE), "test_arrays_are_as_promised"),
        (Case(Doubles(), PICTURE), "test_arrays_are_as_promised"),
        (Case(BatchesBadly(), PICTURE), "test_a_batch_equals_its_values_one_by_one"),
        (Case(LetterVectors(masks=False), TEXT, beside=[Text("longer text")]), GROUP),
        (Case(Loses(), PICTURE), GROUP),
        (Case(Spends(), PICTURE), "test_a_prepared_value_has_a_cost_and_stays_as_it_was"),
        (Case(CostsNothing(), PICTURE), "test_a_prepared_value_has_a_cost_and_stays_as_it_was"),
        (Case(Wanders(), PICTURE), "test_gives_the_same_again"),
        (Case(ForgetsSetting(), TEXT), "test_every_setting_changes_the_fingerprint"),
        (Case(CountsPartNames(), TEXT), "test_part_names_do_not_change_the_fingerprint"),
        (Case(Copies(), TEXT), "test_a_changed_part_has_no_origin"),
        (Case(Copies(), TEXT, unchanged=Text("HELLO")), "test_gives_the_very_object_back_when_nothing_changes"),
        (Case(RambleDrop(), TEXT), "test_gives_what_it_says_it_gives"),
        (Case(Mean(), TEXT), "test_takes_the_value_it_is_tried_on"),
        (Case(Holds(by=frozenset([1])), TEXT), "test_settings_survive_json"),
        (Case(Shout(signs=-1), TEXT), "test_settings_survive_json"),
    ],
    ids=lambda value: value if isinstance(value, str) else value.step.name,
)
def test_a_step_that_breaks_the_contract_is_found(case: Case, test: str) -> None:
    freeze(case.value)
    with pytest.raises((AssertionError, ValueError, TypeError, StepError)):
        getattr(StepContract(), test)(case)


def test_a_setting_of_a_type_nobody_can_guess_asks_for_another_value() -> None:
    with pytest.raises(TypeError, match="Case\\(others="):
        another(Case(Holds(), TEXT), "by")
    assert another(Case(Holds(), TEXT, others={"by": frozenset()}), "by") == frozenset()


def test_digest_tells_dtype_shape_and_content_apart() -> None:
    values = [
        np.zeros(4, np.float32),
        np.zeros(4, np.int32),
        np.zeros((2, 2), np.float32),
        np.ones(4, np.float32),
        {"a": np.zeros(4, np.float32)},
        Text("a"),
        Text("b"),
        Text("a", Blob.of(b"x")),
        Drop("a"),
        True,
    ]
    assert len({digest(value) for value in values}) == len(values)


def test_builders_need_no_pytest() -> None:
    """What makes media for a demo must not need what tests them."""
    code = """
import sys
import mmdata.testing.build
found = {"pytest", "hypothesis", "_pytest"} & set(sys.modules)
sys.exit(f"imported {found}" if found else 0)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
