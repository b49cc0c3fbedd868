from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.engine.counts import Bottleneck, Counts, StepTimes

few = st.integers(0, 9)
counters = st.dictionaries(st.sampled_from("abc"), few).map(Counter)
counts = st.builds(
    Counts,
    read=few, made=few, stored=few,
    dropped=counters, rejected=counters, missing=counters, computed=counters, gathered=counters,
    steps=st.dictionaries(st.sampled_from("xy"), st.builds(StepTimes, few, st.just(0.5), few)),
)  # fmt: skip


def total(parts: list[Counts]) -> Counts:
    made = Counts()
    for part in parts:
        made.add(part)
    return made


@given(st.lists(counts, max_size=4))
def test_sums_do_not_depend_on_the_order_and_leave_their_parts_alone(parts: list[Counts]) -> None:
    before = [json.dumps(part.to_json(), sort_keys=True) for part in parts]
    one, other = total(parts), total(parts[::-1])
    assert json.dumps(one.to_json(), sort_keys=True) == json.dumps(other.to_json(), sort_keys=True)
    assert (one.read, one.n_dropped) == (sum(part.read for part in parts), sum(part.n_dropped for part in parts))
    assert [json.dumps(part.to_json(), sort_keys=True) for part in parts] == before


@given(st.lists(counts, max_size=4))
def test_sums_of_what_balances_balance(parts: list[Counts]) -> None:
    for part in parts:
        part.read = part.stored + part.n_dropped + part.n_rejected - part.made
    assert total(parts).balances


@given(counts, counts)
def test_what_is_taken_back_leaves_the_calls_of_steps_alone(kept: Counts, lost: Counts) -> None:
    made = total([kept, lost])
    made.take_back(lost)
    told, expected = made.to_json(), kept.to_json()
    assert told.pop("steps") == total([kept, lost]).to_json()["steps"]
    assert told.pop("stages") == total([kept, lost]).to_json()["stages"]
    expected.pop("steps"), expected.pop("stages")
    assert told == expected


@pytest.mark.parametrize("lost", ["read", "made", "stored"])
def test_one_that_is_lost_is_noticed(lost: str) -> None:
    sound = Counts(read=5, made=1, stored=3, dropped=Counter({"a:b": 2}), rejected=Counter({"bug": 1}))
    assert sound.balances
    setattr(sound, lost, getattr(sound, lost) + 1)
    assert not sound.balances


def test_json_has_names_in_order_and_no_zeros() -> None:
    made = Counts(dropped=Counter({"b": 1, "a": 2, "c": 0}))
    made.times("step").add(StepTimes(3, 0.123456, 1))
    told = made.to_json()
    assert list(told["dropped"].items()) == [("a", 2), ("b", 1)]
    assert told["steps"] == {"step": {"n": 3, "seconds": 0.1235}}


def test_times_of_a_step_are_kept_in_one_place() -> None:
    made = Counts()
    made.times("a").n += 1
    made.times("a").bugs += 1
    assert made.steps == {"a": StepTimes(n=1, bugs=1)}


def timed(**steps: StepTimes) -> Counts:
    return Counts(steps={name.replace("__", "."): times for name, times in steps.items()})


def test_stages_are_told_by_the_steps_name_unless_it_has_several() -> None:
    made = timed(
        codec__image__DecodeImage=StepTimes(4, 4.0),
        clean__image__DropBlurred=StepTimes(4, 0.5),
        source=StepTimes(4, 1.0),
        store=StepTimes(4, 0.25),
        features__embed__Clip=StepTimes(4, 3.0, stages={"prepare": 1.0, "compute": 1.5, "idle": 9.0}),
        shard=StepTimes(1, 10.0),
    )
    assert made.stages == {
        "read": {"source": 1.0},
        "decode": {"codec.image.DecodeImage": 4.0},
        "prepare": {"features.embed.Clip": 1.0},
        "compute": {"clean.image.DropBlurred": 0.5, "features.embed.Clip": 2.0},
        "write": {"store": 0.25},
        "idle": {"features.embed.Clip": 9.0},
    }
    assert made.bottleneck == Bottleneck("decode", "codec.image.DecodeImage", 0.4)
    assert made.to_json()["stages"] == {
        "read": 1.0, "decode": 4.0, "prepare": 1.0, "compute": 2.5, "write": 0.25, "idle": 9.0,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("steps", "expected"),
    [
        ({}, None),
        ({"shard": StepTimes(1, 100.0)}, None),
        ({"shard": StepTimes(1, 0.5), "clean__a": StepTimes(1, 0.5)}, None),  # too short to say
        ({"shard": StepTimes(1, 2.0), "clean__a": StepTimes(1, 1.0)}, Bottleneck("compute", "clean.a", 0.5)),
        ({"shard": StepTimes(1, 2.0), "clean__a": StepTimes(1, 9.0)}, Bottleneck("compute", "clean.a", 1.0)),
        (
            {"shard": StepTimes(1, 10.0), "codec__a": StepTimes(1, 2.0), "codec__b": StepTimes(1, 2.5)}
            | {"clean__a": StepTimes(1, 4.0)},
            Bottleneck("decode", "codec.b", 0.25),  # both decoders together are what most time goes to
        ),
        (
            {"shard": StepTimes(1, 4.0), "f": StepTimes(1, 1.0, stages={"compute": 1.0, "idle": 3.0})},
            Bottleneck("compute", "f", 0.25),  # idling is no work
        ),
    ],
)
def test_the_bottleneck_is_the_stage_that_most_time_went_to(
    steps: dict[str, StepTimes], expected: Bottleneck | None
) -> None:
    made = timed(**steps)
    assert made.bottleneck == expected
    assert made.steps.keys() == {name.replace("__", ".") for name in steps}


def test_times_of_a_stage_are_added_up_and_idling_is_no_work() -> None:
    made = StepTimes()
    made.spent("compute", 1.0, n=2)
    made.spent("idle", 5.0)
    with made.spending("write"):
        pass
    other = StepTimes()
    other.add(made)
    other.add(made)
    assert (other.n, other.stages["compute"], other.stages["idle"]) == (4, 2.0, 10.0)
    assert other.seconds == pytest.approx(2.0 + other.stages["write"])
    assert 0 < other.stages["write"] < 1
