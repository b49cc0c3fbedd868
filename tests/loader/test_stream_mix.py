from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

import mmdata
from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.parts import Part
from mmdata.loader.stream import Stream, stream
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.testing.contracts.streams import StreamCase, StreamContract
from tests.loader.gallery import gallery, number_of, same_size, shown

Build = Callable[..., Store]
FEATURES = ["image.embedding", "speech.mfcc"]
Made = Callable[..., Store]


@pytest.fixture(scope="module")
def other(make_store: Made, tmp_path_factory: pytest.TempPathFactory) -> Store:
    """2 shards, 30 samples, of another source."""
    return make_store(tmp_path_factory.mktemp("other") / "store", (21, 9), sources=("b", "b"))


def mixed(small: Store, other: Store, **settings: Any) -> Stream:
    parts = [Part(small, weight=3), Part(other, weight=1)]
    return stream(parts, [*FEATURES, "source"], **{"batch_size": 8, "seed": 3, "lanes": 4, **settings})


class TestContract(StreamContract):
    @pytest.fixture
    def case(self, small: Store, other: Store) -> StreamCase:
        def opened(rank: int, world: int, *, weights: tuple[float, ...], **drawn: Any) -> Stream:
            parts = [Part(store, weight=weight) for store, weight in zip((other, small, other), weights, strict=False)]
            return stream(parts, ["image.sharpness"], rank=rank, world=world, threads=1, **drawn)

        drawn = {
            "global_batch_size": st.sampled_from([4, 6]),
            "weights": st.lists(st.sampled_from([0.4, 1]), min_size=1, max_size=3).map(tuple),
            "batches": st.sampled_from(["mixed", "single"]),
            "until": st.just("first") | st.just("all"),
            "epoch": st.integers(0, 2),
            "lanes": st.integers(1, 4),
            "window_rows": st.integers(1, 40),
        }
        return StreamCase(opened, st.fixed_dictionaries(drawn))


def test_each_row_says_its_part_and_has_its_own_arrays(small: Store, other: Store) -> None:
    made = mixed(small, other, until="all")
    assert made.names == ("store", "store#2")
    rows: Counter[tuple[int, str]] = Counter()
    for batch in made:
        assert batch["part"].dtype == np.int64
        assert [("toy", "b")[part] for part in batch["part"]] == batch["source"]
        assert Counter(batch["part"].tolist()) == {0: 6, 1: 2}
        rows.update(zip(batch["part"].tolist(), batch["key"], strict=True))
        for row, key in enumerate(batch["key"]):
            number = int(key[4:10])
            assert batch["image.embedding"][row, 0] == (0 if number % 7 == 3 else number)
            assert batch["speech.mfcc.length"][row] == (0 if number % 11 == 5 else number % 5)
    assert len(rows) == 57 + 30
    assert made.n_rows == 87


def test_by_epochs_parts_come_as_often_as_they_say(small: Store, other: Store) -> None:
    made = stream([Part(small), Part(other, epochs=3, name="b")], [], batch_size=4, lanes=1, until="all")
    counts = Counter((int(part), key) for batch in made for part, key in zip(batch["part"], batch["key"], strict=True))
    assert made.names == ("store", "b")
    assert {counts[0, key] for key in small.keys()} <= {1, 2}  # noqa: SIM118  a store is no dict
    assert {counts[1, key] for key in other.keys()} <= {3, 4}  # noqa: SIM118
    assert counts.total() == pytest.approx(57 + 90, abs=8)


def test_parts_of_one_store_are_its_selections_and_splits(toy: Store) -> None:
    select(toy, "m1", split={"train": 0.8, "val": 0.2})
    parts = [Part(toy, "m1", "train", weight=1), Part(toy, "m1", "val", weight=1)]
    made = stream(parts, [], batch_size=16)
    val = {key for batch in stream(toy, [], selection="m1", split="val", batch_size=1) for key in batch["key"]}
    assert made.names == ("store/train", "store/val")
    for batch in made:
        assert [key in val for key in batch["key"]] == batch["part"].tolist()


def test_parts_are_opened_by_their_places(small: Store) -> None:
    made = mmdata.stream([mmdata.Part(small.url), mmdata.Part(Path(small.url), weight=None)], [], batch_size=8)
    batch = next(iter(made))
    assert sorted(set(batch["part"].tolist())) == [0, 1]
    assert len(set(batch["key"])) > 4  # the same rows, in an order of their own


def test_single_batches_are_of_one_part(small: Store, other: Store) -> None:
    made = mixed(small, other, batches="single", output="torch")
    parts = [batch["part"] for batch in made]
    assert all(isinstance(part, torch.Tensor) and len(set(part.tolist())) == 1 for part in parts)
    assert {int(part[0]) for part in parts} == {0, 1}


def test_a_state_of_other_shares_or_parts_is_refused(small: Store, other: Store, toy: Store) -> None:
    state = json.loads(json.dumps(mixed(small, other).state_dict()))
    assert len(json.dumps(state)) < 1500
    with pytest.raises(SchemaMismatch, match=r"shares is \[\['weight', 3\], \['weight', 2\]\], the state has"):
        stream([Part(small, weight=3), Part(other, weight=2)], [], batch_size=8, seed=3, lanes=4).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match="2613 rows in 4 shards, the state saw 30 in 2"):
        stream([Part(small, weight=3), Part(toy, weight=1)], [], batch_size=8, seed=3, lanes=4).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match=r"this stream has 1 parts, the state's had 2"):
        stream(small, [], batch_size=8, seed=3, lanes=4).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match=r"batches is 'single', the state has 'mixed'"):
        mixed(small, other, batches="single").load_state_dict(state)


def test_parts_of_other_forms_are_refused_with_all_that_differs(build: Build, small: Store) -> None:
    wide = ArraySpec(dims=("feature",), sizes={"feature": 5})
    odd = build(4, forms={"image.embedding": wide, "speech.mfcc": wide})
    with pytest.raises(SchemaMismatch) as told:
        stream([Part(small, name="a"), Part(odd, name="b")], FEATURES, batch_size=2)
    assert "'image.embedding' is" in str(told.value)
    assert "'speech.mfcc' is" in str(told.value)
    assert "in 'a'" in str(told.value)
    assert next(iter(stream([Part(small), Part(odd)], ["image.sharpness"], batch_size=2)))["image.sharpness"].size == 2


@pytest.mark.parametrize(
    ("parts", "settings", "told"),
    [
        ([{"weight": 0}], {}, r"parts\[0\]\.weight: must be above 0, not 0"),
        ([{"weight": -1}, {"weight": float("nan")}], {}, "2 faults"),
        ([{"epochs": float("inf")}], {}, r"parts\[0\]\.epochs: must be above 0"),
        ([{"weight": 1, "epochs": 1}], {}, "has a weight and a number of epochs"),
        ([{"weight": 1}, {}], {}, r"parts\[1\]: has no weight, as others do"),
        ([{"weight": 1}, {"epochs": 2}], {}, r"parts\[1\]: has no weight"),
        ([], {}, "there is no part"),
        ([{}, {}], {"selection": "v1"}, "selection: each part has its own"),
        ([{}, {}], {"tail": "short"}, "tail: a mixture has whole batches alone"),
        ([{}, {}], {"until": "last"}, "until: must be first or all, not 'last'"),
        ([{}, {}], {"batches": "both"}, "batches: must be mixed or single"),
        ([{}, {}], {"budget": 9, "length": "speech.mfcc"}, "budget: batches by length are made of one part"),
        ([{}], {"until": "all"}, "until: is for mixtures, and there is one part"),
        ([{}, {}], {"columns": ["nope"]}, "2 faults"),
        ([{}, {}], {"batch_size": 500}, "a part is gone through within the first batch of 500"),
        ([{}, {}], {"columns": FEATURES, "max_bytes": 100}, "set window_rows="),
    ],
)
def test_mixtures_that_cannot_work_are_refused(
    small: Store, parts: list[dict[str, Any]], settings: dict[str, Any], told: str
) -> None:
    with pytest.raises(ConfigError, match=told):
        stream([Part(small, **part) for part in parts], **{"columns": [], "batch_size": 8, **settings})


def test_stores_without_a_part_around_them_are_refused_with_what_to_write(small: Store, other: Store) -> None:
    with pytest.raises(ConfigError, match=r"store\[1\]: to mix, give mmdata.Part\(store, weight=...\), not a Store"):
        mmdata.stream([mmdata.Part(small), other], [], batch_size=8)  # type: ignore[list-item]
    with pytest.raises(ConfigError, match="2 faults"):
        mmdata.stream([small.url, other.url], [], batch_size=8)  # type: ignore[list-item]


def test_more_ranks_than_lanes_share_a_mixture(small: Store, other: Store) -> None:
    whole = [list(batch["key"]) for batch in mixed(small, other, lanes=2)]
    ranks = [mixed(small, other, batch_size=2, rank=rank, world=4, lanes=2) for rank in range(4)]
    shared = [[key for batch in step for key in batch["key"]] for step in zip(*ranks, strict=True)]
    assert shared == whole


def test_pictures_of_several_stores_are_mixed_and_bad_ones_replaced_within_their_part(tmp_path: Path) -> None:
    bad = gallery(tmp_path / "a", image=lambda number: same_size(number) if number % 5 else b"no picture")
    good = gallery(tmp_path / "b")

    def opened(rank: int, world: int) -> Stream:
        parts = [Part(bad, weight=1), Part(good, weight=2)]
        return stream(parts, ["image"], global_batch_size=12, rank=rank, world=world, lanes=4, window_rows=20)

    alone = opened(0, 1)
    whole = list(alone)
    assert alone.n_replaced > 0
    for batch in whole:
        for part, key, picture in zip(batch["part"], batch["key"], batch["image"], strict=True):
            assert part == 1 or number_of(key) % 5
            assert (picture == shown((bad, good)[part], number_of(key)).pixels).all()
    ranks = [opened(rank, 2) for rank in range(2)]
    for step, halves in zip(whole, zip(*ranks, strict=True), strict=True):
        assert [key for half in halves for key in half["key"]] == step["key"]
        assert [part for half in halves for part in half["part"]] == step["part"].tolist()
