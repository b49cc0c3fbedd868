from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from hypothesis import strategies as st

import mmdata
from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.parts import Part
from mmdata.loader.stream import Stream, stream
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.testing.contracts.streams import StreamCase, StreamContract

Made = Callable[..., Store]
FEATURES = ["image.embedding", "speech.mfcc", "image.sharpness"]


@pytest.fixture(scope="module")
def drawn(make_store: Made, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """4 shards, 57 samples; of the selection "by" sample n has the weight n % 5, of "ones" 1, of "none" 0."""
    store = make_store(tmp_path_factory.mktemp("weighted") / "store", (20, 3, 25, 9))
    select(store, "by", balance={"weight": "meta.n % 5"})
    select(store, "split", split={"train": 0.5, "val": 0.5}, balance={"weight": "1 + meta.n % 5", "splits": ["train"]})
    select(store, "ones")
    select(store, "none", balance={"weight": "0"})
    return store


def numbers(batches: Iterable[dict[str, Any]]) -> list[int]:
    return [int(key[4:10]) for batch in batches for key in batch["key"]]


class TestContract(StreamContract):
    @pytest.fixture
    def case(self, drawn: Store) -> StreamCase:
        def opened(rank: int, world: int, **settings: Any) -> Stream:
            settings |= {"selection": "by", "weighted": True, "tail": "short", "threads": 1}
            return stream(drawn, ["image.sharpness"], rank=rank, world=world, **settings)

        settings = {
            "global_batch_size": st.sampled_from([4, 6]),
            "epoch": st.integers(0, 2),
            "lanes": st.integers(1, 4),
            "window_rows": st.integers(1, 40),
        }
        return StreamCase(opened, st.fixed_dictionaries(settings))


def test_samples_come_as_often_as_their_weights_say_and_bring_their_own_arrays(drawn: Store) -> None:
    made = stream(drawn, FEATURES, selection="by", weighted=True, batch_size=4, tail="short", window_rows=16)
    n_rows = sum(1 for number in range(57) if number % 5)
    assert (made.n_rows, made.n_steps) == (n_rows, -(-n_rows // 4))
    counts: Counter[int] = Counter()
    for _ in range(60):
        batches = list(made)
        for batch in batches:
            for row, number in enumerate(numbers([batch])):
                assert batch["image.sharpness"][row] == number / 2
                assert batch["image.embedding"][row, 0] == (0 if number % 7 == 3 else number)
                assert batch["speech.mfcc.length"][row] == (0 if number % 11 == 5 else number % 5)
        counts.update(numbers(batches))
    total = sum(number % 5 for number in range(57))
    for number in range(57):
        due = 60 * n_rows * (number % 5) / total
        assert abs(counts[number] - due) <= 16, number
        assert bool(counts[number]) == bool(number % 5)


def test_without_the_setting_weights_have_no_say(drawn: Store) -> None:
    settings = {"selection": "by", "batch_size": 4, "tail": "short", "seed": 5}
    assert sorted(numbers(stream(drawn, [], **settings))) == list(range(57))  # type: ignore[arg-type]
    plain = stream(drawn, [], **{**settings, "selection": "ones"})  # type: ignore[arg-type]
    weighted = stream(drawn, [], **{**settings, "selection": "ones", "weighted": True})  # type: ignore[arg-type]
    assert numbers(weighted) == numbers(plain)


def test_only_the_weights_of_the_split_count(drawn: Store) -> None:
    made = stream(drawn, [], selection="split", split="train", weighted=True, batch_size=1)
    table = drawn.selection("split")
    rows = zip(table["key"].to_pylist(), table["split"].to_pylist(), strict=True)
    assert set(numbers(made)) <= {int(key[4:10]) for key, split in rows if split == "train"}
    assert made.n_rows == table["split"].to_pylist().count("train")


def test_a_state_of_other_weights_is_refused(make_store: Made, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", (12,))
    select(store, "v", balance={"weight": "1 + meta.n"})
    settings: dict[str, Any] = {"selection": "v", "batch_size": 2}
    state = json.loads(json.dumps(stream(store, [], **settings, weighted=True).state_dict()))
    stream(store, [], **settings, weighted=True).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match="weighted is None, the state has True"):
        stream(store, [], **settings).load_state_dict(state)
    select(store, "v", balance={"weight": "2 + meta.n"})
    with pytest.raises(SchemaMismatch, match="the samples are the same, their weights are not"):
        stream(store, [], **settings, weighted=True).load_state_dict(state)


def test_parts_of_a_mixture_have_weights_of_their_own(drawn: Store) -> None:
    parts = [Part(drawn, "by", weight=1, weighted=True), Part(drawn, "ones", weight=1)]
    made = stream(parts, [], batch_size=8, lanes=1, until="all")
    seen: list[Counter[int]] = [Counter(), Counter()]
    for _ in range(4):
        for batch in made:
            for part, number in zip(batch["part"].tolist(), numbers([batch]), strict=True):
                seen[part][number] += 1
    assert 0 not in {number % 5 for number in seen[0]}
    assert set(seen[1]) == set(range(57))
    assert seen[0][4] > 1.5 * seen[0][6]
    assert made.state_dict()["order"]["weighted"] == [True, False]


def test_batches_by_length_are_weighted_too(drawn: Store) -> None:
    made = stream(drawn, ["speech.mfcc"], selection="by", weighted=True, length="speech.mfcc", budget=12, tail="short")
    counts = Counter(numbers(batch for _ in range(10) for batch in made))
    assert sum(counts.values()) == 10 * made.n_rows
    assert counts[4] > 2 * counts[6] > 0 == counts[5]
    for batch in made:
        assert len(batch["key"]) * max(batch["speech.mfcc.length"].max(initial=0), 1) <= 12 or not batch["key"]


def test_a_stream_that_follows_reads_the_weights_of_its_epoch(make_store: Made, tmp_path: Path) -> None:
    store = make_store(tmp_path / "store", (10,))
    select(store, "v", balance={"weight": "meta.n % 2"})
    made = mmdata.stream(store, [], follow="f", selection="v", weighted=True, batch_size=5)
    assert {number % 2 for number in numbers(made)} == {1}
    select(store, "v", balance={"weight": "1 - meta.n % 2"})
    assert {number % 2 for number in numbers(made)} == {0}


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({}, "weights are those of a selection"),
        ({"selection": "by", "shuffle": False}, "have no stored order to keep"),
        ({"selection": "none"}, "selects no samples of a weight above 0"),
    ],
)
def test_weights_that_are_not_there_are_refused(drawn: Store, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stream(drawn, [], weighted=True, batch_size=2, **settings)


def test_beside_parts_the_setting_is_refused(drawn: Store) -> None:
    with pytest.raises(ConfigError, match=r"weighted: each part has its own: Part\(store, weighted=...\)"):
        stream([Part(drawn)], [], weighted=True)
