"""Feature files: what a spec promises is what is stored, row by row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from mmdata.core.arrays import ArraySpec
from mmdata.core.fingerprint import keys_digest
from mmdata.errors import SchemaMismatch, StoreError
from mmdata.store import read
from mmdata.store.files import Files
from mmdata.store.layout import DataFile
from mmdata.store.write import FeatureWriter

Made = Any  # the fixtures' class; conftest can't be imported
SHARD, FP = "a" * 16, "b" * 16
DTYPES = [
    "bool",
    "int8",
    "int16",
    "int32",
    "int64",
    "uint8",
    "uint16",
    "uint32",
    "uint64",
    "float16",
    "float32",
    "float64",
]
VECTOR = {"a.x": ArraySpec(dims=("d",), sizes={"d": 3})}


def write(made: Made, columns: dict[str, ArraySpec], arrays: dict[str, Any], *, chunk: int = 10**9) -> DataFile:
    n = len(next(iter(arrays.values())))
    keys = [f"k{row}" for row in range(n)]
    writer = FeatureWriter(made.url, "a.x", columns, shard=SHARD, fp=FP)
    for first in range(0, n, chunk):
        writer.add(keys[first : first + chunk], {name: each[first : first + chunk] for name, each in arrays.items()})
    return writer.close(keys_digest(keys))


def back(made: Made, file: DataFile, column: str = "a.x") -> list[np.ndarray | None]:
    files = Files.at(made.url)
    spec = read.file_specs(files, file)[column]
    return read.arrays(read.open_rows(files, file), column, spec)


def assert_same(found: list[np.ndarray | None], given: list[np.ndarray | None]) -> None:
    assert len(found) == len(given)
    for one, other in zip(found, given, strict=True):
        assert (one is None) == (other is None)
        if one is not None and other is not None:
            assert one.dtype == other.dtype
            assert one.shape == other.shape
            np.testing.assert_array_equal(one, other)


def extremes(dtype: str) -> list[Any]:
    if dtype == "bool":
        return [False, True]
    info: Any = np.finfo(dtype) if np.dtype(dtype).kind == "f" else np.iinfo(dtype)
    return [info.min, info.max, 0, 1] + ([np.nan, np.inf, -0.0] if np.dtype(dtype).kind == "f" else [])


@pytest.mark.parametrize("dtype", DTYPES)
def test_scalars_of_every_type_come_back_exactly(made: Made, dtype: str) -> None:
    given: list[np.ndarray | None] = [np.array(value, dtype) for value in extremes(dtype)]
    given.insert(1, None)
    assert_same(back(made, write(made, {"a.x": ArraySpec(dtype=dtype)}, {"a.x": given})), given)
    stacked = np.array(extremes(dtype), dtype)
    assert_same(back(made, write(made, {"a.x": ArraySpec(dtype=dtype)}, {"a.x": stacked})), list(stacked))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("sizes", [{"a": 2, "b": 3}, {"b": 3}, {}, {"a": 0, "b": 3}], ids=str)
def test_arrays_of_every_type_and_form_come_back_exactly(made: Made, dtype: str, sizes: dict[str, int]) -> None:
    spec = ArraySpec(dims=("a", "b"), sizes=sizes, dtype=dtype, hop_s=0.01)
    rng = np.random.default_rng(0)
    shapes = [
        tuple(sizes.get(dim, size) for dim, size in zip("ab", pair, strict=True)) for pair in [(2, 3), (0, 3), (5, 1)]
    ]
    given: list[np.ndarray | None] = [rng.integers(0, 2, shape).astype(dtype) for shape in shapes]
    given.append(None)
    file = write(made, {"a.x": spec}, {"a.x": given})
    assert_same(back(made, file), given)
    assert read.file_specs(Files.at(made.url), file) == {"a.x": spec}


def test_arrays_are_stored_raw_little_endian_and_without_statistics(made: Made) -> None:
    columns = {"a.x": VECTOR["a.x"], "a.score": ArraySpec()}
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    file = write(made, columns, {"a.x": rows, "a.score": np.array([1, 2], np.float32)})
    table = pq.read_table(Path(made.url) / file.path)
    assert table.column("a.x").to_pylist() == [row.astype("<f4").tobytes() for row in rows]
    group = pq.read_metadata(Path(made.url) / file.path).row_group(0)
    about = {group.column(number).path_in_schema: group.column(number) for number in range(group.num_columns)}
    assert about["a.x"].compression == "UNCOMPRESSED"
    assert not about["a.x"].is_stats_set
    assert about["a.score"].statistics.max == 2
    assert about["key"].statistics.min == "k0"


def test_big_endian_arrays_are_turned(made: Made) -> None:
    spec = {"a.x": ArraySpec(dims=("d",), sizes={"d": 3}, dtype=">f4")}
    file = write(made, spec, {"a.x": np.arange(3, dtype=">f4")[None]})
    assert pq.read_table(Path(made.url) / file.path).column("a.x").to_pylist() == [np.arange(3, dtype="<f4").tobytes()]


def test_slices_and_transposed_views_are_stored_as_they_look(made: Made) -> None:
    rows = np.arange(24, dtype=np.float32).reshape(3, 8).T[::2]
    assert_same(back(made, write(made, VECTOR, {"a.x": rows})), list(rows))


@pytest.mark.parametrize(
    ("array", "fault"),
    [
        (np.zeros(3, np.float64), "dtype is float64, promised was float32"),
        (np.zeros(4, np.float32), "axis 'd' has 4 entries, promised were 3"),
        (np.zeros((3, 1), np.float32), "it has 2 axes"),
        (np.float32(1), "it has 0 axes"),
    ],
)
@pytest.mark.parametrize("sizes", [{"d": 3}, {}], ids=["fixed", "varying"])
def test_a_broken_promise_names_family_and_sample(
    made: Made, array: np.ndarray, fault: str, sizes: dict[str, int]
) -> None:
    if not sizes and "axis" in fault:
        pytest.skip("an axis that varies may have any size")
    columns = {"a.x": ArraySpec(dims=("d",), sizes=sizes)}
    with FeatureWriter(made.url, "a.x", columns, shard=SHARD, fp=FP) as writer:
        with pytest.raises(SchemaMismatch, match=rf"family 'a.x', column 'a.x', sample 'k1': {fault}"):
            writer.add(["k0", "k1"], {"a.x": [np.zeros(3, np.float32), array]})
        if array.ndim:
            with pytest.raises(SchemaMismatch, match=fault):
                writer.add(["k0"], {"a.x": array[None]})


def test_a_stack_of_other_rows_than_keys_is_refused(made: Made) -> None:
    with FeatureWriter(made.url, "a.x", VECTOR, shard=SHARD, fp=FP) as writer:
        with pytest.raises(SchemaMismatch, match=r"'a.x' has 2 arrays for 1 keys"):
            writer.add(["k0"], {"a.x": np.zeros((2, 3), np.float32)})
        with pytest.raises(SchemaMismatch, match=r"promised columns \['a.x'\], given were \[\]"):
            writer.add(["k0"], {})


def test_rows_of_other_keys_than_the_samples_are_refused_and_deleted(made: Made) -> None:
    writer = FeatureWriter(made.url, "a.x", VECTOR, shard=SHARD, fp=FP)
    writer.add(["k1", "k0"], {"a.x": np.zeros((2, 3), np.float32)})
    with pytest.raises(StoreError, match="other rows than its samples"):
        writer.close(keys_digest(["k0", "k1"]))
    assert [path.name for path in Path(made.url).rglob("*") if path.is_file()] == ["store.json"]


def test_errors_stand_beside_the_rows_that_failed(made: Made) -> None:
    writer = FeatureWriter(made.url, "a.x", VECTOR, shard=SHARD, fp=FP)
    sound = np.zeros(3, np.float32)
    writer.add(["k0", "k1", "k2"], {"a.x": [None, sound, sound]}, ["decode: no sound", None, "half of it failed"])
    file = writer.close(keys_digest(["k0", "k1", "k2"]))
    table = pq.read_table(Path(made.url) / file.path)
    assert table.column("a.x#error").to_pylist() == ["decode: no sound", None, "half of it failed"]
    assert table.column("a.x").to_pylist()[0] is None
    assert [key for key, _ in read.feature_rows(Files.at(made.url), file)] == ["k1"]


@pytest.mark.parametrize(
    "family", ["", "..", ".x", "a/b", "a b", "samples", "key", "shard", "é", "-x", "a" * 129, "a\n"]
)
def test_names_that_cant_be_folders_or_are_the_stores_own_are_refused(made: Made, family: str) -> None:
    with pytest.raises(StoreError, match="can't name a feature"):
        FeatureWriter(made.url, family, VECTOR, shard=SHARD, fp=FP)
    if family != "a.x":
        with pytest.raises(StoreError, match="can't name a feature"):
            FeatureWriter(made.url, "a.x", {family: ArraySpec()}, shard=SHARD, fp=FP)


def test_an_axis_called_error_would_hide_the_errors(made: Made) -> None:
    with pytest.raises(StoreError, match=r"two columns 'a.x#error'"):
        FeatureWriter(made.url, "a.x", {"a.x": ArraySpec(dims=("error",))}, shard=SHARD, fp=FP)
    with pytest.raises(StoreError, match="no columns"):
        FeatureWriter(made.url, "a.x", {}, shard=SHARD, fp=FP)


@pytest.mark.parametrize(
    ("size", "n", "groups"),
    [
        (1, 2_500, [1_000, 1_000, 500]),
        (8_192, 1_100, [1_000, 100]),  # 8 KB times 1,000 stays just below 8 MB
        (100_000, 200, [83, 83, 34]),
        (9_000_000, 3, [1, 1, 1]),
        (1, 0, []),
    ],
)
@pytest.mark.parametrize("sized", [True, False], ids=["fixed", "varying"])
def test_row_groups_have_at_most_1000_rows_and_8_mb(
    made: Made, size: int, n: int, groups: list[int], sized: bool
) -> None:
    columns = {"a.x": ArraySpec(dims=("d",), sizes={"d": size} if sized else {}, dtype="uint8")}
    file = write(made, columns, {"a.x": np.zeros((n, size), np.uint8)})
    footer = pq.read_metadata(Path(made.url) / file.path)
    assert [footer.row_group(group).num_rows for group in range(footer.num_row_groups)] == groups
    assert file.rows == n


@pytest.mark.parametrize("sized", [True, False], ids=["fixed", "varying"])
def test_the_chunks_that_rows_come_in_leave_no_trace(made: Made, sized: bool) -> None:
    columns = {"a.x": ArraySpec(dims=("d",), sizes={"d": 700} if sized else {}), "a.s": ArraySpec()}
    rng = np.random.default_rng(0)
    rows = {"a.x": rng.random((4_000, 700), dtype=np.float32), "a.s": rng.random(4_000, dtype=np.float32)}
    files = [write(made, columns, rows, chunk=chunk) for chunk in (4_000, 64, 777)]
    assert len({file.digest for file in files}) == 1


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_whatever_goes_in_comes_out(made: Made, data: st.DataObject) -> None:
    dtype = data.draw(st.sampled_from(["uint8", "int16", "float32", "bool"]))
    fixed = data.draw(st.booleans())
    spec = ArraySpec(dims=("a", "b"), sizes={"b": 2} | ({"a": 3} if fixed else {}), dtype=dtype)
    shape = st.tuples(st.just(3) if fixed else st.integers(0, 4), st.just(2))
    array = shape.flatmap(lambda each: hnp.arrays(dtype, each))
    given_rows = data.draw(st.lists(st.none() | array, max_size=8))
    chunk = data.draw(st.integers(1, 9))
    assert_same(back(made, write(made, {"a.x": spec}, {"a.x": given_rows}, chunk=chunk)), given_rows)
