from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from mmdata.errors import ConfigError, SchemaMismatch
from mmdata.loader.follow import FollowingStream
from mmdata.loader.ordering import seed_of
from mmdata.loader.rows import rows
from mmdata.loader.stream import Stream, stream
from mmdata.store import Store

Build = Callable[..., Store]


def opened(store: Store, **settings: Any) -> Stream:
    return stream(store, ["image.sharpness"], batch_size=4, lanes=2, **settings)


def saved(made: Stream) -> dict[str, Any]:
    """A state after two steps, as it comes back from a file."""
    for _ in made:
        if made.step == 2:
            break
    state: dict[str, Any] = json.loads(json.dumps(made.state_dict()))
    return state


def test_a_store_that_grew_says_so_and_what_to_do(make_store: Build, tmp_path: Any) -> None:
    before, after = make_store(tmp_path / "a", (20, 3)), make_store(tmp_path / "b", (20, 3, 25))
    with pytest.raises(SchemaMismatch) as told:
        opened(after).load_state_dict(saved(opened(before)))
    assert "the store is newer: 48 rows in 3 shards, the state saw 23 in 2" in str(told.value)
    assert "mmdata.open(..., snapshot=NAME)" in str(told.value)
    with pytest.raises(
        SchemaMismatch, match="the store is older, or lost samples: 23 rows in 2 shards, the state saw 48"
    ):
        opened(before).load_state_dict(saved(opened(after)))


def test_a_state_of_a_snapshot_names_it(make_store: Build, tmp_path: Any) -> None:
    store = make_store(tmp_path / "a", (20, 3))
    store.snapshot("v1")
    state = saved(opened(Store.open(store.url, snapshot="v1")))
    assert state["parts"][0]["snapshot"] == "v1"
    place = opened(store)
    place.load_state_dict(state)  # the store still holds the same
    assert place.step == 2
    other = make_store(tmp_path / "b", (20, 3, 25))
    with pytest.raises(SchemaMismatch, match="the state is of snapshot 'v1': open the store with snapshot='v1'"):
        opened(other).load_state_dict(state)


def test_features_that_changed_are_told_from_samples_that_did(small: Store) -> None:
    state = saved(opened(small))
    state["parts"][0]["content"]["image.sharpness"] = "0" * 16
    with pytest.raises(SchemaMismatch, match="the samples are the same, their features are not"):
        opened(small).load_state_dict(state)
    state = saved(opened(small))
    state["parts"][0]["content"]["rows"] = "0" * 16
    with pytest.raises(SchemaMismatch, match="the rows are as many, but not the same"):
        opened(small).load_state_dict(state)


def test_a_state_of_the_first_version_is_read(small: Store) -> None:
    state = saved(opened(small))
    old = {name: state[name] for name in ("epoch", "step", "order")} | {
        "version": 1,
        "content": state["parts"][0]["content"],
    }
    place = opened(small)
    place.load_state_dict(old)
    assert (place.epoch, place.step) == (0, 2)
    with pytest.raises(SchemaMismatch, match="it lacks its order or content"):
        place.load_state_dict({**old, "content": None})
    old["content"]["rows"] = "0" * 16
    with pytest.raises(SchemaMismatch, match="rows is not what it was"):
        place.load_state_dict(old)


def test_a_state_of_a_newer_version_says_that_this_one_is_old(small: Store) -> None:
    with pytest.raises(SchemaMismatch, match="a newer mmdata saved it, update this one"):
        opened(small).load_state_dict({**saved(opened(small)), "version": 3})


@pytest.mark.parametrize("parts", [None, 3, "ab", [None], [{}], [{"content": 3}], {"a": 1}])
def test_damaged_parts_are_refused(small: Store, parts: object) -> None:
    place = opened(small)
    with pytest.raises(SchemaMismatch, match="the stream's state is damaged"):
        place.load_state_dict({**saved(opened(small)), "parts": parts})
    assert place.step == 0


def test_parts_of_a_mixture_have_seeds_of_their_own() -> None:
    assert len({seed_of(seed, part) for seed in range(3) for part in range(5)}) == 15
    assert seed_of(7, 0) == 7


@pytest.mark.parametrize("state", [None, 3, "state", [], [{"version": 2}]])
def test_what_is_no_mapping_is_no_state(small: Store, state: Any) -> None:
    with pytest.raises(SchemaMismatch, match="not a mapping"):
        stream(small, ["label"], batch_size=4).load_state_dict(state)
    with pytest.raises(SchemaMismatch, match="not a mapping"):
        FollowingStream(small, ["label"], name="a").load_state_dict(state)


@pytest.mark.parametrize("name", ["seed", "epoch", "batch_size", "global_batch_size", "lanes", "window_rows"])
def test_integers_of_numpy_make_states_of_json_and_other_numbers_are_refused(small: Store, name: str) -> None:
    given: dict[str, Any] = {"batch_size": 4, name: np.int64(4)}
    made = stream(small, [], **given)
    made.seek(epoch=np.int64(4), step=np.int64(2))  # type: ignore[arg-type]
    there = stream(small, [], **{**given, name: 4})
    there.load_state_dict(json.loads(json.dumps(made.state_dict())))
    assert next(iter(there))["key"] == next(iter(made))["key"]
    with pytest.raises(ConfigError, match=f"{name}: must be a whole number, not 2.5"):
        stream(small, [], **{**given, name: 2.5})


@pytest.mark.parametrize("name", ["epoch", "step"])
@pytest.mark.parametrize("value", [True, False, 1.0, "1", None, -1, [1]])
def test_a_place_is_two_whole_numbers(small: Store, name: str, value: Any) -> None:
    for made in (opened(small), FollowingStream(small, ["image.sharpness"], name="f", batch_size=4, lanes=2)):
        state = {**made.state_dict(), name: value}
        with pytest.raises(SchemaMismatch, match=r"the stream's state is damaged: epoch .*, step"):
            made.load_state_dict(state)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"threads": 1.5}, "threads: must be a whole number, not 1.5"),
        ({"threads": 0}, "threads: must be at least 1, not 0"),
        ({"threads": True}, "threads: must be a whole number, not True"),
        ({"world": 2.0}, "world: must be a whole number, not 2.0"),
        ({"rank": "0"}, "rank: must be a whole number, not '0'"),
        ({"epoch": -1}, "epoch: must be at least 0, not -1"),
        ({"max_consecutive_bad": 0.5}, "max_consecutive_bad: must be a whole number, not 0.5"),
        ({"max_bytes": 0}, "max_bytes: must be a number of bytes, at least 1, not 0"),
        ({"max_bytes": float("nan")}, "max_bytes: must be a number of bytes, at least 1, not nan"),
        ({"max_bytes": "1G"}, "max_bytes: must be a number of bytes, at least 1, not '1G'"),
    ],
)
def test_numbers_of_another_kind_are_refused(small: Store, settings: dict[str, Any], told: str) -> None:
    with pytest.raises(ConfigError) as error:
        opened(small, **settings)
    assert error.value.faults == (told,)
    if settings.keys() <= {"threads"}:
        with pytest.raises(ConfigError, match=told):
            rows(small, ["image.sharpness"], **settings)


def test_sizes_may_be_written_as_powers_of_ten(small: Store) -> None:
    assert list(opened(small, max_bytes=4e8, threads=np.int64(1)))
