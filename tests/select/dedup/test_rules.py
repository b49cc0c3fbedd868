"""Rules over a store: what they leave out, which of a cluster stays, and what they do beside other selections."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.ports import Encoded
from mmdata.core.sample import Blob, Sample, Text
from mmdata.errors import ConfigError, Incomplete, StoreError
from mmdata.features.text import MinHash
from mmdata.select import diff, select
from mmdata.select.dedup import Against, Exact, NearAudio, NearBits, NearImage, NearText, NearVideo, Rule, Semantic
from mmdata.store import Store
from mmdata.store.runs import Recipe
from mmdata.store.store import Change
from mmdata.store.write import ShardWriter
from mmdata.store.write_features import FeatureWriter

FP = "f" * 16
SPECS = {
    "image.phash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8"),
    "image.dhash": ArraySpec(dims=("byte",), sizes={"byte": 8}, dtype="uint8"),
    "text.minhash": MinHash().spec(),
    "audio.fingerprint": ArraySpec(dims=("landmark",), dtype="uint32"),
    "text.embedding": ArraySpec(dims=("feature",), sizes={"feature": 4}, dtype="float16"),
    "video.fingerprint": ArraySpec(dims=("time", "byte"), sizes={"byte": 32}, dtype="uint8"),
    "video.fingerprint.times_s": ArraySpec(dims=("time",), dtype="float64"),
    "quality": ArraySpec(),
}
Row = Mapping[str, Any]


def stored(place: Path, shards: Sequence[Sequence[Row]], *, source: str = "toy") -> Store:
    """A store of samples named by their numbers, with a text part and whatever features rows give."""
    store = Store.create(str(place))
    families = sorted({name for rows in shards for row in rows for name in row if name in SPECS})
    store.start_run(command="test", recipe=Recipe(FP, dict.fromkeys(families, FP)))
    number = 0
    for at, rows in enumerate(shards):
        shard = f"{at:016x}"
        with ShardWriter(store.url, shard=shard, fp=FP, source=source) as writer:
            for row in rows:
                text = Text(str(row.get("text", number)))
                parts = {"text": Encoded(Blob.of(text.text.encode()), "txt", text)}
                writer.add(Sample(f"{source}/{number:03d}", {"text": text}, {"n": number}), parts, pointers={})
                number += 1
            changes = [Change("samples", add=writer.close())]
            keys = writer.keys
        for family in families:
            with FeatureWriter(store.url, family, {family: SPECS[family]}, shard=shard, fp=FP) as made:
                made.add(keys, {family: [filled(family, row.get(family)) for row in rows]})
                changes.append(Change(family, add=[made.close(keys_digest(keys))]))
        store.commit(changes)
    return store


def filled(family: str, value: Any) -> np.ndarray | None:
    return None if value is None else np.asarray(value, SPECS[family].dtype)


def out(store: Store, name: str = "v1") -> dict[int, str]:
    """The numbers of the samples that were left out, and why."""
    rows = store.selection(name).to_pylist()
    return {int(row["key"].rpartition("/")[2]): row["reason"] for row in rows if row["reason"]}


def bits(*places: int) -> list[int]:
    """A hash of 64 bits with some set."""
    value = sum(1 << place for place in places)
    return list(value.to_bytes(8, "little"))


def test_the_same_bytes_are_one_and_the_first_stays(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [[{"text": "a"}, {"text": "b"}, {"text": "a"}], [{"text": "c"}, {"text": "b"}]])
    made = select(store, "v1", dedup=[Exact(on="text")])
    assert out(store) == {2: "dedup.exact", 4: "dedup.exact"}
    assert (made.reasons, made.clusters) == ({"dedup.exact": 2}, 2)
    assert store.selection("v1")["cluster"].to_pylist() == [0, 1, 0, None, 1]
    assert select(store, "v2", dedup=[Exact()]).reasons == {"dedup.exact": 2}
    assert select(store, "v3", dedup=[Exact(on="meta.n")]).reasons == {}


def test_of_a_cluster_the_best_stays_and_what_has_no_quality_comes_last(tmp_path: Path) -> None:
    rows = [{"text": "a", "quality": quality} for quality in (1, None, 3, float("nan"), 3)]
    store = stored(tmp_path / "s", [rows, [{"text": "b", "quality": None}, {"text": "b", "quality": -1}]])
    select(store, "v1", dedup=[Exact(on="text", keep="quality")])
    assert sorted(out(store)) == [0, 1, 3, 4, 5]
    select(store, "v1", where="quality < 3", dedup=[Exact(on="text", keep="quality")])
    assert {n: why for n, why in out(store).items() if "dedup" in why} == {}


def test_pictures_must_be_near_in_both_hashes(tmp_path: Path) -> None:
    rows: list[Row] = [
        {"image.phash": bits(), "image.dhash": bits()},
        {"image.phash": bits(*range(8)), "image.dhash": bits(*range(5))},
        {"image.phash": bits(*range(30, 39)), "image.dhash": bits()},
        {"image.phash": bits(60), "image.dhash": bits(*range(20, 26))},
        {"image.phash": bits(60), "image.dhash": None},
        {"image.phash": None, "image.dhash": bits()},
    ]
    store = stored(tmp_path / "s", [rows[:3], rows[3:]])
    select(store, "v1", dedup=[NearImage()])
    assert out(store) == {1: "dedup.near_image"}
    select(store, "v1", dedup=[NearImage(also=None, max_bits=1)])
    assert out(store) == {3: "dedup.near_image", 4: "dedup.near_image"}
    select(store, "v1", dedup=[NearBits(on="image.dhash", max_bits=0)])
    assert out(store) == {2: "dedup.near_bits", 5: "dedup.near_bits"}


def test_a_hash_that_is_not_there_to_confirm_is_asked_for(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [[{"image.phash": bits()}, {"image.phash": bits()}]])
    with pytest.raises(ConfigError, match=r"DifferenceHash\), or set also: null"):
        select(store, "v1", dedup=[NearImage()])
    assert select(store, "v1", dedup=[NearImage(also=None)]).reasons == {"dedup.near_image": 1}


WORDS = [f"word{n}" for n in range(200)]


def test_texts_alike_are_found_and_texts_without_words_are_not(tmp_path: Path) -> None:
    texts = [
        " ".join(WORDS),
        " ".join(WORDS).upper() + "!",
        " ".join(reversed(WORDS)),
        "",
        "...",
        " ".join(WORDS[:196]),
    ]
    rows = [{"text": text, "text.minhash": MinHash().extract(Text(text))} for text in texts]
    store = stored(tmp_path / "s", [[*rows, {"text.minhash": None}]])
    select(store, "v1", dedup=[NearText()])
    assert out(store) == {1: "dedup.near_text", 5: "dedup.near_text"}
    select(store, "v1", dedup=[NearText(min_similarity=0.995)])
    assert out(store) == {1: "dedup.near_text"}
    with pytest.raises(ConfigError, match="20 bands of 9 need 180 places"):
        select(store, "v1", dedup=[NearText(n_bands=20)])


def test_recordings_that_share_landmarks_are_found_in_longer_ones(tmp_path: Path) -> None:
    marks = np.arange(1000, 1300, 3, dtype=np.uint32)
    rows = [marks, marks[10:60], marks + 1, marks[:11], None, np.zeros(0, np.uint32), np.zeros(0, np.uint32)]
    store = stored(tmp_path / "s", [[{"audio.fingerprint": row} for row in rows]])
    select(store, "v1", dedup=[NearAudio()])
    assert out(store) == {1: "dedup.near_audio"}  # eleven landmarks are too few


def test_films_that_show_the_same_frames_in_step_are_alike(tmp_path: Path) -> None:
    random = np.random.default_rng(2)
    one, other = random.integers(0, 256, (2, 20, 32), np.uint8)
    worse = one.copy()
    worse[:, 0] ^= random.integers(0, 256, 20, np.uint8)  # up to 8 bits a frame
    times = np.arange(20) / 2
    films = [
        (one, times),
        (worse, times + 3),
        (one[8:14], times[:6]),
        (other, times),
        (one[:3], times[:3]),  # too short to tell
        (np.concatenate([other[:0], random.integers(0, 256, (19, 32), np.uint8), one[:1]]), times),
        (one[random.permutation(20)], times),  # the same frames in another order
        (np.zeros((0, 32), np.uint8), times[:0]),
        None,
    ]
    rows: list[Row] = [
        {"video.fingerprint": film and film[0], "video.fingerprint.times_s": film and film[1]} for film in films
    ]
    store = stored(tmp_path / "s", [rows[:2], rows[2:]])
    select(store, "v1", dedup=[NearVideo()])
    assert out(store) == {1: "dedup.near_video", 2: "dedup.near_video"}
    select(store, "v1", dedup=[NearVideo(min_frames=3)])
    assert sorted(out(store)) == [1, 2, 4]


def test_embeddings_that_point_the_same_way_are_alike(tmp_path: Path) -> None:
    rows = [
        [1, 0, 0, 0],
        [5, 0.1, 0, 0],
        [0, 1, 0, 0],
        [0, 0, 0, 0],
        [0, 0, 0, 0],
        [np.nan, 1, 0, 0],
        None,
        [-1, 0, 0, 0],
    ]
    store = stored(tmp_path / "s", [[{"text.embedding": row} for row in rows]])
    for below in (100_000, 0):
        select(store, "v1", dedup=[Semantic(exact_below=below)])
        assert out(store) == {1: "dedup.semantic"}


def test_rules_follow_each_other_and_their_clusters_are_one(tmp_path: Path) -> None:
    rows = [
        {"text": "a", "image.phash": bits(1)},
        {"text": "a", "image.phash": bits(40, 41, 42)},
        {"text": "b", "image.phash": bits(1)},
        {"text": "c", "image.phash": bits(40, 41, 42)},
    ]
    store = stored(tmp_path / "s", [rows])
    select(store, "v1", dedup=[Exact(on="text"), NearImage(also=None, max_bits=0)])
    assert out(store) == {1: "dedup.exact", 2: "dedup.near_image"}
    assert store.selection("v1")["cluster"].to_pylist() == [0, 0, 0, None]


def test_what_is_like_another_selection_is_left_out(tmp_path: Path) -> None:
    test = stored(tmp_path / "t", [[{"text": "b"}, {"text": "z"}]], source="test")
    select(test, "all", split={"test": 1.0})
    store = stored(tmp_path / "s", [[{"text": "a"}, {"text": "b"}, {"text": "b"}, {"text": "a"}]])
    select(store, "v1", dedup=[Exact(on="text")], against=[Against(selection="all", split="test", store=test.url)])
    assert out(store) == {1: "dedup.exact.against", 2: "dedup.exact.against", 3: "dedup.exact"}
    select(store, "bs", where="meta.n = 1")
    select(store, "v2", where="meta.n <> 1", dedup=[Exact(on="text")], against=[Against(selection="bs")])
    assert out(store, "v2") == {1: "where", 2: "dedup.exact.against", 3: "dedup.exact"}
    found = diff(store, "v1", "v2")
    assert found.changes == [("dedup.exact.against", "where", 1, "toy/001")]
    with pytest.raises(ConfigError, match=r"split 'tset' of selection 'all' of .* has no samples"):
        select(store, "v3", dedup=[Exact()], against=[Against(selection="all", split="tset", store=test.url)])
    with pytest.raises(ConfigError, match="there is no dedup rule"):
        select(store, "v3", against=[Against(selection="bs")])


def test_duplicates_share_a_split_though_another_of_them_stays(tmp_path: Path) -> None:
    """A better copy that comes later takes the place of the one before in the very split."""
    rows = [[{"text": str(n), "quality": quality} for n in range(30)] for quality in (1.0, 2.0)]
    store = stored(tmp_path / "s", rows)
    settings: dict[str, Any] = {"dedup": [Exact(on="text", keep="quality")], "split": {"train": 0.5, "test": 0.5}}
    select(store, "v1", where="quality < 2", **settings)
    before = {row["key"]: row["split"] for row in store.selection("v1").to_pylist()}
    assert {before[f"toy/{n:03d}"] for n in range(30)} == {"train", "test"}
    select(store, "v1", **settings)
    after = {int(row["key"][4:]): row for row in store.selection("v1").to_pylist()}
    assert all(after[n]["reason"] == "dedup.exact" and after[30 + n]["reason"] is None for n in range(30))
    assert all(after[30 + n]["split"] == before[f"toy/{n:03d}"] for n in range(30))


@pytest.mark.parametrize(
    ("rule", "error", "fault"),
    [
        (NearImage(on="quality", also=None), ConfigError, "an array of fixed size is needed"),
        (NearImage(on="text.minhash", also=None), ConfigError, "a hash is an even number of bytes"),
        (NearText(on="image.phash"), ConfigError, "of a MinHash signature"),
        (NearText(on="text.minhsh"), StoreError, "text.minhsh"),
        (NearAudio(on="image.phash"), ConfigError, "one axis that varies is needed"),
        (NearVideo(on="audio.fingerprint"), StoreError, "audio.fingerprint.times_s"),
        (Semantic(on="image.phash"), ConfigError, "of floating point numbers"),
        (Exact(on="image.phash"), ConfigError, "not one number or text a sample"),
        (Exact(on="nothing"), StoreError, "nothing"),
        (Exact(keep="nope"), StoreError, "no column 'nope'"),
        (Exact(keep="key"), ConfigError, "is to be a number"),
    ],
)
def test_a_rule_on_what_it_cannot_compare_is_refused(
    tmp_path: Path, rule: Rule, error: type[Exception], fault: str
) -> None:
    row = {"image.phash": bits(), "text.minhash": np.zeros(128), "audio.fingerprint": [1], "quality": 1.0}
    store = stored(tmp_path / "s", [[row, row]])
    with pytest.raises(error, match=fault):
        select(store, "v1", dedup=[rule])


def test_a_family_that_shards_lack_is_told(tmp_path: Path) -> None:
    store = stored(tmp_path / "s", [[{"image.phash": bits()}], [{"image.phash": bits()}]])
    store.commit([Change("image.phash", remove=[store.view().shards[0].features["image.phash"]])])
    with pytest.raises(Incomplete, match="lacks 1 of 2 shards"):
        select(Store.open(store.url), "v1", dedup=[NearImage(also=None)])


def test_a_hundred_thousand_equal_signatures_are_one_cluster(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of all kinds at once, over arrays that are files: what is equal costs no more than what differs."""
    from mmdata.select.clusters import Clusters
    from mmdata.select.dedup import image, semantic, text

    n = 100_000
    same = {
        image: (NearImage(also=None), np.zeros((n, 8), np.uint8)),
        text: (NearText(), np.ones((n, 128), np.uint32)),
        semantic: (Semantic(), np.ones((n, 4), np.float32)),
    }
    for module, (rule, values) in same.items():
        monkeypatch.setattr(module, "vectors", lambda *_, values=values: (values, np.arange(n)))
        clusters = Clusters(n)
        rule.link([], clusters)
        assert not clusters.labels().any(), rule
