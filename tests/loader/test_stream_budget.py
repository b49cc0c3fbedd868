from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, Incomplete, SchemaMismatch
from mmdata.loader.plan import TAILS
from mmdata.loader.stream import Stream, stream
from mmdata.loader.torch import WorkerStream
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.contracts.streams import StreamCase, StreamContract
from tests.loader.gallery import gallery, number_of, same_size

Build = Callable[..., Store]


def length_of(number: int) -> int:
    return 0 if number % 11 == 5 else number % 5


def numbers(batches: Iterable[dict[str, Any]]) -> list[int]:
    return [int(key[4:10]) for batch in batches for key in batch["key"]]


class TestContract(StreamContract):
    @pytest.fixture
    def case(self, small: Store) -> StreamCase:
        def opened(rank: int, world: int, **drawn: Any) -> Stream:
            return stream(small, ["speech.mfcc"], rank=rank, world=world, length="speech.mfcc", threads=1, **drawn)

        drawn = {
            "shares": st.sampled_from([1, 2, 4, 6]),
            "budget": st.sampled_from([4, 11, 30]),
            "tail": st.sampled_from(TAILS),
            "shuffle": st.booleans(),
            "epoch": st.integers(0, 2),
            "lanes": st.integers(1, 6),
            "window_rows": st.integers(2, 40),
        }
        return StreamCase(opened, st.fixed_dictionaries(drawn))


@pytest.mark.parametrize("length", ["speech.mfcc", "speech.mfcc#time"])
def test_batches_are_of_similar_length_and_within_the_budget(toy: Store, length: str) -> None:
    ranks = [
        stream(toy, ["speech.mfcc"], length=length, budget=100, world=2, rank=rank, tail="short") for rank in range(2)
    ]
    seen = []
    padded = real = 0
    for step in zip(*ranks, strict=True):
        for batch in step:
            n_rows, longest = batch["speech.mfcc"].shape[:2]
            assert n_rows * longest <= 100 or not batch["speech.mfcc.length"].any()
            assert batch["speech.mfcc.length"].tolist() == [length_of(number) for number in numbers([batch])]
            padded += n_rows * longest
            real += int(batch["speech.mfcc.length"].sum())
        seen += numbers(step)
    assert sorted(seen) == list(range(2613))
    assert real / padded > 0.85
    assert len(ranks[0]) == len(ranks[1])
    assert ranks[0].batch_size is None


def test_a_feature_of_one_number_is_a_length(toy: Store) -> None:
    select(toy, "low", where="image.sharpness < 100")
    made = stream(toy, ["image.sharpness"], selection="low", length="image.sharpness", budget=500, tail="short")
    for batch in made:
        assert len(batch["key"]) * batch["image.sharpness"].max() <= 500
    assert len(made) == made.n_steps > 10


def test_batch_size_is_the_most_that_a_batch_may_have(toy: Store) -> None:
    made = stream(toy, [], length="speech.mfcc", budget=1000, batch_size=10)
    assert {len(batch["key"]) for batch in made} == {10, 3} - {3} | {len(batch["key"]) for batch in made}
    assert max(len(batch["key"]) for batch in made) == 10


def test_an_epochs_steps_are_its_own_and_a_place_in_any_can_be_gone_to(toy: Store) -> None:
    made = stream(toy, [], length="speech.mfcc", budget=37, window_rows=200, lanes=2, seed=1)
    steps = []
    for _ in range(4):
        steps.append(len(made))
        assert len(list(made)) == steps[-1]
    assert len(set(steps)) > 1
    made.seek(epoch=1, step=steps[1])
    with pytest.raises(ValueError, match=f"an epoch has {steps[1]} steps"):
        made.seek(epoch=1, step=steps[1] + 1)


@pytest.mark.filterwarnings("ignore:This DataLoader will create:UserWarning")  # more than this machine has
def test_workers_make_the_batches_of_epochs_of_different_lengths(small: Store) -> None:
    def opened() -> Stream:
        return stream(small, [], length="speech.mfcc", budget=9, shares=2, window_rows=13, lanes=2, threads=1)

    alone = opened()
    epochs = [[list(batch["key"]) for batch in alone] for _ in range(3)]
    assert len({len(epoch) for epoch in epochs}) > 1
    workers = WorkerStream(opened(), workers=2, start="fork")
    assert [[list(batch["key"]) for batch in workers] for _ in range(3)] == epochs


def test_a_state_of_another_budget_or_of_other_lengths_is_refused(small: Store) -> None:
    def opened(**settings: Any) -> Stream:
        return stream(small, [], **{"length": "speech.mfcc", "budget": 20, "shares": 2, **settings})

    state = json.loads(json.dumps(opened().state_dict()))
    assert len(json.dumps(state)) < 600
    for settings, told in (
        ({"budget": 21}, "budget is 21, the state has 20"),
        ({"shares": 4}, "shares is 4, the state has 2"),
        ({"length": "image.sharpness", "budget": 99}, "length is 'image.sharpness', the state has 'speech.mfcc'"),
        ({"batch_size": 4}, "max_rows is 2, the state has None"),
    ):
        with pytest.raises(SchemaMismatch, match=told):
            opened(**settings).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match=r"length is None, the state has 'speech.mfcc'"):
        stream(small, [], batch_size=4).load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"budget": 9}, "budget: needs length, too"),
        ({"length": "speech.mfcc"}, "length: needs budget, too"),
        ({"shares": 2}, "shares: needs budget, too"),
        ({"length": "speech.mfc", "budget": 9}, "did you mean 'speech.mfcc'"),
        ({"length": "speech.mfcc#tim", "budget": 9}, "there is speech.mfcc#time"),
        ({"length": "image.embedding", "budget": 9}, "are of one length"),
        ({"length": "speech.mfcc", "budget": 3}, "samples are longer than 3 alone, up to 4"),
        ({"length": "speech.mfcc", "budget": 0}, "longer than 0 alone"),
        ({"length": "speech.mfcc", "budget": float("nan")}, "budget must be above 0"),
        ({"length": "speech.mfcc", "budget": float("inf")}, "and finite, not inf"),
        ({"length": "speech.mfcc", "budget": 9, "shares": 3, "world": 2}, "2 ranks can't have 3 shares"),
        ({"length": "speech.mfcc", "budget": 9, "shares": 0}, "1 ranks can't have 0 shares"),
        ({"length": "speech.mfcc", "budget": 9, "shares": 64}, "57 rows are not one for each of 64 shares"),
        ({"length": "speech.mfcc", "budget": 9, "shares": 4, "batch_size": 2}, "less than a row for each of 4"),
    ],
)
def test_budgets_that_cannot_work_are_refused(small: Store, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError, match=told):
        stream(small, [], **settings)


def test_lengths_that_are_no_lengths_are_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match=r"length: 'image.sharpness' of 2 samples is below 0 or no number"):
        stream(build(5, bent={1: -1.0, 3: np.nan}), [], length="image.sharpness", budget=9)


def test_a_store_without_the_lengths_says_so(build: Build) -> None:
    with pytest.raises(Incomplete, match=r"'speech.mfcc', which `length` reads, lacks 1 shards"):
        stream(build(4, 5, lacking=("speech.mfcc", 1)), [], length="speech.mfcc", budget=9)


def test_what_takes_the_place_of_a_bad_picture_is_within_the_budget(tmp_path: Path) -> None:
    bad = (0, 9, 19, 29, 40)
    store = gallery(tmp_path / "store", image=lambda number: b"no picture" if number in bad else same_size(number))
    spec = ArraySpec()
    store.start_run(command="test", recipe=Recipe("a" * 16, {"image.size": "a" * 16}))
    changes = []
    for shard in store.view().shards:
        writer = FeatureWriter(store.url, "image.size", {"image.size": spec}, shard=shard.shard, fp="a" * 16)
        keys = store.keys_of(shard)
        writer.add(keys, {"image.size": [np.array(1 + number_of(key) % 10, np.float32) for key in keys]})
        changes.append(writer.close(shard.samples.keys))
    store.commit([Change("image.size", columns={"image.size": spec}, add=changes)])
    made = stream(Store.open(store.url), ["image", "image.size"], length="image.size", budget=30, tail="short")
    for batch in made:
        assert len(batch["key"]) * batch["image.size"].max() <= 30
    assert {number_of(one.key) for one in made.replaced} == set(bad)
