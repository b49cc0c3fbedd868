"""What holds for a store wherever it lies, as tests: a subclass with one fixture gets them all.

    from mmdata.testing.contracts.stores import StoreContract

    class TestOnMyBucket(StoreContract):
        @pytest.fixture
        def url(self, tmp_path: Path) -> str:
            return f"s3://bucket/{tmp_path.name}"  # a place of the test's own, where nothing is yet

        @pytest.fixture
        def storage_options(self) -> dict[str, str]: ...

The heart of it: what is committed is what is read, readers never see a shard half replaced, doing a commit again
changes nothing, and of two writers one is told that the other was first.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded, Entry, Member
from mmdata.core.sample import Blob, Sample, Text
from mmdata.errors import CommitConflict, Incomplete, StoreError
from mmdata.store.layout import DataFile
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.verify import verify
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

OLD, NEW = "a" * 16, "b" * 16  # fingerprints
FEATURE = {"text.numbers": ArraySpec(dims=("number",), sizes={"number": 3})}
RECIPE = Recipe(OLD, {"text.numbers": OLD})
ENTRY = Entry("toy/0/0", (Member("text", "0/0.txt", 4, "then"),), {"label": "é\n"})


@dataclass(frozen=True)
class Place:
    """Where a store lies, and how to write files there that wait for a commit."""

    url: str
    storage_options: Mapping[str, str] = field(default_factory=dict)

    def create(self) -> Store:
        return Store.create(self.url, storage_options=self.storage_options)

    def open(self, snapshot: str | None = None) -> Store:
        return Store.open(self.url, snapshot=snapshot, storage_options=self.storage_options)

    def shard(self, number: int, *, rows: int = 3, fp: str = OLD, value: float = 0.0) -> dict[str, DataFile]:
        """A shard's files by family: rows toy/NUMBER/ROW with a text and an array of their row plus `value`."""
        shard = f"{number:016x}"
        keys = [f"toy/{number}/{row}" for row in range(rows)]
        options = dict(self.storage_options)
        with ShardWriter(self.url, shard=shard, fp=fp, source="toy", storage_options=options) as writer:
            for key in keys:
                text = Text(f"é {key}")
                encoded = Encoded(Blob.of(text.text.encode()), "txt", text)
                writer.add(Sample(key, {"text": text}, {"n": 1}), {"text": encoded}, pointers={"text": f"{key}.txt"})
            writer.drop(f"toy/{number}/dropped", "clean.text.KeepLength", "too_short", "")
            made = {file.family: file for file in writer.close()}
        family, columns = "text.numbers", FEATURE
        features = FeatureWriter(self.url, family, columns, shard=shard, fp=fp, storage_options=options)
        features.add(keys, {family: [np.full(3, row + value, np.float32) for row in range(rows)]})
        return made | {family: features.close(keys_digest(keys))}

    def commit(self, add: Mapping[str, DataFile], remove: Mapping[str, DataFile] | None = None) -> None:
        """Commit from a store that is opened anew, as another process would."""
        gone = remove or {}
        families = sorted({*add, *gone})
        self.open().commit(
            [
                Change(
                    family,
                    FEATURE if family in FEATURE else {},
                    [add[family]] if family in add else [],
                    [gone[family]] if family in gone else [],
                )
                for family in families
            ]
        )


class StoreContract:
    """Tests of stores at one kind of place."""

    @pytest.fixture
    def url(self) -> str:
        raise NotImplementedError("a subclass of StoreContract gives a fixture `url` that returns a place's URL")

    @pytest.fixture
    def storage_options(self) -> Mapping[str, str]:
        return {}

    @pytest.fixture
    def place(self, url: str, storage_options: Mapping[str, str]) -> Place:
        return Place(url, storage_options)

    @pytest.fixture
    def filled(self, place: Place) -> Place:
        """Two shards of three samples with a feature."""
        place.create().start_run(command="test", recipe=RECIPE)
        for number in range(2):
            place.commit(place.shard(number))
        return place

    def test_a_place_without_a_store_says_so_and_stays_empty(self, place: Place) -> None:
        for _ in range(2):
            with pytest.raises(StoreError, match="no store at"):
                place.open()

    def test_creating_a_store_that_is_there_opens_it(self, filled: Place) -> None:
        assert len(filled.create()) == len(filled.open()) == 6

    def test_what_is_committed_is_read(self, filled: Place) -> None:
        store = filled.open()
        keys = [f"toy/{number}/{row}" for number in range(2) for row in range(3)]
        assert store.keys() == keys
        assert dict(store.families) == FEATURE
        assert [array.tolist() for array in store.arrays("text.numbers") if array is not None] == [
            [float(row)] * 3 for _ in range(2) for row in range(3)
        ]
        sample = store.sample("toy/1/2")
        assert sample.parts["text"] == Text("é toy/1/2")
        assert sample.meta == {"n": 1}
        assert store.table(["key", "text.text"], where="key = 'toy/0/1'").to_pylist() == [
            {"key": "toy/0/1", "text.text": "é toy/0/1"}
        ]
        assert store.drops().column("key").to_pylist() == ["toy/0/dropped", "toy/1/dropped"]
        assert verify(store).is_sound

    def test_what_is_not_committed_is_not_seen(self, filled: Place) -> None:
        before = filled.open().keys()
        filled.shard(2)
        filled.shard(1, fp=NEW)
        assert filled.open().keys() == before

    def test_a_picture_stays_until_it_is_refreshed(self, filled: Place) -> None:
        reader = filled.open()
        assert len(reader) == 6
        filled.commit(filled.shard(2))
        assert len(reader.keys()) == 6
        reader.refresh()
        assert len(reader.keys()) == 9

    def test_a_shard_without_its_feature_is_incomplete(self, filled: Place) -> None:
        made = filled.shard(2)
        filled.commit({family: file for family, file in made.items() if family not in FEATURE})
        with pytest.raises(Incomplete, match="lacks 1 of 3 shards"):
            filled.open().arrays("text.numbers")
        filled.commit({family: made[family] for family in FEATURE})
        assert len(filled.open().arrays("text.numbers")) == 9

    def test_doing_a_commit_again_changes_nothing(self, filled: Place) -> None:
        made = filled.shard(2)
        filled.commit(made)
        before = filled.open().view()
        filled.commit(made)
        filled.commit(filled.shard(2))  # written again, as after a kill
        assert filled.open().view() == before

    def test_a_shard_is_replaced_with_its_features(self, filled: Place) -> None:
        old, new = filled.shard(0), filled.shard(0, rows=2, fp=NEW, value=5)
        filled.create().start_run(command="test", recipe=Recipe(NEW, {"text.numbers": NEW}))
        filled.commit(new, remove=old)
        store = filled.open()
        assert len(store) == 5
        (first,) = store.arrays("text.numbers", ["toy/0/0"])
        assert first is not None
        assert first.tolist() == [5.0] * 3
        assert {file.fp for family in old for file in store.files(family) if file.shard == old[family].shard} == {NEW}
        assert verify(store).is_sound

    def test_of_two_that_replace_one_shard_the_second_is_told_and_commits_nothing(self, filled: Place) -> None:
        old = filled.shard(0)
        filled.commit(filled.shard(0, fp=NEW), remove=old)
        before = {family: filled.open().files(family) for family in old}
        with pytest.raises(CommitConflict):
            filled.commit(filled.shard(0, fp="c" * 16), remove=old)
        assert {family: filled.open().files(family) for family in old} == before

    def test_many_writers_at_once_lose_nothing(self, filled: Place) -> None:
        made = [filled.shard(number) for number in range(2, 8)]
        with ThreadPoolExecutor(3) as threads:
            list(threads.map(filled.commit, made))
        assert len(filled.open()) == 3 * 8
        assert verify(filled.open()).is_sound

    def test_a_plan_is_read_as_it_was_recorded_and_amended(self, place: Place) -> None:
        store = place.create()
        assert store.plan("toy").version == -1
        version = store.commit_plan("toy", -1, add={"s0": [ENTRY], "s1": []})
        place.open().commit_plan("toy", version, add={"s2": [ENTRY]}, remove=["s0"])
        assert dict(place.open().plan("toy").shards) == {"s1": [], "s2": [ENTRY]}
        assert not place.open().plan("other").shards

    def test_of_two_that_plan_one_source_the_second_is_told(self, place: Place) -> None:
        place.create().commit_plan("toy", -1, add={"s0": [ENTRY]})
        with pytest.raises(CommitConflict):
            place.open().commit_plan("toy", -1, add={"s1": [ENTRY]})
        assert list(place.open().plan("toy").shards) == ["s0"]

    def test_a_snapshot_stays_what_it_was(self, filled: Place) -> None:
        filled.open().snapshot("v1")
        before = filled.open(snapshot="v1").view()
        filled.commit(filled.shard(0, rows=1, fp=NEW), remove=filled.shard(0))
        filled.commit(filled.shard(5))
        pinned = filled.open(snapshot="v1")
        assert pinned.view() == before
        assert len(pinned.arrays("text.numbers")) == len(pinned) == 6
        with pytest.raises(StoreError, match="v1"):
            pinned.commit([])

    def test_a_snapshots_name_is_given_once(self, filled: Place) -> None:
        filled.open().snapshot("v1")
        with pytest.raises(StoreError, match="v1"):
            filled.open().snapshot("v1")
        assert filled.open().snapshots() == ["v1"]
        with pytest.raises(StoreError, match="v2"):
            filled.open(snapshot="v2")

    def test_a_run_is_recorded_from_start_to_end(self, filled: Place) -> None:
        run = filled.open().start_run(command="again", recipe=RECIPE, pipeline={"file": "é: 1"})
        filled.open().finish_run(run, counts={"stored": 6}, seconds=1.5)
        last = filled.open().runs().to_pylist()[-1]
        assert (last["run"], last["command"], last["seconds"]) == (run, "again", 1.5)
        assert (json.loads(last["pipeline"]), json.loads(last["counts"])) == ({"file": "é: 1"}, {"stored": 6})
