from __future__ import annotations

from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mmdata.errors import ConfigError
from mmdata.select.split import Split

KEYS = [f"toy/{number}.png" for number in range(4000)]


def test_shares_are_met_on_average() -> None:
    counts = Counter(Split().assign(KEYS))
    assert counts.keys() == {"train", "val", "test"}
    for name, share in {"train": 0.7, "val": 0.15, "test": 0.15}.items():
        assert abs(counts[name] - 4000 * share) < 5 * (4000 * share * (1 - share)) ** 0.5


def test_folds_are_equal_on_average() -> None:
    counts = Counter(Split(folds=5).assign(KEYS))
    assert sorted(counts) == ["fold0", "fold1", "fold2", "fold3", "fold4"]
    assert all(abs(count - 800) < 5 * (800 * 0.8) ** 0.5 for count in counts.values())


@given(groups=st.lists(st.sampled_from(["a", "b", "c", "d"]), min_size=1, max_size=30), seed=st.integers(0, 9))
def test_a_group_is_never_apart(groups: list[str], seed: int) -> None:
    keys = KEYS[: len(groups)]
    made = Split(seed=seed).assign(keys, groups)
    assert all(len({part for part, of in zip(made, groups, strict=True) if of == group}) == 1 for group in set(groups))


@given(st.permutations(KEYS[:20]), st.integers(1, 20))
def test_neither_order_nor_company_changes_a_samples_split(keys: list[str], count: int) -> None:
    alone = dict(zip(KEYS[:20], Split().assign(KEYS[:20]), strict=True))
    assert Split().assign(keys[:count]) == [alone[key] for key in keys[:count]]


def test_a_null_group_stands_alone() -> None:
    made = Split(folds=2).assign(KEYS[:200], [None] * 200)
    assert made == Split(folds=2).assign(KEYS[:200])
    assert len(set(made)) == 2


def test_a_key_and_a_group_of_the_same_text_are_dealt_apart() -> None:
    assert Split(folds=2).assign(KEYS[:64]) != Split(folds=2).assign(KEYS[:64], KEYS[:64])


def test_a_number_is_another_group_than_its_text() -> None:
    made = [Split(folds=7).assign(["x"] * 32, [kind(number) for number in range(32)]) for kind in (int, str)]
    assert made[0] != made[1]


def test_another_seed_deals_anew() -> None:
    assert Split(seed=0).assign(KEYS[:100]) != Split(seed=1).assign(KEYS[:100])


def test_a_split_is_the_same_for_ever() -> None:
    assert Split(folds=5).assign(KEYS[:8]) == ["fold0", "fold1", "fold1", "fold0", "fold0", "fold1", "fold4", "fold4"]
    assert Split().assign(KEYS[:8]) == ["train", "train", "train", "train", "train", "train", "test", "test"]


def test_a_larger_share_only_takes_from_its_neighbour() -> None:
    before = Split(shares={"train": 0.5, "test": 0.5}).assign(KEYS)
    after = Split(shares={"train": 0.6, "test": 0.4}).assign(KEYS)
    assert set(zip(before, after, strict=True)) == {
        ("train", "train"),
        ("test", "train"),
        ("test", "test"),
    }


@pytest.mark.parametrize("shares", [{"a": 1.0, "b": 0.0}, {"b": 0.0, "a": 1.0}, {"a": 1}])
def test_a_share_of_nothing_gets_nothing(shares: dict[str, float]) -> None:
    assert set(Split(shares=shares).assign(KEYS)) == {"a"}


def test_odd_characters_can_be_keys() -> None:
    assert Split(folds=2).assign(["toy/é\n'\udcff.png", ""]) == Split(folds=2).assign(["toy/é\n'\udcff.png", ""])


def test_a_pipeline_files_words_are_understood() -> None:
    assert Split.parse({"train": 0.8, "test": 0.2, "group": "caption"}) == Split(
        shares={"train": 0.8, "test": 0.2}, group="caption"
    )
    assert Split.parse({"folds": 5, "seed": 3}) == Split(folds=5, seed=3)
    assert Split.parse({}) == Split()
    assert Split.parse({"folds": 3}).names == ("fold0", "fold1", "fold2")
    assert Split.parse({"train": 1}).names == ("train",)


@pytest.mark.parametrize(
    ("settings", "fault"),
    [
        ({"train": 0.7, "test": 0.2}, "add up to 0.9, not to 1"),
        ({"train": 1.2, "test": -0.2}, "2 faults"),
        ({"train": "most"}, "must be a number, not 'most'"),
        ({"train": True}, "must be a number"),
        ({"train": float("nan")}, "can't be nan"),
        ({1: 0.5, "": 0.5}, "1 can't name a split"),
        ({"folds": 1}, "at least 2, not 1"),
        ({"folds": 2.5}, "must be int"),
        ({"folds": 3, "train": 1.0}, "leave out the shares train"),
        ({"group": 3}, "must be str"),
        ({"seed": "x", "group": 1}, "2 faults"),
    ],
)
def test_settings_that_cannot_work_are_refused(settings: dict[str, object], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        Split.parse(settings)


def test_no_shares_at_all_are_refused() -> None:
    with pytest.raises(ConfigError, match="add up to 0"):
        Split(shares={})
