"""What is written is what is read, at each moment of a replacement."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.errors import CommitConflict, Incomplete, SchemaMismatch, StoreError
from mmdata.store.commits import apply
from mmdata.store.files import Files
from mmdata.store.log import FamilyLog
from mmdata.store.parts import StoredParts
from mmdata.store.read import StoredBlob
from mmdata.store.runs import Recipe
from mmdata.store.store import Change, Store
from mmdata.store.tables import SPEC
from mmdata.store.write import FeatureWriter

Made = Any  # the fixtures' class; conftest can't be imported
S1, S2, F1, F2, M1 = ("1" * 16, "2" * 16, "a" * 16, "b" * 16, "c" * 16)


def data(sample: Sample, part: str) -> bytes:
    assert isinstance(sample.parts, StoredParts)
    blob = sample.parts.blob(part)
    assert isinstance(blob, StoredBlob)
    return blob.data()


def score(store: Store) -> list[float]:
    """The first row's score of each shard: 0 plus what the feature added."""
    return [float(array) for array in store.arrays("image.phash.score") if array is not None][::5]


def test_reads_back_keys_features_and_parts(filled: Made) -> None:
    store = Store.open(filled.url)
    assert len(store) == 15
    assert store.keys() == [f"src/{shard}/{row}.png" for shard in range(3) for row in range(5)]
    assert set(store.families) == {"image.phash", "image.phash.score", "speech.mfcc"}
    sample = store.sample("src/1/3.png")
    assert data(sample, "image") == bytes([3]) * 103
    assert data(sample, "caption").decode() == "hé 3"
    assert sample.meta == {"label": "cat", "n": 3}


def test_gives_arrays_in_the_order_of_the_keys(filled: Made) -> None:
    store = Store.open(filled.url)
    first, failed, last = store.arrays("speech.mfcc", ["src/2/4.png", "src/0/2.png", "src/0/1.png"])
    assert failed is None
    assert first is not None
    assert last is not None
    np.testing.assert_array_equal(first, np.full((4, 3), 4, np.float32))
    np.testing.assert_array_equal(last, np.full((1, 3), 1, np.float32))
    assert store.arrays("speech.mfcc", []) == []


def test_drops_rejects_and_missing_features_are_told(filled: Made) -> None:
    store = Store.open(filled.url)
    drop = {"key": "src/0/d", "step": "clean.image.DropBlurred", "reason": "blurred", "pointer": "src/0/d.png"}
    assert store.drops().to_pylist()[0] == drop | {"source": "src"}
    assert store.rejects().column("key").to_pylist() == ["src/0/r", "src/1/r", "src/2/r"]
    assert store.missing().to_pylist()[0] == {"key": "src/0/2.png", "family": "speech.mfcc", "error": "too short"}
    assert len(store.missing()) == 3


def test_an_empty_store_has_empty_answers(made: Made) -> None:
    store = made.store
    assert (len(store), store.keys(), dict(store.families)) == (0, [], {})
    assert len(store.table()) == len(store.drops()) == len(store.missing()) == len(store.runs()) == 0
    with pytest.raises(StoreError, match=r"no sample 'x'"):
        store.sample("x")
    with pytest.raises(StoreError, match=r"no feature 'x'.*there are none"):
        store.arrays("x")


def test_names_what_is_there_instead_of_a_store(tmp_path: Path) -> None:
    (tmp_path / "photo.jpg").write_bytes(b"")
    with pytest.raises(StoreError, match=r"no store at .*it holds 'photo.jpg'"):
        Store.open(tmp_path)
    with pytest.raises(StoreError, match=r"no store at .*nothing is there"):
        Store.open(tmp_path / "nowhere")
    with pytest.raises(StoreError, match=r"no store at"):
        Store.open(tmp_path / "photo.jpg")


@pytest.mark.parametrize("marker", ['{"format": 3}', "{}", "[]", '{"format": "1"}', "{", ""])
def test_a_store_of_a_newer_or_broken_format_is_refused(made: Made, marker: str) -> None:
    (Path(made.url) / "store.json").write_text(marker)
    with pytest.raises(SchemaMismatch):
        Store.open(made.url)


def test_creating_a_store_that_is_there_opens_it(filled: Made) -> None:
    marker = (Path(filled.url) / "store.json").read_bytes()
    assert len(Store.create(filled.url)) == 15
    assert (Path(filled.url) / "store.json").read_bytes() == marker


def test_a_picture_stays_until_it_is_refreshed(filled: Made) -> None:
    store = Store.open(filled.url)
    assert len(store) == 15
    filled.commit(*filled.samples(3))
    assert len(store) == len(store.keys()) == 15
    store.refresh()
    assert len(store) == 20


def test_a_store_that_commits_reads_what_it_committed(filled: Made) -> None:
    store = Store.open(filled.url)
    assert store.sample("src/0/0.png")
    files = filled.samples(3)
    store.commit([Change("samples", add=[files[0]])])
    assert store.sample("src/3/0.png")
    assert len(store) == 20


def test_samples_that_are_replaced_while_a_picture_is_taken_are_looked_at_again(filled: Made) -> None:
    filled.run(Recipe(S2, {"image.phash": F2}))

    class Slow(Store):
        """Another run replaces all of shard 0 between this reader's looks at samples and at features."""

        done = False

        def _feature_names(self) -> list[str]:
            if not self.done:
                self.done = True
                other = Store.open(filled.url)
                old = [
                    each for each in (*other.files("samples"), *other.files("image.phash")) if each.shard == "0" * 16
                ]
                new = [filled.samples(0, fp=S2, rows=4)[0], filled.phash(0, fp=F2, value=100)]
                filled.commit(*new, remove=old)
            return super()._feature_names()

    reader = Slow.open(filled.url)
    assert reader.view().shards[0].rows == 4
    assert len(reader.arrays("image.phash")) == 14


def test_the_sound_rows_of_a_file_can_be_taken_over(filled: Made) -> None:
    store = filled.store
    rows = dict(store.read_rows(store.files("speech.mfcc")[1]))
    assert list(rows) == [f"src/1/{row}.png" for row in (0, 1, 3, 4)]
    np.testing.assert_array_equal(rows["src/1/4.png"]["speech.mfcc"], np.full((4, 3), 4, np.float32))
    both = dict(store.read_rows(store.files("image.phash")[0]))
    assert set(both["src/0/2.png"]) == {"image.phash", "image.phash.score"}


# ---- incomplete families


def test_says_how_many_shards_lack_a_family_and_what_makes_it(filled: Made) -> None:
    for number in (3, 4):
        filled.commit(*filled.samples(number))
    store = Store.open(filled.url)
    for read in (lambda: store.arrays("speech.mfcc"), lambda: store.table(["speech.mfcc"]), store.table):
        with pytest.raises(Incomplete, match=r"lacks 2 of 5 shards.*mmdata features"):
            read()
    with pytest.raises(Incomplete, match=r"lacks 1 of 5 shards"):
        store.arrays("speech.mfcc", ["src/0/1.png", "src/3/0.png"])
    assert store.arrays("speech.mfcc", ["src/0/1.png"])[0] is not None


def test_nulls_stand_for_what_is_lacking_when_asked(filled: Made) -> None:
    filled.commit(*filled.samples(3))
    store = Store.open(filled.url)
    assert store.arrays("speech.mfcc", incomplete=True)[15:] == [None] * 5
    table = store.table(["key", "image.phash", "image.phash.score", "speech.mfcc"], incomplete=True)
    assert len(table) == 20
    assert table.slice(15).column("image.phash.score").null_count == 5
    assert table.slice(15).column("image.phash").null_count == 5
    assert table.slice(15).column("speech.mfcc#time").null_count == 5


def test_a_shard_without_rows_lacks_nothing(filled: Made) -> None:
    filled.commit(*filled.samples(3, rows=0))
    store = Store.open(filled.url)
    assert len(store.view().shards) == 4
    assert len(store.arrays("speech.mfcc")) == 15
    assert len(store.table()) == 15


# ---- replacement


def test_a_feature_is_replaced_in_one_transaction(filled: Made) -> None:
    store = filled.store
    filled.run(Recipe(S1, {"image.phash": F2}))
    old = store.files("image.phash")
    for number in range(3):
        new = filled.phash(number, fp=F2, value=100)
        before = list((Path(filled.url) / "features/image.phash/_delta_log").glob("*.json"))
        filled.store.commit([Change("image.phash", add=[new], remove=[old[number]])])
        after = list((Path(filled.url) / "features/image.phash/_delta_log").glob("*.json"))
        assert len(after) == len(before) + 1
        expected = [100.0] * (number + 1) + [0.0] * (2 - number)
        assert score(Store.open(filled.url)) == expected


def test_samples_are_replaced_while_readers_always_see_their_own_features(filled: Made) -> None:
    """The order of a commit, stopped after each of its transactions."""
    filled.run(Recipe(S2, {"image.phash": F2}))
    store = filled.store
    samples = filled.samples(0, fp=S2, rows=4)[0]
    phash = filled.phash(0, fp=F2, value=100)
    shard = filled.shard_id(0)
    old = {
        family: [file for file in store.files(family) if file.shard == shard]
        for family in ("samples", "drops", "rejects", "image.phash", "speech.mfcc")
    }
    changes = [Change("samples", add=[samples]), Change("image.phash", add=[phash])]
    changes += [Change(family, remove=files) for family, files in old.items()]
    seen: list[tuple[int, float]] = []

    class Watched(FamilyLog):
        """Looks at the store after each transaction, as a reader who comes at that moment."""

        def change(self, *args: Any, **kwargs: Any) -> set[str]:
            done = super().change(*args, **kwargs)
            reader = Store.open(filled.url)
            seen.append((reader.view().shards[0].rows, score(reader)[0]))
            assert len(reader.arrays("image.phash")) == len(reader)
            return done

    files = Files.at(filled.url)
    logs = {change.family: Watched(files, change.family) for change in changes}
    apply(changes, logs.__getitem__, files)
    assert set(seen) == {(5, 0.0), (4, 100.0)}
    assert seen == sorted(seen, reverse=True)
    reader = Store.open(filled.url)
    assert reader.view().shards[0].drops is None
    assert [file.fp for file in reader.files("image.phash") if file.shard == shard] == [F2]
    assert [len(reader.files(family)) for family in ("samples", "drops", "speech.mfcc")] == [3, 2, 2]


def test_features_of_another_recipe_are_not_joined(filled: Made) -> None:
    """A feature made from samples of fingerprint S1 says nothing of the same keys made by S2."""
    filled.run(Recipe(S2, {"image.phash": F2}))
    store = filled.store
    old = [file for file in store.files("samples") if file.shard == filled.shard_id(0)]
    store.commit([Change("samples", add=[filled.samples(0, fp=S2)[0]], remove=old)])
    assert set(Store.open(filled.url).view().shards[0].features) == set()


def test_with_several_recipes_the_newest_runs_feature_is_read(filled: Made) -> None:
    filled.run(Recipe(S1, {"image.phash": F2}))
    for number in range(3):
        filled.commit(filled.phash(number, fp=F2, value=100))
    assert score(Store.open(filled.url)) == [100.0] * 3
    filled.run(Recipe(S1, {"image.phash": F1}))
    assert score(Store.open(filled.url)) == [0.0] * 3


def test_a_changed_setting_gives_the_live_files_own_specs(filled: Made) -> None:
    wide = {"speech.mfcc": ArraySpec(dims=("time", "coefficient"), sizes={"coefficient": 4}, hop_s=0.02)}
    filled.run(Recipe(S1, {"speech.mfcc": F2}))
    store = Store.open(filled.url)
    [old] = [file for file in store.files("speech.mfcc") if file.shard == filled.shard_id(1)]
    writer = FeatureWriter(filled.url, "speech.mfcc", wide, shard=filled.shard_id(1), fp=F2)
    keys = filled.keys[filled.shard_id(1)]
    writer.add(keys, {"speech.mfcc": [np.zeros((2, 4), np.float32)] * 5})
    store.commit([Change("speech.mfcc", wide, [writer.close(keys_digest(keys))], [old])])
    store = Store.open(filled.url)
    assert store.families["speech.mfcc"] == wide["speech.mfcc"]
    shapes = [None if array is None else array.shape for array in store.arrays("speech.mfcc")]
    assert shapes[4:8] == [(4, 3), (2, 4), (2, 4), (2, 4)]
    with pytest.raises(SchemaMismatch, match="being replaced"):
        store.table(["speech.mfcc"])


def test_a_family_may_gain_a_column_and_lose_it(filled: Made) -> None:
    filled.run(Recipe(S1, {"image.phash": F2}))
    store, keys = filled.store, filled.keys[filled.shard_id(0)]
    columns = {
        "image.phash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8"),
        "image.phash.new": ArraySpec(),
    }
    writer = FeatureWriter(filled.url, "image.phash", columns, shard=filled.shard_id(0), fp=F2)
    writer.add(keys, {"image.phash": np.zeros((5, 8), np.uint8), "image.phash.new": np.ones(5, np.float32)})
    [old] = [file for file in store.files("image.phash") if file.shard == filled.shard_id(0)]
    store.commit([Change("image.phash", columns, [writer.close(keys_digest(keys))], [old])])
    store = Store.open(filled.url)
    assert set(store.families) == {"image.phash", "image.phash.new", "speech.mfcc"}
    assert [float(array) for array in store.arrays("image.phash.new", keys) if array is not None] == [1.0] * 5
    with pytest.raises(SchemaMismatch, match=r"no column 'image.phash.new'"):
        store.arrays("image.phash.new")


def test_a_column_of_another_type_is_refused_before_anything_is_committed(filled: Made) -> None:
    columns = {"image.phash.score": ArraySpec(dtype="int32")}
    keys = filled.keys[filled.shard_id(0)]
    writer = FeatureWriter(filled.url, "image.phash", columns, shard=filled.shard_id(0), fp=F2)
    writer.add(keys, {"image.phash.score": np.ones(5, np.int32)})
    before = filled.store.files("image.phash")
    with pytest.raises(SchemaMismatch, match=r"'image.phash' has column 'image.phash.score' .*another name"):
        filled.commit(writer.close(keys_digest(keys)))
    assert filled.store.files("image.phash") == before


# ---- commits


def test_doing_a_commit_again_changes_nothing(filled: Made) -> None:
    store = filled.store
    samples, phash = filled.samples(7)[0], filled.phash(7)
    changes = [
        Change("samples", add=[samples]),
        Change("image.phash", add=[phash], remove=store.files("image.phash")[:1]),
    ]
    store.commit(changes)
    versions = versions_of(filled)
    store.commit(changes)
    Store.open(filled.url).commit(changes)
    assert versions_of(filled) == versions
    assert len(store.files("samples")) == 4


def versions_of(made: Made) -> dict[str, int]:
    logs = Path(made.url).rglob("_delta_log")
    return {str(log): len(list(log.glob("*.json"))) for log in logs}


def test_a_transaction_is_committed_once_even_when_its_files_are_gone_since(filled: Made) -> None:
    store = filled.store
    samples = filled.samples(7)
    store.commit([Change("samples", add=[samples[0]])], txn=("run:x", 1))
    store.commit([Change("samples", remove=[samples[0]])])
    Store.open(filled.url).commit([Change("samples", add=[samples[0]])], txn=("run:x", 1))
    assert len(store.files("samples")) == 3
    store.commit([Change("samples", add=[samples[0]])], txn=("run:x", 2))
    assert len(store.files("samples")) == 4


def test_several_changes_of_a_family_are_one(filled: Made) -> None:
    first, second = filled.samples(7)[0], filled.samples(8)[0]
    filled.store.commit([Change("samples", add=[first]), Change("samples", add=[second])], txn=("run:x", 1))
    assert len(filled.store.files("samples")) == 5


def test_replacing_what_another_run_replaced_is_a_conflict_and_leaves_nothing(filled: Made) -> None:
    old = filled.store.files("samples")[0]
    filled.store.commit([Change("samples", add=[filled.samples(0, fp=S2)[0]], remove=[old])])
    third = filled.samples(0, fp="3" * 16)[0]
    phash = filled.phash(0, fp="4" * 16)
    before = {family: filled.store.files(family) for family in ("samples", "image.phash")}
    with pytest.raises(CommitConflict, match="another run has already replaced"):
        filled.store.commit([Change("image.phash", add=[phash]), Change("samples", add=[third], remove=[old])])
    assert {family: filled.store.files(family) for family in before} == before


def test_a_shard_never_has_two_samples_files(filled: Made) -> None:
    other = filled.samples(0, fp=S2)[0]
    with pytest.raises(CommitConflict, match=r"shard 0{16} is there already"):
        filled.store.commit([Change("samples", add=[other])])
    with pytest.raises(CommitConflict, match=r"shard 0{15}7 is there already"):
        filled.store.commit([Change("samples", add=[filled.samples(7)[0], filled.samples(7, fp=S2)[0]])])


def test_a_thousand_commits_open_from_a_checkpoint(made: Made) -> None:
    """The log's values and row counts survive checkpoints."""
    from mmdata.store.layout import DataFile

    made.run(Recipe(S1, {}))
    store = made.store
    for number in range(120):
        shard = f"{number:016x}"
        file = DataFile("samples", f"samples/{shard}.parquet", shard, S1, "k" * 12, number, 10, "d" * 32, "src/é ,=")
        store.commit([Change("samples", add=[file], remove=store.files("samples")[:1] if number == 110 else [])])
    assert list((Path(made.url) / "samples" / "_delta_log").glob("*.checkpoint.parquet"))
    back = Store.open(made.url).files("samples")
    assert [(file.rows, file.source, file.digest, file.media) for file in back] == [
        (number, "src/é ,=", "d" * 32, None) for number in range(1, 120)
    ]


def test_a_finished_run_rewrites_the_index(filled: Made) -> None:
    run = filled.run(Recipe(S1, {}))
    filled.commit(*filled.samples(5))
    filled.store.finish_run(run, counts={"read": 5}, seconds=1.5)
    index = json.loads((Path(filled.url) / "media" / "index.json").read_text())
    assert len(index["shardlist"]) == 4
    last = filled.store.runs().to_pylist()[-1]
    assert (last["run"], last["state"], json.loads(last["counts"]), last["seconds"]) == (
        run,
        "finished",
        {"read": 5},
        1.5,
    )
    assert filled.store.runs().column("state").to_pylist() == ["started", "finished"]
    with pytest.raises(StoreError, match="no run 'nope'"):
        filled.store.finish_run("nope", counts={}, seconds=0)


def test_where_one_file_of_a_family_is_damaged_another_says_what_it_promises(filled: Made) -> None:
    store = filled.store
    families = dict(store.families)
    (shard, _, rest) = (filled.shard_id(number) for number in range(3))
    for file in store.files("image.phash"):
        if file.shard == shard:
            (Path(filled.url) / file.path).write_bytes(b"PAR1 and no more")
    store = Store.open(filled.url)
    assert (dict(store.families), dict(store.unreadable)) == (families, {})
    assert store.damaged["image.phash"].startswith("1 of 3 files can't be read: features/image.phash/")
    assert store.arrays("image.phash.score", filled.keys[rest])[0] is not None
    with pytest.raises(SchemaMismatch, match="is damaged or can't be read"):
        store.arrays("image.phash.score", filled.keys[shard])


@pytest.mark.parametrize("data", [b"", b"PAR1 and no more", None])
def test_a_family_of_which_no_file_can_be_read_is_named_and_the_others_are_there(
    filled: Made, data: bytes | None, caplog: pytest.LogCaptureFixture
) -> None:
    for file in filled.store.files("image.phash"):
        path = Path(filled.url) / file.path
        path.unlink() if data is None else path.write_bytes(data)
    store = Store.open(filled.url)
    assert set(store.families) == {"speech.mfcc"}
    assert list(store.damaged) == ["image.phash"]
    assert file.path.rpartition("/")[0] in store.damaged["image.phash"]
    assert "family=image.phash is left out" in caplog.text
    assert len(store.arrays("speech.mfcc")) == len(store)
    assert store.table().num_rows == len(store)
    for column in ("image.phash.score", "image.phash"):
        with pytest.raises(StoreError, match=r"of 'image.phash' none of its files can be read"):
            store.family_of(column)


def test_a_promise_that_can_t_be_read_is_damage(filled: Made) -> None:
    for file in filled.store.files("image.phash"):
        path = Path(filled.url) / file.path
        rows = pq.read_table(path)
        fields = [field.with_metadata({SPEC: b"[1"}) if field.metadata else field for field in rows.schema]
        pq.write_table(rows.cast(pa.schema(fields)), path)
    store = Store.open(filled.url)
    assert list(store.damaged) == ["image.phash"]
    assert "has no promise that can be read" in store.damaged["image.phash"]
