from __future__ import annotations

import copy
import json
import threading
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import strategies as st

from mmdata.core.arrays import ArraySpec
from mmdata.errors import ConfigError, Incomplete, SchemaMismatch, StoreError
from mmdata.loader.plan import TAILS, Tail
from mmdata.loader.stream import Stream, stream
from mmdata.select.selection import select
from mmdata.store import Store
from mmdata.store.store import Change
from mmdata.store.write_features import FeatureWriter
from mmdata.testing.contracts.streams import StreamCase, StreamContract

Build = Callable[..., Store]
VECTOR = ArraySpec(dims=("feature",), sizes={"feature": 4})
FEATURES = ["image.embedding", "speech.mfcc", "image.sharpness"]


def numbers(batches: Iterable[dict[str, Any]]) -> list[list[int]]:
    return [[int(key[4:10]) for key in batch["key"]] for batch in batches]


def flat(batches: Iterable[dict[str, Any]]) -> list[int]:
    return [number for batch in numbers(batches) for number in batch]


def check_rows(batch: dict[str, Any]) -> None:
    """Every array stands at its key, as the toy store's rule says."""
    for row, key in enumerate(batch["key"]):
        number = int(key[4:10])
        there = number % 7 != 3
        assert batch["image.embedding.mask"][row] == there
        assert batch["image.embedding"][row].tolist() == [number + i / 8 if there else 0 for i in range(4)]
        heard = number % 11 != 5
        length = number % 5 if heard else 0
        assert batch["speech.mfcc.mask"][row] == heard
        assert batch["speech.mfcc.length"][row] == length
        assert (batch["speech.mfcc"][row, :length] == number).all()
        assert (batch["speech.mfcc"][row, length:] == 0).all()
        assert batch["image.sharpness"][row] == number / 2


def test_an_epoch_gives_every_row_once_with_its_own_arrays(toy: Store) -> None:
    made = list(stream(toy, FEATURES, batch_size=100, tail="short"))
    assert sorted(flat(made)) == list(range(2613))
    assert flat(made) != sorted(flat(made))
    for batch in made:
        check_rows(batch)
    assert [len(batch["key"]) for batch in made] == [100] * 26 + [13]
    assert made[0]["image.embedding"].dtype == np.float32


def test_texts_and_names_come_along(small: Store) -> None:
    batch = next(
        iter(stream(small, ["label", "source", "parent", "meta.n", "text.caption"], batch_size=5, shuffle=False))
    )
    assert batch == {
        "label": [None, "odd", "even", "odd", "even"],
        "source": ["toy"] * 5,
        "parent": [None] * 5,
        "meta.n": ["0", "1", "2", "3", "4"],
        "text.caption": [f"number {n}" for n in range(5)],
        "key": [f"toy/00000{n}.png" for n in range(5)],
    }


def test_without_shuffle_rows_come_in_stored_order(toy: Store) -> None:
    assert flat(stream(toy, FEATURES, batch_size=64, shuffle=False, tail="short")) == list(range(2613))


def test_epochs_follow_each_other_and_differ(small: Store) -> None:
    one = stream(small, [], batch_size=8)
    first, second = numbers(one), numbers(one)
    assert first != second
    assert one.epoch == 2
    assert numbers(stream(small, [], batch_size=8, epoch=1)) == second
    assert numbers(stream(small, [], batch_size=8)) == first


def test_a_break_is_taken_up_where_it_happened(small: Store) -> None:
    whole = numbers(stream(small, [], batch_size=8))
    one = stream(small, [], batch_size=8)
    for _ in one:
        if one.step == 3:
            break
    assert numbers(one) == whole[3:]


@pytest.mark.parametrize("tail", TAILS)
def test_every_rank_has_as_many_steps(small: Store, tail: Tail) -> None:
    ranks = [list(stream(small, [], global_batch_size=16, rank=rank, world=4, tail=tail)) for rank in range(4)]
    assert {len(rank) for rank in ranks} == {3 if tail == "drop" else 4}
    sizes = [[len(batch["key"]) for batch in rank] for rank in ranks]
    assert sum(map(sum, sizes)) == {"drop": 48, "short": 57}.get(tail, 64)
    if tail == "mask":
        real = [
            key
            for rank in ranks
            for batch in rank
            for key, real in zip(batch["key"], batch["real"], strict=True)
            if real
        ]
        assert sorted(real) == sorted(set(real))
        assert len(real) == 57


class TestContract(StreamContract):
    @pytest.fixture
    def case(self, small: Store) -> StreamCase:
        def opened(rank: int, world: int, **drawn: Any) -> Stream:
            return stream(small, ["image.sharpness"], rank=rank, world=world, seed=5, epoch=2, threads=1, **drawn)

        drawn = {
            "global_batch_size": st.sampled_from([1, 4, 6, 12]),
            "tail": st.sampled_from(TAILS),
            "shuffle": st.booleans(),
            "lanes": st.integers(1, 6),
            "window_rows": st.integers(1, 40),
        }
        return StreamCase(opened, st.fixed_dictionaries(drawn))


def test_a_state_in_a_loops_body_says_that_the_batch_in_hand_is_done(small: Store) -> None:
    whole = numbers(stream(small, [], batch_size=8))
    one = stream(small, [], batch_size=8)
    for step, _ in enumerate(one):
        other = stream(small, [], batch_size=8)
        other.load_state_dict(one.state_dict())
        assert numbers(other) == whole[step + 1 :]
        assert other.epoch == 1


def test_a_state_is_small_and_plain(small: Store) -> None:
    text = json.dumps(stream(small, FEATURES, batch_size=8).state_dict())
    assert len(text) < 500


def test_a_state_of_another_order_is_refused_and_changes_nothing(small: Store) -> None:
    state = stream(small, [], batch_size=8, seed=1).state_dict() | {"step": 2}
    other = stream(small, [], batch_size=4, seed=2, world=3, tail="mask")
    with pytest.raises(
        SchemaMismatch, match=r"global_batch_size is 12, the state has 8 \(.*\); seed is 2, the state has 1; tail"
    ):
        other.load_state_dict(state)
    assert (other.epoch, other.step) == (0, 0)


@pytest.mark.parametrize("version", [None, 0, 3, "1", True])
def test_a_state_of_another_version_is_refused(small: Store, version: object) -> None:
    one = stream(small, [], batch_size=8)
    with pytest.raises(SchemaMismatch, match="version"):
        one.load_state_dict(one.state_dict() | {"version": version})


def test_a_state_of_other_content_is_refused_by_name(small: Store, toy: Store) -> None:
    one = stream(small, FEATURES, batch_size=8)
    with pytest.raises(SchemaMismatch, match="rows is not what it was"):
        one.load_state_dict(stream(toy, FEATURES, batch_size=8).state_dict())
    state = copy.deepcopy(one.state_dict())
    state["parts"][0]["content"]["speech.mfcc"] = "0" * 16
    with pytest.raises(SchemaMismatch, match=r"speech\.mfcc is not what it was"):
        one.load_state_dict(state)
    stream(small, ["image.embedding"], batch_size=8).load_state_dict(state)  # reads no mfcc: the order is the same


@pytest.mark.parametrize(
    "fault",
    [{"order": None}, {"parts": []}, {"parts": [{}]}, {"step": "3"}, {"step": -1}, {"step": 10**6}, {"epoch": None}],
)
def test_a_damaged_state_is_refused(small: Store, fault: dict[str, object]) -> None:
    one = stream(small, [], batch_size=8)
    with pytest.raises(SchemaMismatch):
        one.load_state_dict(one.state_dict() | fault)
    assert (one.epoch, one.step) == (0, 0)


def test_tensors_are_given_where_they_are_asked_for(small: Store) -> None:
    batch = next(iter(stream(small, [*FEATURES, "label"], batch_size=8, output="torch")))
    plain = next(iter(stream(small, [*FEATURES, "label"], batch_size=8)))
    for name, values in plain.items():
        if isinstance(values, np.ndarray):
            assert isinstance(batch[name], torch.Tensor)
            np.testing.assert_array_equal(batch[name].numpy(), values)
        else:
            assert batch[name] == values


def test_batches_are_the_callers_own(small: Store) -> None:
    one = stream(small, FEATURES, batch_size=8, tail="repeat")
    expected = [batch["image.embedding"].copy() for batch in stream(small, FEATURES, batch_size=8, tail="repeat")]
    for batch, values in zip(one, expected, strict=True):
        np.testing.assert_array_equal(batch["image.embedding"], values)
        batch["image.embedding"][:] = -1


def test_a_selection_and_its_splits_are_streamed_alone(toy: Store) -> None:
    select(toy, "v1", split={"train": 0.5, "val": 0.3, "test": 0.2}, where="image.sharpness < 1000")
    rows = {
        name: stream(toy, FEATURES, selection="v1", split=name, batch_size=50, tail="short")
        for name in ("train", "val", "test")
    }
    found = {name: flat(made) for name, made in rows.items()}
    assert sorted(number for part in found.values() for number in part) == list(range(2000))
    for batch in rows["val"]:
        check_rows(batch)
    both = stream(toy, [], selection="v1", split=["val", "test"], batch_size=50, tail="short")
    assert sorted(flat(both)) == sorted(found["val"] + found["test"])
    assert sorted(flat(stream(toy, [], selection="v1", batch_size=50, tail="short"))) == list(range(2000))


def test_a_state_of_another_split_is_refused(toy: Store) -> None:
    select(toy, "v2", split={"train": 0.5, "val": 0.5})
    state = stream(toy, [], selection="v2", split="train", batch_size=8).state_dict()
    with pytest.raises(SchemaMismatch, match="rows is not what it was"):
        stream(toy, [], selection="v2", split="val", batch_size=8).load_state_dict(state)


@pytest.mark.parametrize(
    ("settings_", "fault"),
    [
        ({"columns": ["image.embeding"]}, "did you mean 'image.embedding'"),
        ({"columns": ["zzz", "qqq"]}, "2 faults"),
        ({"batch_size": 0}, "batch_size: must be at least 1"),
        ({"batch_size": 4, "global_batch_size": 4, "world": 2}, "2 ranks of 4 rows are not global_batch_size=4"),
        ({"global_batch_size": 5, "world": 2}, "2 ranks can't share 5"),
        ({"rank": 1}, "no rank 1 in a world of 1"),
        ({"rank": -1}, "no rank -1"),
        ({"world": 0}, "world: must be at least 1"),
        ({"threads": 0}, "threads: must be at least 1"),
        ({"epoch": -1}, "epoch"),
        ({"lanes": 0}, "lanes must be at least 1"),
        ({"tail": "wrap"}, "tail must be one of"),
        ({"output": "jax"}, "output: must be numpy or torch"),
        ({"split": "train"}, "needs the name of a selection"),
        ({"batch_size": 58}, "57 rows fill no batch of 58"),
        ({"columns": FEATURES, "batch_size": 8, "max_bytes": 100}, "set window_rows="),
    ],
)
def test_settings_that_cannot_work_are_refused(small: Store, settings_: dict[str, Any], fault: str) -> None:
    with pytest.raises(ConfigError, match=fault):
        stream(small, **{"columns": [], **settings_})


def test_a_split_without_samples_says_which_there_are(toy: Store) -> None:
    select(toy, "v3", split={"train": 1.0})
    with pytest.raises(ConfigError, match="no samples in 'trian'; its splits are train"):
        stream(toy, [], selection="v3", split="trian")
    with pytest.raises(StoreError, match="no selection 'v9'"):
        stream(toy, [], selection="v9")


def test_an_empty_store_is_refused(build: Build) -> None:
    with pytest.raises(ConfigError, match="holds no samples"):
        stream(build(0), [])


def test_a_missing_family_is_named_before_the_first_batch(build: Build) -> None:
    store = build(4, 5, lacking=("speech.mfcc", 1))
    with pytest.raises(Incomplete, match=r"speech\.mfcc"):
        stream(store, FEATURES)
    assert len(flat(stream(store, ["image.embedding"], batch_size=3))) == 9


def test_shards_of_different_forms_are_named(build: Build) -> None:
    store = build(4, 5, odd=("image.embedding", 1))
    with pytest.raises(SchemaMismatch, match=r"image\.embedding"):
        list(stream(store, ["image.embedding"], batch_size=3))


def test_a_feature_file_whose_bytes_changed_is_named_where_digests_are_checked(build: Build) -> None:
    store = build(40, 30)
    file = store.view().shards[1].features["image.embedding"]
    path = Path(store.url) / file.path
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 1
    path.write_bytes(data)
    with pytest.raises(StoreError, match=rf"{file.path} has the digest .*: its bytes changed; `mmdata verify"):
        list(stream(store, ["image.embedding"], batch_size=3, check_digests=True))
    list(stream(store, ["key"], batch_size=3, check_digests=True))  # of what is not read, nothing is asked


@pytest.mark.parametrize("damage", ["gone", "cut", "overwritten", "emptied"])
def test_damaged_files_are_named(build: Build, damage: str) -> None:
    store = build(400, 300)
    shard = store.view().shards[1]
    path = f"{store.url}/{shard.features['image.embedding'].path}"
    one = stream(store, ["image.embedding"], batch_size=3)
    with open(path, "rb") as file:
        data = file.read()
    with open(path, "wb") as file:
        file.write(
            {"cut": data[: len(data) // 2], "overwritten": b"PAR1" + bytes(len(data)), "emptied": b""}.get(damage, b"")
        )
    if damage == "gone":
        import os

        os.unlink(path)
    with pytest.raises(StoreError, match=shard.features["image.embedding"].path):
        list(one)


def test_threads_end_with_the_iteration(small: Store) -> None:
    for _ in stream(small, FEATURES, batch_size=8):
        break
    list(stream(small, FEATURES, batch_size=8))
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("mmdata-read")]


def test_any_number_of_threads_gives_the_same_batches(toy: Store) -> None:
    made = [numbers(stream(toy, FEATURES, batch_size=32, window_rows=64, threads=threads)) for threads in (1, 4)]
    assert made[0] == made[1]


def test_little_is_held_where_little_is_allowed(toy: Store) -> None:
    roomy = stream(toy, ["image.embedding"], batch_size=32, window_rows=100, lanes=1)
    tight = stream(toy, ["image.embedding"], batch_size=32, window_rows=100, lanes=1, max_bytes=(1100 + 4 * 32) * 116)
    assert numbers(tight) == numbers(roomy)


def test_a_stream_says_what_it_gives(small: Store) -> None:
    one = stream(small, ["image.embedding", "label"], global_batch_size=8, world=2)
    assert (len(one), one.n_rows, one.batch_size) == (7, 57, 4)
    assert dict(one.specs) == {"image.embedding": ArraySpec(dims=("feature",), sizes={"feature": 4})}


def test_the_order_is_the_same_for_ever(small: Store) -> None:
    assert numbers(stream(small, [], batch_size=8, seed=7))[0] == [42, 7, 0, 21, 12, 31, 52, 41]


TWO: dict[str, Any] = {"lacking": ("image.embedding", 1), "sources": ("pictures", "songs")}


def test_a_shard_without_selected_samples_may_lack_a_family(build: Build) -> None:
    store = build(4, 5, **TWO)
    select(store, "seen", where="source = 'pictures'")
    assert sorted(flat(stream(store, FEATURES, selection="seen", batch_size=2))) == [0, 1, 2, 3]
    select(store, "both", split={"folds": 2})
    with pytest.raises(Incomplete, match="of source 'songs'"):
        stream(store, FEATURES, selection="both", split="fold0", batch_size=1)


def test_a_split_without_samples_of_a_shard_does_not_ask_for_its_features(build: Build) -> None:
    store = build(4, 5, **TWO)
    made = select(store, "v1", split={"folds": 2, "group": "source", "seed": 3})
    seen, other = (name for _, name in sorted((count, name) for name, count in made.splits.items()))
    assert len(flat(stream(store, FEATURES, selection="v1", split=seen, batch_size=2))) == 4
    with pytest.raises(Incomplete, match="lacks 1 of the 1 shards"):
        stream(store, FEATURES, selection="v1", split=other)


def test_a_missing_family_tells_of_its_sources_and_of_a_selection(build: Build) -> None:
    with pytest.raises(Incomplete) as told:
        stream(build(4, 5, 3, lacking=("image.embedding", 1), sources=("it's", "songs", "a")), FEATURES)
    assert "'image.embedding' lacks 1 of the 3 shards" in str(told.value)
    assert "of source 'songs': `mmdata features`" in str(told.value)
    assert """`where: "source in ('a', 'it''s')"`""" in str(told.value)


def test_no_selection_is_advised_where_none_helps(build: Build) -> None:
    with pytest.raises(Incomplete) as told:
        stream(build(4, 5, lacking=("image.embedding", 1)), FEATURES)
    assert "where:" not in str(told.value)


def test_a_state_holds_when_features_of_what_is_not_selected_come(build: Build) -> None:
    store = build(4, 5, **TWO)
    select(store, "seen", where="source = 'pictures'")
    state = stream(store, FEATURES, selection="seen", batch_size=2).state_dict()
    shard = store.view().shards[1]
    writer = FeatureWriter(store.url, "image.embedding", {"image.embedding": VECTOR}, shard=shard.shard, fp="f" * 16)
    writer.add(store.keys_of(shard), {"image.embedding": [np.zeros(4, np.float32)] * 5})
    file = writer.close(shard.samples.keys)
    store.commit([Change("image.embedding", add=[file])])
    stream(Store.open(store.url), FEATURES, selection="seen", batch_size=2).load_state_dict(state)


@pytest.mark.parametrize(
    ("saved", "world", "told"),
    [
        (8, 1, r"global_batch_size is 3, the state has 8 \(with 1 rank, batch_size=8 fits\)"),
        (8, 2, r"global_batch_size is 6, the state has 8 \(with 2 ranks, batch_size=4 fits\)"),
        (8, 3, r"global_batch_size is 9, the state has 8 \(which 3 ranks can't share equally\)"),
    ],
)
def test_a_state_of_another_global_batch_says_which_batch_fits(small: Store, saved: int, world: int, told: str) -> None:
    state = stream(small, [], batch_size=saved).state_dict()
    with pytest.raises(SchemaMismatch, match=told):
        stream(small, [], batch_size=3, world=world).load_state_dict(state)


def test_an_empty_split_tells_why_and_a_full_one_beside_it_is_streamed(build: Build) -> None:
    store = build(6)
    deal = {"train": 0.98, "val": 0.01, "test": 0.01}
    assert select(store, "v1", split=deal).splits == {"train": 6, "val": 0, "test": 0}
    with pytest.raises(ConfigError) as told:
        stream(store, [], selection="v1", split="val")
    assert told.value.faults == (
        "split: selection 'v1' has no samples in 'val': of 6 selected samples none was dealt to it; "
        "try another seed or other shares",
    )
    assert len(flat(stream(store, [], selection="v1", split=["train", "val"], batch_size=2))) == 6
