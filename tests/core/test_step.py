from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.sample import Audio, Sample, Text
from mmdata.core.step import Drop, Extract, Filter, Map, Step, address, is_abstract


@dataclass(frozen=True, kw_only=True)
class Shout(Map[Text, Text]):
    on: str = "text"
    marks: tuple[str, ...] = ("!",)

    def map(self, text: Text) -> Text | Drop:
        return text.changed(text.text.upper() + "".join(self.marks))


@dataclass(frozen=True, kw_only=True)
class Both(Filter[Sample]):
    def keep(self, sample: Sample) -> Literal[True] | Drop:
        return True if len(sample.parts) == 2 else Drop("alone")


@dataclass(frozen=True, kw_only=True)
class Levels(Extract[Audio]):
    on: str = "audio"
    into: str = "audio.level"

    def spec(self) -> dict[str, ArraySpec]:
        return {"": ArraySpec(), "peak": ArraySpec(dtype="float64")}

    def extract(self, audio: Audio) -> dict[str, np.ndarray]:
        return {"": np.float32(0), "peak": np.float64(audio.samples.max())}  # type: ignore[dict-item]


def test_what_a_step_takes_and_gives_is_read_off_its_type_arguments() -> None:
    assert (Shout.takes, Shout.gives) == (Text, Text)
    assert Both.takes is Sample
    assert Levels.takes is Audio


def test_a_subclass_of_a_step_takes_what_its_parent_takes() -> None:
    class Louder(Shout):
        pass

    assert Louder.takes is Text


def test_the_fingerprint_hangs_on_settings_and_version_not_on_part_names() -> None:
    assert Shout(on="a", into="b").fingerprint() == Shout().fingerprint()
    assert Shout(marks=("?",)).fingerprint() != Shout().fingerprint()

    class Changed(Shout):
        version = 2

    Changed.__module__, Changed.__qualname__ = Shout.__module__, Shout.__qualname__
    assert Changed().fingerprint() != Shout().fingerprint()


def test_equal_steps_have_equal_fingerprints_however_a_number_was_written() -> None:
    @dataclass(frozen=True, kw_only=True)
    class Scaled(Shout):
        by: float = 0.0
        each: tuple[float, ...] = ()

    assert Scaled(by=2, each=(1, 0.5)).fingerprint() == Scaled(by=2.0, each=(1.0, 0.5)).fingerprint()
    assert Scaled(by=2.5).fingerprint() != Scaled(by=2).fingerprint()


def test_a_step_of_our_own_keeps_its_address_when_its_module_becomes_a_folder() -> None:
    cls = type("TrimSilence", (Step,), {"__module__": "mmdata.clean.audio.trim"})
    assert address(cls) == "clean.audio.TrimSilence"
    assert address(type("Mine", (Step,), {"__module__": "house.steps"})) == "house.steps.Mine"


def test_a_feature_follows_the_part_that_it_is_put_on() -> None:
    assert Levels().into == "audio.level"
    assert Levels(on="speech").into == "speech.level"
    assert Levels(on="speech", into="x.y").into == "x.y"


def test_several_arrays_of_one_computation_are_columns_of_one_family() -> None:
    step = Levels(on="speech")
    assert list(step.columns()) == ["speech.level", "speech.level.peak"]
    named = step.named(step.extract(Audio(np.ones((1, 2), np.float32), 10)))
    assert named["speech.level.peak"] == 1.0


@pytest.mark.parametrize("reason", ["Too grey!", "too grey", "", "_grey", "2_grey", "grey\n", 3])
def test_a_reason_is_a_constant_in_snake_case(reason: Any) -> None:
    with pytest.raises(ValueError, match="a reason is a constant in snake_case, such as 'too_short', not "):
        Drop(reason)
    assert Drop("too_grey_2").reason == "too_grey_2"


def test_kinds_of_step_are_abstract_and_steps_are_not() -> None:
    assert is_abstract(Map)
    assert is_abstract(Extract)
    assert not is_abstract(Shout)
