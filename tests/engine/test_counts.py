from __future__ import annotations

import json
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.engine.counts import Counts, StepTimes

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
