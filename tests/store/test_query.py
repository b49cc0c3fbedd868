"""Tables: columns by any name that a user knows, and conditions that reach nothing but rows."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.core.sample import Sample
from mmdata.errors import StoreError
from mmdata.store.query import matching
from mmdata.store.runs import Recipe
from mmdata.store.store import Store
from mmdata.store.write import FeatureWriter, ShardWriter

Made = Any  # the fixtures' class; conftest can't be imported
S1, F1 = "1" * 16, "a" * 16


def test_columns_by_default_are_what_is_small(filled: Made) -> None:
    table = filled.store.table()
    assert table.column_names == ["key", "label", "source", "image.phash.score"]
    assert table.slice(6, 1).to_pylist() == [
        {"key": "src/1/1.png", "label": "cat", "source": "src", "image.phash.score": 1.0}
    ]
    assert table.schema.field("image.phash.score").type == pa.float32()


def test_metadata_and_texts_are_columns_by_name(filled: Made) -> None:
    table = filled.store.table(["meta.n", "text.caption", "caption", "meta", "parent", "meta.nope"])
    assert table.slice(2, 1).to_pylist() == [
        {
            "meta.n": 2, "text.caption": "hé 2", "caption": "hé 2", "meta": '{"label":"cat","n":2}', "parent": None,
            "meta.nope": None,
        }
    ]  # fmt: skip


def test_an_unknown_column_is_named_beside_those_that_there_are(filled: Made) -> None:
    with pytest.raises(StoreError, match=r"no column 'blur'.*key.*\['caption'\].*image.phash"):
        filled.store.table(["blur"])


def test_arrays_of_fixed_axes_are_tensors_and_others_bytes_with_lengths(filled: Made) -> None:
    table = filled.store.table(["image.phash", "speech.mfcc"])
    assert table.schema.field("image.phash").type == pa.fixed_shape_tensor(pa.uint8(), [8], dim_names=["byte"])
    stacked = np.concatenate([chunk.to_numpy_ndarray() for chunk in table.column("image.phash").chunks])
    np.testing.assert_array_equal(stacked[:, 0], [0, 1, 2, 3, 4] * 3)
    assert table.column("speech.mfcc#time").to_pylist() == [0, 1, None, 3, 4] * 3
    assert table.column("speech.mfcc").to_pylist()[4] == np.full((4, 3), 4, np.float32).tobytes()


@pytest.mark.parametrize(
    ("where", "rows"),
    [
        ("image.phash.score > 3", [4]),
        ('"image.phash.score" >= 3', [3, 4]),
        ("meta.n = 2 or key like '%/4.png'", [2, 4]),
        ("label = 'cat' and text.caption = 'hé 1'", [1]),
        ("label = 'image.phash.score'", []),
        ("label = 'it''s'", []),
        ("meta.nope is null", [0, 1, 2, 3, 4]),
        ("json_extract(meta, '$.n')::int = 3", [3]),
        ('"speech.mfcc#time" > 3 or "speech.mfcc#time" is null', [2, 4]),
        ("key in (select key from samples where meta.n = 1)", [1]),
        ("meta.n = 1 -- and false", [1]),
        ("false", []),
    ],
)
def test_conditions_speak_of_columns_by_their_names(filled: Made, where: str, rows: list[int]) -> None:
    found = filled.store.table(["meta.n", "image.phash", "key"], where=where)
    assert found.column("meta.n").to_pylist() == rows * 3
    assert [key.split("/")[1] for key in found.column("key").to_pylist()] == sorted(["0", "1", "2"] * len(rows))


@pytest.mark.parametrize(
    "where",
    ["nope > 1", "1 +", "true; select 1", "true) ; drop table samples; select (true", "", "key in (select * from b)"],
)
def test_conditions_that_are_wrong_are_refused(filled: Made, where: str) -> None:
    with pytest.raises(StoreError, match="where"):
        filled.store.table(["key"], where=where)


@pytest.mark.parametrize(
    ("where", "said"), [("labl = 'a'", "'labl', did you mean 'label'"), ("a.xx > 1", "no column 'a.xx'")]
)
def test_a_column_that_is_not_there_is_named_with_a_guess(filled: Made, where: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        filled.store.table(["key"], where=where)


@pytest.mark.parametrize("place", ["read_text('{}')", "read_csv('{}')", "'{}'", "glob('{}')", "read_blob('{}')"])
def test_conditions_reach_no_files(filled: Made, tmp_path: Path, place: str) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")
    with pytest.raises(StoreError, match=r"disabled|does not exist"):
        filled.store.table(["key"], where=f"(select count(*) from {place.format(secret)}) > 0")


def test_a_condition_cant_write_files_or_change_settings(filled: Made, tmp_path: Path) -> None:
    for statement in (
        f"copy samples to '{tmp_path}/x.csv'",
        "set enable_external_access=true",
        f"attach '{tmp_path}/x.db'",
    ):
        with pytest.raises(StoreError, match="where"):
            filled.store.table(["key"], where=f"true); {statement}; select (true")
    assert [path.name for path in tmp_path.iterdir()] == ["store"]


def test_a_condition_needs_only_the_families_that_it_speaks_of(filled: Made) -> None:
    filled.commit(*filled.samples(3))
    assert len(Store.open(filled.url).table(["key"], where="meta.n = 1")) == 4


@pytest.mark.parametrize("dtype", ["bool", "uint8", "uint64", "float16", "float64", "int32"])
def test_features_of_every_type_come_as_themselves(made: Made, dtype: str) -> None:
    keys = [f"k{row}" for row in range(3)]
    made.run(Recipe(S1, {"a.x": F1}))
    with ShardWriter(made.url, shard="0" * 16, fp=S1, source="src") as samples:
        for key in keys:
            samples.add(Sample(key, {}, {"mixed": key if key == "k1" else 5}), {}, pointers={})
        files = samples.close()
    columns = {"a.x": ArraySpec(dtype=dtype), "a.t": ArraySpec(dims=("d",), sizes={"d": 2}, dtype=dtype)}
    with FeatureWriter(made.url, "a.x", columns, shard="0" * 16, fp=F1) as writer:
        given = [np.array(1, dtype), None, np.array(0, dtype)]
        pair = [np.array([1, 0], dtype), None, np.array([0, 1], dtype)]
        writer.add(keys, {"a.x": given, "a.t": pair})
        made.commit(*files, writer.close(keys_digest(keys)))
    table = made.store.table(["a.x", "a.t", "meta.mixed"], where="a.x is null or a.x::int = 1")
    assert table.column("a.x").to_pylist() == [1, None]
    assert table.schema.field("a.x").type == pa.from_numpy_dtype(np.dtype(dtype))
    assert table.column("a.t").combine_chunks().storage.to_pylist() == [[1, 0], None]
    assert table.column("meta.mixed").to_pylist() == ["5", '"k1"']


def test_rows_that_match_come_by_number(filled: Made) -> None:
    rows = filled.store.rows(keep_bytes=1 << 20)
    keys = filled.store.keys()
    for _ in range(2):  # read, and kept
        found = matching(rows, f"key = '{keys[-1]}' or key = '{keys[0]}'", most_s=60)
        assert found.tolist() == [0, len(keys) - 1]


@pytest.mark.parametrize(
    ("where", "said"),
    [
        ("key in (select key from range(3))", "no tables but samples"),
        ("random() < 0.5", "something else each time"),
        ("true), (select 1", "one expression"),
        ("", "it is empty"),
        ("repeat('a', 4000000000) = 'b'", r"repeat\(\) can't be asked for here: serve answers .*abs, .*mmdata select"),
        ("list_sum(range(3000000000)) > 1", r"list_sum\(\), range\(\)"),
        ("len(lpad(key, 2000000000, 'x')) > 1", r"lpad\(\)"),
        ("key || key = 'a'", r"\|\|\(\)"),
        ("cast(null as int[100000][100000]) is null", "the type array"),
        ("max(key, 100000) over () is null", r"max\(\) of several"),
        ("key in (with a as (select key from samples) select key from a)", "WITH"),
        ("not " * 990 + "true", "too deeply nested|expression depth"),
        (f"(select count(*) from {', '.join(f'samples s{n}' for n in range(14))}"
         " where contains(s1.key, s9.key) is null) > 0",
         "longer than 0.2 s"),
    ],
)  # fmt: skip
def test_a_condition_of_somebody_else_s_is_checked_and_bounded(filled: Made, where: str, said: str) -> None:
    with pytest.raises(StoreError, match=said):
        matching(filled.store.rows(), where, most_s=0.2)


@pytest.mark.parametrize(
    "where",
    [
        "key like 's%' and not key ilike '_x' and upper(trim(key)) <> '' and len(key) between 1 and 99 or key ^@ 'b'",
        "abs(ln(len(key)) * 2 - 1) ** 2 >= 0 and greatest(1, 2) % 2 = 0 and coalesce(label, 'x') in ('x', 'y')",
        "case when label is null then true else regexp_matches(label, '^a') end and key::varchar = cast(key as text)",
        "len(key) > (select avg(len(key)) from samples) and meta->>'$.n' is not null and year(date '2020-01-01') > 1",
    ],
)
def test_usual_conditions_are_answered_to_somebody_else(filled: Made, where: str) -> None:
    table = filled.store.table(["key"], where=where)
    keys = filled.store.keys()
    assert [keys[row] for row in matching(filled.store.rows(), where, most_s=120)] == table["key"].to_pylist()


def test_threads_may_ask_for_columns_that_are_kept(filled: Made) -> None:
    rows = filled.store.rows(keep_bytes=64)  # room for none but the newest
    names = ["key", "label", "meta", "source", "parent"] * 200
    with ThreadPoolExecutor(8) as threads:
        found = list(threads.map(lambda name: len(rows.column(name)[name]), names))
    assert set(found) == {len(filled.store)}
